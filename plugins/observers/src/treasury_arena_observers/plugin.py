"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.runtime import Observer, ObserverContext


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_observers.config import LogSection, MetricsSection, NotifySection

    return {"observer.log": LogSection, "observer.metrics": MetricsSection, "observer.notify": NotifySection}


@hookimpl
def arena_observers() -> Mapping[str, Callable[[Any, ObserverContext], Observer]]:
    return {"log": _log, "metrics": _metrics, "notify": _notify}


def _log(section: Any, context: ObserverContext) -> Observer:
    from treasury_arena_observers.log import build

    return build(section, context)


def _metrics(section: Any, context: ObserverContext) -> Observer:
    from treasury_arena_observers.metrics import build

    return build(section, context)


def _notify(section: Any, context: ObserverContext) -> Observer:
    from treasury_arena_observers.notify import build

    return build(section, context)
