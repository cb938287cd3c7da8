"""Observers and those who tell them: each hears what was committed, and none can stand in the way of it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from treasury_arena.clock import WallClock
from treasury_arena.config.settings import Settings
from treasury_arena.contracts.runtime import Observer, ObserverContext
from treasury_arena.errors import TreasuryArenaError
from treasury_arena.events.event import Event
from treasury_arena.isolation import calling, describe
from treasury_arena.registry.facade import Registry
from treasury_arena.store import EventStore

#: Longest time a daemon waits at its end for an observer that does not return, in seconds.
ENDING_SECONDS = 15.0


def complain(text: str) -> None:
    """One line on standard error."""
    with contextlib.suppress(OSError, ValueError):  # standard error itself is gone: nobody is left to be told
        print(f"arena: {text}", file=sys.stderr, flush=True)


class Audience:
    """Tells observers what was committed to each log it listens to; one that raises is heard of and told no more.

    It may be called from any thread; observers are called by one at a time.
    """

    def __init__(self, observers: Sequence[Observer], tell: Callable[[str], None] = complain) -> None:
        self._observers = list(observers)
        self._tell = tell
        self._logs: list[tuple[EventStore, bool, int]] = []
        self._lock = threading.Lock()

    def listen(self, store: EventStore, *, live: bool = False) -> None:
        """Tell what `store` holds beyond its present end, too; `live`: it is the store of live orders."""
        with self._lock:
            self._logs.append((store, live, store.last()[0]))

    def __call__(self, events: Sequence[Event] = ()) -> None:
        """Tell everything that is new; the store says what that is, not `events`. Raises StoreError when it cannot be read."""
        with self._lock:
            for at, (store, live, seen) in enumerate(self._logs):
                if not self._observers or store.last()[0] == seen:
                    continue
                fresh = list(store.read(after=seen))
                for observer in list(self._observers):
                    self._observe(observer, fresh, live)
                self._logs[at] = (store, live, fresh[-1].seq if fresh else seen)

    def _observe(self, observer: Observer, events: Sequence[Event], live: bool) -> None:
        try:
            (observer.observe_live if live else observer.observe)(events)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # isolation: what an observer raises cannot undo what was committed
            self._tell(f"observer {observer.name!r} failed and is told no more: {describe(error)}")
            self._observers.remove(observer)
            self._close(observer)

    def close(self) -> None:
        """Let every observer end its work. Afterwards nobody is told anything."""
        with self._lock:
            ended, self._observers = self._observers, []
        for observer in ended:
            self._close(observer)

    def _close(self, observer: Observer) -> None:
        try:
            observer.close()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._tell(f"observer {observer.name!r} failed at its end: {describe(error)}")


@contextlib.contextmanager
def following(
    audience: Audience, seconds: float = 1.0, tell: Callable[[str], None] = complain
) -> Iterator[Callable[[Sequence[Event]], None]]:
    """Tell `audience` from a thread of its own, at least every `seconds`; yields a call that asks for it at once.

    So nothing waits for an observer: neither a commit nor, beyond `ENDING_SECONDS`, the daemon's end. A store that cannot be
    read is told once and asked again. At the end the audience hears what is left and is closed.
    """
    asked, ended = threading.Event(), threading.Event()

    def hear(last: str) -> str:
        try:
            audience()
        except Exception as error:  # whatever it is, the thread goes on and asks again
            told = f"observers are not told what happens: {describe(error)}"
            if told != last:
                tell(told)
            return told
        if last:
            tell("observers are told again what happens")
        return ""

    def follow() -> None:
        trouble = ""
        while not ended.is_set():
            asked.wait(seconds)
            asked.clear()
            trouble = hear(trouble)
        hear(trouble)
        audience.close()

    thread = threading.Thread(target=follow, name="observers", daemon=True)
    thread.start()
    try:
        yield lambda events: asked.set()
    finally:
        ended.set()
        asked.set()
        thread.join(ENDING_SECONDS)
        if thread.is_alive():
            tell(f"observers have not ended within {ENDING_SECONDS:g} s; the daemon ends without them")


def make_audience(
    settings: Settings, registry: Registry, store: EventStore, run: str, folder: Path | None = None
) -> Audience:
    """The observers of a configuration, listening to `store` from its present end on.

    An observer is made when its section ``observer.<name>`` is given, or needs no key, or it has none. One with a section that
    cannot be made is an error, because somebody counts on it; one without is told and left out.

    Raises ConfigError and PluginError.
    """
    observers: list[Observer] = []
    try:
        for name, factory in registry.observers.items():
            path = f"observer.{name}"
            known = path in registry.sections
            if known and path not in settings.sections:
                continue
            context = ObserverContext(run, folder, WallClock(), complain, _newest(store))
            try:
                with calling(f"observer {name!r}"):
                    observers.append(_checked(name, factory(settings.sections.get(path), context)))
            except TreasuryArenaError as error:
                if known:
                    raise
                complain(f"{error}; it is left out")
        audience = Audience(observers)
        audience.listen(store)
    except BaseException:
        Audience(observers).close()
        raise
    return audience


def _newest(store: EventStore) -> Callable[[str], Event | None]:
    return lambda event_type: next(store.read(event_type=event_type, tail=1), None)


def _checked(name: str, made: object) -> Observer:
    if not isinstance(made, Observer):
        raise TypeError(f"its factory made an object of type {type(made).__name__}; expected an Observer")
    return made
