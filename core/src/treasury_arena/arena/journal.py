"""CycleJournal: collects one cycle's events, folds each at once, and commits them in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from treasury_arena.arena.causes import Causes
from treasury_arena.arena.state import ArenaState
from treasury_arena.errors import ConcurrencyError
from treasury_arena.events import daemon
from treasury_arena.events.event import Draft, Event, Transfer
from treasury_arena.store import EventStore

SLOTS = (daemon.JobClaimed, daemon.JobFinished, daemon.JobInterrupted, daemon.JobMissed)
"""What a daemon notes of its own jobs while a cycle is one of them: nothing that is decided here looks at it."""


class CycleJournal:
    """The arena's only way to record anything.

    Args:
        store: the event store.
        state: folded forward with every posted payload.
        now: the present time in its stored form.
        after_commit: told about committed events (observers).
        seq: of the last event folded into `state`, the store's last unless given; a later one in the store is a conflict.
    """

    def __init__(
        self,
        store: EventStore,
        state: ArenaState,
        now: Callable[[], str],
        after_commit: Callable[[list[Event]], None] | None = None,
        seq: int | None = None,
    ) -> None:
        self.store = store
        self.state = state
        self.now = now
        self._after_commit = after_commit
        self._drafts: list[Draft] = []
        self._causes = Causes()
        self._lock = threading.RLock()
        self._seq = store.last()[0] if seq is None else seq

    @property
    def pending(self) -> int:
        """Events posted and not committed."""
        return len(self._drafts)

    def post(self, payload: Any, agent_id: str | None = None, transfers: tuple[Transfer, ...] = ()) -> None:
        """Fold one event into the state and keep it, with its cause, for the commit; raises before anything changed."""
        with self._lock:
            timestamp = self.now()
            self.state.apply(payload, agent_id, timestamp, transfers)
            cause = self._causes.of(payload, agent_id)
            self._causes.note(len(self._drafts), payload, agent_id)
            self._drafts.append(Draft(payload, timestamp, agent_id, transfers, cause))

    def catch_up(self) -> int:
        """Fold what others have stored since, and return how many events that were; only while nothing is pending."""
        with self._lock:
            count = 0
            for event in () if self._drafts else self.store.read(after=self._seq):
                self.state.apply(event.payload, event.agent_id, event.timestamp, event.transfers)
                self._seq = event.seq
                count += 1
            return count

    def commit(self) -> list[Event]:
        """Append everything posted in one transaction.

        Raises ConcurrencyError when another writer was first; then nothing is stored and this journal is spent:
        fold the store again. A writer that only noted slots of jobs is no reason: this transaction follows its events.
        """
        with self._lock:
            drafts, self._drafts = self._drafts, []
            self._causes.clear()
            events = self._appended(drafts)
            if events:
                self._seq = events[-1].seq
            if self._after_commit is not None:
                self._after_commit(events)
            return events

    def _appended(self, drafts: list[Draft]) -> list[Event]:
        while True:
            try:
                return self.store.append(drafts, expected_seq=self._seq)
            except ConcurrencyError:
                between = list(self.store.read(after=self._seq))
                if not between or not all(isinstance(event.payload, SLOTS) for event in between):
                    raise
                self._seq = between[-1].seq
