"""Batches of records for the tests of contracts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treasury_arena.contracts.records import RecordBatch

MakeBatch = Callable[..., RecordBatch]


@pytest.fixture
def make_batch() -> MakeBatch:
    def make(agents: int = 3, days: int = 10, failed: tuple[int, ...] = ()) -> RecordBatch:
        zeros = np.zeros(agents)
        flags = np.isin(np.arange(agents), failed)
        return RecordBatch(np.full((agents, days + 1), 1000.0), np.ones(days + 1), zeros, zeros, zeros, flags)

    return make
