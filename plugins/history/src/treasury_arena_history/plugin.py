"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    import click

    from treasury_arena.contracts.source import DataSource


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_history.config import HistorySection

    return {"source.history": HistorySection}


@hookimpl
def arena_sources() -> Mapping[str, Callable[..., DataSource]]:
    from treasury_arena_history.source import HistorySource

    return {"history": HistorySource}


@hookimpl
def arena_commands() -> list[click.Command]:
    from treasury_arena_history.command import data

    return [data]
