"""The plugin's hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def arena_commands() -> list[click.Command]:
    from treasury_arena_parity.command import parity

    return [parity]
