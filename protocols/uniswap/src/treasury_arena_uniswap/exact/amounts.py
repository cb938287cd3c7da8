"""Liquidity and token amounts of a range (v3-periphery LiquidityAmounts)."""

from __future__ import annotations

from treasury_arena_uniswap.exact.sqrt_price_math import amount0_delta, amount1_delta
from treasury_arena_uniswap.exact.tick_math import Q96


def liquidity_for_amounts(sqrt_price_x96: int, low_x96: int, high_x96: int, amount0: int, amount1: int) -> int:
    """Most liquidity between two square-root prices that the amounts can pay for, as the position manager rounds it."""
    if sqrt_price_x96 <= low_x96:
        return _for_amount0(low_x96, high_x96, amount0)
    if sqrt_price_x96 < high_x96:
        return min(_for_amount0(sqrt_price_x96, high_x96, amount0), _for_amount1(low_x96, sqrt_price_x96, amount1))
    return _for_amount1(low_x96, high_x96, amount1)


def amounts_for_liquidity(
    sqrt_price_x96: int, low_x96: int, high_x96: int, liquidity: int, up: bool = False
) -> tuple[int, int]:
    """Token0 and token1 that liquidity between two square-root prices amounts to, each rounded down (or up)."""
    price = min(max(sqrt_price_x96, low_x96), high_x96)
    return amount0_delta(price, high_x96, liquidity, up), amount1_delta(low_x96, price, liquidity, up)


def _for_amount0(low_x96: int, high_x96: int, amount0: int) -> int:
    return amount0 * (low_x96 * high_x96 // Q96) // (high_x96 - low_x96)


def _for_amount1(low_x96: int, high_x96: int, amount1: int) -> int:
    return amount1 * Q96 // (high_x96 - low_x96)
