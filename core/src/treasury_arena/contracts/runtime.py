"""Executors map work, observers read what was committed, reporters draw results, schedulers wake the arena."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from treasury_arena.veiled import Veiled

if TYPE_CHECKING:
    from treasury_arena.clock import Clock
    from treasury_arena.contracts.results import RunResult
    from treasury_arena.events.event import Event

Item = TypeVar("Item")
Out = TypeVar("Out")


class Executor(ABC):
    """Runs independent pieces of work and keeps their order."""

    name: str

    @abstractmethod
    def map(self, function: Callable[[Item], Out], items: Iterable[Item]) -> list[Out]:
        """Apply `function` to each item; results in the order of the items, the first error is raised."""

    @abstractmethod
    def close(self) -> None:
        """Release threads or processes."""


class Observer(ABC):
    """Reads committed events; it can never change what happens.

    It is called by one thread at a time, not always the same one, and should return soon: work that may last belongs in a
    thread of its own.
    """

    name: str

    @abstractmethod
    def observe(self, events: Sequence[Event]) -> None:
        """Receive events of the arena in order of their seq, each exactly once per process."""

    def observe_live(self, events: Sequence[Event]) -> None:  # noqa: B027  who does not override it does not hear of them
        """Receive events of the store of live orders, whose seqs are its own; unless overridden they are passed over."""

    def close(self) -> None:  # noqa: B027  most have nothing to end
        """End what was begun, waiting only for a bounded time; nothing is received afterwards."""


@attrs.frozen
class ObserverContext:
    """What an observer's factory learns beside its own configuration section.

    Attributes:
        run: id of the run, the name of its folder where it has one.
        folder: the run's folder, or None.
        clock: the machine's time.
        tell: hears one sentence about whatever a person should know of the observer itself; never a secret.
        newest: the newest event of a type that the arena's store holds, or None.
    """

    run: str
    folder: Path | None
    clock: Clock
    tell: Callable[[str], None]
    newest: Callable[[str], Event | None]


class Reporter(ABC):
    """Turns a finished run into something a person reads."""

    name: str

    @abstractmethod
    def table(self, result: RunResult) -> str:
        """Plain-text table for the terminal."""

    @abstractmethod
    def write(self, result: RunResult, folder: Path) -> list[Path]:
        """Write files into `folder` and return their paths."""


@attrs.frozen
class Job:
    """Work that is due at every whole multiple of a period.

    Attributes:
        name: unique among the jobs of a daemon; with the slot it names one run.
        every_seconds: the period; slots are the whole multiples of it since 1970 (UTC), so that daylight saving moves none.
        call: does the work of a slot, given as seconds since 1970. It must be safe to repeat what a dead process left half done.
        late_seconds: how long after its slot it may still begin; later it is a miss.
        catch_up: after an absence run the newest slot that was missed, if none is under way (the older ones stay misses).
    """

    name: str
    every_seconds: int
    call: Callable[[int], None]
    late_seconds: int
    catch_up: bool = True


class SlotBook(ABC):
    """Who ran which slot; durable, shared by all daemons on one store. Each (job, slot) is claimed at most once."""

    @abstractmethod
    def claim(self, job: str, slot: int) -> bool:
        """Claim a slot; False when it was claimed or missed before, by anybody, or while another run of the job is under way.

        Raises LeaseLostError without the lease.
        """

    @abstractmethod
    def finish(self, job: str, slot: int, error: str = "") -> None:
        """Record how a claimed slot ended; empty for well."""

    @abstractmethod
    def miss(self, job: str, slots: Sequence[int], reason: str) -> None:
        """Record slots that nobody ran, in growing order. Evenly spaced ones become one event; give a `range` for many."""

    @abstractmethod
    def last(self, job: str) -> int | None:
        """The newest slot of a job that was claimed or missed, or None before its first."""


class Scheduler(ABC):
    """Calls jobs at their slots, each in a thread of its own, two runs of one job never at once."""

    name: str

    @abstractmethod
    def run(self, jobs: Sequence[Job], book: SlotBook) -> None:
        """Call the jobs at their slots until `stop` is called; returns when the jobs under way have ended."""

    @abstractmethod
    def stop(self) -> None:
        """Begin no further slot, and end `run` after the jobs under way. Safe to call from a signal handler or any thread."""


@attrs.frozen
class SchedulerContext:
    """What a scheduler's factory learns beside its own configuration section.

    Attributes:
        clock: says what time it is; slots are judged by it alone.
        url: database of the arena, for a scheduler that keeps jobs of its own there.
        folder: the daemon's folder, or None.
    """

    clock: Clock
    url: str = attrs.field(converter=Veiled)
    folder: Path | None = None
