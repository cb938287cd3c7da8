"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.runtime import Scheduler, SchedulerContext


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_apscheduler.config import ApschedulerSection

    return {"scheduler.apscheduler": ApschedulerSection}


@hookimpl
def arena_schedulers() -> Mapping[str, Callable[[Any, SchedulerContext], Scheduler]]:
    from treasury_arena_apscheduler.scheduler import build

    return {"apscheduler": build}
