"""What coins lose by becoming liquidity of a Uniswap v3 range at another price than the fair one.

A mint takes both coins in the ratio of the pool's price. Where somebody has moved that price, the coins are worth more at the
fair one than the liquidity that they become, and whoever moved it takes the difference by moving it back. Liquidity that is taken
out at a moved price loses nothing this way: at the fair price, what it gives is worth at least what it would give there.
Source: "Uniswap v3 Core", equations 6.29 and 6.30; written out here once more, since the gate uses nothing of the planners'.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from fractions import Fraction

Pair = tuple[int, int]
"""Base units of token0 and token1."""

_BPS = 10_000
_EXACT = Context(prec=200)  # amounts have up to 78 digits, roots of prices 20 on either side of the point
_STEP = Decimal("1.0001")


def lost_bps(amounts: Pair, ticks: tuple[int, int], price: Fraction) -> Decimal:
    """Share of the worth of `amounts`, in basis points, that is gone once they are all liquidity between the ticks.

    The pool's price is the one at which a mint takes just these amounts. `price` is the fair one: base units of token1 for one of
    token0, above 0. 0 for amounts of nothing.
    """
    if not any(amounts):
        return Decimal(0)
    with localcontext(_EXACT):
        fair = Decimal(price.numerator) / price.denominator
        low, high = (_EXACT.power(_STEP, tick).sqrt() for tick in ticks)

        def worth(root: Decimal) -> Decimal:
            """What one unit of liquidity takes at the price `root` squared, at the fair price."""
            return root - low + (1 / root - 1 / high) * fair

        return (1 - worth(min(max(fair.sqrt(), low), high)) / worth(_root(amounts, low, high))) * _BPS


def _root(amounts: Pair, low: Decimal, high: Decimal) -> Decimal:
    """Square root of the one price at which liquidity between two such roots takes both amounts together.

    It solves ``amount1 / amount0 = (root - low) / (1 / root - 1 / high)``.
    """
    if not amounts[0]:
        return high
    ratio = Decimal(amounts[1]) / amounts[0]
    half = (low - ratio / high) / 2
    return half + (half * half + ratio).sqrt()
