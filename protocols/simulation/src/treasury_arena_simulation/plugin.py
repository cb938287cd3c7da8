"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.protocol import Protocol
    from treasury_arena.contracts.source import DataSource


@hookimpl
def arena_protocols() -> list[Protocol]:
    from treasury_arena_simulation.protocol import SimulationProtocol

    return [SimulationProtocol()]


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_simulation.config import SimulatedSection

    return {"source.simulated": SimulatedSection}


@hookimpl
def arena_sources() -> Mapping[str, Callable[..., DataSource]]:
    from treasury_arena_simulation.source import SimulatedSource

    return {"simulated": SimulatedSource}
