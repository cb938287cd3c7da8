"""LiveDesk: the arena's funded agents, traded on a chain.

The arena decides in exact simulation; each of its funded agents has a twin here. Capital follows what the arena gives and takes,
positions follow the shares that the agent holds there, and the live result is held against the simulated one of the same
days: an agent whose result is another than simulation's is stopped and brought home. That tests fidelity, not luck.

All it knows is in the live store, so that a restart goes on where it was; what it has read of that it does not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import attrs

from treasury_arena.clock import Clock, iso
from treasury_arena.errors import ChainUnavailableError, ValidationError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.store.event_store import EventStore
from treasury_arena.trading.intent import CLOSE, Intent
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.engine import OrderEngine

POOL = "live"
TENTH_BPS = 1e4
AGAIN_SECONDS = 3_600
"""How long after an order on the way home another one is asked for in the same row."""


@attrs.frozen
class Twin:
    """A funded agent as the arena has it at a row.

    Attributes:
        equity_raw, nav: its worth, and what one unit of its capital has become.
        given_raw: capital that the arena has given it and not taken back, in all.
        roles: role -> (market, value in base units).
        shapes: role -> what shape its position has, as the market's planner takes it as control; roles without one have none.
    """

    agent_id: str
    equity_raw: int
    nav: float
    given_raw: int
    roles: Mapping[str, tuple[str, int]]
    shapes: Mapping[str, tuple[float, ...]] = attrs.field(factory=dict)


@attrs.frozen
class Stand:
    """How a live agent stands: its newest mark, and whether it was halted since its comparison began."""

    mark: o.LiveMarked | None
    followed_raw: int
    halted: str


def _after(stand: Stand, payload: object) -> Stand:
    """How an agent stands after one more event."""
    if isinstance(payload, o.CapitalFollowed):
        return attrs.evolve(stand, followed_raw=stand.followed_raw + payload.amount_raw)
    if isinstance(payload, o.LiveMarked):
        return attrs.evolve(stand, mark=payload)
    if isinstance(payload, o.AgentHalted):
        return attrs.evolve(stand, halted=payload.reason)
    return attrs.evolve(stand, mark=None, halted="")


class LiveDesk:
    """Follows an arena through one order engine.

    Args:
        engine: executes; its store is the live one.
        scale: live capital for one unit of the arena's.
        band: smallest change of a position worth an order, as a share of the agent's equity.
        tolerance_bps: largest difference between live and simulated result.
    """

    def __init__(self, engine: OrderEngine, clock: Clock, *, scale: Decimal, band: float, tolerance_bps: float) -> None:
        self.engine, self.clock = engine, clock
        self.store: EventStore = engine.store
        self.scale, self.band, self.tolerance_bps = scale, band, tolerance_bps
        self.base = engine.context.base
        self._lock = threading.Lock()
        self._stands: dict[str, Stand] = {}
        self._told = 0

    # -- what the store says

    def stands(self) -> dict[str, Stand]:
        """Every agent that was ever given live capital."""
        with self._lock:
            last = self.store.last()[0]
            events = [
                event
                for kind in ("CapitalFollowed", "LiveMarked", "AgentHalted", "AgentResumed")
                for event in self.store.read(after=self._told, upto=last, event_type=kind)
            ]
            for event in sorted(events, key=lambda event: event.seq):
                agent = event.agent_id or ""
                self._stands[agent] = _after(self._stands.get(agent, Stand(None, 0, "")), event.payload)
            self._told = last
            return dict(self._stands)

    def free_raw(self) -> int:
        """Capital of the live pool that no agent has."""
        return self.store.balance(accounts.pool(POOL), self.base)

    def equity_raw(self, agent_id: str, roles: Mapping[str, str]) -> int:
        """Cash, reserved cash and positions of an agent; raises ChainUnavailableError when they cannot be valued."""
        cash = self.store.balance(accounts.agent_available(agent_id), self.base)
        cash += self.store.balance(accounts.agent_reserved(agent_id), self.base)
        return cash + sum(self.value_raw(agent_id, role, market) for role, market in roles.items())

    def value_raw(self, agent_id: str, role: str, market: str) -> int:
        """Worth of a position."""
        holding = self.engine.holding(agent_id, role)
        return self.engine.planners[market].value(holding) if holding.held or holding.owed else 0

    # -- following

    def follow(self, twins: Sequence[Twin], row: int, arena_seq: int) -> list[str]:
        """Bring live agents to where their twins are at `row`; what was done, as sentences.

        An agent with an order under way is left alone until that is over: its equity is not known exactly before. One whose
        position cannot be valued is left as it is, which is said; the others go on. Raises ChainUnavailableError when that is
        so of every agent because the chain does not answer.
        """
        said: list[str] = []
        stands = self.stands()
        named = {twin.agent_id: twin for twin in twins}
        busy = {intent.agent_id for intent in self.engine.records.open_intents()}
        free = sorted({*stands, *named} - busy)
        unheard: list[ChainUnavailableError] = []
        for agent_id in free:
            try:
                said += self._one(agent_id, named.get(agent_id), stands.get(agent_id), row, arena_seq)
            except ValidationError as error:
                said.append(f"{agent_id}: left as it is: {error}")
            except ChainUnavailableError as error:
                unheard.append(error)
                said.append(f"{agent_id}: left as it is: {error}")
        if unheard and len(unheard) == len(free):
            raise unheard[0]
        return said

    def _one(self, agent_id: str, twin: Twin | None, stand: Stand | None, row: int, arena_seq: int) -> list[str]:
        if twin is None:
            return self._home(agent_id, stand, row, arena_seq, "the arena funds it no longer")
        roles = {role: market for role, (market, _) in twin.roles.items()}
        said: list[str] = []
        before = self.equity_raw(agent_id, roles)
        mark = stand.mark if stand is not None else None
        halted = stand.halted if stand is not None else ""
        nav, gap = 1.0, 0.0
        if mark is not None and mark.equity_raw > 0:
            nav = mark.nav * before / mark.equity_raw
            gap = TENTH_BPS * (nav - twin.nav / (mark.twin_nav or twin.nav))
        if not halted and abs(gap) > self.tolerance_bps:
            halted = f"its live result is {gap:+.1f} bps from simulation's of the same days, more than {self.tolerance_bps:g}"
            self._append(o.AgentHalted(halted), agent_id)
            said.append(f"{agent_id}: {halted}")
        if halted:
            return said + self._home(agent_id, stand, row, arena_seq, halted)
        moved, short = self._capital(agent_id, twin, stand, arena_seq)
        if moved:
            said.append(f"{agent_id}: {moved:+d} base units of live capital")
        equity = before + moved
        if equity <= 0:
            return said
        if mark is None or mark.row < row:
            first = mark.first_row if mark is not None else row
            start = mark.twin_nav if mark is not None else twin.nav
            self._append(o.LiveMarked(row, first, equity, nav, start, gap), agent_id)
        return said + self._orders(agent_id, twin, equity, max(0, equity - short), row)

    def _capital(self, agent_id: str, twin: Twin, stand: Stand | None, arena_seq: int) -> tuple[int, int]:
        """Move capital between pool and agent until it has had what the arena gave its twin, as far as there is any.

        Returns what moved, and what is still to be brought back once positions are sold for it.
        """
        wanted = int(twin.given_raw * self.scale)
        followed = stand.followed_raw if stand is not None else 0
        short, amount = 0, wanted - followed
        if amount > 0:
            amount = min(amount, self.free_raw())
        elif amount < 0:
            free = min(-amount, self.store.balance(accounts.agent_available(agent_id), self.base))
            short, amount = -amount - free, -free
        return self._move(agent_id, amount, arena_seq), short

    def _move(self, agent_id: str, amount_raw: int, arena_seq: int) -> int:
        if amount_raw:
            lines = (
                Line(accounts.pool(POOL), self.base, -amount_raw),
                Line(accounts.agent_available(agent_id), self.base, amount_raw),
            )
            self._append(o.CapitalFollowed(arena_seq, amount_raw), agent_id, (Transfer("live capital", lines),))
        return amount_raw

    def _orders(self, agent_id: str, twin: Twin, equity: int, kept: int, row: int) -> list[str]:
        """Sales first; purchases are asked for when nothing is left to sell, and share the free cash where they want more.

        `kept`: equity without what must be brought back.

        A position whose worth is right may have another shape than its twin's: its planner knows, and does nothing otherwise.
        """
        if twin.equity_raw <= 0:
            return []
        smallest = max(1, int(self.band * equity))
        sales: list[Intent] = []
        buys: list[Intent] = []
        needs: dict[str, int] = {}
        for role, (market, value) in twin.roles.items():
            target = kept * value // twin.equity_raw
            now = self.value_raw(agent_id, role, market)
            shape = twin.shapes.get(role, ()) if target else ()
            if target == now or (abs(target - now) < smallest and (target or not now)):
                if not shape or not now:
                    continue
                target = now
            (sales if target < now else buys).append(Intent(agent_id, role, market, target, row, shape))
            needs[role] = target - now
        return self._submit(sales or self._affordable(agent_id, buys, needs, smallest))

    def _affordable(
        self, agent_id: str, buys: Sequence[Intent], needs: Mapping[str, int], smallest: int
    ) -> list[Intent]:
        """Purchases as far as the free cash goes; what is left of one that is too small to be worth an order is left out.

        A position that is held takes on its twin's shape all the same: a loan is repaid without any cash.
        """
        cash, total = self.store.balance(accounts.agent_available(agent_id), self.base), sum(needs.values())
        if total <= cash:
            return list(buys)
        found = []
        for intent in buys:
            now, need = intent.target_raw - needs[intent.role], needs[intent.role] * cash // total
            if need >= smallest:
                found.append(attrs.evolve(intent, target_raw=now + need))
            elif intent.control and now:
                found.append(attrs.evolve(intent, target_raw=now))
        return found

    def _home(self, agent_id: str, stand: Stand | None, row: int, arena_seq: int, why: str) -> list[str]:
        """Sell everything, and bring the cash back into the pool when nothing is left to sell.

        What one order did not sell is asked for again in the next row, and after `AGAIN_SECONDS` where no row comes any more.
        """
        sales = [self._closing(agent_id, role, market, row) for role, market in self._held(agent_id).items()]
        if sales:
            return self._submit(sales)
        cash = self.store.balance(accounts.agent_available(agent_id), self.base)
        if cash:
            self._move(agent_id, -cash, arena_seq)
            return [f"{agent_id}: {cash} base units of live capital are back: {why}"]
        return []

    def _closing(self, agent_id: str, role: str, market: str, row: int) -> Intent:
        """The row's order, or another one when that has been and no order to close has come for `AGAIN_SECONDS`."""
        first = Intent(agent_id, role, market, 0, row, purpose=CLOSE)
        if self.engine.records.intent(first.intent_id(self.engine.context.arena_id)) is None:
            return first
        count, newest = self.engine.records.closings(agent_id, role)
        if newest > iso(self.clock.now() - timedelta(seconds=AGAIN_SECONDS)):
            return first
        return attrs.evolve(first, again=count)

    def positions(self) -> dict[tuple[str, str], str]:
        """(agent, role) -> market of everything that is held or owed, from the intents that made it; sorted."""
        places = {(agent_id or "", role): market for agent_id, role, market in self.engine.records.places()}
        holdings = {place: self.engine.holding(*place) for place in sorted(places)}
        return {place: places[place] for place, holding in holdings.items() if holding.held or holding.owed}

    def _held(self, agent_id: str) -> dict[str, str]:
        """Role -> market of every position of an agent that is worth anything."""
        own = {role: market for (agent, role), market in self.positions().items() if agent == agent_id}
        return {role: market for role, market in own.items() if self.value_raw(agent_id, role, market) > 0}

    def _submit(self, intents: Sequence[Intent]) -> list[str]:
        return [
            f"{intent.agent_id}: {intent.role} to {intent.target_raw} base units in {intent.market}{_shaped(intent.control)}"
            for intent in intents
            if self.engine.submit(intent) is not None
        ]

    # -- what persons do

    def book(self, operator: str) -> int:
        """Book what the address holds as live capital, once, before its first order; base units of the base asset.

        Raises ValidationError when capital was booked before: what comes later is reported by reconciliation.
        """
        if list(self.store.read(event_type="CapitalBooked", tail=1)):
            raise ValidationError(
                "the live store has booked its capital already; what came later is found by `arena check`"
            )
        client, address = self.engine.client, self.engine.context.signer.address
        head = client.finalized()
        cash, gas = client.balances(address).get(self.base, 0), client.native_balance(address)
        native = client.native.symbol
        owner = accounts.world("owner")
        transfers = []
        if cash:
            lines = (Line(owner, self.base, -cash), Line(accounts.pool(POOL), self.base, cash))
            transfers.append(Transfer("capital", lines))
        if gas:
            transfers.append(Transfer("gas", (Line(owner, native, -gas), Line(postings.GAS_POOL, native, gas))))
        payload = o.CapitalBooked(address.lower(), head.number, head.hash, operator)
        self._append(payload, None, tuple(transfers))
        return cash

    def flatten(self, reason: str) -> list[str]:
        """Halt every agent that has live capital, so that it is brought home; their ids."""
        halted = [name for name, stand in self.stands().items() if stand.followed_raw and not stand.halted]
        for agent_id in halted:
            self._append(o.AgentHalted(reason), agent_id)
        return halted

    def resume(self, agent_id: str, reason: str, operator: str) -> None:
        """Let a halted agent trade again; raises ValidationError when it is not halted."""
        stand = self.stands().get(agent_id)
        if stand is None or not stand.halted:
            raise ValidationError(f"agent {agent_id} is not halted; there is nothing to resume")
        self._append(o.AgentResumed(reason, operator), agent_id)

    def _append(self, payload: object, agent_id: str | None, transfers: tuple[Transfer, ...] = ()) -> None:
        self.store.append([Draft(payload, iso(self.clock.now()), agent_id, transfers)])


def _shaped(control: tuple[float, ...]) -> str:
    return f", shaped {', '.join(f'{value:g}' for value in control)}" if control else ""
