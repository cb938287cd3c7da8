"""Genetic operators: small frozen objects, arrays and a Generator in, arrays out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.genes import FloatArray, GeneSpace

Indices = NDArray[np.int64]


class Selection(ABC):
    """Chooses parents. `scores` is (N,), higher is better; ties are broken by index."""

    name: str

    @abstractmethod
    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        """Return `count` indices into `scores`."""


class Crossover(ABC):
    """Combines two (M, genes) arrays of parents into one (M, genes) array of children."""

    name: str

    @abstractmethod
    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        """Return children inside the bounds, integer and choice genes whole."""


class Mutation(ABC):
    """Changes an (M, genes) array."""

    name: str

    @abstractmethod
    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        """Return mutated copies inside the bounds, integer and choice genes whole."""
