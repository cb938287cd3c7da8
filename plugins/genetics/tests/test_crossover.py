"""What a crossover promises: children inside the bounds, whole where needed, parents untouched, means kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.genes import REAL, GeneSpace
from treasury_arena.contracts.operators import Crossover
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_genetics.crossover import Blend, SimulatedBinary, Uniform

SCHEMES = [
    Uniform(),
    Uniform(swap_rate=0.9),
    Blend(),
    Blend(alpha=2.0),
    SimulatedBinary(),
    SimulatedBinary(eta=0.0, gene_rate=1.0),
    SimulatedBinary(eta=200.0),
]
scheme = st.sampled_from(SCHEMES)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64DXSM(seed))


def parents(space: GeneSpace, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random parents, among them equal pairs and genes exactly at their bounds."""
    rng = generator(seed)
    first, second = space.sample(count, rng), space.sample(count, rng)
    first = np.where(rng.random(first.shape) < 0.1, space.low, first)
    second = np.where(rng.random(first.shape) < 0.1, space.high, second)
    second = np.where(rng.random((count, 1)) < 0.2, first, second)
    return first, second


@given(scheme, st.integers(0, 30), st.integers(0, 2**32))
def test_children_are_allowed_repeatable_and_leave_their_parents_alone(
    mixed: GeneSpace, crossover: Crossover, count: int, seed: int
) -> None:
    first, second = parents(mixed, count, seed)
    kept = first.copy(), second.copy()
    children = crossover.cross(first, second, mixed, generator(seed))
    assert children.shape == (count, mixed.size)
    assert np.all((children >= mixed.low) & (children <= mixed.high))
    np.testing.assert_array_equal(children, mixed.clip(children))
    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(second, kept[1])
    assert not np.shares_memory(children, first)
    assert not np.shares_memory(children, second)
    np.testing.assert_array_equal(children, crossover.cross(first, second, mixed, generator(seed)))


@given(scheme, st.integers(1, 20), st.integers(0, 2**32))
def test_equal_parents_have_that_child(mixed: GeneSpace, crossover: Crossover, count: int, seed: int) -> None:
    same = mixed.sample(count, generator(seed))
    np.testing.assert_allclose(crossover.cross(same, same, mixed, generator(seed)), same, rtol=0, atol=1e-12)


@given(scheme, st.integers(0, 2**32))
def test_choice_genes_come_whole_from_a_parent(choices: GeneSpace, crossover: Crossover, seed: int) -> None:
    first, second = parents(choices, 20, seed)
    children = crossover.cross(first, second, choices, generator(seed))
    assert np.all((children == first) | (children == second))


@pytest.mark.parametrize("crossover", [Uniform(), Blend(), SimulatedBinary()], ids=repr)
def test_choice_genes_come_from_both_parents_alike(choices: GeneSpace, crossover: Crossover) -> None:
    first, second = np.zeros((5000, 6)), np.full((5000, 6), 4.0)
    children = crossover.cross(first, second, choices, generator(1))
    np.testing.assert_allclose((children == 4.0).mean(axis=0), 0.5, atol=0.03)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.25, 0.25)])
def test_uniform_swaps_at_its_rate(mixed: GeneSpace, rate: float, expected: float) -> None:
    first, second = np.tile(mixed.low, (4000, 1)), np.tile(mixed.high, (4000, 1))
    children = Uniform(swap_rate=rate).cross(first, second, mixed, generator(2))
    free = mixed.high > mixed.low
    np.testing.assert_allclose((children == second)[:, free].mean(axis=0), expected, atol=0.03)


def test_blend_covers_the_widened_interval_evenly(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(2)
    first, second = np.full((20_000, 2), -1.0), np.full((20_000, 2), 1.0)
    children = Blend(alpha=0.5).cross(first, second, space, generator(3))
    assert children.min() == pytest.approx(-2.0, abs=0.01)
    assert children.max() == pytest.approx(2.0, abs=0.01)
    assert children.std() == pytest.approx(4.0 / np.sqrt(12.0), rel=0.02)


def test_blend_of_no_width_stays_between_its_parents(mixed: GeneSpace) -> None:
    first, second = parents(mixed, 500, 4)
    children = Blend(alpha=0.0).cross(first, second, mixed, generator(4))
    assert np.all((children >= np.minimum(first, second)) & (children <= np.maximum(first, second)))


@pytest.mark.parametrize("eta", [0.0, 2.0, 15.0])
@pytest.mark.parametrize("gene_rate", [0.5, 1.0])
def test_sbx_preserves_column_means(mixed: GeneSpace, eta: float, gene_rate: float) -> None:
    first, second = parents(mixed, 40_000, 5)
    children = SimulatedBinary(eta=eta, gene_rate=gene_rate).cross(first, second, mixed, generator(55))
    middle = (first + second) / 2.0
    width = np.where(mixed.high > mixed.low, mixed.high - mixed.low, 1.0)
    numeric = np.array([0, 1, 2, 3, 5])
    np.testing.assert_allclose(((children - middle) / width).mean(axis=0)[numeric], 0.0, atol=0.01)


def test_sbx_spread_follows_deb_and_agrawal(reals: Callable[[int], GeneSpace]) -> None:
    """Far from the bounds the spread factor has density (eta + 1)/2 * beta^eta below 1 and beta^-(eta + 2) above."""
    eta = 4.0
    space = reals(1)
    first, second = np.full((60_000, 1), -0.01), np.full((60_000, 1), 0.01)
    children = SimulatedBinary(eta=eta, gene_rate=1.0).cross(first, second, space, generator(6))
    beta = np.abs(children) / 0.01
    for at in (0.5, 0.8, 1.0, 1.25, 2.0):
        cumulative = 0.5 * at ** (eta + 1) if at <= 1.0 else 1.0 - 0.5 * at ** -(eta + 1)
        assert np.mean(beta <= at) == pytest.approx(cumulative, abs=0.008)


def test_sbx_children_are_symmetric_about_their_parents_middle(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(1)
    first, second = np.full((40_000, 1), 1.0), np.full((40_000, 1), 4.5)
    children = SimulatedBinary(eta=1.0, gene_rate=1.0).cross(first, second, space, generator(7))
    deviation = children - 2.75
    quantiles = np.quantile(deviation, [0.01, 0.1, 0.3, 0.7, 0.9, 0.99])
    np.testing.assert_allclose(quantiles, -quantiles[::-1], atol=0.05)
    assert np.abs(deviation).max() <= 5.0 - 2.75
    assert np.abs(deviation).max() > 2.2


def test_sbx_keeps_genes_it_does_not_spread(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(8)
    first, second = np.full((500, 8), -1.0), np.full((500, 8), 2.0)
    children = SimulatedBinary(gene_rate=0.0).cross(first, second, space, generator(8))
    assert set(np.unique(children)) == {-1.0, 2.0}


@pytest.mark.parametrize("crossover", SCHEMES, ids=repr)
def test_arrays_of_the_wrong_shape_are_refused(mixed: GeneSpace, crossover: Crossover) -> None:
    good = mixed.sample(3, generator(1))
    with pytest.raises(ValidationError, match=r"shape \(M, 7\)"):
        crossover.cross(good, good[:2], mixed, generator(1))
    with pytest.raises(ValidationError, match=r"shape \(M, 7\)"):
        crossover.cross(good[:, :3], good[:, :3], mixed, generator(1))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Uniform(swap_rate=-0.1),
        lambda: Uniform(swap_rate=1.1),
        lambda: Blend(alpha=-0.01),
        lambda: Blend(alpha=float("inf")),
        lambda: SimulatedBinary(eta=-1.0),
        lambda: SimulatedBinary(gene_rate=1.5),
    ],
)
def test_impossible_parameters_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="must be a number in"):
        build()


def test_real_genes_are_really_blended(mixed: GeneSpace) -> None:
    first, second = parents(mixed, 200, 9)
    free = (mixed.kind == REAL) & (mixed.high > mixed.low)
    for crossover in (Blend(), SimulatedBinary()):
        children = crossover.cross(first, second, mixed, generator(9))
        assert np.mean(((children != first) & (children != second))[:, free]) > 0.2
