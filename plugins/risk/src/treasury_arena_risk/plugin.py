"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.fuse import Fuse, FuseContext


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_risk.config import SurvivalSection

    return {"fuse.survival": SurvivalSection}


@hookimpl
def arena_fuses() -> Mapping[str, Callable[[Any, FuseContext], Fuse]]:
    from treasury_arena_risk.machine import build

    return {"survival": build}
