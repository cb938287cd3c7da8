"""What reads a chain: the part of a session, or of a node client, that planners and quotes need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from treasury_arena.contracts.chain import BlockRef, PlannerContext
from treasury_arena.errors import ConfigError

if TYPE_CHECKING:
    from treasury_arena_evm.abi import Entry, Read
    from treasury_arena_evm.answers import Outcome
    from treasury_arena_evm.chains import Chain
    from treasury_arena_evm.tokens import TokenTable


@runtime_checkable
class ChainReader(Protocol):
    """Reads contracts of one chain and tries calls without signing anything; `Session` is one.

    Attributes:
        chain: with its pinned contracts.
        tokens: the pinned tokens; no other is touched.
    """

    chain: Chain
    tokens: TokenTable

    def call(
        self, to: str, function: Entry, *arguments: Any, sender: str | None = None, block: str | int | None = None
    ) -> Any:
        """A read at a block, else the pinned or the latest one: one output, or a tuple. RevertError when the contract refuses."""

    def read_ahead(self, reads: Iterable[Read]) -> None:
        """Ask for several reads of the pinned block at once; see `Session.read_ahead`."""

    def simulate(
        self, calls: Sequence[tuple[str, str, bytes]], later_seconds: Sequence[tuple[int, int]] = ()
    ) -> list[Outcome]:
        """What calls ``(sender, to, data)`` would do one after another; see `Session.simulate`."""

    def has_code(self, address: str) -> bool:
        """Whether a contract stands at an address."""

    def head(self) -> BlockRef:
        """The latest (or pinned) block."""

    def pinned(self) -> AbstractContextManager[int]:
        """One block for all reads inside; see `Session.pinned`."""


def reader_of(context: PlannerContext) -> ChainReader:
    """The context's client as a reader; ConfigError when it is none, or reads another chain than it is the client of."""
    client: object = context.client
    if not isinstance(client, ChainReader):
        raise ConfigError(
            f"live.markets.{context.spec.name}: the chain client {type(client).__name__!r} cannot read contracts; use 'evm'"
        )
    return client
