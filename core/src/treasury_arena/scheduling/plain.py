"""The plain scheduler: one loop, one wait, nothing to install."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from treasury_arena.clock import Clock
from treasury_arena.contracts.runtime import Job, Scheduler, SchedulerContext, SlotBook
from treasury_arena.scheduling.bell import Bell
from treasury_arena.scheduling.runner import POLL_SECONDS, SlotRunner


class PlainScheduler(Scheduler):
    """Sleeps until the next slot, at most `poll_seconds`, so that a clock that jumps is noticed. For one `run`.

    `run` raises what `SlotRunner.run` does. A `stop` before it lets it return at once.
    """

    name = "plain"

    def __init__(self, clock: Clock, poll_seconds: float = POLL_SECONDS) -> None:
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._bell = Bell()

    def run(self, jobs: Sequence[Job], book: SlotBook) -> None:
        SlotRunner(jobs, book, self._clock, self._bell, poll_seconds=self._poll_seconds).run()

    def stop(self) -> None:
        self._bell.stop()


def build(section: Any, context: SchedulerContext) -> Scheduler:
    """The factory; the plain scheduler has no configuration."""
    return PlainScheduler(context.clock)
