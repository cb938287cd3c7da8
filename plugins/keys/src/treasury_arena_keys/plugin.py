"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    import click

    from treasury_arena.contracts.chain import SignerContext, TransactionSigner


@hookimpl
def arena_config_sections() -> Mapping[str, type[Any]]:
    from treasury_arena_keys.config import ExternalSection, ProcessSection

    return {
        "signer.process": ProcessSection,
        "signer.web3signer": ExternalSection,
        "signer.clef": ExternalSection,
    }


@hookimpl
def arena_signers() -> Mapping[str, Callable[[Any, SignerContext], TransactionSigner]]:
    from treasury_arena_keys import client, external

    return {"process": client.build, "web3signer": external.web3signer, "clef": external.clef}


@hookimpl
def arena_commands() -> list[click.Command]:
    from treasury_arena_keys.command import keys

    return [keys]
