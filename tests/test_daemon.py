"""The daemon's arena: it learns its market row by row, and does exactly what a run over the finished history does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from treasury_arena.assembly import assemble
from treasury_arena.clock import PacedClock, VirtualClock, iso
from treasury_arena.config.load import load_config
from treasury_arena.contracts.fuse import Reading, Task
from treasury_arena.daemon.brain import Brain, digest
from treasury_arena.daemon.fusing import Fuses, NoChain, Operator, make_fuses
from treasury_arena.daemon.readings import MEASURED, Market, measure
from treasury_arena.daemon.service import Service
from treasury_arena.domain.stops import OFF, SOFT
from treasury_arena.errors import ConfigError, DataError
from treasury_arena.events.catalog import OrderFailed
from treasury_arena.events.event import Draft, Event
from treasury_arena.registry.facade import Registry
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.replay import replay

START = datetime(2024, 1, 1, tzinfo=UTC)
OWN = ("MarketObserved", "TreasuryMarked")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def settings(house: Any, registry: Registry) -> Any:
    return load_config(house.toml(copy.deepcopy(house.small)), registry, {})


@pytest.fixture
def store() -> Iterator[EventStore]:
    with open_store("sqlite://") as found:
        yield found


def brain(settings: Any, registry: Registry, store: EventStore, clock: VirtualClock, **more: Any) -> Brain:
    return Brain(settings, registry, store, clock, workers=1, **more)


def told(events: Iterator[Event]) -> list[tuple[Any, ...]]:
    """What events say, without what only a daemon says and without the identity of the data."""
    kept = [event for event in events if event.event_type not in OWN]
    return [
        (
            event.event_type,
            event.agent_id,
            event.transfers,
            None if event.event_type == "ArenaOpened" else event.payload,
        )
        for event in kept
    ]


@pytest.mark.no_cover
def test_an_arena_that_learns_its_market_row_by_row_does_what_a_run_over_history_does(
    settings: Any, registry: Registry, store: EventStore
) -> None:
    assembled = assemble(settings, registry, workers=1)
    with open_store("sqlite://") as whole:
        manager = assembled.manager(whole)
        manager.run()
        manager.close()
        expected = told(whole.read())
    assembled.close()
    clock = VirtualClock(START)
    arena = brain(settings, registry, store, clock)
    cycles = 0
    for _ in range(2 * 52):
        arena.observe()
        cycles += arena.cycles()
        mark = arena.mark()
        assert mark.time <= clock.now().timestamp()
        clock.move_to(clock.now() + timedelta(hours=12))
    arena.close()
    assert cycles == 9
    assert told(store.read()) == expected
    assert replay(store).ok


def test_a_restart_at_any_hour_changes_nothing(settings: Any, registry: Registry, store: EventStore) -> None:
    clock = VirtualClock(START)
    with open_store("sqlite://") as other:
        steady = brain(settings, registry, other, clock)
        for _ in range(4):
            arena = brain(settings, registry, store, clock)
            arena.cycles()
            arena.mark()
            arena.close()
            steady.observe()
            steady.cycles()
            steady.mark()
            clock.move_to(clock.now() + timedelta(days=5, hours=3))
        steady.close()
        assert [e.payload for e in store.read()] == [e.payload for e in other.read()]
        assert sum(e.event_type == "EvolutionCycleComplete" for e in store.read()) == 3


def test_a_mark_is_the_whole_treasury_and_stores_its_highest(
    settings: Any, registry: Registry, store: EventStore
) -> None:
    clock = VirtualClock(START)
    arena = brain(settings, registry, store, clock)
    total = arena.manager.settings.capital.total_raw
    assert arena.mark().worth_raw == total  # nothing was traded yet
    arena.cycles()
    worths = [total]
    for _ in range(30):
        clock.move_to(clock.now() + timedelta(hours=20))
        arena.observe()
        arena.cycles()
        mark = arena.mark()
        worths.append(mark.worth_raw)
        assert mark.peak_raw == max(worths)
        assert mark.worth_raw <= mark.day_peak_raw <= mark.peak_raw
    assert len(set(worths)) > 20
    before = store.last()
    assert arena.mark().row == mark.row
    assert store.last() == before  # a row is marked once
    arena.close()


def test_a_mark_equals_the_cycle_that_comes_after_it(settings: Any, registry: Registry, store: EventStore) -> None:
    """What is only looked at between cycles is what the next cycle stores."""
    clock = VirtualClock(START)
    arena = brain(settings, registry, store, clock)
    arena.cycles()
    seen = {}
    for _ in range(6 * 7):
        clock.move_to(clock.now() + timedelta(days=1))
        arena.observe()
        mark = arena.mark()
        seen[mark.row] = {a.agent_id: list(a.daily_raw) for a in mark.accounts}
        if arena.cycles():
            marked = {e.agent_id: e.payload for e in store.read(event_type="AgentMarked", tail=20)}
            common = [name for name in seen[mark.row] if name in marked and marked[name].row == mark.row]
            for name in common:
                assert marked[name].daily_raw == seen[mark.row][name]
            if common:
                break
    else:
        pytest.fail("no funded agent was ever marked")
    arena.close()


def test_history_that_is_rewritten_is_noticed(
    settings: Any, registry: Registry, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(START)
    arena = brain(settings, registry, store, clock)
    arena.cycles()
    column, real = "WETH.price", type(arena)._assemble

    def rewritten(self: Brain, *before: Any) -> Any:
        assembled = real(self, *before)
        values = assembled.world.frame.columns[column].copy()
        values[100] *= 1.0 + 1e-12
        columns = {**assembled.world.frame.columns, column: values}
        object.__setattr__(assembled.world.frame, "columns", columns)
        return assembled

    monkeypatch.setattr(Brain, "_assemble", rewritten)
    clock.move_to(clock.now() + timedelta(hours=1))
    with pytest.raises(DataError, match="has rewritten its past"):
        arena.observe()
    arena.close()
    with pytest.raises(DataError, match="has rewritten its past"):
        brain(settings, registry, store, clock)


def test_the_digest_of_what_was_known_does_not_depend_on_what_came_later(settings: Any, registry: Registry) -> None:
    early, late = (
        assemble(settings, registry, workers=1, until=int(moment.timestamp()))
        for moment in (START, START + timedelta(days=9))
    )
    row = early.world.frame.rows - 1
    assert late.world.frame.rows > early.world.frame.rows
    assert digest(late.world.frame, row) == digest(early.world.frame, row)
    assert digest(late.world.frame, row + 1) != digest(early.world.frame, row)
    early.close()
    late.close()


def test_an_arena_of_the_future_is_refused(settings: Any, registry: Registry, store: EventStore) -> None:
    with pytest.raises(ConfigError, match="begins on 2024-01-01, which is not yet"):
        brain(settings, registry, store, VirtualClock(START - timedelta(seconds=1)))


def test_a_paced_clock_passes_its_own_seconds() -> None:
    base = VirtualClock(datetime(2026, 5, 1, 12, tzinfo=UTC))
    clock = PacedClock(START, 60.0, base, datetime(2026, 5, 1, tzinfo=UTC))
    assert clock.now() == START + timedelta(hours=12) * 60
    base.move_to(base.now() + timedelta(seconds=1))
    assert clock.now() == START + timedelta(hours=12) * 60 + timedelta(minutes=1)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cannot run"):
            PacedClock(START, rate, base)


# -- the fuse of a daemon


def fused(settings: Any, house: Any, registry: Registry, conditions: list[str]) -> Any:
    tree = copy.deepcopy(house.small)
    tree["daemon"] = {"fuses": ["survival"]}
    tree["fuse"] = {"survival": {"conditions": conditions}}
    return load_config(house.toml(tree), registry, {})


def test_a_fuse_that_needs_what_nothing_measures_is_refused(settings: Any, house: Any, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="'magnet_conflict', which nothing measures"):
        make_fuses(fused(settings, house, registry, ["magnet_conflict"]), registry, live=False)


def test_live_without_a_fuse_is_refused(settings: Any, registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"daemon\.fuses is empty"):
        make_fuses(settings, registry, live=True)


@pytest.mark.parametrize("missing", [None, *MEASURED])
def test_every_reading_is_measured_and_one_that_is_not_halts_new_risk(
    settings: Any, house: Any, registry: Registry, store: EventStore, missing: str | None
) -> None:
    conditions = ["volatility_spike", "drawdown_breach", "liquidity_dry", "trend_flip"]
    clock, wall = VirtualClock(START), VirtualClock(datetime(2026, 5, 1, tzinfo=UTC))
    configured = fused(settings, house, registry, conditions)
    fuses = make_fuses(configured, registry, live=True)
    guards = Fuses(store, fuses, wall)
    assert guards.level() == SOFT  # never armed
    arena = brain(configured, registry, store, clock, halted=guards.level)
    arena.cycles()
    readings = measure(
        arena,
        Market(arena),
        arena.mark(),
        wall.now(),
        failures=lambda: 0,
        mismatch_raw=lambda: 0,
        heartbeat_age_s=0.0,
    )
    assert set(readings) == set(MEASURED)
    assert not [name for name, reading in readings.items() if reading.value is None]
    calm = {name: reading for name, reading in readings.items() if name not in ("volatility", "trend_alignment")}
    calm |= {"volatility": Reading(0.0, wall.now()), "trend_alignment": Reading(1.0, wall.now())}
    if missing is not None:
        calm[missing] = Reading(None, wall.now())
    operator = Operator(store, wall)
    chain = NoChain(operator.call, operator.called)
    guards.tick(calm, chain, chain)
    assert guards.level() == (OFF if missing is None else SOFT)
    assert bool(list(store.read(event_type="FuseTripped"))) == (missing is not None)
    assert bool(list(store.read(event_type="OperatorCalled"))) == (missing is not None)
    arena.close()


def test_an_open_fuse_halts_the_arenas_new_risk(settings: Any, registry: Registry, store: EventStore) -> None:
    halted = [SOFT]
    clock = VirtualClock(START)
    arena = brain(settings, registry, store, clock, halted=lambda: halted[0])
    for _ in range(4):
        arena.cycles()
        clock.move_to(clock.now() + timedelta(days=7))
        arena.observe()
    assert not list(store.read(event_type="AgentGraduated"))
    halted[0] = OFF
    arena.cycles()
    assert list(store.read(event_type="AgentGraduated"))
    arena.close()


def test_an_operator_is_called_once_for_one_thing(store: EventStore) -> None:
    operator = Operator(store, VirtualClock(START))
    task = Task("survival", 1, "notify", "drawdown")
    assert not operator.called(task.key)
    operator.call(task)
    operator.call(task)
    assert operator.called(task.key)
    assert [event.payload.text for event in store.read(event_type="OperatorCalled")] == ["drawdown"]


def test_the_service_works_on_the_arenas_clock(
    settings: Any, house: Any, registry: Registry, store: EventStore
) -> None:
    configured = fused(settings, house, registry, ["drawdown_breach"])
    clock, wall = VirtualClock(START), VirtualClock(datetime(2026, 5, 1, tzinfo=UTC))
    guards = Fuses(store, make_fuses(configured, registry, live=False), wall)
    arena = brain(configured, registry, store, clock, halted=guards.level)
    operator = Operator(store, wall)
    chain = NoChain(operator.call, operator.called)
    service = Service(configured.daemon, arena, guards, chain, chain, wall, lambda text: None)
    jobs = {job.name: job for job in service.jobs()}
    assert {name: job.every_seconds for name, job in jobs.items()} == {"cycle": 86_400, "mark": 3_600, "heartbeat": 60}
    jobs["cycle"].call(0)
    jobs["mark"].call(0)
    jobs["heartbeat"].call(0)
    assert guards.level() == OFF
    wall.move_to(wall.now() + timedelta(seconds=3_600 + 181))  # no look at the market for three minutes too long
    jobs["heartbeat"].call(60)
    assert guards.level() == SOFT
    tripped = next(iter(store.read(event_type="FuseTripped")))
    assert "heartbeat" in str(tripped.payload)
    assert service.mismatch_raw() == 0
    arena.close()


def test_failures_of_a_day_are_counted_in_the_books_and_on_the_chain(
    settings: Any, registry: Registry, store: EventStore
) -> None:
    clock, wall = VirtualClock(START), VirtualClock(datetime(2026, 5, 1, tzinfo=UTC))
    arena = brain(settings, registry, store, clock)
    guards, operator = Fuses(store, [], wall), Operator(store, wall)
    chain = NoChain(operator.call, operator.called)
    with open_store("sqlite://") as live:
        trading: Any = SimpleNamespace(store=live)
        service = Service(
            settings.daemon, arena, guards, chain, chain, wall, lambda text: None, lambda report: None, trading
        )
        assert service.failures() == 0
        failed = OrderFailed("i", "eth", "eth", 1, "why", 0)
        for hours in (0, 23, 25):
            live.append([Draft(failed, iso(wall.now() - timedelta(hours=hours)), "a1")])
            store.append([Draft(failed, iso(clock.now() - timedelta(hours=hours)), "a1")])
        assert service.failures() == 4  # two of each are not older than a day
        assert Service(settings.daemon, arena, guards, chain, chain, wall, lambda text: None).failures() == 2
    arena.close()


def test_paper_settings_change_no_result(house: Any, registry: Registry, settings: Any) -> None:
    from treasury_arena.config.show import config_hash

    tree = copy.deepcopy(house.small)
    tree["daemon"] = {"mode": "local", "speed": 9.0}
    tree["live"] = {"scale": "0.5", "markets": {"eth": {"pool": "0x0"}}}
    assert config_hash(load_config(house.toml(tree), registry, {})) == config_hash(settings)
