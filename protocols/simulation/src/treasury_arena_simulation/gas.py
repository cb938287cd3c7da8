"""Gas cost in USD, and the depth of the spot markets: both breathe with volatility, one up and one down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.prices import COINS, PriceBlock
from treasury_arena_simulation.recursion import BLOCK_HOURS, HOURS_PER_YEAR, Recursion, rhythm

FloatArray = NDArray[np.float64]

BURSTS_PER_YEAR = 40.0
USUAL_DEPTH_USD = (12e6, 20e6, 5e6)


class GasPath:
    """USD per action from the origin on: a log-normal level with a memory of months, bursts, and the day's rhythm."""

    def __init__(self, section: SimulatedSection) -> None:
        self._section = section
        self._slow = Recursion(24.0 * 60.0, 0.95)
        self._mid = Recursion(24.0 * 3.0, 0.35)
        self._fast = Recursion(3.0, 0.22)
        self._burst = Recursion(5.0)
        self._hour = 0

    def block(self, rng: np.random.Generator, market: PriceBlock) -> FloatArray:
        """The next block, (hours,) USD."""
        normal = rng.standard_normal((3, BLOCK_HOURS))
        chance, size = rng.random(BLOCK_HOURS), rng.exponential(0.9, BLOCK_HOURS)
        burst = np.where((chance < BURSTS_PER_YEAR / HOURS_PER_YEAR) | (market.jumps > 0.0), size, 0.0)
        hour = np.arange(self._hour, self._hour + BLOCK_HOURS)
        self._hour += BLOCK_HOURS
        level = (
            np.array(self._slow.run(normal[0].tolist()))
            + np.array(self._mid.run(normal[1].tolist()))
            + np.array(self._fast.run(normal[2].tolist()))
            + np.array(self._burst.run(burst.tolist()))
            + 0.3 * (market.log_volatility + 0.45)
            + 0.15 * rhythm(hour)
        )
        return np.asarray(self._section.gas_usd * elementary.exp(level), dtype=np.float64)


class DepthPath:
    """USD within one percent of the mid, on one side of each coin's book."""

    def __init__(self, section: SimulatedSection) -> None:
        self._section = section
        self._own = [Recursion(12.0, 0.25) for _ in COINS]

    def block(self, rng: np.random.Generator, market: PriceBlock) -> FloatArray:
        """The next block, (hours, 3) in the order of `COINS`."""
        normal = rng.standard_normal((len(COINS), BLOCK_HOURS))
        columns = [
            self._section.depth
            * usual
            * elementary.exp(np.array(own.run(draws.tolist())) - 0.7 * (market.log_volatility + 0.45))
            for usual, own, draws in zip(USUAL_DEPTH_USD, self._own, normal, strict=True)
        ]
        return np.asarray(np.column_stack(columns), dtype=np.float64)
