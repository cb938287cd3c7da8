"""The search loops: evolution, and random search as its equal-evaluations baseline.

Both are pure: the same arguments give the same result, to the bit. Random numbers come from streams addressed by
(purpose, index): ``("first", 0)`` for the first population, ``("breed", g)`` for generation g, ``("restart", g)`` for
what a restart redraws, ``("random", batch)`` for random search.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from treasury_arena.contracts.genes import REAL, FloatArray, GeneSpace, IntArray
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.evolution.archive import Archive, Tried
from treasury_arena.evolution.breeding import breed
from treasury_arena.evolution.diversity import diversity
from treasury_arena.evolution.settings import (
    Evaluation,
    GenerationStats,
    OperatorSet,
    SearchResult,
    SearchSettings,
    Streams,
)
from treasury_arena.evolution.trials import TrialStats

__all__ = [
    "Evaluation",
    "GenerationStats",
    "OperatorSet",
    "SearchResult",
    "SearchSettings",
    "Streams",
    "TrialStats",
    "random_search",
    "search",
]

Evaluate = Callable[[FloatArray], Evaluation]


def search(
    space: GeneSpace,
    evaluate: Evaluate,
    settings: SearchSettings,
    operators: OperatorSet,
    rng: Streams,
    seeds: FloatArray | None = None,
) -> SearchResult:
    """Breed genomes for `settings.generations` generations and return the best ever met.

    Args:
        space: the genes.
        evaluate: (N, genes) -> `Evaluation`; must depend on nothing but its argument.
        settings: sizes and rates.
        operators: selection, crossover and mutation.
        rng: (purpose, index) -> random generator.
        seeds: (S, genes) genomes to start from, most wanted first; the first ``floor(seeds_share * population)`` are used.

    Raises:
        ValidationError: seeds outside the space, or an evaluation that is not finite.
    """
    run = _Account(space, evaluate, settings)
    genomes, founders = _first(space, settings, rng, seeds)
    scores = run.evaluated(genomes, founders)
    run.close_generation(genomes, scores)
    for generation in range(1, settings.generations):
        best = run.archive
        elites = min(settings.elites, settings.population - 1, best.scores.size)
        children = settings.population - elites
        redrawn = 0
        if settings.restart_after and run.stale >= settings.restart_after:
            redrawn = round(settings.restart_fraction * children)
            run.restarts += 1
            run.stale = 0
        fresh = space.sample(redrawn, rng("restart", generation)) if redrawn else np.empty((0, space.size))
        bred, ancestry = breed(
            genomes,
            scores,
            founders,
            children - redrawn,
            space,
            settings,
            operators,
            rng("breed", generation),
            run.tried,
        )
        new = np.concatenate([bred, fresh])
        new_founders = np.concatenate([ancestry, np.full((redrawn, 2), -1, dtype=np.int64)])
        new_scores = run.evaluated(new, new_founders)
        genomes = np.concatenate([best.genomes[:elites], new])
        founders = np.concatenate([best.founders[:elites], new_founders])
        scores = np.concatenate([best.scores[:elites], new_scores])
        run.close_generation(genomes, scores)
    return run.result()


def random_search(
    space: GeneSpace,
    evaluate: Evaluate,
    settings: SearchSettings,
    operators: OperatorSet,
    rng: Streams,
    seeds: FloatArray | None = None,
    *,
    evaluations: int,
) -> SearchResult:
    """Evaluate `evaluations` genomes without breeding: what evolution has to beat with the same number of trials.

    The first population is that of `search` with the same arguments, seeds included; every later batch of at most
    `settings.population` is a fresh uniform sample. `operators` are not used: both searches are called alike.

    Raises:
        ConfigError: `evaluations` is not positive.
        ValidationError: as for `search`.
    """
    if evaluations < 1:
        raise ConfigError(f"random search: evaluations must be at least 1, not {evaluations}")
    run = _Account(space, evaluate, settings)
    genomes, founders = _first(space, settings, rng, seeds)
    genomes, founders = genomes[:evaluations], founders[:evaluations]
    while True:
        scores = run.evaluated(genomes, founders)
        run.close_generation(genomes, scores)
        left = min(settings.population, evaluations - run.trials)
        if left <= 0:
            return run.result()
        genomes = space.sample(left, rng("random", len(run.generations))) + 0.0
        founders = np.full((left, 2), -1, dtype=np.int64)


class _Account:
    """What accumulates over a search: archive, trials, stagnation, restarts."""

    def __init__(self, space: GeneSpace, evaluate: Evaluate, settings: SearchSettings) -> None:
        self.space, self.evaluate, self.settings = space, evaluate, settings
        self.archive = Archive.empty(space.size)
        self.tried = Tried(space.size)
        self.generations: list[GenerationStats] = []
        self.trials = 0
        self.sharpes = TrialStats()
        self.best = -np.inf
        self.stale = 0
        self.restarts = 0

    def evaluated(self, genomes: FloatArray, founders: IntArray) -> FloatArray:
        given = genomes.copy()
        given.flags.writeable = False
        scores, sharpes = self.evaluate(given).checked(genomes.shape[0])
        self.trials += genomes.shape[0]
        self.sharpes = self.sharpes.merge(TrialStats.of(sharpes))
        self.tried.add(genomes)
        self.archive = self.archive.admit(genomes, scores, founders, self.settings.archive)
        return scores

    def close_generation(self, genomes: FloatArray, scores: FloatArray) -> None:
        alive = scores[scores != -np.inf]
        best = float(alive.max()) if alive.size else -np.inf
        self.stale = 0 if best > self.best else self.stale + 1
        self.best = max(self.best, best)
        self.generations.append(
            GenerationStats(
                generation=len(self.generations),
                best=best,
                median=float(np.median(alive)) if alive.size else -np.inf,
                diversity=diversity(genomes, self.space),
                restarts=self.restarts,
            )
        )

    def result(self) -> SearchResult:
        kept = self.archive
        return SearchResult(kept.genomes, kept.scores, kept.founders, self.generations, self.trials, self.sharpes)


def _first(
    space: GeneSpace, settings: SearchSettings, rng: Streams, seeds: FloatArray | None
) -> tuple[FloatArray, IntArray]:
    """The first population and its founders: seeds, then a uniform sample."""
    genomes = space.sample(settings.population, rng("first", 0)) + 0.0
    founders = np.full((settings.population, 2), -1, dtype=np.int64)
    if seeds is not None:
        _check_seeds(seeds, space)
        count = min(seeds.shape[0], int(settings.seeds_share * settings.population + 1e-9))
        genomes[:count] = seeds[:count] + 0.0
        founders[:count, 0] = np.arange(count)
    return genomes, founders


def _check_seeds(seeds: FloatArray, space: GeneSpace) -> None:
    if seeds.ndim != 2 or seeds.shape[1] != space.size:
        raise ValidationError(f"seed genomes must have shape (S, {space.size}), not {seeds.shape}")
    fits = (seeds >= space.low) & (seeds <= space.high) & ((space.kind == REAL) | (seeds == np.rint(seeds)))
    if not fits.all():
        row, gene = (int(i) for i in np.argwhere(~fits)[0])
        raise ValidationError(
            f"seed genome {row}: gene {space.names[gene]!r} is {seeds[row, gene]}, expected a "
            f"{'number' if space.kind[gene] == REAL else 'whole number'} in [{space.low[gene]:g}, {space.high[gene]:g}]"
        )
