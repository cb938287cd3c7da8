"""Interest factors in ray: linear for lenders, compounded by a Taylor sum of three terms for borrowers.

Rates are in ray a year of 31,536,000 seconds. Source: MathUtils.sol of @aave/core-v3 1.19.3 and, from 3.4 on, of
aave-dao/aave-v3-origin 3.6.0 (its docs/3.4/Aave-v3.4-features.md, "Improved the accuracy ... of the
calculateCompoundedInterest function").
"""

from __future__ import annotations

from treasury_arena_aave.exact.wad_ray import RAY, ray_mul

SECONDS_PER_YEAR = 31_536_000


def linear(rate: int, seconds: int) -> int:
    """1 + rate t, rounded down; every version."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def compounded_by_powers(rate: int, seconds: int) -> int:
    """(1 + r)^n per second to three terms, the powers of the rate per second rounded first: versions 3.0 to 3.3.

    The second term uses n (n - 1) / 2, the third n (n - 1) (n - 2) / 6, with the powers cut to whole rays, so that at low
    rates the third term is zero.
    """
    if seconds == 0:
        return RAY
    less_one, less_two = seconds - 1, max(seconds - 2, 0)
    squared = ray_mul(rate, rate) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    cubed = ray_mul(squared, rate) // SECONDS_PER_YEAR
    second = seconds * less_one * squared // 2
    third = seconds * less_one * less_two * cubed // 6
    return RAY + rate * seconds // SECONDS_PER_YEAR + second + third


def compounded_by_exponent(rate: int, seconds: int) -> int:
    """1 + x + x (x / 2 + x x / 6) with x = rate t: versions 3.4 and later."""
    x = rate * seconds // SECONDS_PER_YEAR
    return RAY + x + ray_mul(x, x // 2 + ray_mul(x, x // 6))
