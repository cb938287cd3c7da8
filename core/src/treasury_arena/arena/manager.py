"""ArenaManager: birth, death, graduation and allocation; event sourced. The arena's public face in Python."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from treasury_arena.arena.births import agent_name, ranked
from treasury_arena.arena.cycle import Cycle, CycleReport, Listener, silent
from treasury_arena.arena.desk import World
from treasury_arena.arena.funding import Funding
from treasury_arena.arena.journal import CycleJournal
from treasury_arena.arena.settings import ArenaSettings
from treasury_arena.arena.state import ARENA, COUNTED_ORIGINS, PROVING, SIMULATION, AgentState, ArenaState, Folding
from treasury_arena.arena.treasury import ARENA_POOL, POOLS, PROVING_POOL, RESERVE, Treasury, cash_account
from treasury_arena.clock import VirtualClock, iso
from treasury_arena.contracts.validation import Validator
from treasury_arena.domain.stops import OFF, higher
from treasury_arena.errors import (
    AllocationError,
    ConcurrencyError,
    EmergencyStopError,
    TreasuryArenaError,
    ValidationError,
    nearest,
    required_text,
)
from treasury_arena.events import catalog
from treasury_arena.events.event import Event, Line, Transfer
from treasury_arena.evolution.breeding import mutated
from treasury_arena.ledger import accounts
from treasury_arena.randomness import stream
from treasury_arena.store import EventStore, prove_while, stop
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.journal import Unrecorded
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.runner import LiveRunner

Result = TypeVar("Result")
ATTEMPTS = 1_000


class ArenaManager:
    """One arena over one world and one store. `halted` says what stops new risk besides the emergency stop: a level.
    `found` is called when another writer has opened the arena since the caller looked, and may raise.

    Every public method that changes anything is one transaction; several threads and processes may use the same
    store, the later one folds the earlier one's events and tries again.
    """

    def __init__(
        self,
        settings: ArenaSettings,
        world: World,
        store: EventStore,
        limits: Limits | None = None,
        validators: Sequence[Validator] = (),
        after_commit: Callable[[list[Event]], None] | None = None,
        listener: Listener = silent,
        halted: Callable[[], str] = lambda: OFF,
        ended: Callable[[], None] | None = None,
        found: Callable[[], object] | None = None,
    ) -> None:
        self.settings = settings
        self.world = world
        self.store = store
        self.limits = limits or Limits()
        self.validators = tuple(validators)
        self._after_commit = after_commit
        self._listener = listener
        self._halted = halted
        self._ended = ended
        self._lock = threading.RLock()
        self._watchdog = Watchdog(settings.decision_seconds_max)
        folded = prove_while(store, Folding)
        self._begin(folded.state, folded.seq, found)

    def __repr__(self) -> str:
        state = self.state
        return (
            f"<ArenaManager {self.settings.name}: {self.settings.profile}, seed {self.settings.seed}, "
            f"{state.cycle + 1} of {len(self.schedule())} cycles, {len(state.living())} agents alive>"
        )

    # -- state and its parts

    def reload(self) -> None:
        """Fold the whole store again and take every account up from its mark."""
        self._take(*ArenaState.of(self.store.read()))

    def catch_up(self) -> None:
        """Take in what other writers have stored since."""
        with self._lock:
            if self.journal.catch_up():
                self._wire()

    def _begin(self, state: ArenaState, seq: int, found: Callable[[], object] | None) -> None:
        """Take up what is stored, and open the arena unless it is: of several writers at once one opens it."""
        while state.opened is None:
            self._take(state, seq)
            self._open()
            try:
                self.journal.commit()
            except ConcurrencyError:
                state, seq = ArenaState.of(self.store.read())
            else:
                return
        if found is not None:
            found()
        self._take(state, seq)

    def _take(self, state: ArenaState, seq: int) -> None:
        self.journal = CycleJournal(self.store, state, self._now, self._after_commit, seq)
        self._wire()

    def _wire(self) -> None:
        """Build every part anew on the present world and state."""
        self.engine = TradingEngine(
            self.settings.arena_id,
            self.world.markets,
            self.journal,
            self.limits,
            self.validators,
            record_stop=self._record_stop,
        )
        self.engine.stop_level = self._stop_level()
        plan = self.settings.capital
        idle = self.world.markets.get(plan.idle_market)
        pools = frozenset(pool for pool in POOLS if pool != RESERVE or plan.reserve_lend)
        self.treasury = Treasury(
            self.journal, self.settings.base.symbol, idle, plan.idle_market, pools, self.settings.rules, self.engine
        )
        self.funding = Funding(self.settings, self.world, self.journal, self.engine, self.treasury)
        runner = self._runner(self.engine)
        self.cycle = Cycle(self.settings, self.world, self.journal, self.treasury, self.funding, runner, self._listener)
        self.funding.restore()

    def _stop_level(self) -> str:
        """The emergency stop, or what else halts new risk (a fuse), whichever is stricter."""
        return higher(stop.level(self.store), self._halted())

    def _runner(self, engine: TradingEngine) -> LiveRunner:
        desks = {name: desk.live() for name, desk in self.world.desks.items()}
        return LiveRunner(engine, desks, self.world.frame.start, self.world.frame.step_seconds, self._watchdog)

    def _record_stop(self, payload: catalog.EmergencyStopEngaged | catalog.EmergencyStopReleased) -> None:
        """Store a stop or its release at once. A cycle under way finds out at its commit, and is run again under it."""
        clock = VirtualClock(self.world.frame.time(self.row))
        if isinstance(payload, catalog.EmergencyStopEngaged):
            stop.engage(self.store, payload.level, payload.reason, payload.operator, clock)
        else:
            stop.release(self.store, payload.reason, payload.operator, clock)
        if self._lock.acquire(blocking=False):
            try:
                if not self.journal.pending:
                    self.reload()
            finally:
                self._lock.release()

    @property
    def state(self) -> ArenaState:
        """Everything the events add up to."""
        return self.journal.state

    def close(self) -> None:
        """Release the watchdog's thread, and end observers (the store stays open: it belongs to whoever opened it)."""
        self._watchdog.close()
        if self._ended is not None:
            self._ended()

    def _now(self) -> str:
        row = self.journal.state.open_row if hasattr(self, "journal") else -1
        return iso(self.world.frame.time(row if row >= 0 else self.world.first_row))

    @property
    def row(self) -> int:
        """The present market row: that of the newest committed cycle."""
        return self.state.row if self.state.row >= 0 else self.world.first_row

    def _transact(self, action: Callable[[], Result]) -> Result:
        with self._lock:
            for _ in range(ATTEMPTS):
                try:
                    result = action()
                    self.journal.commit()
                except ConcurrencyError:
                    self.reload()
                except BaseException:
                    self.reload()
                    raise
                else:
                    return result
            raise ConcurrencyError(f"other writers were first {ATTEMPTS} times in a row")

    def _open(self) -> None:
        settings, plan = self.settings, self.settings.capital
        base = settings.base.symbol
        frame = self.world.frame
        payload = catalog.ArenaOpened(
            name=settings.name,
            seed=settings.seed,
            profile=settings.profile,
            config=dict(settings.config),
            config_hash=settings.config_hash,
            base_asset=base,
            assets={symbol: asset.decimals for symbol, asset in sorted(settings.assets.items())},
            plugins=dict(settings.plugins),
            data_fingerprint=self.world.data_fingerprint,
            start=iso(frame.time(self.world.first_row)),
            end=iso(frame.time(self.world.last_row)),
        )
        parts = ((RESERVE, plan.reserve_raw), (PROVING_POOL, plan.proving_raw), (ARENA_POOL, plan.arena_raw))
        lines = [Line(accounts.world("owner"), base, -plan.total_raw)]
        lines += [Line(cash_account(pool), base, amount) for pool, amount in parts if amount]
        self.journal.post(payload, transfers=(Transfer("first capital", tuple(lines)),) if plan.total_raw else ())

    # -- the cycle

    def schedule(self) -> list[int]:
        """Rows of every cycle of the run: each whole cycle from the first moment on, and the last moment."""
        step = self.settings.cycle_days * self.world.frame.steps_per_day
        rows = list(range(self.world.first_row, self.world.last_row, step))
        return [*rows, self.world.last_row]

    def run_evolution_cycle(self) -> CycleReport | None:
        """Run the next cycle of the schedule; None when the run is complete, or the cycle's moment is not known yet."""
        with self._lock:
            for _ in range(ATTEMPTS):
                rows = self.schedule()
                cycle = self.state.cycle + 1
                if self.state.completed or cycle >= len(rows) or rows[cycle] >= self.world.frame.rows:
                    return None
                self.engine.stop_level = self._stop_level()
                try:
                    return self.cycle.run(cycle, rows[cycle], last=cycle == len(rows) - 1)
                except ConcurrencyError:
                    self.reload()
                except BaseException:
                    self.reload()
                    raise
            raise ConcurrencyError(f"other writers were first {ATTEMPTS} times in a row")

    def safe_run_evolution(self) -> tuple[CycleReport | None, TreasuryArenaError | None]:
        """As `run_evolution_cycle`, but an error of the house is returned, not raised; the state is as before then."""
        try:
            return self.run_evolution_cycle(), None
        except TreasuryArenaError as error:
            return None, error

    def run(self, progress: Callable[[CycleReport], None] | None = None) -> None:
        """Run every remaining cycle."""
        while (report := self.run_evolution_cycle()) is not None:
            if progress is not None:
                progress(report)

    def observe(self, world: World) -> None:
        """Go on in a market of which more is known by now, with what others have stored meanwhile."""
        with self._lock:
            self.world = world
            self.journal.catch_up()
            self._wire()

    def preview(self, row: int) -> list[Account]:
        """The funded agents' accounts as they are once lived up to `row`, by id; nothing is stored, the next cycle does that."""
        with self._lock:
            engine = TradingEngine(
                self.settings.arena_id, self.world.markets, Unrecorded(), self.limits, self.validators
            )
            engine.stop_level = self._stop_level()
            runner = self._runner(engine)
            accounts = [copy.deepcopy(account) for _, account in sorted(self.funding.accounts.items())]
            for now in range(max(self.state.row, self.world.first_row), row + 1):
                for account in accounts:
                    if account.row < now:
                        runner.step(account, now)
            return accounts

    def worth_raw(self, accounts: Sequence[Account], row: int) -> int:
        """What the pools, and these accounts, are worth at `row`."""
        agents = sum(self.funding.equity_raw(account, row) for account in accounts)
        return agents + sum(self.treasury.worth_raw(pool, row) for pool in POOLS)

    # -- agents

    def agent(self, agent_id: str) -> AgentState:
        """One agent's state; raises ValidationError with the nearest id."""
        if agent_id not in self.state.agents:
            raise ValidationError(f"unknown agent {agent_id!r}: {nearest(agent_id, self.state.agents)}")
        return self.state.agents[agent_id]

    def spawn_agent(
        self,
        strategy: str,
        genome: Mapping[str, float] | None = None,
        *,
        parents: Sequence[str] = (),
        origin: str = "manual",
    ) -> str:
        """Give birth to an agent now and return its id. Genes by name; missing ones take their default.

        It counts as a genome that was tried. Whoever calls this decides: it may equal a living agent, whatever M8 says.
        """
        if strategy not in self.world.desks:
            raise ValidationError(f"unknown strategy {strategy!r}: {nearest(strategy, self.world.desks)}")
        if origin in COUNTED_ORIGINS:
            raise ValidationError(
                f"an agent born by hand cannot have the origin {origin!r}; it would not count as tried"
            )
        space = self.world.desks[strategy].space
        values = space.genome(genome or {})
        for parent in parents:
            self.agent(parent)

        def action() -> str:
            agent_id = agent_name(strategy, self.state.births)
            self.journal.post(
                catalog.AgentSpawned(
                    strategy=strategy,
                    cycle=self.state.present_cycle,
                    row=self.row,
                    genome=[float(value) for value in values],
                    genes=space.values(values),
                    parents=sorted(parents),
                    replaces=None,
                    training={},
                    origin=origin,
                ),
                agent_id,
            )
            return agent_id

        return self._transact(action)

    def mutate_agent(self, agent_id: str) -> str:
        """Give birth to a mutated child of an agent and return its id."""
        parent = self.agent(agent_id)
        space = self.world.desks[parent.strategy].space
        index = self.state.births[parent.strategy]
        rng = stream(self.settings.seed, self.state.present_cycle, f"mutate/{agent_id}", index)
        (child,) = mutated(np.array([parent.genome]), space, self.settings.operators, rng)
        return self.spawn_agent(parent.strategy, space.values(child), parents=(agent_id,), origin="mutation")

    def rank_agents(self, *stages: str) -> pd.DataFrame:
        """Living agents, best fitness first (ties by id), with their newest metrics; indexed by id."""
        rows = [
            {"id": a.agent_id, "strategy": a.strategy, "stage": a.stage, "label": a.label, **a.metrics}
            for a in ranked(self.state.living(*stages))
        ]
        return pd.DataFrame(rows, columns=None if rows else ["id", "strategy", "stage", "label"]).set_index("id")

    def kill_underperformers(self) -> list[str]:
        """Apply the rules of death at the present row; capital of the dead returns in the same transaction."""

        def action() -> list[str]:
            living = self.state.living()
            records = self.cycle.keeper.records(living, self.row)
            killed = []
            for agent in living:
                if self.cycle.endings.kill(agent, records[agent.agent_id], self.row):
                    account = self.funding.accounts.get(agent.agent_id)
                    if account is not None:
                        self.funding.close(account, self.funding.pool_of(account), self.row, agent.reason)
                    killed.append(agent.agent_id)
            return killed

        return self._transact(action)

    def graduate_to_proving(self, agent_id: str) -> None:
        """Promote one agent by the rules; raises ValidationError with the rule that holds it back."""
        self._graduate(agent_id, SIMULATION)

    def graduate_to_arena(self, agent_id: str) -> None:
        """Promote one proven agent by the rules; raises ValidationError with the rule that holds it back."""
        self._graduate(agent_id, PROVING)

    def _graduate(self, agent_id: str, stage: str) -> None:
        agent = self.agent(agent_id)
        if agent.stage != stage:
            raise ValidationError(f"agent {agent_id} is in {agent.stage}, not in {stage}")

        def action() -> None:
            self.cycle.promote_one(agent_id, self.row)

        self._transact(action)

    # -- capital

    def allocate_capital(self, agent_id: str, amount_raw: int, pool: str = ARENA_POOL, reason: str = "manual") -> None:
        """Give an agent `amount_raw` base units of a pool.

        Raises AllocationError when the pool cannot cover it, ValidationError for a refused change; nothing is changed.
        """
        if isinstance(amount_raw, bool) or not isinstance(amount_raw, int) or amount_raw <= 0:
            raise ValidationError(f"an allocation must be a positive whole number of base units, not {amount_raw!r}")
        required_text(agent_id, "the agent's id")
        required_text(pool, "the pool")
        required_text(reason, "the reason of an allocation")
        if pool == RESERVE:
            raise AllocationError("the reserve is never at risk: no agent is given any of it")
        cash_account(pool)

        def action() -> None:
            agent = self.agent(agent_id)
            if not agent.alive:
                raise ValidationError(f"agent {agent_id} is {agent.stage}: it cannot be given capital")
            own = {PROVING: PROVING_POOL, ARENA: ARENA_POOL}.get(agent.stage) or agent.pool
            if own and own != pool:
                raise ValidationError(f"agent {agent_id} is funded by the pool {own!r}, not by {pool!r}")
            if self.engine.stop_level != OFF:
                raise EmergencyStopError(
                    f"the emergency stop is engaged ({self.engine.stop_level}): nothing is allocated"
                )
            self.funding.allocate(agent_id, pool, amount_raw, self.row, reason)
            self.funding.mark(self.funding.accounts[agent_id], self.state.present_cycle, self.row)

        self._transact(action)

    def verify_capital_conservation(self) -> dict[str, int]:
        """Sum the whole ledger per asset; raises CapitalConservationError unless every sum is 0."""
        return self.state.ledger.conserved()

    def get_capital_allocation_breakdown(self) -> dict[str, Any]:
        """Where the capital is, in base units: per pool cash, lent and allocated (present value), and per agent."""
        row = self.row
        agents = {
            name: self.funding.equity_raw(account, row) for name, account in sorted(self.funding.accounts.items())
        }
        out: dict[str, Any] = {"agents": agents}
        for pool in POOLS:
            held = [name for name, account in self.funding.accounts.items() if self.funding.pool_of(account) == pool]
            allocated = sum(agents[name] for name in held)
            cash, lent = self.treasury.cash_raw(pool), self.treasury.lent_raw(pool, row)
            out[pool] = {"cash": cash, "lent": lent, "allocated": allocated, "total": cash + lent + allocated}
        out["total"] = sum(out[pool]["total"] for pool in POOLS)
        return out

    # -- events

    def emit_event(self, payload: Any, agent_id: str | None = None) -> None:
        """Record one event of the catalog in a transaction of its own."""
        self._transact(lambda: self.journal.post(payload, agent_id))

    def replay_events(self) -> ArenaState:
        """Fold all stored events into a fresh state."""
        return ArenaState.of(self.store.read())[0]
