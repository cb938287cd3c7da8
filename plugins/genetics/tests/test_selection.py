"""What a selection promises: ranks alone count, the better are preferred, failed genomes only if nobody else is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.operators import Selection
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_genetics.selection import Elitist, Rank, Tournament, Truncation

SCHEMES = [Tournament(), Tournament(size=7), Rank(), Rank(pressure=2.0), Truncation(), Truncation(share=0.1), Elitist()]
scheme = st.sampled_from(SCHEMES)
score_lists = st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(-np.inf), st.just(1.0)), min_size=1, max_size=40)
seeds = st.integers(0, 2**32)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64DXSM(seed))


def shares(selection: Selection, scores: np.ndarray, count: int = 40_000) -> np.ndarray:
    chosen = selection.select(scores, count, generator(5))
    return np.bincount(chosen, minlength=scores.size) / count


@given(scheme, score_lists, st.integers(0, 60), seeds)
def test_returns_valid_indices_repeatably_without_touching_the_scores(
    selection: Selection, values: list[float], count: int, seed: int
) -> None:
    scores = np.array(values)
    before = scores.copy()
    chosen = selection.select(scores, count, generator(seed))
    assert chosen.shape == (count,)
    assert chosen.dtype == np.int64
    assert np.all((chosen >= 0) & (chosen < scores.size))
    np.testing.assert_array_equal(scores, before)
    np.testing.assert_array_equal(chosen, selection.select(scores, count, generator(seed)))


@given(scheme, score_lists, seeds)
def test_failed_genomes_are_chosen_only_if_all_have_failed(
    selection: Selection, values: list[float], seed: int
) -> None:
    scores = np.array(values)
    chosen = scores[selection.select(scores, 100, generator(seed))]
    assert np.isfinite(chosen).all() or np.all(scores == -np.inf)


@pytest.mark.parametrize("selection", SCHEMES, ids=repr)
def test_all_failed_are_alike_enough_to_choose_from(selection: Selection) -> None:
    chosen = selection.select(np.full(5, -np.inf), 50, generator(1))
    assert np.all((chosen >= 0) & (chosen < 5))


@given(scheme, st.lists(st.integers(-100, 100), min_size=1, max_size=30), seeds)
def test_only_the_order_of_scores_matters(selection: Selection, values: list[int], seed: int) -> None:
    scores = np.array(values, dtype=np.float64)
    worse = scores / 7.0 - 1e6
    np.testing.assert_array_equal(
        selection.select(scores, 25, generator(seed)), selection.select(worse, 25, generator(seed))
    )


@pytest.mark.parametrize("selection", SCHEMES, ids=repr)
def test_pressure_falls_from_the_best_to_the_worst(selection: Selection) -> None:
    scores = np.array([-5.0, -1.0, -3.0, -2.0, -4.0, -9.0, -8.0, -7.0, -6.0, -10.0])
    by_rank = shares(selection, scores)[np.argsort(-scores)]
    assert by_rank[0] > 0.1 + 0.02
    assert by_rank[-1] < 0.1 - 0.02
    assert np.all(np.diff(by_rank) < 0.01)


@pytest.mark.parametrize("selection", SCHEMES, ids=repr)
def test_ties_go_to_the_lower_index(selection: Selection) -> None:
    scores = np.zeros(10)
    share = shares(selection, scores)
    descending = shares(selection, -np.arange(10.0))
    np.testing.assert_array_equal(share, descending)
    assert share[0] > share[9]


def test_tournament_wins_follow_the_closed_form() -> None:
    n, size = 8, 3
    rank = np.arange(n)
    expected = ((n - rank) ** size - (n - rank - 1) ** size) / n**size
    np.testing.assert_allclose(shares(Tournament(size=size), -rank.astype(float)), expected, atol=0.008)


def test_a_tournament_of_one_is_chance() -> None:
    np.testing.assert_allclose(shares(Tournament(size=1), np.arange(4.0)), 0.25, atol=0.01)


@given(st.integers(2, 40), st.floats(1.0, 2.0), st.integers(1, 200), seeds)
def test_rank_gives_everyone_the_expected_number_rounded_up_or_down(
    n: int, pressure: float, count: int, seed: int
) -> None:
    chosen = Rank(pressure=pressure).select(-np.arange(float(n)), count, generator(seed))
    expected = count * (pressure - (2 * pressure - 2) * np.arange(n) / (n - 1)) / n
    assert np.all(np.abs(np.bincount(chosen, minlength=n) - expected) < 1.0 + 1e-6)


def test_rank_pairs_parents_in_random_order() -> None:
    chosen = Rank().select(-np.arange(50.0), 50, generator(2))
    assert not np.array_equal(chosen, np.sort(chosen))


@pytest.mark.parametrize(("share", "best"), [(0.2, 2), (0.21, 3), (1.0, 10), (0.001, 1)])
def test_truncation_keeps_its_share_rounded_up(share: float, best: int) -> None:
    scores = np.arange(10.0)
    chosen = Truncation(share=share).select(scores, 2000, generator(3))
    np.testing.assert_array_equal(np.unique(chosen), np.arange(10 - best, 10))


@pytest.mark.parametrize(("share", "size", "best"), [(0.07, 100, 7), (0.14, 50, 7), (0.55, 100, 55), (0.28, 25, 7)])
def test_truncation_rounds_no_noise_of_floats_up(share: float, size: int, best: int) -> None:
    chosen = Truncation(share=share).select(np.arange(float(size)), 5000, generator(3))
    np.testing.assert_array_equal(np.unique(chosen), np.arange(size - best, size))


def test_truncation_takes_its_share_of_those_that_did_not_fail() -> None:
    scores = np.array([-np.inf, 1.0, -np.inf, 2.0, 3.0, -np.inf, 4.0])
    chosen = Truncation(share=0.5).select(scores, 2000, generator(3))
    np.testing.assert_array_equal(np.unique(chosen), [4, 6])


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.integers(0, 6), st.integers(0, 10), seeds)
def test_elitist_puts_the_best_first_once_each(values: list[float], elites: int, count: int, seed: int) -> None:
    scores = np.array(values)
    chosen = Elitist(elites=elites).select(scores, count, generator(seed))
    best = np.argsort(-scores, kind="stable")[: min(elites, count)]
    np.testing.assert_array_equal(chosen[: best.size], best)


@pytest.mark.parametrize("selection", SCHEMES, ids=repr)
@pytest.mark.parametrize("size", [1, 2])
def test_tiny_populations(selection: Selection, size: int) -> None:
    chosen = selection.select(np.zeros(size), 10, generator(4))
    assert set(chosen.tolist()) <= set(range(size))


@pytest.mark.parametrize("selection", SCHEMES, ids=repr)
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.array([1.0, np.nan]), "score 1 is nan"),
        (np.array([np.inf, 1.0]), "score 0 is inf"),
        (np.array([]), "at least one score"),
        (np.zeros((2, 2)), r"not shape \(2, 2\)"),
    ],
)
def test_impossible_scores_are_refused(selection: Selection, scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        selection.select(scores, 3, generator(1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Tournament(size=0), "'tournament': size must be a whole number of at least 1, not 0"),
        (lambda: Tournament(size=2.5), "size must be a whole number"),
        (lambda: Tournament(size=True), "size must be a whole number"),
        (lambda: Rank(pressure=0.99), r"'rank': pressure must be a number in \[1, 2\], not 0.99"),
        (lambda: Rank(pressure=2.01), "pressure must be a number"),
        (lambda: Rank(pressure=float("nan")), "pressure must be a number"),
        (lambda: Truncation(share=0.0), r"share must be a number in \(0, 1\], not 0.0"),
        (lambda: Truncation(share=1.01), "share must be a number"),
        (lambda: Truncation(share="half"), "share must be a number"),
        (lambda: Elitist(elites=-1), "elites must be a whole number of at least 0"),
    ],
)
def test_impossible_parameters_are_refused(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]
