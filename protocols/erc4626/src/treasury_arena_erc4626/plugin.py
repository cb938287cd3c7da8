"""The plugin's hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.protocol import Protocol


@hookimpl
def arena_protocols() -> list[Protocol]:
    from treasury_arena_erc4626.protocol import VaultProtocol

    return [VaultProtocol()]
