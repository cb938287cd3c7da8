"""Observers and those who tell them, over real stores."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from treasury_arena import audience as module
from treasury_arena.audience import Audience, following, make_audience
from treasury_arena.config.keys import key
from treasury_arena.contracts.runtime import Observer, ObserverContext
from treasury_arena.errors import ConfigError, PluginError, StoreError
from treasury_arena.events.catalog import RunCompleted
from treasury_arena.events.event import Draft, Event
from treasury_arena.registry import Registry
from treasury_arena.store import EventStore, open_store

WAIT = 30.0


class Watcher(Observer):
    """Remembers what it is told; raises, or hangs until let go, at the call of that number."""

    def __init__(self, name: str = "watcher", fail_at: int = 0, hang_at: int = 0) -> None:
        self.name, self.fail_at, self.hang_at = name, fail_at, hang_at
        self.seen: list[tuple[str, int]] = []
        self.calls, self.closed = 0, 0
        self.hanging, self.go_on, self.changed = threading.Event(), threading.Event(), threading.Condition()

    def observe(self, events: Sequence[Event]) -> None:
        self._take("arena", events)

    def observe_live(self, events: Sequence[Event]) -> None:
        self._take("live", events)

    def _take(self, log: str, events: Sequence[Event]) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise SystemExit("out of ink")
        if self.calls == self.hang_at:
            self.hanging.set()
            self.go_on.wait(WAIT)
        with self.changed:
            self.seen += [(log, event.seq) for event in events]
            self.changed.notify_all()

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, WAIT), self.seen

    def close(self) -> None:
        self.closed += 1


class Plain(Observer):
    """As they are written without a thought of live orders."""

    name = "plain"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def observe(self, events: Sequence[Event]) -> None:
        self.seen += [event.seq for event in events]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with open_store(tmp_path / "arena.sqlite") as opened:
        yield opened


@pytest.fixture
def live(tmp_path: Path) -> Iterator[EventStore]:
    with open_store(tmp_path / "live.sqlite") as opened:
        yield opened


def append(store: EventStore, count: int = 1) -> None:
    store.append([Draft(RunCompleted(0, 0, 0), "2024-01-01T00:00:00Z") for _ in range(count)])


def test_each_event_of_both_logs_is_told_once_from_the_present_end_on(store: EventStore, live: EventStore) -> None:
    append(store, 2)
    watcher, plain = Watcher(), Plain()
    audience = Audience([watcher, plain])
    audience.listen(store)
    audience.listen(live, live=True)
    audience()
    append(store, 2)
    audience()
    append(live)
    append(store)
    audience()
    audience()
    assert watcher.seen == [("arena", 3), ("arena", 4), ("arena", 5), ("live", 1)]
    assert plain.seen == [3, 4, 5], "who does not ask for live orders keeps one order of seqs"


def test_one_that_raises_is_heard_of_closed_and_told_no_more(store: EventStore) -> None:
    told: list[str] = []
    fragile, steady = Watcher("fragile", fail_at=2), Watcher("steady")
    audience = Audience([fragile, steady], told.append)
    audience.listen(store)
    for _ in range(3):
        append(store)
        audience()
    assert fragile.seen == [("arena", 1)]
    assert fragile.closed == 1
    assert steady.seen == [("arena", 1), ("arena", 2), ("arena", 3)]
    assert told == ["observer 'fragile' failed and is told no more: SystemExit: out of ink"]
    audience.close()
    assert (fragile.closed, steady.closed) == (1, 1)


def test_events_from_many_threads_are_told_once_and_in_order(store: EventStore) -> None:
    watcher = Watcher()
    audience = Audience([watcher])
    audience.listen(store)

    def work() -> None:
        for _ in range(10):
            append(store)
            audience()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert watcher.seen == [("arena", seq) for seq in range(1, 41)]


def test_followers_hear_of_what_another_writer_stores(store: EventStore) -> None:
    watcher = Watcher()
    audience = Audience([watcher])
    audience.listen(store)
    with following(audience, seconds=0.01), open_store(str(store.path)) as other:
        append(other)
        watcher.wait(1)
    assert watcher.closed == 1


def test_an_observer_that_hangs_stops_neither_commits_nor_the_end(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENDING_SECONDS", 0.05)
    told: list[str] = []
    watcher = Watcher(hang_at=1)
    audience = Audience([watcher])
    audience.listen(store)
    with following(audience, 0.01, told.append) as wake:
        append(store)
        wake([])
        assert watcher.hanging.wait(WAIT)
        append(store, 5)
        wake([])
        assert store.last()[0] == 6
    assert told == ["observers have not ended within 0.05 s; the daemon ends without them"]
    watcher.go_on.set()
    watcher.wait(6)


def test_the_end_tells_what_is_left(store: EventStore) -> None:
    watcher = Watcher()
    audience = Audience([watcher])
    audience.listen(store)
    with following(audience, seconds=3_600.0):
        append(store, 3)
    assert watcher.seen == [("arena", 1), ("arena", 2), ("arena", 3)]


def test_a_store_that_cannot_be_read_is_told_once_and_asked_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    watcher, failed = Watcher(), threading.Semaphore(0)
    audience = Audience([watcher])
    audience.listen(store)

    def gone() -> Any:
        failed.release()
        raise StoreError("the database does not answer")

    with following(audience, 0.01, told.append):
        with monkeypatch.context() as patch:
            patch.setattr(store, "last", gone)
            for _ in range(3):
                assert failed.acquire(timeout=WAIT)
        append(store)
        watcher.wait(1)
    assert told == [
        "observers are not told what happens: the database does not answer",
        "observers are told again what happens",
    ]


@attrs.frozen(kw_only=True)
class Asked:
    """A section that must be given."""

    port: int = key(attrs.NOTHING, "A port.")


def make(store: EventStore, factories: dict[str, Any], known: dict[str, Any], given: dict[str, Any]) -> Audience:
    registry = Registry(observers=factories, sections=known)
    settings: Any = SimpleNamespace(sections=given)
    return make_audience(settings, registry, store, "first", Path("runs/first"))


def test_an_observer_is_made_where_its_section_is_given_or_it_has_none(store: EventStore) -> None:
    append(store)
    made: dict[str, tuple[Any, ObserverContext]] = {}
    watchers = {name: Watcher(name) for name in ("asked", "absent", "free")}

    def factory(name: str) -> Any:
        def build(section: Any, context: ObserverContext) -> Observer:
            made[name] = (section, context)
            return watchers[name]

        return build

    known = {"observer.asked": Asked, "observer.absent": Asked}
    section = Asked(port=1)
    audience = make(store, {name: factory(name) for name in watchers}, known, {"observer.asked": section})
    append(store)
    audience()
    assert {name: found for name, (found, _) in made.items()} == {"asked": section, "free": None}
    assert watchers["asked"].seen == watchers["free"].seen == [("arena", 2)]
    context = made["asked"][1]
    assert (context.run, context.folder) == ("first", Path("runs/first"))
    newest = context.newest("RunCompleted")
    assert newest is not None
    assert newest.seq == 2
    assert context.newest("ArenaOpened") is None


def test_one_that_was_asked_for_and_cannot_be_made_is_an_error_and_ends_the_others(store: EventStore) -> None:
    first = Watcher("a")

    def taken(section: Any, context: ObserverContext) -> Observer:
        raise ConfigError("the port is taken")

    known, given = {"observer.b": Asked}, {"observer.b": Asked(port=1)}
    with pytest.raises(ConfigError, match="the port is taken"):
        make(store, {"a": lambda section, context: first, "b": taken}, known, given)
    assert first.closed == 1
    with pytest.raises(PluginError, match="observer 'b' failed: TypeError: its factory made an object of type int"):
        make(store, {"b": lambda section, context: 3}, known, given)


def test_one_that_nobody_asked_for_and_cannot_be_made_is_told_and_left_out(
    store: EventStore, capsys: pytest.CaptureFixture[str]
) -> None:
    watcher = Watcher("steady")

    def broken(section: Any, context: ObserverContext) -> Observer:
        raise ZeroDivisionError("of its own")

    audience = make(store, {"broken": broken, "steady": lambda section, context: watcher}, {}, {})
    append(store)
    audience()
    assert watcher.seen == [("arena", 1)]
    assert capsys.readouterr().err == "arena: observer 'broken' failed: ZeroDivisionError: of its own; it is left out\n"
