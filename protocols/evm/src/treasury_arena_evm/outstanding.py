"""Transactions that were sent and not seen mined: whose they are, and what became of them.

A transaction belongs to the order that sent it (its owner). Whoever finds out that it was mined, its owner is told, at once or
when it listens again, and no other order is: what it did is booked once, and where it belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Protocol

import attrs

from treasury_arena.errors import UnknownOutcomeError
from treasury_arena_evm.answers import Value, number_of
from treasury_arena_evm.chains import Chain
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.receipts import Receipt
from treasury_arena_evm.transport import LostError, NodeError

#: Who sent a transaction: account, market and intent of an order.
Owner = tuple[str, ...]
NOBODY: Owner = ()
#: How often a node is asked for a receipt.
POLL_SECONDS_MAX, POLL_SECONDS_LOCAL = 1.0, 0.002
#: Parts of what nodes say (in small letters) of a transaction that they will not take, whoever asks and whenever.
REFUSALS = (
    "insufficient funds",
    "intrinsic gas too low",
    "exceeds block gas limit",
    "exceeds the configured cap",
    "less than block base fee",
    "underpriced",
    "invalid sender",
    "invalid chain",
    "nonce too high",
)


@attrs.frozen
class Signed:
    """A signed transaction, ready to be sent: keep `hash` before sending, and look for it before sending again."""

    hash: str
    raw: str
    sender: str
    nonce: int


class Node(Protocol):
    """What of a session is needed here."""

    chain: Chain

    @property
    def height(self) -> int: ...

    def request(self, method: str, *params: Any) -> Any: ...

    def ask(self, method: str, *params: Any, read: Callable[[Any], Value]) -> Value: ...

    def known(self, transaction: str) -> bool: ...

    def receipt(self, transaction: str) -> Receipt | None: ...


class Outstanding:
    """The open transactions of one session, by hash, and who listens. One thread at a time."""

    def __init__(self, session: Node) -> None:
        self._session = session
        self.open: dict[str, Signed] = {}
        self._owners: dict[str, Owner] = {}
        self._kept: dict[Owner, list[Receipt]] = {}
        self._listeners: list[tuple[Owner, Callable[[Receipt], None]]] = []

    @property
    def _owner(self) -> Owner:
        """Whose order is being executed."""
        return self._listeners[-1][0] if self._listeners else NOBODY

    @contextmanager
    def listening(self, hear: Callable[[Receipt], None], owner: Owner) -> Iterator[None]:
        """See `Session.listening`. Without an owner of its own a listener inside an order's is that order's."""
        entry = (owner or self._owner, hear)
        self._listeners.append(entry)
        try:
            for receipt in self._kept.pop(owner, []):
                hear(receipt)
            yield
        finally:
            self._listeners.remove(entry)

    def found(self, receipt: Receipt) -> None:
        """Tell the owner, and those who listen to everything, that a transaction was mined."""
        owner = self._owners.get(receipt.hash, NOBODY)
        hearers = [hear for whose, hear in self._listeners if whose in (NOBODY, owner)]
        if owner and owner not in [whose for whose, _ in self._listeners]:
            self._kept.setdefault(owner, []).append(receipt)
        for hear in hearers:
            hear(receipt)
        # Last of all: who is interrupted before finds it once more, and a receipt that is heard twice counts once.
        self.open.pop(receipt.hash, None)
        self._owners.pop(receipt.hash, None)

    def waits(self, owner: Owner) -> bool:
        """See `Session.waits`."""
        return any(self._owners[digest] == owner for digest in self.open)

    def submit(self, signed: Signed) -> None:
        """See `Session.submit`."""
        first = signed.hash not in self.open
        self._owners.setdefault(signed.hash, self._owner)
        self.open[signed.hash] = signed
        try:
            self._session.request("eth_sendRawTransaction", signed.raw)
        except NodeError as error:
            if self._session.known(signed.hash):
                return
            if first and self._refused(signed, error):
                self._forget(signed)
                raise ChainError(
                    f"transaction {signed.hash} (nonce {signed.nonce}) was not accepted: {error.text}"
                ) from error
            raise self._lost(signed, error) from error
        except LostError as error:
            try:
                arrived = self._session.known(signed.hash)
            except ChainError:
                arrived = False
            if not arrived:
                raise self._lost(signed, error) from error

    def resolve(self, owner: Owner | None, seconds: float) -> None:
        """See `Session.resolve`."""
        for signed in [one for one in self.open.values() if owner is None or self._owners[one.hash] == owner]:
            deadline = monotonic() + seconds
            try:
                while (found := self._session.receipt(signed.hash)) is None:
                    if self._used(signed, "latest"):
                        if self._superseded(signed):
                            self._forget(signed)
                            break
                    elif not self._session.known(signed.hash):
                        self._session.request("eth_sendRawTransaction", signed.raw)
                    if monotonic() >= deadline:
                        raise UnknownOutcomeError(
                            f"transaction {signed.hash} (nonce {signed.nonce}) is neither mined nor superseded yet"
                        )
                    sleep(POLL_SECONDS_LOCAL if self._session.chain.local else POLL_SECONDS_MAX)
            except ChainError as error:
                raise UnknownOutcomeError(
                    f"what became of transaction {signed.hash} (nonce {signed.nonce}) is not known: {error}"
                ) from error
            if found is not None:
                self.found(found)

    def _forget(self, signed: Signed) -> None:
        del self.open[signed.hash]
        del self._owners[signed.hash]

    @staticmethod
    def _lost(signed: Signed, error: ChainError) -> LostError:
        return LostError(
            f"transaction {signed.hash} may or may not have reached the node ({error}); look for it before sending another with "
            f"nonce {signed.nonce}"
        )

    def _refused(self, signed: Signed, error: NodeError) -> bool:
        text = error.text.lower()
        return any(part in text for part in REFUSALS) or self._superseded(signed)

    def _used(self, signed: Signed, block: str) -> bool:
        return self._session.ask("eth_getTransactionCount", signed.sender, block, read=number_of) > signed.nonce

    def _superseded(self, signed: Signed) -> bool:
        """Whether a block has another transaction of the sender with this nonce.

        That the nonce is used is not enough: a node may count it before it tells the receipt. The block is found by the counts
        of earlier blocks, backwards in growing steps and then between the last two.
        """
        high = self._session.height
        if not self._used(signed, hex(high)):
            return False
        low, step = high - 1, 1
        while low >= 0 and self._used(signed, hex(low)):
            high, step = low, 2 * step
            low = high - step
        low = max(low, -1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._used(signed, hex(middle)) else (middle, high)
        found = self._session.ask(
            "eth_getBlockByNumber", hex(high), True, read=lambda block: _held_by(block, signed.sender, signed.nonce)
        )
        return found not in ("", signed.hash.lower())


def _held_by(block: Any, sender: str, nonce: int) -> str:
    """Hash of a sender's transaction of a nonce in a block, lower case; empty where there is none."""
    for one in block["transactions"] if block else ():
        if one["from"].lower() == sender.lower() and number_of(one["nonce"]) == nonce:
            return str(one["hash"].lower())
    return ""
