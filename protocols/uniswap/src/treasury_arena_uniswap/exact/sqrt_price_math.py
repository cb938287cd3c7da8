"""How amounts move the square-root price, and what a move of the price takes (v3-core SqrtPriceMath).

Always: what a trader pays is rounded up, what a trader receives is rounded down, and the price moves no further than that.
"""

from __future__ import annotations

from treasury_arena_uniswap.exact.refusal import RefusedError
from treasury_arena_uniswap.exact.tick_math import Q160, Q256

_TOO_FAR = "the amount would move the price out of its range"


def amount0_delta(low_x96: int, high_x96: int, liquidity: int, up: bool) -> int:
    """Token0 between two square-root prices (in either order): ``L (1 / sqrt(low) - 1 / sqrt(high))``."""
    if low_x96 > high_x96:
        low_x96, high_x96 = high_x96, low_x96
    above = (liquidity << 96) * (high_x96 - low_x96)
    # The contract divides twice, rounding the same way each time: that equals one division by the product.
    return -(-above // (high_x96 * low_x96)) if up else above // (high_x96 * low_x96)


def amount1_delta(low_x96: int, high_x96: int, liquidity: int, up: bool) -> int:
    """Token1 between two square-root prices (in either order): ``L (sqrt(high) - sqrt(low))``."""
    product = liquidity * (high_x96 - low_x96 if high_x96 > low_x96 else low_x96 - high_x96)
    return -(-product >> 96) if up else product >> 96


def next_sqrt_price_from_input(sqrt_price_x96: int, liquidity: int, amount_in: int, zero_for_one: bool) -> int:
    """Square-root price after `amount_in` came in; raises RefusedError without liquidity or beyond 160 bits."""
    if sqrt_price_x96 <= 0 or liquidity <= 0:
        raise RefusedError("", "a price moves only where there is liquidity")
    if zero_for_one:
        if not amount_in:
            return sqrt_price_x96
        above = liquidity << 96
        product = amount_in * sqrt_price_x96
        if product < Q256 and above + product < Q256:
            return -(-above * sqrt_price_x96 // (above + product))
        # Beyond 256 bits the contract takes this, which rounds twice; pools with the usual tick spacings never come here.
        return -(-above // (above // sqrt_price_x96 + amount_in))
    found = sqrt_price_x96 + (amount_in << 96) // liquidity
    if found >= Q160:
        raise RefusedError("", _TOO_FAR)
    return found


def next_sqrt_price_from_output(sqrt_price_x96: int, liquidity: int, amount_out: int, zero_for_one: bool) -> int:
    """Square-root price after `amount_out` went out; raises RefusedError where the liquidity cannot give that much."""
    if sqrt_price_x96 <= 0 or liquidity <= 0:
        raise RefusedError("", "a price moves only where there is liquidity")
    if zero_for_one:
        quotient = -((-amount_out << 96) // liquidity)
        if sqrt_price_x96 <= quotient:
            raise RefusedError("", _TOO_FAR)
        return sqrt_price_x96 - quotient
    if not amount_out:
        return sqrt_price_x96
    above = liquidity << 96
    product = amount_out * sqrt_price_x96
    if product >= Q256 or above <= product:
        raise RefusedError("", _TOO_FAR)
    found = -(-above * sqrt_price_x96 // (above - product))
    if found >= Q160:
        raise RefusedError("", _TOO_FAR)
    return found
