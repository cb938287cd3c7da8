"""The joint path: every column of the simulated market from the origin on, block by block.

The path is one and endless: row k is known k hours after the origin, blocks of 32 days are drawn in order from streams of
their own, and a window only cuts a piece out. So a longer window begins with the shorter one, and a date always has the
same data for the same seed and section.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from treasury_arena.randomness import stream
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.gas import DepthPath, GasPath
from treasury_arena_simulation.pegs import PEGGED, PegPath
from treasury_arena_simulation.prices import COINS, PricePath
from treasury_arena_simulation.rates import CURVES, RatePath
from treasury_arena_simulation.recursion import BLOCK_HOURS

FloatArray = NDArray[np.float64]

#: A depeg this deep disturbs the whole market fully.
FULL_STRESS = 0.05

COLUMNS = (
    *(f"{coin}.price" for coin in COINS),
    "USDC.price",
    *(f"{coin}.price" for coin in PEGGED),
    *(f"{curve.asset}.lending_rate" for curve in CURVES),
    *(f"{coin}.depth" for coin in COINS),
    "gas.usd",
)


@lru_cache(maxsize=8)
def market(section: SimulatedSection, seed: int) -> MarketGenerator:
    """The path of a section and a seed, drawn once a process: a daemon asks anew whenever a row becomes known."""
    return MarketGenerator(section, seed)


class MarketGenerator:
    """Draws the path once and keeps it; asking for more hours extends it. Threads may share it."""

    def __init__(self, section: SimulatedSection, seed: int) -> None:
        self._seed = seed
        self._prices = PricePath(section)
        self._pegs = PegPath(section, seed)
        self._rates = RatePath(section)
        self._gas = GasPath(section)
        self._depth = DepthPath(section)
        self._blocks: list[FloatArray] = []
        self._drawing = Lock()

    def columns(self, low: int, high: int) -> Mapping[str, FloatArray]:
        """Hours `low` to `high` (exclusive) after the origin, by column name."""
        with self._drawing:
            while len(self._blocks) * BLOCK_HOURS < high:
                self._blocks.append(self._draw(len(self._blocks)))
        first, last = low // BLOCK_HOURS, (high - 1) // BLOCK_HOURS + 1
        table = np.vstack(self._blocks[first:last])[low - first * BLOCK_HOURS : high - first * BLOCK_HOURS]
        return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(COLUMNS)}

    def _draw(self, number: int) -> FloatArray:
        def rng(purpose: str) -> np.random.Generator:
            return stream(self._seed, 0, f"simulated/{purpose}", number)

        pegs, gaps = self._pegs.block(rng("pegs"))
        stress = np.minimum(gaps.sum(axis=1) / FULL_STRESS, 1.0)
        market = self._prices.block(rng("prices"), stress)
        rates = self._rates.block(rng("rates"), market, gaps)
        depth = self._depth.block(rng("depth"), market)
        gas = self._gas.block(rng("gas"), market)
        return np.column_stack([market.prices, np.ones(BLOCK_HOURS), pegs, rates, depth, gas])
