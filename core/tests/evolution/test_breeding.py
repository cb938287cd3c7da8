"""An operator that breaks its contract is named, with the gene and the bounds, before its genomes are evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.genes import FloatArray, GeneSpace
from treasury_arena.contracts.operators import Crossover, Indices, Mutation, Selection
from treasury_arena.errors import PluginError
from treasury_arena.evolution.search import OperatorSet, SearchSettings, search

Streams = Callable[[int], Callable[[str, int], np.random.Generator]]


@attrs.frozen
class Picks(Selection):
    alter: Callable[[Indices], Indices]
    name = "picks"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        return self.alter(rng.integers(scores.size, size=count))


@attrs.frozen
class Crosses(Crossover):
    alter: Callable[[FloatArray], FloatArray]
    name = "crosses"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return self.alter(first.copy())


@attrs.frozen
class Mutates(Mutation):
    alter: Callable[[FloatArray], FloatArray]
    name = "mutates"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return self.alter(genomes.copy())


def setting(gene: int, value: float) -> Callable[[FloatArray], FloatArray]:
    def alter(genomes: FloatArray) -> FloatArray:
        genomes[-1, gene] = value
        return genomes

    return alter


GENOME_FAULTS: list[tuple[Callable[[FloatArray], FloatArray], str]] = [
    (setting(0, np.nan), r"returned nan for gene 'a', expected a number in \[-5, 5\]"),
    (setting(1, 5.0001), "returned 5.0001 for gene 'b'"),
    (setting(2, -5.0001), "returned -5.0001 for gene 'c'"),
    (setting(3, 2.5), r"returned 2.5 for gene 'whole', expected a whole number in \[-10, 10\]"),
    (setting(4, 5.0), "returned 5.0 for gene 'pick'"),
    (lambda genomes: genomes[1:], r"must return shape \(\d+, 5\), not"),
]


@pytest.mark.parametrize(("alter", "message"), GENOME_FAULTS)
@pytest.mark.parametrize("kind", ["crosses", "mutates"])
def test_genomes_outside_the_space_are_refused(
    space: GeneSpace,
    team: OperatorSet,
    streams: Streams,
    counted: Any,
    sphere: Callable[[FloatArray], FloatArray],
    kind: str,
    alter: Callable[[FloatArray], FloatArray],
    message: str,
) -> None:
    evaluate = counted(sphere)
    faulty = (
        attrs.evolve(team, crossover=Crosses(alter))
        if kind == "crosses"
        else attrs.evolve(team, mutation=Mutates(alter))
    )
    with pytest.raises(PluginError, match=f"'{kind}' {message}"):
        search(space, evaluate, SearchSettings(), faulty, streams(1))
    assert len(evaluate.calls) == 1


@pytest.mark.parametrize(
    "alter",
    [lambda chosen: chosen[1:], lambda chosen: chosen + 64, lambda chosen: chosen - 64],
    ids=["few", "high", "low"],
)
def test_indices_outside_the_population_are_refused(
    space: GeneSpace,
    team: OperatorSet,
    streams: Streams,
    counted: Any,
    sphere: Callable[[FloatArray], FloatArray],
    alter: Callable[[Indices], Indices],
) -> None:
    with pytest.raises(PluginError, match="selection 'picks' must return 124 indices below 64"):
        search(space, counted(sphere), SearchSettings(), attrs.evolve(team, selection=Picks(alter)), streams(1))


def test_operators_at_the_edge_of_what_is_allowed_are_taken(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Callable[[FloatArray], FloatArray]
) -> None:
    edge = attrs.evolve(team, mutation=Mutates(lambda genomes: np.broadcast_to(space.high, genomes.shape).copy()))
    found = search(space, counted(sphere), SearchSettings(generations=2, archive=200), edge, streams(1))
    assert (found.genomes == space.high).all(axis=1).any()


def test_indices_are_whole_numbers(
    space: GeneSpace, team: OperatorSet, streams: Streams, counted: Any, sphere: Callable[[FloatArray], FloatArray]
) -> None:
    for alter in (lambda chosen: chosen.astype(float), lambda chosen: chosen.astype(str)):
        with pytest.raises(PluginError, match="selection 'picks' must return whole numbers, indices, not "):
            search(space, counted(sphere), SearchSettings(), attrs.evolve(team, selection=Picks(alter)), streams(1))


@pytest.mark.parametrize("kind", ["crosses", "mutates"])
def test_genomes_are_numbers(
    space: GeneSpace,
    team: OperatorSet,
    streams: Streams,
    counted: Any,
    sphere: Callable[[FloatArray], FloatArray],
    kind: str,
) -> None:
    def alter(genomes: FloatArray) -> Any:
        return genomes.astype(str)

    faulty = (
        attrs.evolve(team, crossover=Crosses(alter))
        if kind == "crosses"
        else attrs.evolve(team, mutation=Mutates(alter))
    )
    with pytest.raises(PluginError, match=f"'{kind}' must return numbers, not <U"):
        search(space, counted(sphere), SearchSettings(), faulty, streams(1))
