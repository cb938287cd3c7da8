"""Slots: the moments at which a job is due, the whole multiples of its period since 1970 (UTC). Pure arithmetic.

No time zone and no daylight saving has a say in it. Every slot between two that were handled is either run or missed.
"""

from __future__ import annotations

import math
from enum import StrEnum

import attrs


class MissReason(StrEnum):
    """Why nobody ran a slot."""

    FIRST = "before the first start"
    ABSENT = "no scheduler was running"
    RUNNING = "the run before it was still under way"
    LATE = "noticed too late"
    JUMPED = "the clock jumped"
    STORE = "the store did not answer"


ABSENCES = (MissReason.ABSENT, MissReason.LATE, MissReason.JUMPED, MissReason.STORE)
"""Reasons after which a job that catches up runs its newest missed slot."""


def newest_slot(now: float, every: int) -> int:
    """The newest slot at `now`, both in seconds since 1970."""
    return math.floor(now) // every * every


def next_slot(after: float, every: int) -> int:
    """The first slot later than `after`."""
    return newest_slot(after, every) + every


@attrs.frozen
class Due:
    """What is to be done about a job's slots: record `missed`, then begin `run` unless it is None."""

    missed: range
    reason: MissReason
    run: int | None


def due(
    now: float, every: int, late: int, catch_up: bool, last: int | None, *, under_way: bool, gap: MissReason
) -> Due:
    """What is due at `now`.

    Args:
        now: seconds since 1970 by the arena's clock.
        every, late, catch_up: as in `treasury_arena.contracts.runtime.Job`.
        last: the newest slot that was run or missed; None when there was none, so that only the newest one can be due.
        under_way: whether an earlier slot is still run; the newest one then waits for as long as it may begin.
        gap: why slots would have been missed up to now.
    """
    newest = newest_slot(now, every)
    if last is None:
        gap = MissReason.FIRST
    slots = range(newest if last is None else next_slot(last, every), newest + 1, every)
    if not slots:
        return Due(slots, gap, None)
    in_time = now - newest <= late
    if under_way:
        return Due(slots[:-1] if in_time else slots, MissReason.RUNNING, None)
    if in_time or (catch_up and gap in ABSENCES):
        return Due(slots[:-1], gap, newest)
    return Due(slots, gap, None)
