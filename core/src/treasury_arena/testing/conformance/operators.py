"""What every genetic operator must do: stay in the space, leave its arguments alone, repeat itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pytest

from treasury_arena.contracts.genes import CHOICE, INTEGER, REAL, FloatArray, GeneSpace
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.randomness import stream


def mixed_space() -> GeneSpace:
    """Real, integer and choice genes, one of them without room to move."""
    return GeneSpace(
        names=("r", "z", "n", "c", "fixed"),
        kind=np.array([REAL, REAL, INTEGER, CHOICE, REAL]),
        low=np.array([-2.0, 0.0, 1.0, 0.0, 3.0]),
        high=np.array([5.0, 1.0, 9.0, 3.0, 3.0]),
        default=np.array([0.0, 0.5, 4.0, 1.0, 3.0]),
        scale=np.array([0.1, 0.1, 0.1, 0.0, 0.1]),
        choices={"c": (6.0, 12.0, 24.0, 48.0)},
        units=dict.fromkeys(("r", "z", "n", "c", "fixed"), ""),
    )


class OperatorConformance(ABC):
    """Laws common to all genetic operators; use the three suites below. Subclasses define the fixture ``operator``."""

    space = mixed_space()

    @pytest.fixture
    def operator(self) -> Any:
        """What to test."""
        raise NotImplementedError("define the fixture `operator` in your subclass")

    @abstractmethod
    def apply(self, operator: Any, seed: int, count: int) -> Any:
        """Use the operator on `count` sampled genomes with a generator of this seed."""

    def genomes(self, count: int, seed: int = 0) -> FloatArray:
        """Sampled genomes, shape (count, genes)."""
        return self.space.sample(count, stream(seed, 0, "conformance/operators"))

    def in_space(self, genomes: FloatArray) -> bool:
        """Inside the bounds, integer and choice genes whole."""
        whole = self.space.kind != REAL
        inside = (genomes >= self.space.low) & (genomes <= self.space.high)
        return bool(inside.all() and (genomes[:, whole] == np.rint(genomes[:, whole])).all())

    def test_it_is_named(self, operator: Any) -> None:
        assert operator.name

    def test_the_same_generator_gives_the_same_result(self, operator: Any) -> None:
        assert np.array_equal(self.apply(operator, 1, 64), self.apply(operator, 1, 64))

    @pytest.mark.parametrize("count", [1, 2, 3, 33])
    def test_any_number_of_genomes(self, operator: Any, count: int) -> None:
        assert len(self.apply(operator, 2, count)) == count


class SelectionConformance(OperatorConformance):
    """Laws of a selection."""

    def apply(self, operator: Selection, seed: int, count: int) -> Any:
        scores = stream(seed, 1, "conformance/scores").standard_normal(count)
        return operator.select(scores, count, stream(seed, 2, "conformance/select"))

    @pytest.mark.parametrize("shift", [0.0, -1e6])
    def test_indices_are_valid_and_the_better_are_preferred(self, operator: Selection, shift: float) -> None:
        scores = np.linspace(-1.0, 1.0, 40) + shift
        chosen = operator.select(scores, 400, stream(3, 0, "conformance/select"))
        assert chosen.shape == (400,)
        assert ((chosen >= 0) & (chosen < 40)).all()
        assert scores[chosen].mean() >= scores.mean()

    def test_failed_genomes_are_not_preferred(self, operator: Selection) -> None:
        scores = np.array([-np.inf, 0.0, 1.0, 2.0])
        chosen = operator.select(scores, 200, stream(4, 0, "conformance/select"))
        assert np.mean(chosen == 0) < 0.25

    @pytest.mark.parametrize("score", [0.0, -7.0, -np.inf])
    def test_equal_scores_are_no_error(self, operator: Selection, score: float) -> None:
        assert operator.select(np.full(5, score), 7, stream(5, 0, "conformance/select")).shape == (7,)

    def test_scores_stay_as_they_are(self, operator: Selection) -> None:
        scores = np.arange(9.0)
        operator.select(scores, 4, stream(6, 0, "conformance/select"))
        assert np.array_equal(scores, np.arange(9.0))


class CrossoverConformance(OperatorConformance):
    """Laws of a crossover."""

    def apply(self, operator: Crossover, seed: int, count: int) -> Any:
        first, second = self.genomes(count, seed), self.genomes(count, seed + 100)
        return operator.cross(first, second, self.space, stream(seed, 3, "conformance/cross"))

    def test_children_lie_in_the_space(self, operator: Crossover) -> None:
        assert self.in_space(self.apply(operator, 1, 500))

    def test_children_of_twins_are_the_twins(self, operator: Crossover) -> None:
        parents = self.genomes(50)
        children = operator.cross(parents, parents.copy(), self.space, stream(2, 0, "conformance/cross"))
        assert np.allclose(children, parents, rtol=0.0, atol=1e-12)

    def test_parents_stay_as_they_are(self, operator: Crossover) -> None:
        first, second = self.genomes(20, 1), self.genomes(20, 2)
        operator.cross(first, second, self.space, stream(3, 0, "conformance/cross"))
        assert np.array_equal(first, self.genomes(20, 1))
        assert np.array_equal(second, self.genomes(20, 2))


class MutationConformance(OperatorConformance):
    """Laws of a mutation."""

    def apply(self, operator: Mutation, seed: int, count: int) -> Any:
        return operator.mutate(self.genomes(count, seed), self.space, stream(seed, 4, "conformance/mutate"))

    def test_mutants_lie_in_the_space(self, operator: Mutation) -> None:
        assert self.in_space(self.apply(operator, 1, 500))

    def test_genomes_at_the_bounds_stay_inside(self, operator: Mutation) -> None:
        edges = np.concatenate([np.tile(self.space.low, (100, 1)), np.tile(self.space.high, (100, 1))])
        assert self.in_space(operator.mutate(edges, self.space, stream(2, 0, "conformance/mutate")))

    def test_something_changes_and_a_gene_without_room_does_not(self, operator: Mutation) -> None:
        before = self.genomes(200)
        after = operator.mutate(before, self.space, stream(3, 0, "conformance/mutate"))
        assert (after != before).any()
        assert np.array_equal(after[:, 4], before[:, 4])

    def test_genomes_stay_as_they_are(self, operator: Mutation) -> None:
        before = self.genomes(20)
        operator.mutate(before, self.space, stream(4, 0, "conformance/mutate"))
        assert np.array_equal(before, self.genomes(20))
