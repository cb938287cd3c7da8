"""Curves, drawdown, winning and losing days."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treasury_arena.domain import statistics as stats

returns = arrays(np.float64, st.integers(0, 40), elements=st.floats(-0.5, 0.5))
curves = arrays(np.float64, st.integers(1, 40), elements=st.floats(0.1, 1e4))


@given(returns)
def test_returns_and_curves_are_inverse(days: np.ndarray) -> None:
    np.testing.assert_allclose(stats.daily_returns(stats.curve_of(days, 1000.0)), days, rtol=1e-9, atol=1e-12)


@given(curves)
def test_total_return_telescopes(curve: np.ndarray) -> None:
    total = float(stats.total_return(stats.daily_returns(curve)))
    assert total == pytest.approx(curve[-1] / curve[0] - 1.0, rel=1e-9, abs=1e-9)


def test_ruin_is_final() -> None:
    assert stats.daily_returns([100.0, 50.0, 0.0, 10.0, 20.0]).tolist() == [-0.5, -1.0, 0.0, 0.0]
    assert stats.daily_returns([100.0, -5.0, 10.0]).tolist() == [-1.0, 0.0]
    assert stats.daily_returns([0.0, 10.0]).tolist() == [0.0]


def test_ruin_of_one_agent_leaves_the_others() -> None:
    curve = np.array([[100.0, 0.0, 10.0], [100.0, 110.0, 121.0]])
    np.testing.assert_allclose(stats.daily_returns(curve), [[-1.0, 0.0], [0.1, 0.1]])


def test_total_loss_is_minus_one() -> None:
    assert float(stats.total_return([0.5, -1.0, 0.5])) == -1.0
    assert float(stats.annual_return([0.5, -1.0, 0.5])) == -1.0


def test_growth_without_bound_is_capped() -> None:
    assert float(stats.total_return(np.full(400, 1e6))) == pytest.approx(stats.RATIO_CAP)
    assert float(stats.annual_return([10.0])) == pytest.approx(stats.RATIO_CAP)


def test_no_days_earn_nothing() -> None:
    assert float(stats.total_return([])) == 0.0
    assert float(stats.annual_return([])) == 0.0
    assert float(stats.win_rate([])) == 0.0
    assert int(stats.losing_days_in_a_row([])) == 0
    assert stats.daily_returns([5.0]).shape == (0,)
    assert stats.curve_of([], 3.0).tolist() == [3.0]


def test_annual_return_by_hand() -> None:
    assert float(stats.annual_return(np.full(73, 0.001))) == pytest.approx(1.001**365 - 1.0)


def test_max_drawdown_by_hand() -> None:
    assert float(stats.max_drawdown([100.0, 120.0, 90.0, 130.0, 117.0])) == pytest.approx(-0.25)


@given(curves, st.floats(0.001, 1000.0))
def test_drawdown_does_not_depend_on_scale(curve: np.ndarray, factor: float) -> None:
    assert float(stats.max_drawdown(curve * factor)) == pytest.approx(float(stats.max_drawdown(curve)), abs=1e-12)


@given(curves)
def test_drawdown_against_the_plain_definition(curve: np.ndarray) -> None:
    worst = min(curve[j] / max(curve[: j + 1]) - 1.0 for j in range(curve.size))
    assert float(stats.max_drawdown(curve)) == pytest.approx(worst, abs=1e-12)
    assert -1.0 <= float(stats.max_drawdown(curve)) <= 0.0


def test_drawdown_of_rising_flat_and_ruined_curves() -> None:
    assert float(stats.max_drawdown([1.0, 1.0, 2.0])) == 0.0
    assert float(stats.max_drawdown([7.0])) == 0.0
    assert float(stats.max_drawdown([1.0, -3.0])) == -1.0
    assert float(stats.max_drawdown([0.0, 0.0])) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_curves_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"at \(1,\)"):
        stats.max_drawdown([1.0, bad])
    with pytest.raises(ValueError, match=r"at \(1,\)"):
        stats.daily_returns([1.0, bad])
    with pytest.raises(ValueError, match="shape"):
        stats.max_drawdown(np.empty((3, 0)))


def test_unbelievable_growth_is_refused() -> None:
    with pytest.raises(ValueError, match="daily return"):
        stats.daily_returns([1e-300, 1e300])


def test_losing_more_than_everything_is_refused() -> None:
    with pytest.raises(ValueError, match=r"-1\.5 at \(0,\)"):
        stats.total_return([-1.5])
    with pytest.raises(ValueError, match="loss of everything"):
        stats.curve_of([-1.5])


def test_win_rate_counts_days_above_zero_or_the_benchmark() -> None:
    days = [0.01, -0.01, 0.0, 0.002]
    assert float(stats.win_rate(days)) == 0.5
    assert float(stats.win_rate(days, 0.002)) == 0.25
    assert float(stats.win_rate(days, np.array([0.02, -0.02, -0.01, 0.001]))) == 0.75


def test_a_lender_does_not_win_against_lending() -> None:
    lending = np.full(30, 0.0002)
    assert float(stats.win_rate(lending, lending)) == 0.0
    assert float(stats.win_rate(lending + 0.9 * stats.NOISE, lending)) == 0.0
    assert float(stats.win_rate(lending + 2.0 * stats.NOISE, lending)) == 1.0


def test_losing_days_are_counted_back_from_the_newest() -> None:
    assert int(stats.losing_days_in_a_row([-0.1, -0.1, 0.1, -0.1, -0.1])) == 2
    assert int(stats.losing_days_in_a_row([-0.1, -0.1, 0.1])) == 0
    assert int(stats.losing_days_in_a_row([-0.1] * 30)) == 30
    assert int(stats.losing_days_in_a_row([-0.1, 0.0])) == 0
    assert stats.losing_days_in_a_row([[-0.1, -0.1], [0.1, -0.1]]).tolist() == [2, 1]
