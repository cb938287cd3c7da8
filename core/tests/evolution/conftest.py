"""A mixed space, plain operators and objective functions shared by the tests of the search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import pytest

from treasury_arena.contracts.genes import REAL, Choice, FloatArray, GeneSpace, Integer, Real
from treasury_arena.contracts.operators import Crossover, Indices, Mutation, Selection
from treasury_arena.evolution.search import Evaluation, OperatorSet
from treasury_arena.randomness import stream


class Mixed(NamedTuple):
    a: Annotated[float, Real(-5.0, 5.0)]
    b: Annotated[float, Real(-5.0, 5.0)]
    c: Annotated[float, Real(-5.0, 5.0)]
    whole: Annotated[float, Integer(-10, 10)]
    pick: Annotated[float, Choice((1.0, 2.0, 4.0, 8.0, 16.0))]


class Better(Selection):
    name = "better"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        rivals = rng.integers(scores.size, size=(3, count))
        return rivals[np.argmax(scores[rivals], axis=0), np.arange(count)]


class Mix(Crossover):
    name = "mix"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return np.where(rng.random(first.shape) < 0.5, first, second)


class Jitter(Mutation):
    name = "jitter"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        step = rng.standard_normal(genomes.shape) * 0.08 * (space.high - space.low)
        changed = np.where(space.kind == REAL, genomes + step, space.sample(genomes.shape[0], rng))
        return space.clip(np.where(rng.random(genomes.shape) < 0.25, changed, genomes))


class Counted:
    """An objective to be maximised that keeps every row it was asked about."""

    def __init__(self, objective: Callable[[FloatArray], FloatArray]) -> None:
        self.objective = objective
        self.calls: list[FloatArray] = []

    @property
    def rows(self) -> FloatArray:
        return np.concatenate(self.calls)

    def __call__(self, genomes: FloatArray) -> Evaluation:
        self.calls.append(genomes.copy())
        score = self.objective(genomes)
        return Evaluation(score, score / 100.0, np.zeros(score.size, dtype=np.bool_))


@pytest.fixture(scope="session")
def space() -> GeneSpace:
    return GeneSpace.of(Mixed)


@pytest.fixture(scope="session")
def team() -> OperatorSet:
    return OperatorSet(Better(), Mix(), Jitter())


@pytest.fixture(scope="session")
def streams() -> Callable[[int], Callable[[str, int], np.random.Generator]]:
    return lambda seed: lambda purpose, index: stream(seed, 0, purpose, index)


@pytest.fixture(scope="session")
def counted() -> type[Counted]:
    return Counted


@pytest.fixture(scope="session")
def sphere() -> Callable[[FloatArray], FloatArray]:
    """Best at 1 in every gene, where it is 0."""
    return lambda genomes: -((genomes - 1.0) ** 2).sum(axis=1)


@pytest.fixture(scope="session")
def rastrigin() -> Callable[[FloatArray], FloatArray]:
    """Many local optima; best at 0 in every gene, where it is 0."""
    return lambda genomes: -(genomes**2 - 10.0 * np.cos(2.0 * np.pi * genomes) + 10.0).sum(axis=1)
