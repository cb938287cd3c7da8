"""Seed genomes: how many enter, in which order, and how ancestry leads back to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.genes import FloatArray, GeneSpace
from treasury_arena.contracts.operators import Mutation
from treasury_arena.errors import ValidationError
from treasury_arena.evolution.breeding import joined
from treasury_arena.evolution.search import OperatorSet, SearchSettings, search

Streams = Callable[[int], Callable[[str, int], np.random.Generator]]
Objective = Callable[[FloatArray], FloatArray]


class Still(Mutation):
    name = "still"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return genomes.copy()


@pytest.mark.parametrize(
    ("share", "given", "used", "size"),
    [(0.5, 3, 3, 10), (0.5, 10, 5, 10), (0.0, 3, 0, 10), (1.0, 30, 10, 10), (0.19, 9, 1, 10), (0.29, 99, 29, 100)],
)
def test_the_first_seeds_enter_up_to_their_share(
    space: GeneSpace,
    team: OperatorSet,
    streams: Streams,
    counted: Any,
    sphere: Objective,
    share: float,
    given: int,
    used: int,
    size: int,
) -> None:
    seeds = space.sample(given, streams(99)("seeds", 0))
    evaluate = counted(sphere)
    search(space, evaluate, SearchSettings(population=size, generations=1, seeds_share=share), team, streams(1), seeds)
    first = evaluate.calls[0]
    np.testing.assert_array_equal(first[:used], seeds[:used])
    assert not (first[used:, None] == seeds[None]).all(axis=2).any()


def test_founders_lead_back_to_the_seeds_through_both_parents(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    """Each real gene's fraction tells the seed it came from, as nothing mutates."""
    seeds = np.tile(space.default, (4, 1))
    seeds[:, :3] = np.arange(4)[:, None] + np.array([0.125, 0.25, 0.5])
    settings = SearchSettings(population=4, generations=2, seeds_share=1.0, crossover_rate=1.0, elites=0)
    found = search(
        space, counted(sphere), settings, OperatorSet(team.selection, team.crossover, Still()), streams(3), seeds
    )
    crossed = 0
    for genome, founders in zip(found.genomes, found.founders, strict=True):
        origin = set(np.floor(genome[:3]).astype(int).tolist())
        assert origin <= set(founders.tolist())
        crossed += len(origin) == 2
    assert crossed > 0


def test_a_seed_and_its_mutants_have_one_founder(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    seeds = space.sample(8, streams(5)("seeds", 0))
    settings = SearchSettings(population=8, generations=3, seeds_share=1.0, crossover_rate=0.0, restart_after=0)
    found = search(space, counted(sphere), settings, team, streams(4), seeds)
    assert np.all((found.founders[:, 0] >= 0) & (found.founders[:, 0] < 8))
    np.testing.assert_array_equal(found.founders[:, 1], -1)


def test_without_seeds_nobody_has_a_founder(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    found = search(space, counted(sphere), SearchSettings(), team, streams(5))
    np.testing.assert_array_equal(found.founders, -1)
    assert found.founders.dtype == np.int64


@pytest.mark.parametrize(
    ("first", "second", "child"),
    [
        ((-1, -1), (-1, -1), (-1, -1)),
        ((3, -1), (-1, -1), (3, -1)),
        ((-1, -1), (3, -1), (-1, 3)),
        ((3, -1), (5, -1), (3, 5)),
        ((3, -1), (3, -1), (3, 3)),
        ((3, 4), (3, 5), (3, 5)),
        ((-1, 4), (2, 4), (4, 2)),
        ((4, 1), (-1, 4), (4, 4)),
    ],
)
def test_ancestry_of_a_child_of_two(first: tuple[int, int], second: tuple[int, int], child: tuple[int, int]) -> None:
    assert tuple(joined(np.array([first]), np.array([second]))[0]) == child


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((1, 0, np.nan), r"seed genome 1: gene 'a' is nan, expected a number in \[-5, 5\]"),
        ((2, 1, 5.01), "seed genome 2: gene 'b' is 5.01"),
        ((0, 3, 1.5), r"seed genome 0: gene 'whole' is 1.5, expected a whole number in \[-10, 10\]"),
        ((0, 4, 5.0), r"gene 'pick' is 5.0, expected a whole number in \[0, 4\]"),
    ],
)
def test_seeds_outside_the_space_are_refused(
    space: GeneSpace,
    team: OperatorSet,
    streams: Streams,
    counted: Any,
    sphere: Objective,
    change: tuple[int, int, float],
    message: str,
) -> None:
    seeds = np.tile(space.default, (3, 1))
    row, gene, value = change
    seeds[row, gene] = value
    with pytest.raises(ValidationError, match=message):
        search(space, counted(sphere), SearchSettings(), team, streams(6), seeds)


def test_seeds_of_the_wrong_shape_are_refused(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Objective
) -> None:
    with pytest.raises(ValidationError, match=r"shape \(S, 5\), not \(5,\)"):
        search(space, counted(sphere), SearchSettings(), team, streams(6), space.default)
