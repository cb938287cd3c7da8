"""Time is always aware, in UTC, and never runs back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.clock import Stopwatch, VirtualClock, WallClock, aware, from_epoch, iso, to_epoch

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


def test_a_virtual_clock_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(NEW_YEAR)
    assert clock.now() == clock.now() == NEW_YEAR
    clock.move_to(NEW_YEAR + timedelta(hours=1))
    assert clock.now() == NEW_YEAR + timedelta(hours=1)
    clock.move_to(NEW_YEAR + timedelta(hours=1))
    assert clock.now() == NEW_YEAR + timedelta(hours=1)


def test_a_virtual_clock_never_moves_back() -> None:
    clock = VirtualClock(NEW_YEAR)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.move_to(NEW_YEAR - timedelta(microseconds=1))
    assert clock.now() == NEW_YEAR


def test_a_time_without_a_zone_is_refused() -> None:
    naive = NEW_YEAR.replace(tzinfo=None)
    for refuse in (aware, VirtualClock, to_epoch, iso):
        with pytest.raises(ValueError, match="has no time zone"):
            refuse(naive)


def test_other_zones_are_turned_into_utc() -> None:
    berlin = datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert aware(berlin) == NEW_YEAR
    assert aware(berlin).tzinfo is UTC
    assert VirtualClock(berlin).now().isoformat() == "2024-01-01T00:00:00+00:00"


@given(st.integers(-(2**33), 2**34))
def test_epochs_are_inverse(seconds: int) -> None:
    assert to_epoch(from_epoch(seconds)) == seconds


def test_stored_form() -> None:
    assert iso(NEW_YEAR) == "2024-01-01T00:00:00Z"
    assert iso(NEW_YEAR + timedelta(milliseconds=5)) == "2024-01-01T00:00:00.005000Z"


def test_the_wall_clock_is_in_utc_and_the_stopwatch_never_negative() -> None:
    first = WallClock().now()
    assert first.tzinfo is UTC
    assert WallClock().now() >= first
    assert Stopwatch().seconds() >= 0.0
