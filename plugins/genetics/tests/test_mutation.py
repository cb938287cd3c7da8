"""What a mutation promises: a changed copy inside the bounds, whole where needed, at the stated rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.genes import CHOICE, INTEGER, REAL, GeneSpace
from treasury_arena.contracts.operators import Mutation
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_genetics.mutation import Gaussian, Owner, Polynomial, Reset

SCHEMES = [
    Gaussian(),
    Gaussian(rate=1.0, strength=50.0),
    Gaussian(rate=1.0, strength=1e-9),
    Polynomial(),
    Polynomial(rate=1.0, eta=0.0),
    Owner(),
    Owner(rate=0.3, reset_rate=0.0),
    Owner(spread=1.0, reset_rate=1.0),
    Reset(),
    Reset(rate=1.0),
]
scheme = st.sampled_from(SCHEMES)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64DXSM(seed))


def population(space: GeneSpace, count: int, seed: int) -> np.ndarray:
    """Random genomes with many genes exactly at their bounds."""
    rng = generator(seed)
    genomes = space.sample(count, rng)
    genomes = np.where(rng.random(genomes.shape) < 0.15, space.low, genomes)
    return np.where(rng.random(genomes.shape) < 0.15, space.high, genomes)


@given(scheme, st.integers(0, 30), st.integers(0, 2**32))
def test_mutants_are_allowed_repeatable_and_copies(mixed: GeneSpace, mutation: Mutation, count: int, seed: int) -> None:
    genomes = population(mixed, count, seed)
    kept = genomes.copy()
    mutants = mutation.mutate(genomes, mixed, generator(seed))
    assert mutants.shape == genomes.shape
    assert np.all((mutants >= mixed.low) & (mutants <= mixed.high))
    np.testing.assert_array_equal(mutants, mixed.clip(mutants))
    np.testing.assert_array_equal(genomes, kept)
    assert not np.shares_memory(mutants, genomes)
    np.testing.assert_array_equal(mutants, mutation.mutate(genomes, mixed, generator(seed)))


@pytest.mark.parametrize("mutation", SCHEMES, ids=repr)
def test_views_and_read_only_arrays_are_taken(mixed: GeneSpace, mutation: Mutation) -> None:
    genomes = np.asfortranarray(population(mixed, 40, 1))[::2]
    genomes.flags.writeable = False
    expected = mutation.mutate(np.ascontiguousarray(genomes), mixed, generator(1))
    np.testing.assert_array_equal(mutation.mutate(genomes, mixed, generator(1)), expected)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0, None])
@pytest.mark.parametrize("build", [Gaussian, Polynomial])
def test_genes_of_every_kind_move_at_the_rate(
    mixed: GeneSpace, build: Callable[..., Mutation], rate: float | None
) -> None:
    genomes = population(mixed, 4000, 2)
    moved = (build(rate=rate).mutate(genomes, mixed, generator(2)) != genomes).mean(axis=0)
    free = mixed.high > mixed.low
    expected = 1.0 / mixed.size if rate is None else rate
    np.testing.assert_array_less(moved[free], expected + 0.04)
    whole = free & (mixed.kind != REAL)
    np.testing.assert_allclose(moved[whole], expected, atol=0.04)
    np.testing.assert_array_equal(moved[~free], 0.0)


@pytest.mark.parametrize("build", [Gaussian, Polynomial])
def test_a_choice_goes_to_a_neighbour_or_anywhere_else(choices: GeneSpace, build: Callable[..., Mutation]) -> None:
    genomes = np.full((5000, 6), 2.0)
    mutants = build(rate=1.0).mutate(genomes, choices, generator(3))
    share = np.bincount(mutants.astype(int).ravel(), minlength=5) / mutants.size
    np.testing.assert_allclose(share, [0.125, 0.375, 0.0, 0.375, 0.125], atol=0.015)
    at_end = build(rate=1.0).mutate(np.zeros((5000, 6)), choices, generator(3))
    share = np.bincount(at_end.astype(int).ravel(), minlength=5) / at_end.size
    np.testing.assert_allclose(share, [0.0, 0.625, 0.125, 0.125, 0.125], atol=0.015)


def test_gaussian_steps_have_the_declared_scale(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(4)
    genomes = np.zeros((20_000, 4))
    for strength, deviation in ((1.0, 1.0), (0.5, 0.5)):
        mutants = Gaussian(rate=1.0, strength=strength).mutate(genomes, space, generator(4))
        np.testing.assert_allclose(mutants.std(axis=0), deviation, rtol=0.03)
        np.testing.assert_allclose(mutants.mean(axis=0), 0.0, atol=0.03)


def test_polynomial_steps_follow_the_distribution(reals: Callable[[int], GeneSpace]) -> None:
    """In the middle of the range the chance of a step beyond d of the range, cut at one half, is known in closed form."""
    space, eta = reals(1), 5.0
    steps = Polynomial(rate=1.0, eta=eta).mutate(np.zeros((60_000, 1)), space, generator(5)) / 10.0
    edge = 0.5 ** (eta + 1.0)
    for d in (0.02, 0.1, 0.25):
        beyond = ((1.0 - d) ** (eta + 1.0) - edge) / (1.0 - edge)
        assert np.mean(np.abs(steps) > d) == pytest.approx(beyond, abs=0.008)
    assert steps.mean() == pytest.approx(0.0, abs=0.003)


def test_a_larger_index_means_smaller_polynomial_steps(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(3)
    start = population(space, 3000, 6)
    size = [
        np.abs(Polynomial(rate=1.0, eta=eta).mutate(start, space, generator(6)) - start).mean()
        for eta in (1.0, 5.0, 40.0)
    ]
    assert size[0] > size[1] > size[2] > 0.0


@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.2, 0.5]))
def test_owner_multiplies_numeric_genes_within_the_spread(mixed: GeneSpace, seed: int, spread: float) -> None:
    genomes = population(mixed, 50, seed)
    mutants = Owner(spread=spread, reset_rate=0.0).mutate(genomes, mixed, generator(seed))
    slack = np.where(mixed.kind == INTEGER, 0.5, 1e-12)
    assert np.all(np.abs(mutants - genomes) <= spread * np.abs(genomes) + slack)
    np.testing.assert_array_equal(mutants[:, mixed.kind == CHOICE], genomes[:, mixed.kind == CHOICE])


def test_owner_moves_every_real_gene_by_up_to_a_fifth(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(2)
    mutants = Owner(reset_rate=0.0).mutate(np.full((20_000, 2), -2.0), space, generator(7))
    assert mutants.min() == pytest.approx(-2.4, abs=0.001)
    assert mutants.max() == pytest.approx(-1.6, abs=0.001)
    assert mutants.mean() == pytest.approx(-2.0, abs=0.005)


def test_owner_needs_resets_to_leave_a_zero_or_a_choice(mixed: GeneSpace) -> None:
    zeros = np.zeros((4000, mixed.size))
    genomes = np.clip(zeros, mixed.low, mixed.high)
    stuck = Owner(reset_rate=0.0).mutate(genomes, mixed, generator(8))
    at_zero = np.flatnonzero(genomes[0] == 0.0)
    np.testing.assert_array_equal(stuck[:, at_zero], 0.0)
    freed = (Owner(reset_rate=0.02).mutate(genomes, mixed, generator(8)) != genomes).mean(axis=0)
    for gene in at_zero[(mixed.high > mixed.low)[at_zero]]:
        assert 0.005 < freed[gene] < 0.03


def test_owner_rate_limits_how_many_genes_move(reals: Callable[[int], GeneSpace]) -> None:
    space = reals(3)
    start = np.ones((5000, 3))
    moved = Owner(rate=0.25, reset_rate=0.0).mutate(start, space, generator(9)) != start
    assert moved.mean() == pytest.approx(0.25, abs=0.02)


def test_reset_is_uniform_over_the_whole_range(mixed: GeneSpace, choices: GeneSpace) -> None:
    drawn = Reset(rate=1.0).mutate(np.zeros((20_000, 6)), choices, generator(10))
    share = np.bincount(drawn.astype(int).ravel(), minlength=5) / drawn.size
    np.testing.assert_allclose(share, 0.2, atol=0.01)
    start = np.tile(mixed.default, (20_000, 1))
    drawn = Reset(rate=1.0).mutate(start, mixed, generator(10))
    np.testing.assert_allclose(drawn[:, 0].mean(), 0.5, atol=0.05)
    assert set(np.unique(drawn[:, 3])) == {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0}
    np.testing.assert_array_equal(drawn[:, 5], 0.5)


@pytest.mark.parametrize("build", [Gaussian, Polynomial])
def test_an_integer_gene_moves_at_least_one_step(mixed: GeneSpace, build: Callable[..., Mutation]) -> None:
    genomes = population(mixed, 2000, 11)
    mutants = build(rate=1.0).mutate(genomes, mixed, generator(11))
    assert np.all(mutants[:, mixed.kind == INTEGER] != genomes[:, mixed.kind == INTEGER])


@pytest.mark.parametrize("mutation", SCHEMES, ids=repr)
def test_arrays_of_the_wrong_shape_are_refused(mixed: GeneSpace, mutation: Mutation) -> None:
    with pytest.raises(ValidationError, match=r"shape \(M, 7\), not \(3, 2\)"):
        mutation.mutate(np.zeros((3, 2)), mixed, generator(1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gaussian(rate=1.01), "'gaussian': rate must be"),
        (lambda: Gaussian(strength=0.0), r"strength must be a number in \(0, infinity\), not 0.0"),
        (lambda: Polynomial(eta=-0.1), r"eta must be a number in \[0, infinity\)"),
        (lambda: Polynomial(rate=float("nan")), "rate must be"),
        (lambda: Owner(spread=1.1), "spread must be"),
        (lambda: Owner(reset_rate=-0.1), "reset_rate must be"),
        (lambda: Reset(rate="often"), "rate must be"),
    ],
)
def test_impossible_parameters_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()
