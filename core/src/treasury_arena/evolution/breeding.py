"""One generation's children: select, cross, mutate, and keep track of ancestry."""

from __future__ import annotations

import numpy as np

from treasury_arena.contracts.genes import FloatArray, GeneSpace, IntArray
from treasury_arena.evolution.archive import Tried
from treasury_arena.evolution.settings import OperatorSet, SearchSettings

_REPEAT_MUTATIONS = 3


def breed(
    genomes: FloatArray,
    scores: FloatArray,
    founders: IntArray,
    count: int,
    space: GeneSpace,
    settings: SearchSettings,
    operators: OperatorSet,
    rng: np.random.Generator,
    tried: Tried,
) -> tuple[FloatArray, IntArray]:
    """Return `count` children (count, genes) and their founders (count, 2).

    A child equal to a genome tried before, or to an earlier child, is mutated again, up to three times; in a small space
    some repeats remain.
    """
    chosen = operators.selection.select(scores, 2 * count, rng)
    first, second = chosen[:count], chosen[count:]
    crossed = np.flatnonzero(rng.random(count) < settings.crossover_rate)
    children = genomes[first]
    children[crossed] = operators.crossover.cross(children[crossed], genomes[second[crossed]], space, rng)
    children = operators.mutation.mutate(children, space, rng) + 0.0
    for _ in range(_REPEAT_MUTATIONS):
        repeats = tried.repeats(children)
        if repeats.size == 0:
            break
        children[repeats] = operators.mutation.mutate(children[repeats], space, rng) + 0.0
    ancestry = founders[first]
    ancestry[crossed] = joined(founders[first[crossed]], founders[second[crossed]])
    return children, ancestry


def joined(first: IntArray, second: IntArray) -> IntArray:
    """Founders (M, 2) of children of two parents with founders (M, 2) each: one seed (or -1) through each parent."""
    through_first = np.where(first[:, 0] >= 0, first[:, 0], first[:, 1])
    main, spare = second[:, 0], second[:, 1]
    use_spare = (main < 0) | ((main == through_first) & (spare >= 0))
    return np.stack([through_first, np.where(use_spare, spare, main)], axis=1)
