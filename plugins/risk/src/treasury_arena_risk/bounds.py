"""One reading against one limit. Whatever cannot be relied on is a trigger, before its value is looked at."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import attrs

from treasury_arena.clock import aware
from treasury_arena.contracts.fuse import Judgement, Reading, Readings, Trigger

FUTURE_S_MAX = 60.0
"""A reading may be so much newer than the fuse's clock, seconds."""


@attrs.frozen
class Bound:
    """A reading and its limit.

    Attributes:
        reading: its name.
        limit: trips at the limit and beyond.
        above: whether beyond is above the limit; below it otherwise.
        least, most: the values that can be at all, both inclusive.
        warn: warns from here on; None never warns.
    """

    reading: str
    limit: float
    above: bool = True
    least: float = 0.0
    most: float = math.inf
    warn: float | None = None


def doubt(name: str, reading: Reading | None, now: datetime, stale_after_s: float) -> tuple[str, str] | None:
    """Why a reading cannot be relied on, as (why, sentence), or None. Its own range is not looked at."""
    if not isinstance(reading, Reading) or reading.value is None:
        return "missing", f"{name} is missing"
    if number(reading) is None:
        return "not_a_number", f"{name} is {reading.value!r:.40}, which is no finite number"
    try:
        at = aware(reading.at)  # type: ignore[arg-type]
    except (ValueError, AttributeError, TypeError):
        return "stale", f"{name} does not say when it was measured in UTC ({reading.at!r:.60})"
    age = now - at
    if age >= timedelta(seconds=stale_after_s):
        return "stale", f"{name} is {age.total_seconds():.0f} s old, limit {stale_after_s:g} s"
    if age < -timedelta(seconds=FUTURE_S_MAX):
        return "future", f"{name} was measured {-age.total_seconds():.0f} s from now"
    return None


def number(reading: Reading) -> float | int | None:
    """The reading's value when it is a finite number; a truth value is none."""
    value = reading.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def reliable(
    guard: str, bound: Bound, readings: Readings, now: datetime, stale_after_s: float
) -> float | int | Trigger:
    """The bound's reading as a possible finite number, or the trigger that says why there is none."""
    reading = readings.get(bound.reading)
    found = doubt(bound.reading, reading, now, stale_after_s)
    value = number(reading) if found is None and reading is not None else None
    if value is not None and not bound.least <= value <= bound.most:
        found = "impossible", f"{bound.reading} is {value!r}, possible are {bound.least:g} to {bound.most:g}"
    if found is None and value is not None:
        return value
    why, text = found or ("missing", f"{bound.reading} is missing")
    shown = repr(getattr(reading, "value", None))[:40]
    return Trigger(guard, bound.reading, why, shown, repr(bound.limit), f"{guard}: {text}")


def judge(guard: str, bound: Bound, readings: Readings, now: datetime, stale_after_s: float) -> Judgement:
    """The bound's trigger or warning, if any."""
    value = reliable(guard, bound, readings, now, stale_after_s)
    if isinstance(value, Trigger):
        return Judgement((value,))
    if _beyond(value, bound.limit, bound.above):
        return Judgement((_told(guard, bound, value, "at or beyond"),))
    if bound.warn is not None and _beyond(value, bound.warn, bound.above):
        return Judgement((), (_told(guard, bound, value, "near"),))
    return Judgement()


def _beyond(value: float | int, limit: float, above: bool) -> bool:
    return value >= limit if above else value <= limit


def _told(guard: str, bound: Bound, value: float | int, where: str) -> Trigger:
    text = f"{guard}: {bound.reading} is {value!r}, {where} the limit {bound.limit!r}"
    return Trigger(guard, bound.reading, "limit", repr(value), repr(bound.limit), text)
