"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    import click

    from treasury_arena.contracts.chain import SignerContext, TransactionSigner
    from treasury_arena_keys.config import ExternalSection, ProcessSection


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
    return {"process": _process, "web3signer": _web3signer, "clef": _clef}


# The libraries that read transactions take a second to import: only an arena that signs imports them.


def _process(section: ProcessSection, context: SignerContext) -> TransactionSigner:
    from treasury_arena_keys.client import build

    return build(section, context)


def _web3signer(section: ExternalSection, context: SignerContext) -> TransactionSigner:
    from treasury_arena_keys.external import web3signer

    return web3signer(section, context)


def _clef(section: ExternalSection, context: SignerContext) -> TransactionSigner:
    from treasury_arena_keys.external import clef

    return clef(section, context)


@hookimpl
def arena_commands() -> list[click.Command]:
    from treasury_arena_keys.command import keys

    return [keys]
