"""Probability of backtest overfitting."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from treasury_arena.domain import statistics as stats


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(7).normal(0.0, 0.01, (480, 20))


def test_one_clearly_dominant_column_is_never_overfitted(noise: np.ndarray) -> None:
    dominant = noise.copy()
    dominant[:, 4] += 0.02
    assert stats.pbo_cscv(dominant) == 0.0


def test_demeaned_columns_are_always_overfitted(noise: np.ndarray) -> None:
    assert stats.pbo_cscv(noise - noise.mean(axis=0)) == 1.0


def test_plain_noise_is_no_sharp_oracle(noise: np.ndarray) -> None:
    assert 0.05 < stats.pbo_cscv(noise) < 0.95


@pytest.mark.parametrize("days", [24, 29])
def test_against_the_plain_definition(days: int) -> None:
    table = np.random.default_rng(days).normal(0.0003, 0.01, (days, 5))
    blocks = np.array_split(table, 6)
    overfitted = []
    for chosen in itertools.combinations(range(6), 3):
        inside = np.concatenate([blocks[k] for k in chosen])
        outside = np.concatenate([blocks[k] for k in range(6) if k not in chosen])
        best = int(np.argmax(stats.sharpe(inside.T)))
        ranks = stats.sharpe(outside.T)
        rank = 1 + int((ranks < ranks[best]).sum())
        share = rank / (len(ranks) + 1)
        overfitted.append(math.log(share / (1 - share)) <= 0.0)
    assert stats.pbo_cscv(table, splits=6) == pytest.approx(np.mean(overfitted))


@pytest.mark.parametrize("floor", [0.0, 0.001, 0.05])
def test_a_floor_makes_the_ratios_floored_sharpe_ratios(floor: float) -> None:
    """Columns of very different volatility, which a floor ranks otherwise."""
    table = np.random.default_rng(5).normal(0.0, 1.0, (36, 6)) * np.geomspace(1e-5, 1e-1, 6) + np.linspace(
        4e-6, 1e-2, 6
    )
    blocks = np.array_split(table, 6)
    overfitted = []
    for chosen in itertools.combinations(range(6), 3):
        inside = np.concatenate([blocks[k] for k in chosen])
        outside = np.concatenate([blocks[k] for k in range(6) if k not in chosen])

        def rank(days: np.ndarray) -> np.ndarray:
            if not floor:
                return stats.sharpe(days.T)
            return stats.floored_sharpe(days.T, floor=floor * math.sqrt(stats.DAYS_PER_YEAR))

        best, ranks = int(np.argmax(rank(inside))), rank(outside)
        overfitted.append((ranks < ranks[best]).sum() <= (ranks > ranks[best]).sum())
    assert stats.pbo_cscv(table, splits=6, floor=floor) == pytest.approx(np.mean(overfitted))


@pytest.mark.parametrize("floor", [-0.1, math.nan, math.inf])
def test_a_floor_that_is_no_volatility_is_refused(floor: float) -> None:
    with pytest.raises(ValueError, match="the floor of a volatility must be finite and at least 0"):
        stats.pbo_cscv(np.zeros((8, 2)), splits=2, floor=floor)


def test_a_choice_between_equals_distinguishes_nothing() -> None:
    column = np.random.default_rng(1).normal(0.0, 0.01, (64, 1))
    assert stats.pbo_cscv(np.repeat(column, 5, axis=1)) == 1.0


def test_a_flat_and_a_lending_column_are_judged_without_division_by_zero() -> None:
    table = np.zeros((64, 3))
    table[:, 1] = 0.0002
    table[:, 2] = np.random.default_rng(1).normal(-0.001, 0.01, 64)
    assert stats.pbo_cscv(table) == 0.0


def test_a_hundred_columns_in_sixteen_splits(noise: np.ndarray) -> None:
    wide = np.tile(noise, (1, 5)) + np.random.default_rng(2).normal(0.0, 0.01, (480, 100))
    assert 0.0 <= stats.pbo_cscv(wide) <= 1.0


@pytest.mark.parametrize(
    ("shape", "splits", "words"),
    [
        ((64, 1), 16, "two trials"),
        ((64,), 16, "two trials"),
        ((64, 3), 7, "even"),
        ((64, 3), 0, "even"),
        ((64, 3), 22, "even"),
        ((15, 3), 16, "15 days"),
    ],
)
def test_what_cannot_be_judged_is_refused(shape: tuple[int, ...], splits: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stats.pbo_cscv(np.zeros(shape), splits)


def test_as_many_days_as_splits_are_enough() -> None:
    table = np.random.default_rng(1).normal(0.0, 0.01, (16, 3))
    assert 0.0 <= stats.pbo_cscv(table) <= 1.0


def test_nan_is_refused() -> None:
    table = np.zeros((64, 3))
    table[5, 1] = math.nan
    with pytest.raises(ValueError, match=r"\(5, 1\)"):
        stats.pbo_cscv(table)
