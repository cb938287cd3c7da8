"""One generation's children: select, cross, mutate, and keep track of ancestry."""

from __future__ import annotations

import numpy as np

from treasury_arena.contracts.genes import REAL, FloatArray, GeneSpace, IntArray
from treasury_arena.errors import PluginError
from treasury_arena.evolution.archive import Tried
from treasury_arena.evolution.settings import OperatorSet, SearchSettings
from treasury_arena.isolation import calling

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

    Raises:
        PluginError: an operator returned indices or genomes that its contract does not allow.
    """
    with calling(f"selection {operators.selection.name!r}"):
        chosen = np.asarray(operators.selection.select(scores, 2 * count, rng))
    if chosen.dtype.kind not in "iu":
        raise PluginError(
            f"selection {operators.selection.name!r} must return whole numbers, indices, not {chosen.dtype}"
        )
    if chosen.shape != (2 * count,) or ((chosen < 0) | (chosen >= scores.size)).any():
        raise PluginError(
            f"selection {operators.selection.name!r} must return {2 * count} indices below {scores.size}, "
            f"not {chosen.size} from {chosen.min(initial=0)} to {chosen.max(initial=0)}"
        )
    first, second = chosen[:count], chosen[count:]
    crossed = np.flatnonzero(rng.random(count) < settings.crossover_rate)
    children = genomes[first]
    with calling(f"crossover {operators.crossover.name!r}"):
        bred = np.asarray(operators.crossover.cross(children[crossed], genomes[second[crossed]], space, rng))
    _check(bred, crossed.size, space, f"crossover {operators.crossover.name!r}")
    children[crossed] = bred
    children = mutated(children, space, operators, rng)
    for _ in range(_REPEAT_MUTATIONS):
        repeats = tried.repeats(children)
        if repeats.size == 0:
            break
        children[repeats] = mutated(children[repeats], space, operators, rng)
    ancestry = founders[first]
    ancestry[crossed] = joined(founders[first[crossed]], founders[second[crossed]])
    return children, ancestry


def mutated(genomes: FloatArray, space: GeneSpace, operators: OperatorSet, rng: np.random.Generator) -> FloatArray:
    """Offspring of one mutation; raises PluginError when the operator fails or returns what is no genome."""
    with calling(f"mutation {operators.mutation.name!r}"):
        # No negative zeros: equal genomes have equal bits.
        out = np.asarray(operators.mutation.mutate(genomes, space, rng))
        out = out + 0.0 if out.dtype.kind in "fiu" else out
    _check(out, genomes.shape[0], space, f"mutation {operators.mutation.name!r}")
    return out


def _check(genomes: FloatArray, count: int, space: GeneSpace, source: str) -> None:
    if genomes.shape != (count, space.size):
        raise PluginError(f"{source} must return shape ({count}, {space.size}), not {genomes.shape}")
    if genomes.dtype.kind not in "fiu":
        raise PluginError(f"{source} must return numbers, not {genomes.dtype}")
    whole = space.kind != REAL
    fits = (genomes >= space.low) & (genomes <= space.high)
    fits[:, whole] &= genomes[:, whole] == np.rint(genomes[:, whole])
    if not fits.all():
        row, gene = (int(i) for i in np.argwhere(~fits)[0])
        raise PluginError(
            f"{source} returned {genomes[row, gene]} for gene {space.names[gene]!r}, expected a "
            f"{'whole number' if whole[gene] else 'number'} in [{space.low[gene]:g}, {space.high[gene]:g}]"
        )


def joined(first: IntArray, second: IntArray) -> IntArray:
    """Founders (M, 2) of children of two parents with founders (M, 2) each: one seed (or -1) through each parent."""
    through_first = np.where(first[:, 0] >= 0, first[:, 0], first[:, 1])
    main, spare = second[:, 0], second[:, 1]
    use_spare = (main < 0) | ((main == through_first) & (spare >= 0))
    return np.stack([through_first, np.where(use_spare, spare, main)], axis=1)
