"""Records for the tests of fitness functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena_fitness.plugin import arena_fitness

MakeBatch = Callable[..., RecordBatch]


@pytest.fixture
def make_batch() -> MakeBatch:
    def make(returns: ArrayLike, lending: ArrayLike = 0.0, failed: tuple[int, ...] = ()) -> RecordBatch:
        """Records of (N, D) or (D,) returns from 1,000 USD; `lending` is a daily return or (D,) of them."""
        rows = np.atleast_2d(np.asarray(returns, dtype=np.float64))
        agents, days = rows.shape
        curve = 1000.0 * np.cumprod(np.concatenate([np.ones((agents, 1)), 1.0 + rows], axis=1), axis=1)
        lent = np.cumprod(np.concatenate([[1.0], 1.0 + np.broadcast_to(lending, (days,))]))
        zeros = np.zeros(agents)
        return RecordBatch(curve, lent, zeros, zeros, zeros, np.isin(np.arange(agents), failed))

    return make


@pytest.fixture
def functions() -> dict[str, FitnessFunction]:
    return {function.name: function for function in arena_fitness()}
