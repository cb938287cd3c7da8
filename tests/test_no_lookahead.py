"""Nothing up to a moment depends on what comes after it: all later data are poisoned, and not one event changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treasury_arena import assembly
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.config.load import load_config
from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.events.event import Event
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store

Poison = Callable[[np.ndarray[Any, Any], np.random.Generator], np.ndarray[Any, Any]]

POISONS: dict[str, Poison] = {
    "shuffled": lambda later, rng: rng.permutation(later),
    "tripled": lambda later, rng: later * 3.0,
    "random": lambda later, rng: rng.uniform(0.5, 2.0, later.size) * later.mean(),
}


class Poisoned(DataSource):
    """Another source's data with everything after `moment` (epoch seconds) spoiled; None leaves them alone."""

    def __init__(self, source: DataSource, moment: int | None, poison: Poison) -> None:
        self.source, self.moment, self.poison = source, moment, poison

    def fetch(self, window: Window) -> MarketFrame:
        frame = self.source.fetch(window)
        if self.moment is None:
            return frame
        first = frame.row(self.moment) + 1
        rng = np.random.default_rng(11)
        columns = {name: np.array(values) for name, values in frame.columns.items()}
        for values in columns.values():
            values[first:] = self.poison(values[first:], rng)
        return MarketFrame(frame.start, frame.step_seconds, columns)

    def fingerprint(self) -> str:
        return self.source.fingerprint()

    def describe(self) -> dict[str, str]:
        return self.source.describe()


@pytest.fixture
def arena(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ArenaManager]]:
    """Makes an arena in memory over poisoned data."""
    made: list[ArenaManager] = []

    def make(config: Path, moment: int | None = None, poison: Poison = POISONS["tripled"]) -> ArenaManager:
        original = assembly.make_source
        with monkeypatch.context() as patch:
            patch.setattr(assembly, "make_source", lambda *given: Poisoned(original(*given), moment, poison))
            registry = load_registry()
            assembled = assembly.assemble(load_config(config, registry, {}), registry)
        made.append(assembled.manager(open_store("sqlite://")))
        return made[-1]

    yield make
    for manager in made:
        manager.close()
        manager.store.close()


@pytest.fixture(scope="module")
def honest(finished: Path) -> list[Event]:
    """The events of the run on honest data."""
    with open_store(finished / "arena.db", readonly=True) as store:
        return list(store.read())


def upto(events: list[Event], cycle: int) -> list[Event]:
    """Events up to the end of a cycle."""
    ends = [
        event.seq
        for event in events
        if event.event_type in {"EvolutionCycleComplete", "RunCompleted"} and event.payload.cycle == cycle
    ]
    return events[: max(ends)]


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("cycle", [0, 3, 6])
def test_events_up_to_a_moment_do_not_know_what_follows(
    arena: Callable[..., ArenaManager], small_config: Path, honest: list[Event], cycle: int, poison: str
) -> None:
    row = next(e.payload.row for e in honest if e.event_type == "EvolutionCycleStarted" and e.payload.cycle == cycle)
    clean = arena(small_config)
    manager = arena(small_config, clean.world.frame.epoch(row), POISONS[poison])
    assert not np.array_equal(clean.world.frame["WETH.price"], manager.world.frame["WETH.price"])
    for _ in range(cycle + 1):
        manager.run_evolution_cycle()
    expected = upto(honest, cycle)
    found = list(manager.store.read())
    assert [event.data for event in found] == [event.data for event in expected]
    assert [event.hash for event in found] == [event.hash for event in expected]
    # The poison works: the very next cycle differs.
    manager.run_evolution_cycle()
    following = upto(honest, cycle + 1)
    assert [e.hash for e in manager.store.read()] != [e.hash for e in following]


def content(events: list[Event]) -> list[Any]:
    """Events without what names the configuration: the opening, and the ids made from its hash."""
    return [
        (event.event_type, event.agent_id, event.timestamp, event.transfers, _without_id(event.payload))
        for event in events
        if event.event_type != "ArenaOpened"
    ]


def _without_id(payload: Any) -> Any:
    fields = {name: getattr(payload, name) for name in type(payload).__annotations__}
    return {name: value for name, value in fields.items() if name != "intent_id"}


def test_a_run_that_ends_later_begins_with_the_shorter_run(
    arena: Callable[..., ArenaManager], house: Any, honest: list[Event], tmp_path: Path
) -> None:
    last = honest[-1].payload.cycle
    longer = arena(house.write(tmp_path / "longer.toml", {"end": "2024-03-10"}))
    for _ in range(last):
        longer.run_evolution_cycle()
    shorter = upto(honest, last - 1)
    assert len(shorter) > 100
    assert content(list(longer.store.read())) == content(shorter)
    assert not longer.state.completed
