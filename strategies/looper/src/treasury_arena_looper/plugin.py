"""The plugin's hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.strategy import Strategy


@hookimpl
def arena_strategies() -> list[Strategy]:
    from treasury_arena_looper.strategy import STRATEGY

    return [STRATEGY]
