"""The gate's own look at a transaction: is it what the step says, may it be, and does it do just that when it is tried.

Nothing of the planners' code is used: calldata is read by `decoder`, questions to contracts are written out word by word. What a
node does not answer raises ChainUnavailableError; nothing is signed then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from treasury_arena.clock import Clock, to_epoch
from treasury_arena.contracts.chain import Refusal, Step, StepKind, Unsigned
from treasury_arena.errors import ValidationError
from treasury_arena_evm.chains import Chain
from treasury_arena_evm.errors import TokenError
from treasury_arena_evm.live.contracts import Contracts
from treasury_arena_evm.live.decoder import AAVE, POSITIONS, ROUTER, TOKEN, VAULT, Call, Values, decode
from treasury_arena_evm.live.nodes import Nodes, block_ref
from treasury_arena_evm.live.prices import Prices
from treasury_arena_evm.live.trial import Asked, Trial, word_of
from treasury_arena_evm.live.worth import PRICED, Worth
from treasury_arena_evm.tokens import Token, TokenTable
from treasury_arena_evm.transport import NodeError

#: How far ahead a deadline may lie, in seconds.
DEADLINE_SECONDS_MAX = 120
#: Arguments that must be the treasury itself, whatever a step expects.
_OURS = ("recipient", "owner", "on_behalf_of")
#: Arguments that a step need not name: these values, or any with None.
_FREE: Mapping[str, int | None] = {"referral_code": 0, "price_limit": 0, "most0_raw": None, "most1_raw": None}
_TOKENS = ("asset", "token_in", "token_out", "token0", "token1")
_HEALTH_UNIT = 10**18
_DELEGATED = "0xef0100"


class _Refused(Exception):  # noqa: N818  carries a refusal out of the checks, and never leaves this module
    def __init__(self, code: str, reason: str) -> None:
        self.refusal = Refusal(code, reason)


class Examiner:
    """Judges transactions of one treasury on one chain; see `EvmClient` for the arguments."""

    def __init__(
        self,
        chain: Chain,
        nodes: Nodes,
        tokens: TokenTable,
        sender: str,
        cap_raw: int,
        contracts: Contracts,
        clock: Clock,
        health_min: float,
        prices: Prices,
    ) -> None:
        self._chain, self._nodes, self._tokens, self._contracts = chain, nodes, tokens, contracts
        self._sender, self._cap_raw, self._clock = sender.lower(), cap_raw, clock
        self._worth = Worth(tokens, prices)
        self._health_raw = int(health_min * _HEALTH_UNIT)

    def examine(self, step: Step, transaction: Unsigned) -> Refusal | None:
        """Why this transaction is not signed for this step; None when nothing speaks against it."""
        try:
            self._envelope(step, transaction)
            if step.kind is StepKind.CANCEL:
                self._cancel(transaction)
                return None
            call = self._read(step, transaction)
            self._parties(call)
            self._arguments(step, transaction, call)
            self._deadline(call.values)
            self._try(step, transaction, call)
        except _Refused as refused:
            return refused.refusal
        return None

    # --- before anything is asked of a node

    def _envelope(self, step: Step, t: Unsigned) -> None:
        if t.chain_id != self._chain.id:
            raise _Refused("chain", f"the transaction is for chain {t.chain_id}, not for {self._chain.id}")
        if t.sender.lower() != self._sender:
            raise _Refused("sender", f"the transaction is {t.sender}'s, not the treasury's ({self._sender})")
        if (t.to.lower(), t.data.lower(), t.value_raw) != (step.to.lower(), step.data.lower(), step.value_raw):
            raise _Refused("calldata", "the transaction is not the step's: another contract, calldata or amount")
        if t.value_raw:
            raise _Refused(
                "value", f"the transaction would send {t.value_raw} wei of the native coin; no step does that"
            )
        if not 0 <= t.fees.tip_raw <= t.fees.cap_raw <= self._cap_raw:
            raise _Refused(
                "fees", f"a fee of {t.fees.cap_raw} wei (tip {t.fees.tip_raw}) is not under the cap of {self._cap_raw}"
            )
        if not 0 < t.gas <= step.gas_max:
            raise _Refused("gas", f"a gas limit of {t.gas} is more than the {step.gas_max} of the step")

    def _cancel(self, t: Unsigned) -> None:
        if t.to.lower() != self._sender or t.data != "0x":
            raise _Refused("calldata", "a cancellation goes to the treasury itself and calls nothing")

    def _read(self, step: Step, t: Unsigned) -> Call:
        try:
            call = decode(t.data)
        except ValidationError as error:
            raise _Refused("calldata", str(error)) from error
        family = self._family(t.to)
        if not family:
            raise _Refused("contract", f"{t.to} is no contract that orders may call")
        if family != call.function.family or step.kind not in call.function.kinds:
            raise _Refused(
                "contract",
                f"a step of the kind {step.kind} calls {call.function.name} of a contract of the kind {family}",
            )
        self._has_code(t.to)
        return call

    def _family(self, address: str) -> str:
        found = self._contracts.family(address)
        return found or (AAVE if address.lower() in self._pools() else "")

    def _pools(self) -> tuple[str, ...]:
        """Aave's pool: the pinned one, or the one that its pinned provider names."""
        if not self._contracts.provider:
            return self._contracts.of(AAVE)
        return (self._address(Asked(self._contracts.provider, "getPool()")),)

    def _address(self, asked: Asked) -> str:
        """What a contract answers, as an address."""
        call = {"to": asked.to, "data": asked.data}
        try:
            return self._nodes.ask("eth_call", call, "latest", read=lambda answer: f"0x{word_of(answer):040x}")
        except NodeError as error:
            raise _Refused("contract", f"{asked.to} does not answer {asked.question}: {error.text}") from error

    def _parties(self, call: Call) -> None:
        """Money goes to the treasury and to nobody else, and only pinned contracts may take any."""
        for name in _OURS:
            if call.values.get(name, self._sender) != self._sender:
                raise _Refused("recipient", f"{name} is {call.values[name]}, not the treasury")
        spender = call.values.get("spender")
        if spender is not None and self._family(str(spender)) in ("", TOKEN):
            raise _Refused("allowance", f"{spender} is no contract that may be allowed to take tokens")

    def _arguments(self, step: Step, t: Unsigned, call: Call) -> None:
        """Every argument is what the step expects, and nothing that it expects is missing."""
        wanted = {name: value.lower() if isinstance(value, str) else int(value) for name, value in step.expects.items()}
        found: Values = dict(call.values)
        if "asset" not in found:
            found["asset"] = self._asset(t.to, call, wanted)
        for name, value in found.items():
            if name not in wanted and name in _FREE and _FREE[name] in (None, value):
                continue
            if name not in wanted or wanted[name] != value:
                told = repr(wanted[name]) if name in wanted else "nothing"
                raise _Refused("calldata", f"{name} of {call.function.name} is {value!r}, the step expects {told}")
        for name in wanted:
            if name not in found:
                raise _Refused("calldata", f"the step expects {name}, which {call.function.name} does not say")
        for name in _TOKENS:
            if name in found:
                self._token(str(found[name]))
        if step.asset and str(found["asset"]) != self._symbol(step.asset).address.lower():
            raise _Refused("token", f"the step is about {step.asset}, the calldata about {found['asset']}")
        if "min_out_raw" in found and not int(found["min_out_raw"]):
            raise _Refused("min_out", "the swap would take nothing in return as well")
        if call.function.family == ROUTER and "deadline" not in found:
            raise _Refused("deadline", "a swap needs a deadline")
        if step.kind is StepKind.REVOKE and found.get("amount_raw"):
            raise _Refused("allowance", "taking an allowance back means an allowance of 0")

    def _asset(self, to: str, call: Call, wanted: Mapping[str, Any]) -> int | str:
        """The asset of a call that does not name it: the token itself, a vault's own, what is sold, or one of a position's."""
        if call.function.family == TOKEN:
            return to.lower()
        if call.function.family == VAULT:
            return self._address(Asked(to, "asset()"))
        if "token_in" in call.values:
            return call.values["token_in"]
        return str(wanted.get("asset", ""))

    def _token(self, address: str) -> Token:
        try:
            return self._tokens.address(address)
        except TokenError as error:
            raise _Refused("token", str(error)) from error

    def _symbol(self, symbol: str) -> Token:
        try:
            return self._tokens.symbol(symbol)
        except TokenError as error:
            raise _Refused("token", str(error)) from error

    def _deadline(self, values: Values) -> None:
        if "deadline" not in values:
            return
        there = self._there()
        latest = max(there, to_epoch(self._clock.now())) + DEADLINE_SECONDS_MAX
        if not there < int(values["deadline"]) <= latest:
            raise _Refused("deadline", f"the deadline {values['deadline']} is not between {there} and {latest}")

    def _there(self) -> int:
        """The chain's own time."""
        return self._nodes.ask("eth_getBlockByNumber", "latest", False, read=block_ref).timestamp

    # --- tried on the chain as it is

    def _try(self, step: Step, t: Unsigned, call: Call) -> None:
        held = {token.symbol: Asked(token.address, "balanceOf(address)", self._sender) for token in self._tokens}
        before: dict[str, Asked] = dict(held)
        after: dict[str, Asked] = dict(held)
        named = {str(call.values[name]) for name in _TOKENS if name in call.values}
        named.add(self._symbol(step.asset).address.lower())
        decimals = {address: Asked(address, "decimals()") for address in sorted(named)}
        before |= {f"decimals {address}": asked for address, asked in decimals.items()}
        if call.function.family == TOKEN:
            allowance = Asked(t.to, "allowance(address,address)", self._sender, str(call.values["spender"]))
            before["allowance"] = after["allowance"] = allowance
        if call.function.family == AAVE:
            before["health"] = after["health"] = Asked(t.to, "getUserAccountData(address)", self._sender, place=5)
        token_id = call.values.get("token_id")
        if call.function.family == POSITIONS and token_id is not None:
            before["owner"] = Asked(t.to, "ownerOf(uint256)", int(token_id))
            before |= {
                name: Asked(t.to, "positions(uint256)", int(token_id), place=at)
                for name, at in (("token0", 2), ("token1", 3), ("tick_lower", 5), ("tick_upper", 6))
            }
        if step.kind in PRICED:
            before |= self._worth.questions(call)
        trial = Trial(self._nodes, t, before, after)
        trial.run()
        if trial.reason is not None:
            raise _Refused("simulation", f"the node tried it, and it was refused: {trial.reason or 'without a reason'}")
        others = self._worth.of_others(step.kind, call, trial) if step.kind in PRICED else set()
        if silent := [name for name in trial.unanswered if name not in others]:
            raise _Refused("simulation", f"the contracts do not say {', '.join(silent)}")
        for address in decimals:
            pinned = self._token(address)
            if (found := trial.before[f"decimals {address}"]) != pinned.decimals:
                raise _Refused(
                    "token", f"{pinned.symbol} is pinned with {pinned.decimals} decimals, its contract says {found}"
                )
        self._position(trial)
        self._allowance(call, trial)
        self._moved(step, trial)
        if step.kind is StepKind.SWAP:
            self._swap(call, trial)
        if step.kind in PRICED:
            now = max(self._there(), to_epoch(self._clock.now()))
            if (refusal := self._worth.refusal(step.kind, call, trial, now)) is not None:
                raise _Refused(refusal.code, refusal.reason)
        if "health" in after and step.kind is not StepKind.REPAY:
            self._health(step, trial.before["health"], trial.after["health"])

    def _health(self, step: Step, before: int, after: int) -> None:
        """The floor holds for everything that starts above it. Below it collateral may still leave to pay debt with."""
        rescue = step.kind is StepKind.WITHDRAW and before < self._health_raw
        floor = _HEALTH_UNIT if rescue else self._health_raw
        if after < floor:
            told, least = after / _HEALTH_UNIT, floor / _HEALTH_UNIT
            raise _Refused("health", f"the health factor would be {told:.4f}, below {least:g}")

    def _has_code(self, address: str) -> None:
        code = self._nodes.ask("eth_getCode", address, "latest", read=lambda answer: str(answer).lower())
        if len(code) <= 2 or code.startswith(_DELEGATED):
            raise _Refused("contract", f"no contract stands at {address}")

    def _position(self, trial: Trial) -> None:
        if "owner" not in trial.before:
            return
        if (owner := f"0x{trial.before['owner']:040x}") != self._sender:
            raise _Refused("recipient", f"the position is {owner}'s, not the treasury's")
        for name in ("token0", "token1"):
            self._token(f"0x{trial.before[name]:040x}")

    def _allowance(self, call: Call, trial: Trial) -> None:
        """An allowance is exact, and nothing is added to one that is there."""
        if "allowance" not in trial.after:
            return
        amount, was = int(call.values["amount_raw"]), trial.before["allowance"]
        if amount and was:
            raise _Refused(
                "allowance", f"{call.values['spender']} may still take {was} base units; that is taken back first"
            )
        if trial.after["allowance"] != amount:
            raise _Refused("allowance", f"the allowance would be {trial.after['allowance']} base units, not {amount}")

    def _moved(self, step: Step, trial: Trial) -> None:
        """No more leaves than the step may spend."""
        for token in self._tokens:
            left = trial.before[token.symbol] - trial.after[token.symbol]
            most = step.spends.get(token.symbol, 0)
            if left > most:
                raise _Refused(
                    "spends", f"{left} base units of {token.symbol} would leave the treasury, at most {most} may"
                )

    def _swap(self, call: Call, trial: Trial) -> None:
        """A swap brings at least what it must."""
        bought = self._token(str(call.values["token_out"])).symbol
        gained, least = trial.after[bought] - trial.before[bought], int(call.values["min_out_raw"])
        if gained < least:
            raise _Refused("min_out", f"the swap would bring {gained} base units of {bought}, at least {least} are due")
