"""How different the genomes of a population are."""

from __future__ import annotations

import numpy as np

from treasury_arena.contracts.genes import CHOICE, FloatArray, GeneSpace
from treasury_arena.domain import elementary


def diversity(genomes: FloatArray, space: GeneSpace) -> float:
    """Mean over the genes of each gene's spread, in [0, 1]; 0 when all genomes are equal.

    A numeric gene's spread is its standard deviation divided by half its range, the largest that is possible; a uniform
    sample has about 0.577. A choice gene's spread is the Shannon entropy of its values' frequencies divided by the
    logarithm of their number; a uniform sample has about 1. Genes that can take one value only do not count.

    Args:
        genomes: (N, genes), inside the bounds.
        space: the genes.
    """
    free = space.high > space.low
    if genomes.shape[0] == 0 or not free.any():
        return 0.0
    numeric = np.flatnonzero(free & (space.kind != CHOICE))
    half_range = (space.high[numeric] - space.low[numeric]) / 2.0
    total = float((genomes[:, numeric].std(axis=0) / half_range).sum())
    for gene in np.flatnonzero(free & (space.kind == CHOICE)):
        frequency = np.bincount(genomes[:, gene].astype(np.int64)) / genomes.shape[0]
        frequency = frequency[frequency > 0.0]
        total -= float((frequency * elementary.log(frequency)).sum() / elementary.log(space.high[gene] + 1.0))
    return min(1.0, max(0.0, total / int(np.count_nonzero(free))))
