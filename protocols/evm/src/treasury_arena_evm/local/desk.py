"""Orders of planners carried out on a local chain as the order engine would: bind, sign, send, post what the receipts say.

For tests of planners, the house's and anyone's. The books are a plain dict of the ledger's accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import eth_account  # noqa: F401  it raises the recursion limit when it is imported, which hypothesis does not bear inside a test

from treasury_arena.contracts.chain import (
    ALL,
    Effect,
    Holding,
    Plan,
    PlannedStep,
    PlannerContext,
    Step,
    StepPlanner,
    Unsigned,
)
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import Protocol
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.events import codec
from treasury_arena.events.live import IntentReserved
from treasury_arena.ledger import accounts
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.records import planned_in, planned_out
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.liquidity import changed
from treasury_arena_evm.local.decoded import check_step
from treasury_arena_evm.local.live import live_client

if TYPE_CHECKING:
    from treasury_arena_evm.local.accounts import Account
    from treasury_arena_evm.local.market import LocalMarket
    from treasury_arena_evm.receipts import Receipt

ROLE = "only"
#: Room above an estimate, as a node client takes it.
GAS_ROOM = (5, 4)


class Desk:
    """One market's planner at one treasury address, and the books of the agents that trade there.

    Attributes:
        market: whose chain it is.
        session: of the chain.
        who: the treasury.
        books: (account, asset) -> base units.
        gas: kind -> most gas that a step used.
        steps: all that were carried out, in order.
    """

    def __init__(self, market: LocalMarket, planner: StepPlanner, who: Account) -> None:
        self.market = market
        self.chain, self.session, self.planner, self.who = market.chain, market.session, planner, who
        self.books: dict[tuple[str, str], int] = {}
        self.gas: dict[str, int] = {}
        self.steps: list[Step] = []

    @property
    def base(self) -> str:
        return self.planner.base.symbol

    def fund(self, agent: str, amount_raw: int) -> None:
        """An agent's free cash; the treasury must hold it."""
        self._post(accounts.agent_available(agent), self.base, amount_raw)

    def holding(self, agent: str) -> Holding:
        """What the books say of an agent."""

        def of(account: str, sign: int) -> dict[str, int]:
            return {asset: sign * amount for (name, asset), amount in self.books.items() if name == account and amount}

        cash = self.books.get((accounts.agent_available(agent), self.base), 0)
        return Holding(cash, of(accounts.agent_position(agent, ROLE), 1), of(accounts.agent_debt(agent, ROLE), -1))

    def order(self, agent: str, target_raw: int, *control: float) -> Plan | None:
        """Plan and carry out; AssertionError where a step costs more, moves more or says other things than it claims."""
        plan = self.planner.plan(self.holding(agent), target_raw, control)
        if plan is None:
            return None
        reserved, free = accounts.agent_reserved(agent), accounts.agent_available(agent)
        self._move(free, reserved, self.base, plan.cash_raw)
        gained: dict[str, int] = {}
        try:
            for step in self.journaled(plan, target_raw):
                self.carry_out(agent, step, gained)
        finally:
            self._move(reserved, free, self.base, self.books[reserved, self.base])
        assert -gained.get(self.base, 0) <= plan.cash_raw, "the plan took more cash than it said"
        return plan

    def journaled(self, plan: Plan, target_raw: int = 0) -> tuple[PlannedStep, ...]:
        """The plan's steps as they come back from the journal; ValidationError for details that it does not hold."""
        payload = IntentReserved(
            intent_id="0" * 64,
            market=self.planner.market,
            role=ROLE,
            purpose="",
            chain_id=self.chain.chain_id,
            sender=self.who.address.lower(),
            control=[],
            value_raw=0,
            target_raw=target_raw,
            notional_raw=plan.notional_raw,
            reserved_raw=plan.cash_raw,
            gas_raw=0,
            reduces=plan.reduces,
            deadline=0,
            steps=[planned_out(step) for step in plan.steps],
        )
        name, version, data = codec.encode_data(payload, ())
        back, _ = codec.decode_data(name, version, data)
        return tuple(planned_in(step) for step in back.steps)

    def bind(self, step: PlannedStep, gained: Mapping[str, int]) -> Step | None:
        """A step bound now, ALL resolved as the engine does."""
        amount = max(0, gained.get(step.asset, 0)) if step.amount_raw == ALL else int(step.amount_raw)
        return self.planner.bind(step, amount, self.session.now)

    def carry_out(self, agent: str, planned: PlannedStep, gained: dict[str, int]) -> Receipt | None:
        """One step of an agent's plan; None when it need not be done."""
        step = self.bind(planned, gained)
        if step is None:
            return None
        check_step(step)
        receipt = self.send(step)
        spent = dict(step.spends)
        effects = self.effects(receipt)
        for effect in effects:
            gained[effect.asset] = gained.get(effect.asset, 0) + effect.amount_raw
            spent[effect.asset] = spent.get(effect.asset, 0) + min(0, effect.amount_raw)
        assert all(left >= 0 for left in spent.values()), f"{step.kind} let more go than it said: {spent}"
        book = postings.StepBook(agent, ROLE, self.planner.market, self.base, lambda a, s: self.books.get((a, s), 0))
        for line in book.lines(step.kind, effects):
            self._post(line.account, line.asset, line.amount_raw)
        return receipt

    def send(self, step: Step) -> Receipt:
        """Sign the step's calldata with the treasury's key, within its gas, and wait."""
        session, data = self.session, bytes.fromhex(step.data[2:])
        call = {"from": self.who.address, "to": step.to, "data": step.data}
        gas = int(session.request("eth_estimateGas", call), 16) * GAS_ROOM[0] // GAS_ROOM[1]
        assert gas <= step.gas_max, f"{step.kind} needs {gas} gas with room, gas_max is {step.gas_max}"
        self.examine(step, gas)
        signed = session.sign(self.who.signer, step.to, data, value=step.value_raw, gas=gas)
        session.submit(signed)
        receipt = session.wait(signed.hash, what=str(step.kind))
        self.steps.append(step)
        self.gas[str(step.kind)] = max(self.gas.get(str(step.kind), 0), receipt.gas_used)
        return receipt

    def examine(self, step: Step, gas: int) -> None:
        """AssertionError for a step that the gate of a node client would not let through."""
        vault = getattr(self.planner, "vault", self.market.vault)
        client = live_client(self.market, self.who, vaults={"vault": vault})
        nonce = client.counts(self.who.address).latest
        made = Unsigned(
            client.chain_id, self.who.address, nonce, step.to, step.value_raw, step.data, gas, client.fees()
        )
        refusal = client.examine(step, made)
        assert refusal is None, f"the gate refuses {step.kind}: {refusal}"

    def effects(self, receipt: Receipt) -> list[Effect]:
        """What the treasury gained and lost of pinned tokens, log by log."""
        found, me = [], self.who.address.lower()
        pinned = {token.address.lower(): token.symbol for token in self.session.tokens}
        transfer = ERC20.event("Transfer")
        for log in receipt.logs:
            if log.address.lower() in pinned and log.topics[0] == transfer.topic and len(log.topics) == 3:
                values = transfer.decode_log(log.topics, log.data)
                amount = values["value"] * ((values["to"].lower() == me) - (values["from"].lower() == me))
                if amount:
                    found.append(Effect(log.index, pinned[log.address.lower()], amount))
            elif log.address.lower() == self.market.uniswap.positions.lower():
                topics = ["0x" + bytes(topic).hex() for topic in log.topics]
                liquidity = changed(topics, "0x" + bytes(log.data).hex())
                found += [Effect(log.index, *liquidity)] if liquidity is not None else []
        return found

    def allowances(self, *spenders: str) -> list[int]:
        """What spenders may take of every pinned token."""
        return [
            int(self.session.call(token.address, ERC20.function("allowance"), self.who.address, spender))
            for token in self.session.tokens
            for spender in spenders
        ]

    def differences(self) -> dict[str, tuple[int, int]]:
        """asset -> (chain less books) of what is held and of what is owed, all agents together."""
        found = {}
        for asset, (held, owed) in self.planner.holdings().items():
            booked = {
                kind: sum(a for (name, symbol), a in self.books.items() if symbol == asset and f":{kind}:" in name)
                for kind in ("position", "debt")
            }
            found[asset] = (held - booked["position"], owed + booked["debt"])
        for asset in self.planner.wallet():
            there = self.market.balance(asset, self.who.address)
            held = sum(a for (name, symbol), a in self.books.items() if symbol == asset and ":position:" in name)
            found[asset] = (there - held, 0)
        return found

    def reconcile(self) -> None:
        """Post differences as interest, shared by what each holds, as the engine's reconciliation does."""
        for asset, (held, owed) in self.differences().items():
            for kind, difference in (("position", held), ("debt", -owed)):
                shares = {
                    name: amount
                    for (name, symbol), amount in self.books.items()
                    if symbol == asset and f":{kind}:" in name and amount
                }
                assert shares or not difference, f"{difference} base units of {asset} ({kind}) belong to nobody"
                total, left = sum(shares.values()), difference
                for name, amount in sorted(shares.items(), key=lambda item: abs(item[1])):
                    part = difference * amount // total
                    left -= part
                    self._post(name, asset, part)
                if shares:
                    self._post(max(shares, key=lambda name: abs(shares[name])), asset, left)

    def _post(self, account: str, asset: str, amount_raw: int) -> None:
        self.books[account, asset] = self.books.get((account, asset), 0) + amount_raw

    def _move(self, source: str, target: str, asset: str, amount_raw: int) -> None:
        self._post(source, asset, -amount_raw)
        self._post(target, asset, amount_raw)


def desk(
    market: LocalMarket,
    protocol: Protocol,
    spec: MarketSpec,
    assets: Mapping[str, Asset],
    base: Asset,
    who: Account,
    **places: Any,
) -> Desk:
    """A desk with the planner that a protocol makes of a market's configuration and `places`."""
    context = PlannerContext(spec, market.session, who.address, AssetTable(assets.values()), base, places)  # type: ignore[arg-type]
    return Desk(market, protocol.planner(context), who)


__all__ = ["Desk", "desk"]
