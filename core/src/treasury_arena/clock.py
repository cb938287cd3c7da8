"""The one seam for time: what the arena calls now, and how long work took."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the arena what time it is. Replay and tests use `VirtualClock`, live use `WallClock`."""

    def now(self) -> datetime:
        """Return the current time, always aware and in UTC."""
        ...


class VirtualClock:
    """A clock that stands still until it is moved, and never moves back."""

    def __init__(self, start: datetime) -> None:
        self._now = aware(start)

    def now(self) -> datetime:
        return self._now

    def move_to(self, when: datetime) -> None:
        """Advance to `when`.

        Raises ValueError when `when` lies before the present.
        """
        when = aware(when)
        if when < self._now:
            raise ValueError(f"the virtual clock cannot go back from {self._now} to {when}")
        self._now = when


class WallClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class PacedClock:
    """A clock that was `start` once and has run `rate` times as fast as another one since.

    Args:
        start: its first moment.
        rate: its seconds in one second of the other.
        base: the other clock; the machine's monotonic one, which never jumps, unless given.
        begun: what `base` showed at the first moment; its present unless given.
    """

    def __init__(self, start: datetime, rate: float, base: Clock | None = None, begun: datetime | None = None) -> None:
        if not 0.0 < rate < float("inf"):
            raise ValueError(f"a clock cannot run {rate} times as fast; expected a number above 0")
        self.rate = rate
        self._start = aware(start)
        self._base: Clock = base if base is not None else _Monotonic()
        self._begun = aware(begun) if begun is not None else self._base.now()

    def now(self) -> datetime:
        return self._start + (self._base.now() - self._begun) * self.rate


class _Monotonic:
    """Time since it was made, as a moment after 1970."""

    def __init__(self) -> None:
        self._watch = Stopwatch()

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self._watch.seconds())


def rate_of(clock: Clock) -> float:
    """Seconds of `clock` in a second of the machine's: its attribute `rate`, 1 for a clock without one."""
    return float(getattr(clock, "rate", 1.0))


class Stopwatch:
    """Elapsed seconds of the monotonic clock; for timings only, never for results."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._started


class PhaseTimer:
    """Seconds spent in named phases; entering one ends the one before. For timings only."""

    def __init__(self) -> None:
        self._watch = Stopwatch()
        self._phase: str | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, phase: str, number: int = 0) -> None:
        """Enter `phase`."""
        now = self._watch.seconds()
        if self._phase is not None:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def seconds(self, phase: str) -> float:
        """Seconds spent in `phase` so far, the present stay not counted."""
        return self._seconds.get(phase, 0.0)


def aware(when: datetime) -> datetime:
    """Return `when` in UTC; raises ValueError for a naive datetime."""
    if when.tzinfo is None:
        raise ValueError(f"{when.isoformat()} has no time zone; give UTC")
    return when.astimezone(UTC)


def from_epoch(seconds: int) -> datetime:
    """Seconds since 1970-01-01 UTC as an aware datetime."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def to_epoch(when: datetime) -> int:
    """Aware datetime to whole seconds since 1970-01-01 UTC."""
    return int((aware(when) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def iso(when: datetime) -> str:
    """The stored form of a time: `2024-01-01T00:00:00Z`, whole seconds unless there is a fraction."""
    return aware(when).isoformat().replace("+00:00", "Z")
