"""The plugin's hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.protocol import Protocol


@hookimpl
def arena_protocols() -> list[Protocol]:
    from treasury_arena_uniswap.protocol import UniswapProtocol

    return [UniswapProtocol()]
