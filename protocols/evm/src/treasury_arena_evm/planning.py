"""What planners of markets on an EVM chain share: settings, exact allowances, refusals in sentences, and who owns what.

A plan is made of reads and tried on the chain as it is; each step is bound again when its turn comes, with whatever changed
meanwhile looked at once more. Names in `Step.expects` are those of docs/explanation/orders.md.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from treasury_arena.contracts.bound import check_target
from treasury_arena.contracts.chain import (
    Holding,
    Plan,
    PlannedStep,
    PlannerContext,
    Step,
    StepKind,
    StepPlanner,
)
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ChainUnavailableError, ConfigError, ValidationError
from treasury_arena_evm.abi import Entry
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.erc20 import ALLOWANCE_MAX, TokenReader
from treasury_arena_evm.errors import ChainError, RevertError
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.places import Places
from treasury_arena_evm.reading import reader_of
from treasury_arena_evm.tokens import check_pins

APPROVE_GAS = 100_000
"""A first allowance took 46,500 gas on the local chain, 58,000 to 60,000 through the proxies of USDC and aTokens."""
REVOKE_GAS = 70_000
"""Taking one back took 24,600 (it is partly refunded)."""
DEADLINE_SECONDS = 120
"""How long a transaction with a deadline may wait to be mined."""

Expected = dict[str, int | str]


class EvmPlanner(StepPlanner):
    """A market of one coin and the base asset.

    Subclasses write `_plan`, `_bind`, `_value` and `_holdings`, which may let errors of chain and tokens pass.

    Args:
        context: as the protocol got it.
        keys: settings of the market beside `dust`, base units of the base asset: smaller moves are not made, and no position
            smaller than it is kept.

    Raises ConfigError for a client that cannot read contracts, unknown settings, and other decimals than the ledger's.
    """

    def __init__(self, context: PlannerContext, keys: Iterable[str]) -> None:
        self.market, self.base = context.spec.name, context.base
        self.reader = reader_of(context)
        self.asset = context.assets[context.spec.asset]
        try:
            self.sender = checksummed(context.sender)
        except ValueError:
            raise ConfigError(f"the treasury's address {context.sender!r} is none: 0x and 40 hex digits") from None
        self.places = Places(self.market, context.places, (*keys, "dust"), self.reader.chain)
        self.dust = self.places.whole("dust", self.base.unit, 1, 10**6 * self.base.unit)
        check_pins(self.market, self.reader.chain, self.reader.tokens, {self.asset, self.base})

    # --- the contract

    def plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        check_target(self.market, target_raw)
        with self.refusals():
            return self._plan(holding, target_raw if target_raw >= self.dust else 0, control)

    def bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        with self.refusals():
            if step.kind is StepKind.APPROVE:
                return self._approval(step, self._allowed(step, amount_raw))
            if step.kind is StepKind.REVOKE:
                return self._approval(step, 0)
            return self._bind(step, amount_raw, now)

    def value(self, holding: Holding) -> int:
        with self.refusals():
            return self._value(holding)

    def holdings(self) -> Mapping[str, tuple[int, int]]:
        with self.refusals():
            return self._holdings()

    @abstractmethod
    def _plan(self, holding: Holding, target_raw: int, control: tuple[float, ...]) -> Plan | None:
        """`plan`; the target is 0 or at least `dust`."""

    @abstractmethod
    def _bind(self, step: PlannedStep, amount_raw: int, now: int) -> Step | None:
        """`bind` of all kinds but APPROVE and REVOKE."""

    @abstractmethod
    def _value(self, holding: Holding) -> int:
        """`value`."""

    @abstractmethod
    def _holdings(self) -> Mapping[str, tuple[int, int]]:
        """`holdings`."""

    def _allowed(self, step: PlannedStep, amount_raw: int) -> int:
        """What is approved when a step says `amount_raw`."""
        return amount_raw

    # --- for subclasses

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """One block for all reads inside. What a contract or a token refuses is this market's refusal; what the node does not say
        is unknown.
        """
        try:
            with self.reader.pinned():
                yield
        except RevertError as error:
            raise ValidationError(f"market {self.market!r}: {error}") from error
        except ChainError as error:
            raise ChainUnavailableError(f"market {self.market!r}: {error}") from error

    def token(self, asset: Asset) -> TokenReader:
        """The asset's contract."""
        return TokenReader(self.reader, self.reader.tokens.symbol(asset.symbol))

    def place(self, asset: Asset) -> str:
        """The address of the asset's contract."""
        return self.reader.tokens.symbol(asset.symbol).address

    def share(self, booked: int, there: int) -> int:
        """Of what the chain has for the treasury, a holder's part: what is booked, and all when no other's could be in the rest.

        Positions smaller than `dust` are not kept, so a rest that is smaller is interest that the books have not seen yet.
        """
        return there if booked and there - booked < self.dust else min(booked, there)

    def still(self, holding_raw: int, target_raw: int) -> bool:
        """Whether a move is below dust, and no closing."""
        return abs(target_raw - holding_raw) < self.dust and not (target_raw == 0 and holding_raw)

    def spending(self, asset: Asset, spender: str, amount: int | str, *actions: PlannedStep) -> tuple[PlannedStep, ...]:
        """Steps that let a spender take an amount, do what takes it, and take back what is left of the allowance."""
        revoke = PlannedStep(StepKind.REVOKE, asset.symbol, 0, REVOKE_GAS, {"spender": spender})
        first = (revoke,) if self.token(asset).allowance(self.sender, spender) else ()
        approve = PlannedStep(StepKind.APPROVE, asset.symbol, amount, APPROVE_GAS, {"spender": spender})
        return (*first, approve, *actions, revoke)

    def called(
        self,
        step: PlannedStep,
        to: str,
        function: Entry,
        arguments: tuple[Any, ...],
        expects: Mapping[str, int | str],
        spends: Mapping[str, int] | None = None,
    ) -> Step:
        """The step as calldata; addresses in `expects` become lower case."""
        found = {key: value.lower() if isinstance(value, str) else value for key, value in expects.items()}
        data = "0x" + function.encode(*arguments).hex()
        return Step(step.kind, step.asset, to, data, 0, step.gas_max, found, dict(spends or {}))

    def deadline(self, now: int) -> int:
        """Until when a transaction bound now may be mined; ValidationError when the chain's own time is past that already."""
        deadline, there = now + DEADLINE_SECONDS, self.reader.head().timestamp
        if deadline <= there:
            raise ValidationError(
                f"market {self.market!r}: the deadline {deadline} is not after the chain's time {there}; the clock is "
                f"{there - now} s behind"
            )
        return deadline

    def _approval(self, step: PlannedStep, amount: int) -> Step | None:
        """An allowance of exactly so much; None when it is so already."""
        token, spender = self.reader.tokens.symbol(step.asset), str(step.details["spender"])
        reader = TokenReader(self.reader, token)
        current = reader.allowance(self.sender, spender)
        if current == amount:
            return None
        if not 0 <= amount < ALLOWANCE_MAX:
            raise ValidationError(
                f"market {self.market!r}: an allowance of {amount} base units of {token.symbol}; exact amounts are approved"
            )
        reader.verify()
        if amount and current:
            raise ValidationError(
                f"market {self.market!r}: {spender} may still take {current} base units of {token.symbol}; that is taken back "
                f"before {amount} are allowed"
            )
        expects: Expected = {"asset": token.address, "spender": spender, "amount_raw": amount}
        return self.called(step, token.address, ERC20.function("approve"), (spender, amount), expects)
