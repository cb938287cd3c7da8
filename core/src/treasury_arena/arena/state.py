"""ArenaState: what the events add up to. Folding is the only way it changes, live and in replay alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from treasury_arena.domain.assets import Asset
from treasury_arena.events import catalog
from treasury_arena.events.event import Event
from treasury_arena.evolution.trials import TrialStats
from treasury_arena.ledger.book import Ledger

SIMULATION, PROVING, ARENA, DEAD, RETIRED = "simulation", "proving", "arena", "dead", "retired"
FUNDED = (PROVING, ARENA)
ALIVE = (SIMULATION, PROVING, ARENA)


@attrs.define
class AgentState:
    """One agent as the events tell it.

    Attributes:
        genome: gene values in declared order; frozen at birth.
        stage, stage_row: where it stands and since when.
        proving_row, arena_row: rows of its promotions, None before.
        limits: role -> largest share it may hold, empty before its first promotion.
        metrics: newest record.
        arena_nav: net asset value at its promotion to the arena, then at each day's close since: its live record.
        mark: its newest AgentMarked, None while unfunded.
        pool: the pool its capital came from, and goes back to.
        given_raw: capital that pools have given it and it has not given back.
    """

    agent_id: str
    strategy: str
    genome: tuple[float, ...]
    genes: dict[str, float]
    parents: tuple[str, ...]
    origin: str
    born_row: int
    born_cycle: int
    born_at: str
    training: dict[str, float]
    stage: str = SIMULATION
    stage_row: int = 0
    proving_row: int | None = None
    arena_row: int | None = None
    limits: dict[str, float] = attrs.field(factory=dict)
    label: str = ""
    metrics: dict[str, float] = attrs.field(factory=dict)
    arena_nav: list[float] = attrs.field(factory=list)
    mark: catalog.AgentMarked | None = None
    graduations: list[catalog.AgentGraduated] = attrs.field(factory=list)
    ended_row: int | None = None
    ended_at: str | None = None
    reason: str = ""
    pool: str = ""
    given_raw: int = 0

    @property
    def alive(self) -> bool:
        return self.stage in ALIVE

    @property
    def funded(self) -> bool:
        return self.stage in FUNDED

    @property
    def funded_stage(self) -> str:
        """The stage whose pool its capital belongs to; of a dead agent that still holds something, the last one."""
        return self.stage if self.alive else (PROVING if self.arena_row is None else ARENA)


@attrs.define
class PoolState:
    """A pool's lent position: exact state and the row its interest is posted to."""

    lent_state: tuple[int, ...] | None = None
    accrued_row: int = 0
    lent_raw: int = 0


@attrs.define
class ArenaState:
    """Everything the arena remembers. Built by `apply`; never written otherwise.

    Attributes:
        cycle, row: of the newest complete cycle, -1 before the first.
        open_cycle, open_row: of the cycle that was begun last; `open_cycle` is None once it is complete.
        vacated: strategy -> ids of its ended agents that no birth has replaced yet, in the order they ended.
    """

    opened: catalog.ArenaOpened | None = None
    agents: dict[str, AgentState] = attrs.field(factory=dict)
    ledger: Ledger = attrs.field(factory=Ledger)
    pools: dict[str, PoolState] = attrs.field(factory=dict)
    cycle: int = -1
    row: int = -1
    open_cycle: int | None = None
    open_row: int = -1
    completed: bool = False
    counts: Counter[str] = attrs.field(factory=Counter)
    births: Counter[str] = attrs.field(factory=Counter)
    vacated: dict[str, list[str]] = attrs.field(factory=dict)
    trials: int = 0
    trial_stats: dict[str, TrialStats] = attrs.field(factory=dict)
    capital_raw: int | None = None

    def living(self, *stages: str) -> list[AgentState]:
        """Living agents (of `stages`, if given), by id."""
        wanted = stages or ALIVE
        return [agent for _, agent in sorted(self.agents.items()) if agent.stage in wanted]

    @property
    def present_cycle(self) -> int:
        """The cycle under way, else the newest complete one; 0 before the first."""
        return max(0, self.cycle if self.open_cycle is None else self.open_cycle)

    @property
    def base(self) -> Asset:
        """The base asset."""
        assert self.opened is not None
        return Asset(self.opened.base_asset, self.opened.assets[self.opened.base_asset], stable=True)

    def apply(self, payload: Any, agent_id: str | None, timestamp: str, transfers: tuple[Any, ...] = ()) -> None:
        """Fold one event. Transfers are checked by the ledger before anything changes."""
        self.ledger.apply(*transfers)
        handler = _HANDLERS.get(type(payload))
        if handler is not None:
            handler(self, payload, agent_id, timestamp)

    @classmethod
    def of(cls, events: Iterable[Event]) -> tuple[ArenaState, int]:
        """The state that events add up to, and the seq of the last one (0 without any)."""
        folding = Folding()
        for event in events:
            folding(event)
        return folding.state, folding.seq


class Folding:
    """A state under way: called with each event in order. `seq` is that of the last one, 0 before any."""

    def __init__(self) -> None:
        self.state, self.seq = ArenaState(), 0

    def __call__(self, event: Event) -> None:
        self.state.apply(event.payload, event.agent_id, event.timestamp, event.transfers)
        self.seq = event.seq


Handler = Callable[[ArenaState, Any, str | None, str], None]


def _opened(state: ArenaState, payload: catalog.ArenaOpened, agent_id: str | None, timestamp: str) -> None:
    state.opened = payload


def _started(state: ArenaState, payload: catalog.EvolutionCycleStarted, agent_id: str | None, timestamp: str) -> None:
    state.open_cycle, state.open_row = payload.cycle, payload.row


#: Origins of agents whose trials the cycle counts: what a search tried, and what was tried to find the configured ones.
COUNTED_ORIGINS = ("search", "seed")


def _spawned(state: ArenaState, payload: catalog.AgentSpawned, agent_id: str | None, timestamp: str) -> None:
    assert agent_id is not None
    state.agents[agent_id] = AgentState(
        agent_id=agent_id,
        strategy=payload.strategy,
        genome=tuple(payload.genome),
        genes=dict(payload.genes),
        parents=tuple(payload.parents),
        origin=payload.origin,
        born_row=payload.row,
        born_cycle=payload.cycle,
        born_at=timestamp,
        training=dict(payload.training),
        stage_row=payload.row,
    )
    if payload.replaces is not None:
        state.vacated[payload.strategy].remove(payload.replaces)
    state.births[payload.strategy] += 1
    if payload.origin not in COUNTED_ORIGINS:
        state.trials += 1
    state.counts["births"] += 1


def _recorded(state: ArenaState, payload: catalog.PerformanceRecorded, agent_id: str | None, timestamp: str) -> None:
    agent = state.agents[agent_id or ""]
    agent.metrics = dict(payload.metrics)
    agent.label = payload.label


def _graduated(state: ArenaState, payload: catalog.AgentGraduated, agent_id: str | None, timestamp: str) -> None:
    agent = state.agents[agent_id or ""]
    agent.stage, agent.limits, agent.label = payload.to_stage, dict(payload.limits), payload.label
    agent.stage_row = state.open_row
    agent.graduations.append(payload)
    if payload.to_stage == PROVING:
        agent.proving_row = state.open_row
    else:
        agent.arena_row = state.open_row
    state.counts[f"graduations_{payload.to_stage}"] += 1


def _ended(stage: str, count: str) -> Handler:
    def handler(state: ArenaState, payload: Any, agent_id: str | None, timestamp: str) -> None:
        agent = state.agents[agent_id or ""]
        agent.stage, agent.ended_row, agent.ended_at = stage, state.open_row, timestamp
        agent.reason = payload.reason
        state.vacated.setdefault(agent.strategy, []).append(agent.agent_id)
        state.counts[count] += 1

    return handler


def _failed(state: ArenaState, payload: catalog.AgentFailed, agent_id: str | None, timestamp: str) -> None:
    state.counts["failures"] += 1


def _allocated(state: ArenaState, payload: catalog.CapitalAllocated, agent_id: str | None, timestamp: str) -> None:
    agent = state.agents[agent_id or ""]
    agent.pool = payload.pool
    agent.given_raw += payload.amount_raw


def _returned(state: ArenaState, payload: catalog.CapitalReturned, agent_id: str | None, timestamp: str) -> None:
    state.agents[agent_id or ""].given_raw -= payload.amount_raw


def _idle(state: ArenaState, payload: catalog.IdleCapitalMoved, agent_id: str | None, timestamp: str) -> None:
    pool = state.pools.setdefault(payload.pool, PoolState())
    pool.lent_state = tuple(int(part) for part in payload.state)
    pool.accrued_row = state.open_row


def _agent_marked(state: ArenaState, payload: catalog.AgentMarked, agent_id: str | None, timestamp: str) -> None:
    agent = state.agents[agent_id or ""]
    agent.mark = payload
    if agent.arena_row == payload.row:
        agent.arena_nav = [payload.memory["nav"]]
    elif agent.stage == ARENA:
        agent.arena_nav.extend(payload.memory["daily_nav"])


def _pool_marked(state: ArenaState, payload: catalog.PoolMarked, agent_id: str | None, timestamp: str) -> None:
    pool = state.pools.setdefault(payload.pool, PoolState())
    pool.lent_state = tuple(int(part) for part in payload.state) or None
    pool.accrued_row, pool.lent_raw = payload.row, payload.lent_raw


def _completed_cycle(
    state: ArenaState, payload: catalog.EvolutionCycleComplete, agent_id: str | None, timestamp: str
) -> None:
    state.cycle, state.row, state.open_cycle = payload.cycle, payload.row, None
    state.trials += payload.trials
    state.capital_raw = payload.capital_raw
    for strategy, (count, mean, m2) in payload.trial_sharpes.items():
        known = state.trial_stats.get(strategy, TrialStats())
        state.trial_stats[strategy] = known.merge(TrialStats(int(count), mean, m2))


def _completed(state: ArenaState, payload: catalog.RunCompleted, agent_id: str | None, timestamp: str) -> None:
    state.completed = True


def _settled(state: ArenaState, payload: catalog.OrderSettled, agent_id: str | None, timestamp: str) -> None:
    state.counts["orders"] += 1


def _order_failed(state: ArenaState, payload: catalog.OrderFailed, agent_id: str | None, timestamp: str) -> None:
    state.counts["failed"] += 1


def _quarantined(state: ArenaState, payload: catalog.OrderQuarantined, agent_id: str | None, timestamp: str) -> None:
    state.counts["quarantined"] += 1


def _rejected(state: ArenaState, payload: catalog.OrderRejected, agent_id: str | None, timestamp: str) -> None:
    state.counts["rejected"] += 1


_HANDLERS: dict[type, Handler] = {
    catalog.ArenaOpened: _opened,
    catalog.EvolutionCycleStarted: _started,
    catalog.AgentSpawned: _spawned,
    catalog.PerformanceRecorded: _recorded,
    catalog.AgentGraduated: _graduated,
    catalog.AgentKilled: _ended(DEAD, "deaths"),
    catalog.AgentRetired: _ended(RETIRED, "retirements"),
    catalog.AgentFailed: _failed,
    catalog.CapitalAllocated: _allocated,
    catalog.CapitalReturned: _returned,
    catalog.IdleCapitalMoved: _idle,
    catalog.AgentMarked: _agent_marked,
    catalog.PoolMarked: _pool_marked,
    catalog.OrderSettled: _settled,
    catalog.OrderRejected: _rejected,
    catalog.OrderFailed: _order_failed,
    catalog.OrderQuarantined: _quarantined,
    catalog.EvolutionCycleComplete: _completed_cycle,
    catalog.RunCompleted: _completed,
}
