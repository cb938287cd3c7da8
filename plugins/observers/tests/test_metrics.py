"""Metrics, read over the loopback as Prometheus reads them."""

from __future__ import annotations

import math
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from treasury_arena.audience import Audience
from treasury_arena.contracts.runtime import ObserverContext
from treasury_arena.errors import ConfigError
from treasury_arena.events import catalog, daemon, live
from treasury_arena.events.event import Event
from treasury_arena.store import EventStore
from treasury_arena_observers.config import MetricsSection
from treasury_arena_observers.metrics import MetricsObserver, build

Append = Callable[..., list[Event]]
SAMPLE = re.compile(r"treasury_arena_(\w+?)(?:\{(.*)\})? (\S+)")


@pytest.fixture
def make(context: ObserverContext) -> Iterator[Callable[[], MetricsObserver]]:
    made: list[MetricsObserver] = []

    def built() -> MetricsObserver:
        observer = build(MetricsSection(port=0), context)
        assert isinstance(observer, MetricsObserver)
        made.append(observer)
        return observer

    yield built
    for observer in made:
        observer.close()


def scrape(observer: MetricsObserver) -> dict[tuple[str, ...], float]:
    """(name, label values in order of the text) -> value, of a real request."""
    with urllib.request.urlopen(f"http://127.0.0.1:{observer.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: dict[tuple[str, ...], float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, f"a line of nobody's: {line}"
        labels = re.findall(r'="([^"]*)"', sample[2] or "")
        found[sample[1], *labels] = float(sample[3])
    return found


def complete(cycle: int, capital_raw: int, **population: int) -> catalog.EvolutionCycleComplete:
    return catalog.EvolutionCycleComplete(cycle, 5, 0, {}, [], population, 0.0, 0.0, capital_raw, 0)


def test_the_figures_follow_the_events(
    make: Callable[[], MetricsObserver], sealed: Append, opened_arena: catalog.ArenaOpened
) -> None:
    observer = make()
    observer.observe(
        sealed(
            opened_arena,
            complete(0, 90_000_000, proving=7, arena=1),
            complete(1, 100_000_000, proving=3),
            live.TreasuryMarked(7, 95_000_000, 100_000_000, 96_000_000),
            catalog.OrderReserved("i1", "m", "coin", 1, 0, 5, 5),
            catalog.OrderFailed("i1", "m", "coin", 1, "no liquidity", 0),
            catalog.FuseArmed("survival", []),
            catalog.FuseTripped("survival", 1, "drawdown", [], []),
            catalog.EmergencyStopEngaged("SOFT", "look", "ann"),
            daemon.JobMissed("cycle", 0, 2, 1, 3, "asleep"),
            daemon.JobFinished("mark", 60, "no data"),
            daemon.JobFinished("mark", 120, ""),
        )
    )
    seen = scrape(observer)
    expected = {
        ("run_info", "first"): 1,
        ("capital",): 100,
        ("worth",): 95,
        ("worth_peak",): 100,
        ("agents", "proving"): 3,
        ("cycle",): 2,
        ("cycles_total",): 2,
        ("run_completed",): 0,
        ("fuse_state", "survival", "TRIPPED"): 1,
        ("fuse_state", "survival", "ARMED"): 0,
        ("emergency_stop_level", "arena"): 1,
        ("orders_total", "arena", "reserved"): 1,
        ("orders_total", "arena", "failed"): 1,
        ("job_misses_total", "cycle"): 3,
        ("job_failures_total", "mark"): 1,
        ("last_event_seq", "arena"): 12,
        ("events_total", "arena", "EvolutionCycleComplete"): 2,
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert math.isclose(seen[("drawdown_ratio",)], 0.05)
    assert math.isclose(seen[("day_drawdown_ratio",)], 1 / 96)
    assert ("agents", "arena") not in seen, "a stage that is empty now is gone"
    assert seen["event_age_seconds", "arena"] >= 0.0


def test_live_orders_are_counted_apart(make: Callable[[], MetricsObserver], sealed: Append) -> None:
    observer = make()
    observer.observe_live(
        sealed(
            live.IntentQuarantined("i1", "unknown outcome"),
            live.IntentEnded("i1", "SETTLED", "looked", "ann", 0, 0),
            live.AgentHalted("not what simulation gives"),
            catalog.EmergencyStopEngaged("HARD", "look", "ann"),
            catalog.EmergencyStopReleased("looked", "ann"),
        )
    )
    seen = scrape(observer)
    assert seen["orders_total", "live", "quarantined"] == 1
    assert seen["orders_total", "live", "settled"] == 1
    assert seen[("agent_halts_total",)] == 1
    assert seen["emergency_stop_level", "live"] == 0
    assert seen["last_event_seq", "live"] == 5
    assert ("last_event_seq", "arena") not in seen


def test_after_a_restart_the_gauges_show_how_things_stood_and_counters_begin_anew(
    make: Callable[[], MetricsObserver], append: Append, opened_arena: catalog.ArenaOpened
) -> None:
    append(
        catalog.EmergencyStopEngaged("SOFT", "a", "ann"),
        opened_arena,
        complete(4, 50_000_000, arena=2),
        catalog.FuseTripped("survival", 1, "drawdown", [], []),
        catalog.FuseReset("survival", "TRIPPED", "looked", "ann", []),
        catalog.EmergencyStopReleased("b", "ann"),
        catalog.EmergencyStopEngaged("HARD", "c", "ann"),
    )
    seen = scrape(make())
    assert seen[("capital",)] == 50
    assert seen["agents", "arena"] == 2
    assert seen[("cycle",)] == 5
    assert seen["emergency_stop_level", "arena"] == 2
    assert seen["fuse_state", "survival", "ARMED"] == 1
    assert seen[("cycles_total",)] == 0


def test_a_taken_port_is_refused_in_one_sentence(context: ObserverContext) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"observer.metrics: cannot listen on 127.0.0.1:{port}"):
            build(MetricsSection(port=port), context)


def test_it_listens_here_only_and_stops_at_the_end(
    make: Callable[[], MetricsObserver], told: list[str], store: EventStore
) -> None:
    observer = make()
    assert told == [f"observer.metrics: http://127.0.0.1:{observer.port}/metrics"]
    audience = Audience([observer])
    audience.listen(store)
    scrape(observer)
    audience.close()
    with pytest.raises(urllib.error.URLError):
        scrape(observer)


def test_two_observers_share_no_figures(make: Callable[[], MetricsObserver], append: Append) -> None:
    first, second = make(), make()
    first.observe(append(catalog.EmergencyStopEngaged("SOFT", "a", "ann")))
    assert scrape(first)["emergency_stop_level", "arena"] == 1
    assert scrape(second)["emergency_stop_level", "arena"] == 0


def test_a_secret_in_an_event_is_no_label(make: Callable[[], MetricsObserver], append: Append) -> None:
    observer = make()
    observer.observe(append(catalog.EmergencyStopEngaged("SOFT", "password=c4n4ry", "c4n4ry")))
    assert not any("c4n4ry" in part for name in scrape(observer) for part in name)
