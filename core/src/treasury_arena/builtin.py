"""The core's own plugin: what an arena cannot be without, registered like everybody else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.runtime import Executor, Scheduler, SchedulerContext


@hookimpl
def arena_executors() -> Mapping[str, Callable[[int], Executor]]:
    """The thread executor: the kernels release the interpreter's lock."""
    from treasury_arena.simulation.executors import ThreadExecutor

    return {"threads": ThreadExecutor}


@hookimpl
def arena_schedulers() -> Mapping[str, Callable[[Any, SchedulerContext], Scheduler]]:
    """The plain scheduler: one loop that sleeps until the next slot."""
    from treasury_arena.scheduling.plain import build

    return {"plain": build}
