"""Bringing freshly computed genes back to what the space allows."""

from __future__ import annotations

import numpy as np

from treasury_arena.contracts.genes import REAL, FloatArray, GeneSpace


def settle(genomes: FloatArray, space: GeneSpace) -> None:
    """Round integer and choice genes and clip all to the bounds, IN PLACE; `GeneSpace.clip` is the copying form."""
    whole = space.kind != REAL
    if whole.any():
        np.rint(genomes, out=genomes, where=whole)
    np.maximum(genomes, space.low, out=genomes)
    np.minimum(genomes, space.high, out=genomes)
