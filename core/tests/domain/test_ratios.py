"""Moments and ratios: numbers from outside, properties, and every undefined case defined."""

from __future__ import annotations

import math
import statistics as stdlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treasury_arena.domain import statistics as stats

SORTINO_EXAMPLE = [0.17, 0.15, 0.23, -0.05, 0.12, 0.09, 0.13, -0.04]
RATIOS = [stats.sharpe, stats.floored_sharpe, stats.sortino, stats.calmar]

ticks = st.integers(-5000, 5000).map(lambda k: k / 10_000)
returns_of_days = st.integers(2, 60).flatmap(lambda days: arrays(np.float64, days, elements=ticks))
lively = returns_of_days.filter(lambda row: row.std() > 1e-4)


def test_sortino_of_the_published_example() -> None:
    assert float(stats.sortino(SORTINO_EXAMPLE, periods=1)) == pytest.approx(4.417261, abs=5e-7)


def test_sharpe_of_three_days_by_hand() -> None:
    # mean 0.01, sample deviation 0.01
    assert float(stats.sharpe([0.0, 0.01, 0.02])) == pytest.approx(math.sqrt(365))


def test_sharpe_over_a_daily_benchmark_by_hand() -> None:
    excess = [0.01, 0.03, 0.02]
    lending = np.array([0.001, 0.002, 0.003])
    assert float(stats.sharpe(np.array(excess) + lending, lending)) == pytest.approx(2 * math.sqrt(365))


def test_floored_sharpe_by_hand() -> None:
    returns = [0.001, 0.003, 0.002, 0.002]
    volatility = stdlib.stdev(returns) * math.sqrt(365)
    expected = (0.002 - 0.0005) * 365 / math.sqrt(volatility**2 + 0.02**2)
    assert float(stats.floored_sharpe(returns, 0.0005)) == pytest.approx(expected)


def test_calmar_by_hand() -> None:
    # one day up 10%, one down 5%: two days grow to 1.045, the drawdown is 5%
    expected = (1.045 ** (365 / 2) - 1.0) / 0.05
    assert float(stats.calmar([0.10, -0.05])) == pytest.approx(expected)


def test_calmar_counts_a_smaller_drawdown_as_the_floor() -> None:
    returns = [0.01, -0.001, 0.01]
    deep, floored = float(stats.calmar(returns)), float(stats.calmar(returns, floor=0.01))
    assert floored == pytest.approx(deep * 0.001 / 0.01)
    assert float(stats.calmar(returns, floor=0.0005)) == pytest.approx(deep)


def test_cvar_is_the_mean_of_the_worst_days() -> None:
    returns = np.arange(-5, 35) / 100.0
    assert float(stats.cvar(returns, 0.05)) == pytest.approx(-0.045)
    assert float(stats.cvar(returns, 0.051)) == pytest.approx(-0.04)
    assert float(stats.cvar(returns, 1.0)) == pytest.approx(returns.mean())


def test_cvar_of_one_day_is_that_day() -> None:
    assert float(stats.cvar([-0.07], 0.05)) == pytest.approx(-0.07)


def test_volatility_by_hand() -> None:
    assert float(stats.volatility([0.0, 0.01, 0.02])) == pytest.approx(0.01 * math.sqrt(365))


def test_moments_by_hand() -> None:
    # values -1, -1, -1, 3 (per cent): variance 3, third moment 6, fourth 21
    returns = [-0.01, -0.01, -0.01, 0.03]
    assert float(stats.skewness(returns)) == pytest.approx(6 / 3**1.5)
    assert float(stats.kurtosis(returns)) == pytest.approx(21 / 9)


def test_kurtosis_is_plain() -> None:
    draws = np.random.default_rng(1).normal(0.0, 0.01, 200_000)
    assert float(stats.kurtosis(draws)) == pytest.approx(3.0, abs=0.05)


@given(lively, st.floats(0.01, 1.0))
def test_scaling_excess_leaves_sharpe_and_sortino(returns: np.ndarray, factor: float) -> None:
    assert float(stats.sharpe(returns * factor)) == pytest.approx(float(stats.sharpe(returns)), rel=1e-6, abs=1e-6)
    assert float(stats.sortino(returns * factor)) == pytest.approx(float(stats.sortino(returns)), rel=1e-6, abs=1e-6)


@given(lively, st.floats(-0.1, 0.1))
def test_shifting_returns_and_benchmark_alike_leaves_ratios(returns: np.ndarray, shift: float) -> None:
    for ratio in (stats.sharpe, stats.floored_sharpe, stats.sortino):
        assert float(ratio(returns + shift, shift)) == pytest.approx(float(ratio(returns)), rel=1e-6, abs=1e-6)


@given(lively, st.floats(0.0001, 0.1))
def test_a_better_record_scores_more(returns: np.ndarray, gift: float) -> None:
    for ratio in (stats.sharpe, stats.floored_sharpe, stats.annual_excess):
        assert float(ratio(returns + gift)) > float(ratio(returns))
    assert float(stats.sortino(returns + gift)) >= float(stats.sortino(returns))
    assert float(stats.cvar(returns + gift)) > float(stats.cvar(returns))


@given(lively)
def test_sharpe_is_odd(returns: np.ndarray) -> None:
    assert float(stats.sharpe(-returns)) == pytest.approx(-float(stats.sharpe(returns)), rel=1e-9, abs=1e-9)


@given(lively)
def test_a_floor_never_enlarges_a_sharpe_ratio(returns: np.ndarray) -> None:
    assert abs(float(stats.floored_sharpe(returns))) <= abs(float(stats.sharpe(returns))) + 1e-12
    assert float(stats.floored_sharpe(returns, floor=1e-9)) == pytest.approx(float(stats.sharpe(returns)), rel=1e-4)


@given(lively)
def test_moments_obey_pearsons_inequality(returns: np.ndarray) -> None:
    assert float(stats.kurtosis(returns)) >= float(stats.skewness(returns)) ** 2 + 1.0 - 1e-9
    assert float(stats.skewness(-returns)) == pytest.approx(-float(stats.skewness(returns)), abs=1e-9)


@given(arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 9)), elements=st.floats(-1.0, 1e6)))
def test_nothing_but_finite_numbers_leaves(returns: np.ndarray) -> None:
    functions = [
        *RATIOS,
        stats.cvar,
        stats.skewness,
        stats.kurtosis,
        stats.volatility,
        stats.annual_excess,
        stats.record_psr,
    ]
    functions += [stats.total_return, stats.annual_return, stats.win_rate, stats.losing_days_in_a_row]
    for function in functions:
        result = function(returns)
        assert result.shape == returns.shape[:1]
        assert np.isfinite(result).all()


@given(arrays(np.float64, (5, 30), elements=st.floats(-0.3, 0.3)))
def test_rows_are_judged_each_by_itself(returns: np.ndarray) -> None:
    for function in [*RATIOS, stats.cvar, stats.skewness, stats.kurtosis, stats.record_psr]:
        alone = np.array([float(function(row)) for row in returns])
        np.testing.assert_allclose(function(returns), alone, rtol=1e-9, atol=1e-12)


def test_zero_by_zero_is_zero() -> None:
    for ratio in RATIOS:
        assert float(ratio(np.zeros(30))) == 0.0
    assert float(stats.skewness(np.zeros(30))) == 0.0
    assert float(stats.kurtosis(np.zeros(30))) == 3.0
    assert float(stats.record_psr(np.zeros(30))) == 0.5


def test_a_constant_return_is_capped_with_its_sign() -> None:
    assert float(stats.sharpe(np.full(30, 0.001))) == stats.RATIO_CAP
    assert float(stats.sharpe(np.full(30, -0.001))) == -stats.RATIO_CAP
    assert float(stats.sortino(np.full(30, 0.001))) == stats.RATIO_CAP
    assert float(stats.calmar(np.full(30, 0.001))) == stats.RATIO_CAP
    assert float(stats.sortino(np.full(30, -0.001))) == pytest.approx(-math.sqrt(365))


@pytest.mark.parametrize(("daily", "expected"), [(0.0, 0.0), (0.001, stats.RATIO_CAP), (-0.001, -stats.RATIO_CAP)])
def test_a_floor_whose_square_is_nothing_gives_no_nan(daily: float, expected: float) -> None:
    assert float(stats.floored_sharpe(np.full(30, daily), floor=1e-200)) == expected


def test_a_floored_sharpe_of_a_constant_return_needs_no_cap() -> None:
    assert float(stats.floored_sharpe(np.full(30, 0.0001))) == pytest.approx(0.0365 / 0.02)


def test_the_rounding_of_exact_money_makes_no_sharpe_ratio() -> None:
    lending = np.full(200, 0.0002)
    rounding = np.random.default_rng(3).uniform(-5e-10, 5e-10, 200)
    assert float(stats.sharpe(lending + rounding, lending)) == 0.0
    assert abs(float(stats.sharpe(lending + 100 * rounding, lending))) > 0.0


@pytest.mark.parametrize("days", [0, 1])
def test_fewer_than_two_days_have_no_dispersion(days: int) -> None:
    returns = np.full((3, days), 0.05)
    for ratio in RATIOS:
        assert ratio(returns).tolist() == [0.0] * 3
    assert stats.volatility(returns).tolist() == [0.0] * 3
    assert stats.record_psr(returns).tolist() == [0.5] * 3
    assert stats.kurtosis(returns).tolist() == [3.0] * 3


def test_one_tiny_cost_then_nothing_is_a_small_finite_loss() -> None:
    days = 100
    returns = np.zeros(days)
    returns[0] = -1e-5
    # mean -1e-5 / D; sample deviation 1e-5 / sqrt(D): the size of the cost cancels
    assert float(stats.sharpe(returns)) == pytest.approx(-math.sqrt(365 / days))
    assert -0.002 < float(stats.floored_sharpe(returns)) < 0.0


def test_a_leap_year_is_annualised_with_365_days_like_any_other() -> None:
    leap = np.tile([0.001, -0.0005, 0.0002], 122)
    assert leap.size == 366
    assert float(stats.volatility(leap)) == pytest.approx(leap.std(ddof=1) * math.sqrt(365))
    assert float(stats.annual_return(leap)) == pytest.approx((1 + float(stats.total_return(leap))) ** (365 / 366) - 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e7])
def test_bad_returns_are_refused_with_their_place(bad: float) -> None:
    returns = np.zeros((2, 5))
    returns[1, 3] = bad
    for function in [*RATIOS, stats.cvar, stats.skewness, stats.volatility, stats.win_rate, stats.total_return]:
        with pytest.raises(ValueError, match=r"\(1, 3\)"):
            function(returns)


def test_a_bad_benchmark_is_refused() -> None:
    with pytest.raises(ValueError, match="benchmark"):
        stats.sharpe(np.zeros(5), math.nan)
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        stats.sharpe(np.zeros(5), np.zeros(4))


@pytest.mark.parametrize("floor", [0.0, -0.1, math.nan, math.inf])
def test_floored_sharpe_needs_a_positive_floor(floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        stats.floored_sharpe(np.zeros(5), floor=floor)


@pytest.mark.parametrize("floor", [-0.1, math.nan])
def test_other_floors_are_not_negative(floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        stats.sortino(np.zeros(5), floor=floor)
    with pytest.raises(ValueError, match="floor"):
        stats.calmar(np.zeros(5), floor=floor)


@pytest.mark.parametrize("level", [0.0, -0.1, 1.1, math.nan])
def test_the_level_of_a_shortfall_is_a_share(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        stats.cvar(np.zeros(5), level)


def test_returns_have_one_or_two_dimensions() -> None:
    with pytest.raises(ValueError, match=r"\(D,\) or \(N, D\)"):
        stats.sharpe(np.zeros((2, 2, 2)))
