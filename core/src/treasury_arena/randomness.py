"""The one seam for randomness: streams derived from (seed, cycle, purpose, index), never carried.

A stream depends on nothing but its address, so a run that is interrupted and resumed, or spread over any
number of workers, draws the same numbers.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np


def stream(seed: int, cycle: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return the random generator that belongs to this address.

    Args:
        seed: the run's seed.
        cycle: number of the evolution cycle (0 for what happens before the first).
        purpose: what the numbers are for, for example ``"search/farmer"``.
        index: which of several equal uses.
    """
    digest = hashlib.sha256(f"{seed}|{cycle}|{purpose}|{index}".encode()).digest()
    return np.random.Generator(np.random.PCG64DXSM(int.from_bytes(digest, "big")))


def unique_name() -> str:
    """A name that nobody else has, drawn from the system: it tells processes apart and never decides anything."""
    return secrets.token_hex(8)
