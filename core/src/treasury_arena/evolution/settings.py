"""What a search is told, and what it tells."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.genes import FloatArray, IntArray
from treasury_arena.contracts.operators import Crossover, Mutation, Selection
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.evolution.trials import TrialStats

Streams = Callable[[str, int], np.random.Generator]
"""(purpose, index) -> the random generator of that address."""


def _whole(low: int) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ConfigError(f"search: {attribute.name} must be a whole number of at least {low}, not {value!r}")

    return check


def _share(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0.0 <= value <= 1.0:
        raise ConfigError(f"search: {attribute.name} must be a number in [0, 1], not {value!r}")


@attrs.frozen
class SearchSettings:
    """Size and habits of a search.

    Attributes:
        population: genomes alive in a generation, N.
        generations: generations evaluated, the first population included.
        elites: best distinct genomes that live on unchanged (and are not evaluated again); at most N - 1 are kept.
        crossover_rate: share of the children that have two parents; the others are mutated copies of one.
        restart_after: generations in a row without a better best after which the population is redrawn; 0 for never.
        restart_fraction: share of the places other than the elites' that a restart redraws; the rest is bred.
        seeds_share: largest share of the first population taken by seed genomes.
        archive: how many of the best distinct genomes the result holds; at least `elites`.
    """

    population: int = attrs.field(default=64, validator=_whole(1))
    generations: int = attrs.field(default=8, validator=_whole(1))
    elites: int = attrs.field(default=2, validator=_whole(0))
    crossover_rate: float = attrs.field(default=0.9, validator=_share)
    restart_after: int = attrs.field(default=4, validator=_whole(0))
    restart_fraction: float = attrs.field(default=1.0, validator=_share)
    seeds_share: float = attrs.field(default=0.5, validator=_share)
    archive: int = attrs.field(default=64, validator=_whole(1))

    def __attrs_post_init__(self) -> None:
        if self.archive < self.elites:
            raise ConfigError(f"search: archive ({self.archive}) must be at least elites ({self.elites})")


@attrs.frozen
class OperatorSet:
    """The three operators of a search."""

    selection: Selection
    crossover: Crossover
    mutation: Mutation


@attrs.frozen(eq=False)
class Evaluation:
    """What is known of N genomes after scoring them.

    Attributes:
        scores: (N,), higher is better; finite, but -inf or anything at all where `failed`.
        sharpes: (N,) Sharpe ratio per day (not annualised) of each; anything at all where `failed`.
        failed: (N,) True for a genome that raised or returned non-finite values: its score counts as -inf.
    """

    scores: FloatArray
    sharpes: FloatArray
    failed: NDArray[np.bool_]

    def checked(self, count: int) -> tuple[FloatArray, FloatArray]:
        """Return (scores with -inf for failed genomes, Sharpes of the others).

        Raises:
            ValidationError: a wrong shape, or a score or Sharpe that is not finite although its genome has not failed.
        """
        for name, array in (("scores", self.scores), ("sharpes", self.sharpes), ("failed", self.failed)):
            if array.shape != (count,):
                raise ValidationError(
                    f"evaluation of {count} genomes: {name} must have shape ({count},), not {array.shape}"
                )
        for name, array in (("score", self.scores), ("Sharpe", self.sharpes)):
            wrong = ~(np.isfinite(array) | self.failed)
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ValidationError(
                    f"evaluation: the {name} of genome {at} is {array[at]}; expected a finite number, or the genome marked failed"
                )
        return np.where(self.failed, -np.inf, self.scores), self.sharpes[~self.failed]


@attrs.frozen(eq=False)
class GenerationStats:
    """One generation, elites included; genomes that failed are left out of `best` and `median`.

    Attributes:
        generation: counted from 0.
        best, median: scores; -inf when every genome has failed.
        diversity: see `treasury_arena.evolution.diversity`.
        restarts: restarts so far in this search.
    """

    generation: int
    best: float
    median: float
    diversity: float
    restarts: int


@attrs.frozen(eq=False)
class SearchResult:
    """The best distinct genomes of all generations and restarts, and the account of the search.

    Attributes:
        genomes: (M, genes), M <= `SearchSettings.archive`, best first, equal scores in lexicographic order. Empty when every
            genome failed.
        scores: (M,).
        founders: (M, 2) indices into the seed genomes, or -1: the seed through the first parent and the one through the
            second. A seed itself and its mutated copies have (seed, -1). Where the second parent descends from two seeds, the
            one that differs from the first parent's is told.
        generations: one entry per generation.
        trials: genomes evaluated, every one of every generation and restart.
        trial_sharpes: statistics of the Sharpes per day of all trials that did not fail.
    """

    genomes: FloatArray
    scores: FloatArray
    founders: IntArray
    generations: list[GenerationStats]
    trials: int
    trial_sharpes: TrialStats
