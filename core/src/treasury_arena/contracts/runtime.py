"""Executors map work, observers read what was committed, reporters draw results, schedulers wake the arena."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
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
    """Reads committed events from its own cursor; it can never change what happens."""

    name: str

    @abstractmethod
    def observe(self, events: Sequence[Event]) -> None:
        """Receive events in order of their seq, each exactly once per process."""


class Reporter(ABC):
    """Turns a finished run into something a person reads."""

    name: str

    @abstractmethod
    def table(self, result: RunResult) -> str:
        """Plain-text table for the terminal."""

    @abstractmethod
    def write(self, result: RunResult, folder: Path) -> list[Path]:
        """Write files into `folder` and return their paths."""


class Scheduler(ABC):
    """Calls a job at the cycle boundaries of the wall clock."""

    name: str

    @abstractmethod
    def run(self, job: Callable[[], None], every_seconds: int) -> None:
        """Call `job` at every whole multiple of `every_seconds` (UTC epoch) until `stop` is called."""

    @abstractmethod
    def stop(self) -> None:
        """End `run` after the present job."""
