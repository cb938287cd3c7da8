"""Probabilistic and deflated Sharpe ratio, minimum track record, the normal distribution."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.domain import statistics as stats

DAILY = 1 / math.sqrt(250)


def test_deflated_sharpe_of_the_published_example() -> None:
    variance = 0.5 / 250
    assert stats.expected_max_sharpe(variance, 100) == pytest.approx(0.113172, abs=5e-7)
    deflated = stats.deflated_sharpe(2.5 * DAILY, variance, 100, 1250, -3.0, 10.0)
    assert float(deflated) == pytest.approx(0.900397, abs=5e-7)


def test_probabilistic_sharpe_of_the_published_examples() -> None:
    assert float(stats.probabilistic_sharpe(0.458, 0.0, 24)) == pytest.approx(0.981675, abs=5e-7)
    assert float(stats.probabilistic_sharpe(0.458, 0.0, 24, -2.448, 10.164)) == pytest.approx(0.913361, abs=5e-7)


@pytest.mark.parametrize(("periods", "years"), [(250, 2.7312), (12, 3.2398)])
def test_minimum_track_record_of_two_against_one(periods: int, years: float) -> None:
    root = math.sqrt(periods)
    assert stats.minimum_track_record(2 / root, 1 / root) / periods == pytest.approx(years, abs=5e-5)


@given(st.floats(0.02, 1.0), st.floats(0.0, 0.01), st.floats(-1.0, 1.0), st.floats(3.0, 10.0))
def test_a_track_record_of_the_minimum_proves_exactly_its_confidence(
    sr: float, star: float, skew: float, kurt: float
) -> None:
    periods = stats.minimum_track_record(sr, star, skew, kurt, confidence=0.9)
    assert float(stats.probabilistic_sharpe(sr, star, periods, skew, kurt)) == pytest.approx(0.9, abs=1e-9)


def test_no_record_is_long_enough_to_tell_equal_ratios() -> None:
    assert stats.minimum_track_record(0.1, 0.1) == math.inf
    assert stats.minimum_track_record(0.1, 0.2) == math.inf


@given(st.floats(-1.0, 1.0), st.integers(2, 2000), st.integers(2, 2000))
def test_a_longer_record_proves_more(sr: float, first: int, second: int) -> None:
    short, long = sorted((first, second))
    proved_short = float(stats.probabilistic_sharpe(sr, 0.0, short))
    proved_long = float(stats.probabilistic_sharpe(sr, 0.0, long))
    assert (proved_long >= proved_short) if sr >= 0.0 else (proved_long <= proved_short)
    assert 0.0 <= proved_short <= 1.0


@given(st.integers(2, 10**6), st.floats(1e-6, 1.0))
def test_more_trials_expect_more_and_deflate_more(trials: int, variance: float) -> None:
    assert stats.expected_max_sharpe(variance, trials + 1) > stats.expected_max_sharpe(variance, trials)
    one = float(stats.deflated_sharpe(0.1, variance, trials, 250))
    assert one >= float(stats.deflated_sharpe(0.1, variance, trials * 10, 250))


def test_one_trial_is_not_deflated() -> None:
    assert stats.expected_max_sharpe(0.3, 1) == 0.0
    assert float(stats.deflated_sharpe(0.1, 0.3, 1, 250)) == float(stats.probabilistic_sharpe(0.1, 0.0, 250))


def test_expected_max_sharpe_against_simulation() -> None:
    largest = np.random.default_rng(5).normal(0.0, 0.2, (20_000, 50)).max(axis=1)
    assert stats.expected_max_sharpe(0.04, 50) == pytest.approx(largest.mean(), rel=0.02)


def test_a_probabilistic_sharpe_covers_what_it_promises() -> None:
    # records whose true Sharpe ratio is 0: PSR is uniform, so about 5% exceed 0.95
    draws = np.random.default_rng(11).normal(0.0, 0.01, (4000, 120))
    assert float((stats.record_psr(draws) > 0.95).mean()) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("periods", [0, 1])
def test_too_few_periods_prove_nothing(periods: int) -> None:
    assert float(stats.probabilistic_sharpe(2.0, 0.0, periods)) == 0.5


@pytest.mark.parametrize(("star", "expected"), [(1.0, 1.0), (2.0, 0.5), (3.0, 0.0)])
def test_an_estimate_without_variance_is_certain(star: float, expected: float) -> None:
    # skewness 1, kurtosis 2: 1 - SR + SR^2 / 4 vanishes at SR = 2
    assert float(stats.probabilistic_sharpe(2.0, star, 100, 1.0, 2.0)) == expected


def test_a_steady_gain_is_nearly_certain() -> None:
    assert float(stats.record_psr(np.full(60, 0.001))) > 0.999999
    assert float(stats.record_psr(np.full(60, -0.001))) < 0.000001


def test_the_record_is_judged_by_its_own_moments() -> None:
    days = np.random.default_rng(2).gamma(2.0, 0.01, 300) - 0.018
    expected = stats.probabilistic_sharpe(
        stats.sharpe(days, periods=1.0), 0.01, 300, stats.skewness(days), stats.kurtosis(days)
    )
    assert float(stats.record_psr(days, sr_star=0.01)) == pytest.approx(float(expected))
    assert float(stats.record_psr(days)) > float(expected)


def test_an_excess_below_total_loss_is_still_judged() -> None:
    ruined = np.zeros(30)
    ruined[3] = -1.0
    assert 0.0 < float(stats.record_psr(ruined, np.full(30, 0.001))) < 0.5


def test_excess_kurtosis_is_recognised() -> None:
    with pytest.raises(ValueError, match="excess kurtosis"):
        stats.probabilistic_sharpe(0.4, 0.0, 24, -2.448, 7.0 - 3.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_input_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="sr_star must be finite"):
        stats.probabilistic_sharpe(0.1, bad, 24)
    with pytest.raises(ValueError, match="variance"):
        stats.expected_max_sharpe(bad, 10)
    with pytest.raises(ValueError, match="sr must be finite"):
        stats.minimum_track_record(bad, 0.0)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="variance"):
        stats.expected_max_sharpe(-0.1, 10)
    with pytest.raises(ValueError, match="trials"):
        stats.expected_max_sharpe(0.1, 0)
    for confidence in (0.49, 1.0):
        with pytest.raises(ValueError, match="confidence"):
            stats.minimum_track_record(0.2, 0.1, confidence=confidence)
    for p in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="probability"):
            stats.normal_quantile(p)
    with pytest.raises(ValueError, match="NaN"):
        stats.normal_cdf([0.0, math.nan])


@given(st.floats(-8.0, 8.0))
def test_normal_cdf_against_the_standard_library(x: float) -> None:
    assert abs(float(stats.normal_cdf(x)) - NormalDist().cdf(x)) < 1e-12


@given(st.floats(-6.0, 6.0))
def test_normal_quantile_is_the_inverse(x: float) -> None:
    p = float(stats.normal_cdf(x))
    assert float(stats.normal_cdf(stats.normal_quantile(p))) == pytest.approx(p, abs=1e-12)


def test_normal_cdf_in_the_far_tail_and_at_infinity() -> None:
    assert float(stats.normal_cdf(-30.0)) == pytest.approx(4.906713927148187e-198, rel=1e-12)
    assert stats.normal_cdf([-math.inf, 0.0, math.inf]).tolist() == [0.0, 0.5, 1.0]
