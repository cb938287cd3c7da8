"""Selection: which individuals become parents.

All schemes look at ranks alone, so any monotone change of the scores (all negative, hugely scaled) selects the same.
Ranks are unique: of equal scores the lower index ranks higher. An individual with a score of -inf has failed; it is
selected only where every individual has failed, and then all are alike.
"""

from __future__ import annotations

import math

import attrs
import numpy as np

from treasury_arena.contracts.genes import FloatArray
from treasury_arena.contracts.operators import Indices, Selection
from treasury_arena.errors import ValidationError
from treasury_arena_genetics.fields import whole, within


def ranking(scores: FloatArray) -> Indices:
    """Indices of the eligible individuals, best first.

    Args:
        scores: (N,), higher is better, -inf for a failed individual.

    Returns:
        (A,) indices of the A individuals that have not failed, or of all N if every one has.

    Raises:
        ValidationError: nobody to choose from, a NaN or a +inf.
    """
    if scores.ndim != 1 or scores.size == 0:
        raise ValidationError(f"selection needs at least one score in a flat array, not shape {scores.shape}")
    wrong = np.isnan(scores) | (scores == np.inf)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValidationError(f"score {at} is {scores[at]}; a score is finite, or -inf for a failed genome")
    order = np.argsort(-scores, kind="stable").astype(np.int64, copy=False)
    alive = int(np.count_nonzero(scores != -np.inf))
    return order[:alive] if alive else order


@attrs.frozen
class Tournament(Selection):
    """The best of `size` individuals drawn with replacement; parents are independent of each other.

    The best of A individuals is expected ``count * (1 - (1 - 1/A)^size)`` times among `count` parents, about
    ``size`` times among A (Goldberg and Deb 1991, "A comparative analysis of selection schemes used in genetic
    algorithms", FOGA 1).

    Attributes:
        size: individuals in each tournament; 1 is selection at random.
    """

    size: int = attrs.field(default=3, validator=whole(1))
    name = "tournament"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        order = ranking(scores)
        winners: Indices = rng.integers(order.size, size=(self.size, count)).min(axis=0)
        return order[winners]


@attrs.frozen
class Rank(Selection):
    """Linear ranking with stochastic universal sampling, in random order.

    The best is expected ``pressure`` times, the worst ``2 - pressure`` times among as many parents as individuals
    (Baker 1985, "Adaptive selection methods for genetic algorithms", ICGA 1); each is chosen its expected number of
    times rounded up or down (Baker 1987, "Reducing bias and inefficiency in the selection algorithm", ICGA 2).

    Attributes:
        pressure: expected copies of the best, 1 (none is preferred) to 2 (the worst is never chosen).
    """

    pressure: float = attrs.field(default=1.7, validator=within(1.0, 2.0))
    name = "rank"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        order = ranking(scores)
        n = order.size
        depth = np.arange(n) / max(n - 1, 1)
        weight = self.pressure - (2.0 * self.pressure - 2.0) * depth
        edges = np.cumsum(weight)
        pointers = (np.arange(count) + rng.random()) * (edges[-1] / max(count, 1))
        chosen: Indices = np.minimum(np.searchsorted(edges, pointers, side="right"), n - 1)
        rng.shuffle(chosen)
        return order[chosen]


@attrs.frozen
class Truncation(Selection):
    """Any of the best `share` with equal chance (Mühlenbein and Schlierkamp-Voosen 1993, breeder genetic algorithm).

    Attributes:
        share: part of the individuals that have not failed, rounded up, at least one.
    """

    share: float = attrs.field(default=0.5, validator=within(0.0, 1.0, above=True))
    name = "truncation"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        order = ranking(scores)
        exact = self.share * order.size - 1e-9  # 0.07 of 100 are 7, not the 7.000000000000001 of floats
        best = max(1, math.ceil(exact))
        return order[rng.integers(best, size=count)]


@attrs.frozen
class Elitist(Selection):
    """The best `elites` each exactly once and first, the remaining places by tournament.

    So the best take part in breeding in every generation, whatever the tournaments draw. This makes them parents; that
    they also survive unchanged is the business of the search's own `elites`.

    Attributes:
        elites: how many of the best are certain; fewer if fewer are asked for or eligible.
        size: individuals in each tournament for the other places.
    """

    elites: int = attrs.field(default=2, validator=whole(0))
    size: int = attrs.field(default=3, validator=whole(1))
    name = "elitist"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        order = ranking(scores)
        certain = min(self.elites, count, order.size)
        winners: Indices = rng.integers(order.size, size=(self.size, count - certain)).min(axis=0)
        return np.concatenate([order[:certain], order[winners]])
