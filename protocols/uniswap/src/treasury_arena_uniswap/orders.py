"""What is refused before liquidity is moved: ticks and limits that no order of ours may have."""

from __future__ import annotations

from math import isqrt

from treasury_arena.errors import ValidationError
from treasury_arena_evm.amounts import check_whole
from treasury_arena_evm.v3 import BPS, Pool, check_slippage
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity, liquidity_for_amounts
from treasury_arena_uniswap.exact.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick


def check_ticks(pool: Pool, lower: int, upper: int) -> None:
    """Raise ValidationError for bounds that no position of the pool can have."""
    check_whole(lower, "the lower tick")
    check_whole(upper, "the upper tick")
    if not MIN_TICK <= lower < upper <= MAX_TICK:
        raise ValidationError(
            f"the range from tick {lower} to {upper} must be ascending and within {MIN_TICK} to {MAX_TICK}"
        )
    for tick in (lower, upper):
        if tick % pool.spacing:
            below = tick // pool.spacing * pool.spacing
            beside = [str(near) for near in (below, below + pool.spacing) if MIN_TICK <= near <= MAX_TICK]
            raise ValidationError(
                f"tick {tick} is not a multiple of {pool.spacing}, the spacing of {pool.name}; use {' or '.join(beside)}"
            )


def least_amounts(pool: Pool, lower: int, upper: int, amount0: int, amount1: int, slippage_bps: int) -> tuple[int, int]:
    """The least of each token that a mint of the amounts may use while the price moves by at most the slippage.

    Raises ValidationError where the amounts give no liquidity at the pool's price.
    """
    check_slippage(slippage_bps)
    low, high = sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)
    if not liquidity_for_amounts(pool.sqrt_price_x96, low, high, amount0, amount1):
        raise ValidationError(
            f"{amount0} base units of {pool.token0.symbol} and {amount1} of {pool.token1.symbol} give no liquidity from tick "
            f"{lower} to {upper} at the present tick {pool.tick}"
        )
    square = pool.sqrt_price_x96 * pool.sqrt_price_x96
    found = []
    for moved in (BPS + slippage_bps, BPS - slippage_bps):
        price = isqrt(square * moved // BPS)
        liquidity = liquidity_for_amounts(price, low, high, amount0, amount1)
        found.append(amounts_for_liquidity(price, low, high, liquidity))
    return found[0][0], found[1][1]


def least_returned(pool: Pool, lower: int, upper: int, liquidity: int, slippage_bps: int) -> tuple[int, int]:
    """The least of each token that burning liquidity may give while the price moves by at most the slippage."""
    check_slippage(slippage_bps)
    low, high = sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)
    square = pool.sqrt_price_x96 * pool.sqrt_price_x96
    up, down = (isqrt(square * (BPS + sign * slippage_bps) // BPS) for sign in (1, -1))
    return (
        amounts_for_liquidity(up, low, high, liquidity)[0],
        amounts_for_liquidity(down, low, high, liquidity)[1],
    )
