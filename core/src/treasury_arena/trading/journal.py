"""Where trading writes what happened. The arena's journal buffers a cycle and commits it in one transaction."""

from __future__ import annotations

from typing import Any, Protocol

from treasury_arena.events.event import Transfer


class Journal(Protocol):
    """Accepts payloads in order; every implementation checks each transfer before it accepts it."""

    def post(self, payload: Any, agent_id: str | None = None, transfers: tuple[Transfer, ...] = ()) -> None:
        """Record one event; raises before anything changed when a transfer breaks a rule of the ledger."""
        ...


class Unrecorded:
    """A journal that keeps nothing: what is only tried leaves no trace."""

    def post(self, payload: Any, agent_id: str | None = None, transfers: tuple[Transfer, ...] = ()) -> None:
        """Forget."""
