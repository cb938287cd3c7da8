"""Fitness functions: arrays of daily records in, one score per agent out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.records import RecordBatch

#: The score of a failed record: finite, and below every score a sound record can have.
FAILED_SCORE = -1e9


class FitnessFunction(ABC):
    """Scores records; higher is better. Stateless and pure."""

    name: str
    summary: str

    @abstractmethod
    def score(self, records: RecordBatch) -> NDArray[np.float64]:
        """Return (N,) finite scores. Undefined statistics are defined by the function's docstring, never NaN."""
