"""The plugin's hooks: the chain client ``evm`` and its configuration section."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.chain import ChainClient, ChainContext


@hookimpl
def arena_chains() -> Mapping[str, Callable[[Any, ChainContext], ChainClient]]:
    from treasury_arena_evm.live.config import client

    return {"evm": client}


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_evm.live.config import EvmSection

    return {"chain.evm": EvmSection}
