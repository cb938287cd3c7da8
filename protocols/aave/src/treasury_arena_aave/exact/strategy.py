"""The interest rate strategy: rates as a function of what is borrowed and what is in cash.

Source: DefaultReserveInterestRateStrategy.sol of @aave/core-v3 1.19.3 with stable debt at zero, and
DefaultReserveInterestRateStrategyV2.sol of aave-dao/aave-v3-origin 3.6.0.
"""

from __future__ import annotations

import attrs

from treasury_arena.errors import ConfigError
from treasury_arena_aave.exact.versions import Version
from treasury_arena_aave.exact.wad_ray import PERCENT, RAY, WAD_RAY_RATIO, percent_mul, ray_div, ray_mul


@attrs.frozen
class RateStrategy:
    """A kinked curve; all in ray.

    Attributes:
        optimal: usage ratio of the kink, above 0, at most one ray.
        base: borrow rate at zero usage.
        slope1: what the rate gains up to the kink.
        slope2: what it gains from the kink to full usage.
    """

    optimal: int
    base: int
    slope1: int
    slope2: int

    def __attrs_post_init__(self) -> None:
        if not 0 < self.optimal <= RAY or min(self.base, self.slope1, self.slope2) < 0:
            raise ConfigError(
                f"{self} is no rate curve: the kink lies above 0 and at most at one ray, rates are not negative"
            )

    def borrow_rate(self, usage: int) -> int:
        """Borrow rate at a usage ratio in ray."""
        if usage > self.optimal:
            excess = ray_div(usage - self.optimal, RAY - self.optimal)
            return self.base + self.slope1 + ray_mul(self.slope2, excess)
        return self.base + ray_div(ray_mul(self.slope1, usage), self.optimal)

    def rates(self, cash: int, debt: int, factor_bps: int, version: Version, unbacked: int = 0) -> tuple[int, int]:
        """Lending and borrow rate, ray a year.

        Args:
            cash: base units in the reserve after the operation.
            debt: base units owed to it.
            factor_bps: reserve factor in basis points.
            version: whose arithmetic.
            unbacked: deficit in base units (3.3 and later), which dilutes lenders only.
        """
        if debt == 0:
            return 0, self.base
        borrow = self.borrow_rate(ray_div(debt, cash + debt))
        overall = borrow
        if not version.later:  # the average over variable and (absent) stable debt, with its two roundings
            weight = debt * WAD_RAY_RATIO
            overall = ray_div(ray_mul(weight, borrow), weight)
        supply = ray_mul(overall, ray_div(debt, cash + debt + unbacked))
        return percent_mul(supply, PERCENT - factor_bps), borrow
