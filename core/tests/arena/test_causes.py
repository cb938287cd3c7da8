"""Who replaces whom, and what brought what about: told by the log itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.events import catalog
from treasury_arena.events.event import Event
from treasury_arena.store import audit

Make = Callable[..., ArenaManager]


@pytest.fixture
def lived(make_arena: Make) -> tuple[ArenaManager, list[Event]]:
    """Six cycles with deaths, retirements, promotions and trades."""
    arena = make_arena(retirement_age_days=21, birth_cycles=2, agents=6, arena_age_days_min=7)
    for _ in range(7):
        arena.run_evolution_cycle()
    return arena, list(arena.store.read())


def test_a_birth_replaces_the_agent_of_its_strategy_that_ended_first(lived: tuple[ArenaManager, list[Event]]) -> None:
    arena, events = lived
    waiting: dict[str, list[str]] = {"holder": [], "lender": []}
    replaced = 0
    for event in events:
        if isinstance(event.payload, catalog.AgentKilled | catalog.AgentRetired):
            waiting[arena.agent(event.agent_id or "").strategy].append(event.agent_id or "")
        if isinstance(event.payload, catalog.AgentSpawned):
            queue = waiting[event.payload.strategy]
            assert event.payload.replaces == (queue.pop(0) if queue else None)
            replaced += event.payload.replaces is not None
    assert replaced >= 4
    assert arena.state.vacated == {
        strategy: queue for strategy, queue in waiting.items() if strategy in arena.state.vacated
    }
    first = [e.payload.replaces for e in events if isinstance(e.payload, catalog.AgentSpawned) and e.payload.cycle < 2]
    assert first == [None] * len(first), "the first births replace nobody: the population grows"
    with arena.store.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT replaces FROM agents WHERE replaces IS NOT NULL").fetchall()
    assert len(stored) == replaced


def test_evident_causes_are_told(lived: tuple[ArenaManager, list[Event]]) -> None:
    arena, events = lived
    by_id = {event.event_id: event for event in events}
    pairs: dict[str, set[str]] = {}
    for event in events:
        cause = by_id[event.caused_by] if event.caused_by else None
        pairs.setdefault(event.event_type, set()).add(cause.event_type if cause else "")
        if cause is None:
            continue
        assert cause.seq < event.seq
        if cause.agent_id is not None:
            assert cause.agent_id == event.agent_id
        if event.event_type == "OrderSettled":
            assert cause.payload.intent_id == event.payload.intent_id
        if event.event_type in ("AgentSpawned", "PerformanceRecorded", "EvolutionCycleComplete"):
            assert cause.payload.cycle == event.payload.cycle
    assert pairs["AgentSpawned"] == pairs["PerformanceRecorded"] == {"EvolutionCycleStarted"}
    assert pairs["EvolutionCycleComplete"] == {"EvolutionCycleStarted"}
    assert pairs["OrderSettled"] == {"OrderReserved"}
    assert pairs["AgentRetired"] == pairs["AgentGraduated"] == {"PerformanceRecorded"}
    assert pairs["ArenaOpened"] == pairs["EvolutionCycleStarted"] == pairs["AgentMarked"] == {""}
    for event in events:
        if isinstance(event.payload, catalog.CapitalAllocated | catalog.CapitalReturned):
            cause_type = by_id[event.caused_by].event_type if event.caused_by else ""
            expected = {"promotion": "AgentGraduated", "proving slot": "AgentGraduated", "rank": ""}
            assert cause_type == expected.get(event.payload.reason, "AgentRetired"), event.payload
    report = audit(arena.store)
    assert report.ok, report.findings
    assert report.checks["cause"] == sum(event.caused_by is not None for event in events) > 100


def test_a_birth_by_hand_has_no_cause_and_replaces_nobody(arena: ArenaManager) -> None:
    arena.run_evolution_cycle()
    name = arena.spawn_agent("lender")
    (born,) = [e for e in arena.store.read(agent_id=name) if isinstance(e.payload, catalog.AgentSpawned)]
    assert (born.caused_by, born.payload.replaces) == (None, None)
