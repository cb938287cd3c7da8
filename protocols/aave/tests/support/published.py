"""Aave's published formulas in fractions, worked out anew: what the pools are held against, version by version.

Source: MathUtils.sol, ReserveLogic.sol and LiquidationLogic.sol of @aave/core-v3 1.19.3 (3.0), of pool revision 8 as verified on
Ethereum (3.4), of aave-dao/aave-v3-origin 3.6.0 (3.5), and docs/3.7/liquidation-rounding.md (3.7).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

RAY, YEAR = 10**27, 31_536_000


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def linear(rate: int, seconds: int) -> int:
    return RAY + math.floor(Fraction(rate * seconds, YEAR))


def by_powers(rate: int, seconds: int) -> int:
    """Up to 3.3: the powers of the rate a second are whole rays before they are multiplied."""
    squared = math.floor(Fraction(half_up(Fraction(rate**2, RAY)), YEAR**2))
    cubed = math.floor(Fraction(half_up(Fraction(squared * rate, RAY)), YEAR))
    pairs = seconds * (seconds - 1)
    triples = pairs * max(0, seconds - 2)
    return linear(rate, seconds) + math.floor(Fraction(pairs * squared, 2)) + math.floor(Fraction(triples * cubed, 6))


def by_exponent(rate: int, seconds: int) -> int:
    """From 3.4 on: the rate is multiplied by the time first, and the sixth of it is whole rays before it is multiplied."""
    x = math.floor(Fraction(rate * seconds, YEAR))
    third = half_up(Fraction(x * math.floor(Fraction(x, 6)), RAY))
    return RAY + x + half_up(Fraction(x * (math.floor(Fraction(x, 2)) + third), RAY))


def compounded(version: float, rate: int, seconds: int) -> int:
    return (by_powers if version < 3.4 else by_exponent)(rate, seconds)


def treasury(version: float, scaled: int, before: int, after: int, factor: int, index: int) -> int:
    """Scaled units for the treasury: each debt half up until 3.4; since, their difference and the result down."""
    if version < 3.5:
        grown = half_up(Fraction(scaled * after, RAY)) - half_up(Fraction(scaled * before, RAY))
        return half_up(Fraction(half_up(Fraction(grown * factor, 10_000)) * RAY, index))
    grown = math.floor(Fraction(scaled * (after - before), RAY))
    return math.floor(Fraction(half_up(Fraction(grown * factor, 10_000)) * RAY, index))


def taken(version: float, cover: int, held: int, bonus: int, fee: int) -> tuple[int, int, int]:
    """(debt, collateral, fee) of a liquidation where a unit of either side is worth the same."""
    down: Callable[[Fraction], int] = half_up if version < 3.7 else math.floor
    seized = down(Fraction(cover * bonus, 10_000))
    if seized > held:
        seized, exact = held, Fraction(held * 10_000, bonus)
        cover = half_up(exact) if version < 3.5 else math.ceil(exact)
    part = Fraction((seized - down(Fraction(seized * 10_000, bonus))) * fee, 10_000)
    kept = half_up(part) if version < 3.7 else math.ceil(part)
    return cover, seized - kept, kept
