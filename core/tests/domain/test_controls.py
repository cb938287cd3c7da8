"""Benchmarks and control rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treasury_arena.domain import controls
from treasury_arena.domain.frame import MarketFrame

HOUR = 3600
prices_of_weeks = arrays(np.float64, 24, elements=st.floats(1.0, 10_000.0))
LENT = controls.lending_index(np.full(24, 0.073), 86_400)


def frame(rows: int, step: int = HOUR, **columns: float) -> MarketFrame:
    return MarketFrame(0, step, {name.replace("__", "."): np.full(rows, value) for name, value in columns.items()})


def test_a_dollar_lent_for_a_year_compounds_every_hour() -> None:
    index = controls.lending_index(np.full(365 * 24 + 1, 0.08), HOUR)
    assert index[0] == 1.0
    assert index[-1] == pytest.approx((1 + 0.08 / 8760) ** 8760)


def test_a_rate_is_earned_over_the_step_that_ends_at_its_row() -> None:
    index = controls.lending_index([99.0, 0.365, 0.73], 86_400)
    assert index.tolist() == pytest.approx([1.0, 1.001, 1.001 * 1.002])


def test_lending_of_one_row_is_one_dollar() -> None:
    assert controls.lending_index([0.05], HOUR).tolist() == [1.0]


@pytest.mark.parametrize(
    ("rates", "step", "words"),
    [
        ([0.1, math.nan], HOUR, r"at \(1,\)"),
        ([], HOUR, "shape"),
        ([0.1, 0.1], 0, "step"),
        ([0.1, -9000.0], HOUR, "row 1"),
    ],
)
def test_lending_refuses_what_it_cannot_compound(rates: list[float], step: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        controls.lending_index(rates, step)


def test_hold_follows_the_price() -> None:
    assert controls.hold([2000.0, 1000.0, 3000.0], 100.0).tolist() == [100.0, 50.0, 150.0]


def test_sixty_forty_drifts_for_a_week_and_is_then_restored() -> None:
    prices, lending = np.full(16, 100.0), np.ones(16)
    prices[1:] = 200.0
    prices[8:] = 100.0
    curve = controls.sixty_forty(prices, lending, 1000.0)
    # 600 doubles to 1,200; on day 7 the 1,600 are split 960 / 640 and the 960 halve
    assert curve[:8].tolist() == [1000.0, *[1600.0] * 7]
    assert curve[8:15].tolist() == pytest.approx([640.0 + 480.0] * 7)


@given(prices_of_weeks, st.floats(1.0, 1e6))
def test_curves_begin_at_the_capital_and_scale_with_it(prices: np.ndarray, capital: float) -> None:
    for curve in (controls.sixty_forty, controls.hold):
        extra = () if curve is controls.hold else (LENT,)
        one = curve(prices, *extra)
        assert one[0] == 1.0
        np.testing.assert_allclose(curve(prices, *extra, capital), capital * one)


@given(prices_of_weeks)
def test_a_weight_of_zero_lends_and_a_weight_of_one_holds(prices: np.ndarray) -> None:
    np.testing.assert_allclose(controls.passive_mean_weight(0.0, prices, LENT), LENT)
    np.testing.assert_allclose(controls.passive_mean_weight(1.0, prices, LENT), prices / prices[0])


@given(prices_of_weeks, st.floats(0.0, 1.0))
def test_equal_weekly_weights_are_the_passive_weight(prices: np.ndarray, weight: float) -> None:
    weekly = controls.weekly_weights_index([weight] * 4, [0, 7, 14, 21], prices, LENT, 50.0)
    np.testing.assert_allclose(weekly, controls.passive_mean_weight(weight, prices, LENT, 50.0))


def test_passive_weight_in_several_coins_uses_their_equal_weight_index() -> None:
    table = np.array([[1.0, 10.0], [2.0, 10.0], [2.0, 30.0]])
    index = controls.equal_weight_index(table)
    assert index.tolist() == pytest.approx([1.0, 1.5, 3.0])
    lending = np.ones(3)
    np.testing.assert_allclose(
        controls.passive_mean_weight(0.3, table, lending), controls.passive_mean_weight(0.3, index, lending)
    )


def test_weights_count_from_their_own_day_and_before_the_first_all_is_lent() -> None:
    prices = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    curve = controls.weekly_weights_index([1.0, 0.0], [1, 3], prices, np.ones(5), 1.0)
    assert curve.tolist() == [1.0, 1.0, 2.0, 4.0, 4.0]


def test_a_later_weight_changes_nothing_before_its_day() -> None:
    prices = np.random.default_rng(1).uniform(50.0, 150.0, 24)
    first = controls.weekly_weights_index([0.2, 0.4, 0.1], [0, 7, 14], prices, LENT)
    other = controls.weekly_weights_index([0.2, 0.4, 0.9], [0, 7, 14], prices, LENT)
    assert first[:15].tolist() == other[:15].tolist()
    assert first[15] != other[15]


def test_without_weights_everything_is_lent() -> None:
    np.testing.assert_allclose(controls.weekly_weights_index([], [], np.full(24, 5.0), LENT, 7.0), 7.0 * LENT)


@pytest.mark.parametrize(
    ("weights", "days", "words"),
    [
        ([1.1], [0], "from 0 to 1"),
        ([-0.1], [0], "from 0 to 1"),
        ([math.nan], [0], "from 0 to 1"),
        ([0.1, 0.2], [0], "1 coin weights"),
        ([0.1, 0.2], [7, 0], "increase"),
        ([0.1, 0.2], [7, 7], "increase"),
        ([0.1], [24], "increase"),
        ([0.1], [-1], "increase"),
    ],
)
def test_impossible_weights_are_refused(weights: list[float], days: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        controls.weekly_weights_index(weights, days, np.full(24, 5.0), LENT)


def test_impossible_prices_and_capital_are_refused() -> None:
    with pytest.raises(ValueError, match="positive values"):
        controls.hold([1.0, 0.0])
    with pytest.raises(ValueError, match="finite"):
        controls.hold([1.0, math.nan])
    with pytest.raises(ValueError, match="positive prices"):
        controls.equal_weight_index([[1.0, -1.0]])
    with pytest.raises(ValueError, match="positive prices"):
        controls.equal_weight_index([1.0, 2.0])
    with pytest.raises(ValueError, match="24"):
        controls.sixty_forty(np.ones(23), LENT)
    for capital in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="capital"):
            controls.hold([1.0, 2.0], capital)
