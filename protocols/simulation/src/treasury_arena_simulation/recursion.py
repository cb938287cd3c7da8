"""Shared pieces of the generator: the block grid and first-order recursions."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCK_DAYS = 32
BLOCK_HOURS = 24 * BLOCK_DAYS
HOURS_PER_YEAR = 8760.0


def decay(half_life_hours: float) -> float:
    """The factor of one hour whose powers halve every `half_life_hours`."""
    return math.exp(-math.log(2.0) / half_life_hours)


class Recursion:
    """``x <- phi x + input``, hour by hour, carried from block to block.

    With `sd`, inputs are unit normals and x has that standard deviation in the long run; without, inputs are taken as they are.
    """

    def __init__(self, half_life_hours: float, sd: float | None = None) -> None:
        self._phi = decay(half_life_hours)
        self._scale = 1.0 if sd is None else sd * math.sqrt(1.0 - self._phi * self._phi)
        self._x = 0.0

    def run(self, inputs: Sequence[float]) -> list[float]:
        """The path over one block."""
        x, phi, scale = self._x, self._phi, self._scale
        path = []
        for value in inputs:
            x = phi * x + scale * value
            path.append(x)
        self._x = x
        return path
