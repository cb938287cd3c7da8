"""A journal that remembers what was posted, for tests of everything that trades."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import attrs

from treasury_arena.events.event import Line, Transfer
from treasury_arena.ledger import Ledger, accounts

Payload = TypeVar("Payload")


@attrs.frozen
class Posted:
    """One posting: payload, whom it concerns, and its transfers."""

    payload: Any
    agent_id: str | None
    transfers: tuple[Transfer, ...]


class MemoryJournal:
    """Accepts payloads under the ledger's laws and keeps them in order."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.posted: list[Posted] = []
        self._lock = threading.Lock()

    def post(self, payload: Any, agent_id: str | None = None, transfers: tuple[Transfer, ...] = ()) -> None:
        """Post transfers, then remember; raises what `Ledger.apply` raises, and remembers nothing then."""
        with self._lock:
            self.ledger.apply(*transfers)
            self.posted.append(Posted(payload, agent_id, transfers))

    def payloads(self, kind: type[Payload]) -> list[Payload]:
        """Every payload of a class, in order."""
        return [entry.payload for entry in self.posted if isinstance(entry.payload, kind)]

    def endow(self, agent_id: str, asset: str, amount_raw: int) -> None:
        """Give an agent its first capital, out of nowhere."""
        lines = (
            Line(accounts.world("owner"), asset, -amount_raw),
            Line(accounts.agent_available(agent_id), asset, amount_raw),
        )
        self.ledger.apply(Transfer("endowment", lines))
