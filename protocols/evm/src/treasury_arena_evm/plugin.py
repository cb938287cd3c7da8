"""The plugin's hooks: the chain client ``evm``, its configuration section, and the command of the local chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    import click

    from treasury_arena.contracts.chain import ChainClient, ChainContext


@hookimpl
def arena_chains() -> Mapping[str, Callable[[Any, ChainContext], ChainClient]]:
    from treasury_arena_evm.live.config import client

    return {"evm": client}


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_evm.live.config import EvmSection

    return {"chain.evm": EvmSection}


@hookimpl
def arena_commands() -> list[click.Command]:
    from treasury_arena_evm.local.chaos import chaos
    from treasury_arena_evm.local.command import chain

    chain.add_command(chaos)
    return [chain]
