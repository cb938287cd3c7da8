"""Lending rates: utilisation that mean-reverts below the kink of a rate curve and is pushed over it by withdrawals.

The curve is the two-slope one of Aave and Compound: with utilisation U, borrowers pay
``base + slope1 U / kink`` up to the kink and ``base + slope1 + slope2 (U - kink) / (1 - kink)`` beyond, and lenders earn that
times ``U (1 - reserve factor)`` (linear APR). Governance moves `slope1` of the stablecoins with the appetite for leverage,
which follows the market's past returns, so rates are high after a run-up.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.pegs import PEGGED
from treasury_arena_simulation.prices import PriceBlock
from treasury_arena_simulation.recursion import BLOCK_HOURS, HOURS_PER_YEAR, Recursion

FloatArray = NDArray[np.float64]

FULL = 0.995
REGIME_SPIKES = np.array((1.0, 1.6, 1.2, 4.0))


@attrs.frozen
class RateCurve:
    """A lending market's curve and habits; rates are fractions a year.

    Attributes:
        kink: utilisation where the curve bends.
        centre: usual utilisation as a logit of the share of the kink.
        appetite: how strongly demand for leverage moves slope1 and utilisation.
        spread: multiplies the fluctuation of utilisation.
        spikes: withdrawals a year that push utilisation towards full.
        push: mean size of one; after a push x, the free share shrinks to e^-x.
    """

    asset: str
    base: float
    slope1: float
    slope2: float
    kink: float
    reserve_factor: float
    centre: float
    appetite: float
    spread: float
    spikes: float
    push: float

    def borrow(self, utilisation: FloatArray, slope1: FloatArray | float) -> FloatArray:
        """What borrowers pay, APR."""
        below = slope1 * np.minimum(utilisation / self.kink, 1.0)
        beyond = self.slope2 * np.maximum(utilisation - self.kink, 0.0) / (1.0 - self.kink)
        return np.asarray(self.base + below + beyond, dtype=np.float64)

    def supply(self, utilisation: FloatArray, slope1: FloatArray | float) -> FloatArray:
        """What lenders earn, APR."""
        return self.borrow(utilisation, slope1) * utilisation * (1.0 - self.reserve_factor)


CURVES = (
    RateCurve("USDC", 0.009, 0.058, 0.60, 0.90, 0.10, 2.8, 1.0, 1.0, 60.0, 0.45),
    RateCurve("USDT", 0.009, 0.055, 0.72, 0.88, 0.10, 2.6, 1.0, 1.0, 50.0, 0.40),
    RateCurve("DAI", 0.010, 0.070, 0.75, 0.90, 0.25, 2.7, 1.0, 1.0, 50.0, 0.45),
    RateCurve("WETH", 0.0, 0.0275, 0.80, 0.90, 0.15, 2.6, 0.0, 1.2, 70.0, 0.13),
)


class RatePath:
    """Supply rates from the origin on, one block after the other."""

    def __init__(self, section: SimulatedSection) -> None:
        self._section = section
        self._appetite = Recursion(24.0 * 30.0, 1.0)
        self._slow = [Recursion(24.0 * 7.0, 0.5) for _ in CURVES]
        self._fast = [Recursion(8.0, 0.35) for _ in CURVES]
        self._shock = [Recursion(5.0) for _ in CURVES]
        self._fresh = [Recursion(2.0, 0.25) for _ in CURVES]

    def block(self, rng: np.random.Generator, market: PriceBlock, gaps: FloatArray) -> FloatArray:
        """The next block's supply APRs (hours, 4) in the order of `CURVES`; `gaps` (hours, 2) as `PegPath.block` gives them."""
        mood = rng.standard_normal(BLOCK_HOURS)
        normal = rng.standard_normal((3, len(CURVES), BLOCK_HOURS))
        chance, size = rng.random((len(CURVES), BLOCK_HOURS)), rng.exponential(1.0, (len(CURVES), BLOCK_HOURS))
        # The trend persists for weeks, so a small loading moves the month-long memory of the appetite as much as its own noise.
        appetite = np.array(self._appetite.run((0.9 * mood + 0.045 * np.clip(market.trend, -3.0, 3.0)).tolist()))
        rates = np.empty((BLOCK_HOURS, len(CURVES)))
        for i, curve in enumerate(CURVES):
            wish = curve.centre + 0.4 * curve.appetite * appetite
            own = np.array(self._slow[i].run(normal[0, i].tolist())) + np.array(
                self._fast[i].run(normal[1, i].tolist())
            )
            usual = curve.kink / (1.0 + elementary.exp(-(wish + curve.spread * own)))
            spiked = chance[i] < curve.spikes * REGIME_SPIKES[market.regime] / HOURS_PER_YEAR
            push = np.array(self._shock[i].run(np.where(spiked, curve.push * size[i], 0.0).tolist()))
            fresh = elementary.exp(np.array(self._fresh[i].run(normal[2, i].tolist())))
            if curve.asset in PEGGED:
                push = push + 25.0 * gaps[:, PEGGED.index(curve.asset)]
            utilisation = usual + (FULL - usual) * (1.0 - elementary.exp(-push * fresh))
            slope1 = curve.slope1 * elementary.exp(0.40 * curve.appetite * np.clip(appetite, -2.5, 2.5))
            rates[:, i] = self._section.rates * curve.supply(utilisation, slope1)
        return rates
