"""Shared pieces of the generator: the block grid and first-order recursions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_DAYS = 32
BLOCK_HOURS = 24 * BLOCK_DAYS
HOURS_PER_YEAR = 8760.0
BUSIEST_HOUR = 15

#: Cosine of every 15 degrees up to 90.
_COSINES = (
    1.0,
    0.9659258262890683,
    0.8660254037844386,
    0.7071067811865476,
    0.5,
    0.25881904510252074,
    0.0,
)
_DAY = np.array([*_COSINES, *(-c for c in _COSINES[5::-1]), *(-c for c in _COSINES[1:6]), *_COSINES[6:0:-1]])


def rhythm(hours: NDArray[np.int64]) -> NDArray[np.float64]:
    """The day's rhythm at whole hours UTC: a cosine, 1 at 15 o'clock and -1 at 3."""
    day: NDArray[np.float64] = _DAY[(hours - BUSIEST_HOUR) % 24]
    return day


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
