"""Who ran which slot, in the store: one row per job, folded from events, written under the lease."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from treasury_arena.clock import iso
from treasury_arena.contracts.runtime import SlotBook
from treasury_arena.errors import LeaseLostError, ValidationError, required_text
from treasury_arena.events.daemon import JobClaimed, JobFinished, JobInterrupted, JobMissed
from treasury_arena.events.event import Draft
from treasury_arena.isolation import plain
from treasury_arena.store import schema
from treasury_arena.store.lease import Lease

INTERRUPTED = "its process ended before it did"


class StoreSlotBook(SlotBook):
    """The slots of all jobs of one store, for the holder of its lease.

    Slots of a job begin or are missed in growing order, and the newest one is kept, so none can begin twice: not after a
    restart, not by another daemon, not when the clock goes back. A slot that a dead process left under way is recorded as
    interrupted before the job's next one begins, or by `interrupted` right after the lease was taken.

    Every method raises StoreError when the database does not answer; it may be called again with the same arguments then,
    whether or not the first call was carried out. All but `last` raise LeaseLostError without the lease.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._store = lease.guarded()
        self._lock = threading.Lock()
        self._mine: dict[str, int] = {}

    def claim(self, job: str, slot: int) -> bool:
        required_text(job, "a job's name")
        with self._lock:
            claimed: list[bool] = []

            def decide(connection: Connection) -> list[Draft]:
                row = self._row(connection, job)
                if row is not None and row["running"] is not None and row["token"] == self._lease.token:
                    # Either another run goes on, or an earlier call for this one was carried out and its answer lost.
                    claimed[:] = [row["running"] == slot and self._mine.get(job) != slot]
                    return []
                claimed[:] = [row is None or row["last"] is None or slot > row["last"]]
                if not claimed[0]:
                    return []
                return self._drafts(*self._left(job, row), JobClaimed(job, slot, self._lease.token))

            self._store.append_decided(decide)
            if claimed[0]:
                self._mine[job] = slot
            return claimed[0]

    def finish(self, job: str, slot: int, error: str = "") -> None:
        def decide(connection: Connection) -> list[Draft]:
            row = self._row(connection, job)
            if row is not None and row["running"] == slot:
                if row["token"] != self._lease.token and self._mine.get(job) != slot:
                    raise LeaseLostError(
                        f"slot {slot} of job {job!r} was claimed under another lease; nothing was written"
                    )
                return self._drafts(JobFinished(job, slot, plain(error)))
            if self._mine.get(job) == slot:
                return []  # an earlier call was carried out, and its answer lost
            raise ValidationError(f"slot {slot} of job {job!r} is not under way; nothing was written")

        with self._lock:
            self._store.append_decided(decide)

    def miss(self, job: str, slots: Sequence[int], reason: str) -> None:
        required_text(job, "a job's name")
        required_text(reason, "the reason of a miss")

        def decide(connection: Connection) -> list[Draft]:
            row = self._row(connection, job)
            newest = None if row is None else row["last"]
            ranges = list(_ranges(slots if newest is None else _after(slots, newest)))
            missed = [
                JobMissed(job, one[0], one[-1], one.step if len(one) > 1 else 0, len(one), reason) for one in ranges
            ]
            return self._drafts(*(self._left(job, row) if missed else ()), *missed)

        with self._lock:
            self._store.append_decided(decide)

    def last(self, job: str) -> int | None:
        with self._store.database.read() as connection:
            row = self._row(connection, job)
        return None if row is None else row["last"]

    def interrupted(self) -> list[tuple[str, int]]:
        """Record every slot that a process without the lease left under way, and return them as (job, slot).

        To be called once after the lease was taken.
        """
        found: list[tuple[str, int]] = []

        def decide(connection: Connection) -> list[Draft]:
            rows = self._store.database.rows(connection, schema.JOBS, 'WHERE "running" IS NOT NULL ORDER BY "job"')
            named = [dict(zip(schema.JOBS.columns, row, strict=True)) for row in rows]
            left = [payload for row in named for payload in self._left(row["job"], row)]
            found[:] = [(payload.job, payload.slot) for payload in left]
            return self._drafts(*left)

        with self._lock:
            self._store.append_decided(decide)
        return found

    def _left(self, job: str, row: dict[str, Any] | None) -> tuple[JobInterrupted, ...]:
        """The end of a run that was claimed under an earlier token: whoever had that can record nothing more."""
        if row is None or row["running"] is None or row["token"] == self._lease.token:
            return ()
        return (JobInterrupted(job, row["running"], INTERRUPTED),)

    def _drafts(self, *payloads: JobClaimed | JobFinished | JobInterrupted | JobMissed) -> list[Draft]:
        stamp = iso(self._lease.clock.now())
        return [Draft(payload, stamp) for payload in payloads]

    def _row(self, connection: Connection, job: str) -> dict[str, Any] | None:
        rows = self._store.database.rows(connection, schema.JOBS, 'WHERE "job" = ?', [job])
        return dict(zip(schema.JOBS.columns, rows[0], strict=True)) if rows else None


def _after(slots: Sequence[int], newest: int) -> Sequence[int]:
    """The slots later than `newest`; a range stays one, however long it is."""
    if isinstance(slots, range) and slots.step > 0:
        skipped = max(0, (newest - slots.start) // slots.step + 1)
        return slots[skipped:]
    return [slot for slot in slots if slot > newest]


def _ranges(slots: Sequence[int]) -> Iterator[range]:
    """`slots` as evenly spaced ranges, each as long as it can be; raises ValidationError unless they grow."""
    if isinstance(slots, range) and (slots.step > 0 or len(slots) < 2):
        if slots:
            yield slots
        return
    start = 0
    for index in range(1, len(slots) + 1):
        if index < len(slots):
            step = slots[index] - slots[index - 1]
            if step <= 0:
                raise ValidationError(f"missed slots must grow, not {slots[index]} after {slots[index - 1]}")
            if index == start + 1 or step == slots[start + 1] - slots[start]:
                continue
        step = slots[start + 1] - slots[start] if index > start + 1 else 1
        yield range(slots[start], slots[index - 1] + 1, step)
        start = index
