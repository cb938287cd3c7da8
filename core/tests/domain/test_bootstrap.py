"""The block bootstrap of a mean difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.domain.statistics import MeanDifference, block_bootstrap_mean_difference
from treasury_arena.randomness import stream


def boot(a: np.ndarray, b: np.ndarray, block: int = 10, draws: int = 1000, seed: int = 1) -> MeanDifference:
    return block_bootstrap_mean_difference(a, b, block, draws, stream(seed, 0, "bootstrap"))


def test_a_clear_gap_lies_beyond_its_uncertainty() -> None:
    base = np.random.default_rng(1).normal(0.0, 0.01, 365)
    ahead = base + 0.001 + np.random.default_rng(2).normal(0.0, 0.001, 365)
    known = boot(ahead, base)
    assert known.difference == pytest.approx(float((ahead - base).mean()) * 365)
    assert 0.0 < known.low < known.difference < known.high
    assert known.p < 0.01


def test_what_both_records_share_does_not_count() -> None:
    base = np.random.default_rng(1).normal(0.0, 0.05, 365)
    known = boot(base + 0.0001, base)
    assert known.low == pytest.approx(0.0365)
    assert known.high == pytest.approx(0.0365)


def test_equal_records_differ_by_nothing() -> None:
    days = np.random.default_rng(1).normal(0.0, 0.01, 100)
    assert boot(days, days) == MeanDifference(0.0, 0.0, 0.0, 1.0)


def test_no_days_are_no_difference() -> None:
    assert boot(np.empty(0), np.empty(0)) == MeanDifference(0.0, 0.0, 0.0, 1.0)


@given(st.integers(1, 40), st.integers(1, 60))
def test_swapping_the_records_mirrors_the_interval(days: int, block: int) -> None:
    rows = np.random.default_rng(days).normal(0.0, 0.01, (2, days))
    one, other = boot(rows[0], rows[1], block, 50), boot(rows[1], rows[0], block, 50)
    assert one.difference == pytest.approx(-other.difference, abs=1e-12)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.p == pytest.approx(other.p)
    assert 0.0 < one.p <= 1.0


def test_the_resampled_mean_has_the_records_mean_and_the_right_spread() -> None:
    # independent days: the standard error of the mean is s / sqrt(D), whatever the block
    days = np.random.default_rng(3).normal(0.001, 0.01, 400)
    for block in (1, 7):
        known = boot(days, np.zeros(400), block, 4000)
        expected = 2 * 1.96 * 0.01 / math.sqrt(400) * 365
        assert known.high - known.low == pytest.approx(expected, rel=0.25)
        assert known.low < known.difference < known.high


def test_blocks_widen_the_interval_of_days_that_hang_together() -> None:
    shocks = np.random.default_rng(4).normal(0.0, 0.01, 60)
    sticky = np.repeat(shocks, 10)
    single = boot(sticky, np.zeros(600), 1)
    blocks = boot(sticky, np.zeros(600), 30)
    assert blocks.high - blocks.low > 2.0 * (single.high - single.low)


def test_under_no_difference_few_records_seem_to_differ() -> None:
    rng = np.random.default_rng(9)
    found = [
        boot(rng.normal(0.0, 0.01, 180), rng.normal(0.0, 0.01, 180), 10, 300, seed).p < 0.05 for seed in range(150)
    ]
    assert np.mean(found) < 0.13


def test_the_same_stream_gives_the_same_interval() -> None:
    rows = np.random.default_rng(3).normal(0.0, 0.01, (2, 100))
    assert boot(rows[0], rows[1]) == boot(rows[0], rows[1])
    assert boot(rows[0], rows[1]) != boot(rows[0], rows[1], seed=2)


def test_many_draws_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(3).normal(0.0, 0.01, (2, 100))
    whole = boot(rows[0], rows[1], 10)
    monkeypatch.setattr("treasury_arena.domain.statistics.bootstrap._CELLS", 500)
    assert boot(rows[0], rows[1], 10) == whole


@pytest.mark.parametrize(
    ("block", "draws", "confidence"), [(0, 10, 0.95), (5, 0, 0.95), (5, 10, 0.0), (5, 10, 1.0), (5, 10, math.nan)]
)
def test_impossible_settings_are_refused(block: int, draws: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="block and draws"):
        block_bootstrap_mean_difference(np.zeros(9), np.zeros(9), block, draws, stream(1, 0, "x"), confidence)


def test_records_of_other_days_are_refused() -> None:
    with pytest.raises(ValueError, match="same days"):
        boot(np.zeros(9), np.zeros(8))
    with pytest.raises(ValueError, match="daily return"):
        boot(np.full(9, math.nan), np.zeros(9))
