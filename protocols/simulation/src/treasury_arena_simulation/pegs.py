"""Stablecoin prices: small noise around one, and episodes in which one of them loses its peg and finds it again."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena.randomness import stream
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.recursion import BLOCK_HOURS, Recursion

FloatArray = NDArray[np.float64]

PEGGED = ("USDT", "DAI")
NOISE_SD = (0.0004, 0.0006)
LASTS_HOURS = 720
LOWEST = 0.5


@attrs.frozen
class Depeg:
    """One episode: a fall to ``1 - depth`` over `fall` hours from hour `start` (since the origin), then a recovery."""

    asset: str
    start: float
    depth: float
    fall: float
    half_life: float

    def gap(self, hours: FloatArray) -> FloatArray:
        """(hours,) how far below one the price is meant to be."""
        since = hours - self.start
        fallen = np.clip(since / self.fall, 0.0, 1.0)
        falling = self.depth * fallen * np.sqrt(fallen)
        healing = elementary.exp(-math.log(2.0) * np.maximum(since - self.fall, 0.0) / self.half_life)
        return np.asarray(np.where(since > LASTS_HOURS, 0.0, falling * healing), dtype=np.float64)


def episode(section: SimulatedSection, seed: int, number: int) -> Depeg:
    """The one episode of the `number`-th part of the path; every part is ``365 / depegs`` days long."""
    rng = stream(seed, 0, "simulated/depeg", number)
    part = 24.0 * 365.0 / section.depegs
    start = part * (number + rng.random())
    asset = PEGGED[int(rng.integers(len(PEGGED)))]
    depth = float(np.clip(math.exp(math.log(0.03) + 0.7 * rng.standard_normal()), 0.006, 0.15))
    return Depeg(asset, start, depth, float(rng.uniform(6.0, 30.0)), float(rng.uniform(10.0, 40.0)))


class PegPath:
    """Stablecoin prices from the origin on, one block after the other."""

    def __init__(self, section: SimulatedSection, seed: int) -> None:
        self._section, self._seed = section, seed
        self._noise = [Recursion(8.0, sd) for sd in NOISE_SD]
        self._unrest = [Recursion(4.0, 0.2) for _ in PEGGED]
        self._hour = 0

    def block(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """The next block's prices (hours, 2) in the order of `PEGGED`, and how far each is off its peg (hours, 2)."""
        normal = rng.standard_normal((2, len(PEGGED), BLOCK_HOURS))
        hours = np.arange(self._hour, self._hour + BLOCK_HOURS, dtype=np.float64)
        self._hour += BLOCK_HOURS
        gaps = np.zeros((BLOCK_HOURS, len(PEGGED)))
        if self._section.depegs:
            part = 24.0 * 365.0 / self._section.depegs
            first = max(0, int((hours[0] - 2 * LASTS_HOURS) // part))
            for number in range(first, int(hours[-1] // part) + 1):
                one = episode(self._section, self._seed, number)
                gaps[:, PEGGED.index(one.asset)] += one.gap(hours)
        prices = np.empty_like(gaps)
        for i in range(len(PEGGED)):
            noise = np.array(self._noise[i].run(normal[0, i].tolist()))
            unrest = np.array(self._unrest[i].run(normal[1, i].tolist()))
            prices[:, i] = np.maximum(1.0 + noise - gaps[:, i] * np.maximum(1.0 + unrest, 0.0), LOWEST)
        return prices, gaps
