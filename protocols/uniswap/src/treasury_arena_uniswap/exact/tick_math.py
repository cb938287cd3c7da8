"""Ticks and square-root prices (v3-core TickMath): ``sqrt(1.0001**tick) * 2**96`` in Q64.96, and back."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache

from treasury_arena_uniswap.exact.refusal import RefusedError

MIN_TICK = -887_272
MAX_TICK = 887_272
Q96 = 1 << 96
Q128 = 1 << 128
Q160 = 1 << 160
Q256 = 1 << 256


def _factors() -> tuple[int, ...]:
    """``round(2**128 * 1.0001**(-2**i / 2))`` for the twenty bits of a tick."""
    with localcontext(prec=90):
        root = (Decimal(10_000) / Decimal(10_001)).sqrt()
        return tuple(int((Decimal(Q128) * root ** (1 << bit)).to_integral_value()) for bit in range(20))


FACTORS = _factors()
_LOG_BASE = math.log(1.0001) / 2.0


@lru_cache(maxsize=1 << 18)
def sqrt_ratio_at_tick(tick: int) -> int:
    """Square-root price (Q64.96, rounded up) at a tick; raises RefusedError ``T`` outside the range of ticks."""
    size = abs(tick)
    if size > MAX_TICK:
        raise RefusedError("T", f"tick {tick} is outside {MIN_TICK} to {MAX_TICK}")
    ratio = Q128
    bit = 0
    while size:
        if size & 1:
            ratio = ratio * FACTORS[bit] >> 128
        size >>= 1
        bit += 1
    if tick > 0:
        ratio = (Q256 - 1) // ratio
    return -(-ratio >> 32)


MIN_SQRT_RATIO = sqrt_ratio_at_tick(MIN_TICK)
MAX_SQRT_RATIO = sqrt_ratio_at_tick(MAX_TICK)


def tick_at_sqrt_ratio(sqrt_price_x96: int) -> int:
    """The greatest tick whose square-root price does not exceed the given one; raises RefusedError ``R`` outside the range."""
    if not MIN_SQRT_RATIO <= sqrt_price_x96 < MAX_SQRT_RATIO:
        raise RefusedError("R", f"the square-root price {sqrt_price_x96} is outside the range of ticks")
    # A float's logarithm is off by far less than one tick, so the search below takes one look, seldom two.
    tick = min(max(math.floor(math.log(sqrt_price_x96 / Q96) / _LOG_BASE), MIN_TICK), MAX_TICK - 1)
    while sqrt_ratio_at_tick(tick) > sqrt_price_x96:
        tick -= 1
    while sqrt_ratio_at_tick(tick + 1) <= sqrt_price_x96:
        tick += 1
    return tick


def max_liquidity_per_tick(tick_spacing: int) -> int:
    """Largest liquidity that may refer to one tick, so that no sum over ticks exceeds 128 bits (v3-core Tick)."""
    ticks = 2 * (MAX_TICK // tick_spacing) + 1
    return (Q128 - 1) // ticks
