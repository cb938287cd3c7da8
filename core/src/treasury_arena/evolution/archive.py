"""The best distinct genomes found so far, and a memory of every genome tried."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.genes import FloatArray, IntArray


@attrs.frozen(eq=False)
class Archive:
    """Distinct genomes, best first; equal scores in lexicographic order of their genes.

    Attributes:
        genomes: (K, genes).
        scores: (K,), finite.
        founders: (K, 2) seed indices or -1, see `SearchResult`.
    """

    genomes: FloatArray
    scores: FloatArray
    founders: IntArray

    @classmethod
    def empty(cls, genes: int) -> Archive:
        return cls(np.empty((0, genes)), np.empty(0), np.empty((0, 2), dtype=np.int64))

    def admit(self, genomes: FloatArray, scores: FloatArray, founders: IntArray, size: int) -> Archive:
        """Return the best `size` of this archive and the given genomes; a score of -inf never enters.

        Of equal genomes the one with the higher score stays, and of equally scored ones the earliest, so that a genome
        keeps the ancestry it was first found with.
        """
        floor = self.scores[-1] if self.scores.size >= size else -np.inf
        new = np.flatnonzero((scores >= floor) & (scores != -np.inf))
        if new.size == 0:
            return self
        every = np.concatenate([self.genomes, genomes[new]])
        value = np.concatenate([self.scores, scores[new]])
        origin = np.concatenate([self.founders, founders[new]])
        order = np.lexsort((-value, *every.T[::-1]))
        ranked = every[order]
        distinct = np.ones(order.size, dtype=np.bool_)
        distinct[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
        order = order[distinct]
        order = order[np.argsort(-value[order], kind="stable")[:size]]
        return Archive(every[order], value[order], origin[order])


class Tried:
    """Remembers genomes by a 64-bit hash, so that breeding can avoid evaluating one twice.

    A collision (odds of about one in 10^8 for a million genomes) costs one needless mutation and nothing else.
    """

    def __init__(self, genes: int) -> None:
        odd = np.random.Generator(np.random.PCG64DXSM(genes)).integers(2**63, size=genes, dtype=np.uint64)
        self._weights: NDArray[np.uint64] = odd * np.uint64(2) + np.uint64(1)
        self._known: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def _hash(self, genomes: FloatArray) -> NDArray[np.uint64]:
        bits = np.ascontiguousarray(genomes + 0.0).view(np.uint64)
        mixed = (bits ^ (bits >> np.uint64(32))) * self._weights
        mixed ^= mixed >> np.uint64(29)
        total: NDArray[np.uint64] = (mixed * self._weights).sum(axis=1, dtype=np.uint64)
        return total

    def add(self, genomes: FloatArray) -> None:
        merged = np.concatenate([self._known, np.sort(self._hash(genomes))])
        merged.sort(kind="stable")  # two sorted runs: one merge
        self._known = merged

    def repeats(self, genomes: FloatArray) -> IntArray:
        """Rows of `genomes` that were added before or that occur earlier in `genomes`."""
        marks = self._hash(genomes)
        known = np.zeros(marks.size, dtype=np.bool_)
        if self._known.size:
            place = np.minimum(np.searchsorted(self._known, marks), self._known.size - 1)
            known = self._known[place] == marks
        _, first = np.unique(marks, return_index=True)
        later = np.ones(marks.size, dtype=np.bool_)
        later[first] = False
        return np.flatnonzero(known | later)
