"""The market frame refuses what is not clean and knows its own time."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.errors import DataError

START = 1_704_067_200  # 2024-01-01


@pytest.fixture
def frame() -> MarketFrame:
    return MarketFrame(START, 3600, {"WETH.price": np.arange(1.0, 49.0), "gas.usd": np.full(48, 0.05)})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_named_with_its_row_and_time(bad: float) -> None:
    values = np.ones(5)
    values[3] = bad
    with pytest.raises(DataError, match=r"'WETH\.price' is .* at row 3 \(2024-01-01 03:00:00\+00:00\)"):
        MarketFrame(START, 3600, {"gas.usd": np.ones(5), "WETH.price": values})


def test_columns_of_other_lengths_and_empty_frames_are_refused() -> None:
    with pytest.raises(DataError, match="'b' has shape"):
        MarketFrame(START, 3600, {"a": np.ones(5), "b": np.ones(4)})
    with pytest.raises(DataError, match="'a' has shape"):
        MarketFrame(START, 3600, {"a": np.ones((5, 1))})
    with pytest.raises(DataError, match="not empty"):
        MarketFrame(START, 3600, {"a": np.empty(0)})
    with pytest.raises(DataError, match="at least one column"):
        MarketFrame(START, 3600, {})
    with pytest.raises(DataError, match="must be positive"):
        MarketFrame(START, 0, {"a": np.ones(5)})


def test_a_frame_keeps_its_own_read_only_copy() -> None:
    values = np.ones(5)
    frame = MarketFrame(START, 3600, {"a": values})
    values[0] = 9.0
    assert frame["a"][0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        frame["a"][0] = 2.0
    with pytest.raises(TypeError):
        frame.columns["b"] = values


def test_an_unknown_column_is_refused_with_the_nearest(frame: MarketFrame) -> None:
    with pytest.raises(DataError, match=r"did you mean 'WETH\.price'"):
        frame["WETH.prices"]


def test_a_midnight_is_the_close_of_the_day_before(frame: MarketFrame) -> None:
    assert [str(frame.closed_day(row)) for row in (0, 1, 23, 24, 25)] == [
        *("2023-12-31", "2024-01-01", "2024-01-01", "2024-01-01", "2024-01-02")
    ]


def test_rows_and_times_are_inverse(frame: MarketFrame) -> None:
    assert frame.rows == 48
    assert frame.steps_per_day == 24
    assert frame.end == START + 48 * 3600
    for row in (0, 25, 47):
        assert frame.row(frame.time(row)) == row
        assert frame.row(frame.epoch(row)) == row


@pytest.mark.parametrize("epoch", [START - 3600, START + 48 * 3600, START + 1])
def test_a_time_outside_the_frame_or_off_its_grid_is_refused(frame: MarketFrame, epoch: int) -> None:
    with pytest.raises(DataError, match="is not a row of the market data"):
        frame.row(epoch)


def test_a_leap_day_is_a_day_like_any_other() -> None:
    frame = MarketFrame(START, 86_400, {"a": np.ones(366)})
    assert frame.row(datetime(2024, 2, 29, tzinfo=UTC)) == 59
    assert frame.time(365) == datetime(2024, 12, 31, tzinfo=UTC)


def test_slices_keep_their_times(frame: MarketFrame) -> None:
    part = frame.slice(10, 20)
    assert part.rows == 10
    assert part.time(0) == frame.time(10)
    assert part["WETH.price"].tolist() == frame["WETH.price"][10:20].tolist()


@pytest.mark.parametrize(("low", "high"), [(-1, 5), (5, 5), (0, 49), (6, 5)])
def test_an_impossible_slice_is_refused(frame: MarketFrame, low: int, high: int) -> None:
    with pytest.raises(DataError, match="not inside a frame of 48 rows"):
        frame.slice(low, high)


def test_until_holds_the_row_itself_and_nothing_later(frame: MarketFrame) -> None:
    known = frame.until(7)
    assert known.rows == 8
    assert known["WETH.price"][-1] == frame["WETH.price"][7]


def test_a_window_ends_after_its_start() -> None:
    assert Window(0, 1).end == 1
    for end in (0, -1):
        with pytest.raises(DataError, match="not after its start"):
            Window(0, end)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="column 'a' holds complex numbers"):
        MarketFrame(0, 3600, {"a": np.array([1.0 + 0j])})
