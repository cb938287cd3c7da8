"""What is refused before anything is signed: amounts, ticks, limits and deadlines that no order of ours may have."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import attrs

from treasury_arena.errors import ValidationError
from treasury_arena_evm.amounts import check_whole
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity, liquidity_for_amounts
from treasury_arena_uniswap.exact.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick

if TYPE_CHECKING:
    from treasury_arena_evm.tokens import Token

AMOUNT_MAX = 2**127
"""No amount of ours is as large; one that seems to be is a "take all" that does not belong here."""
DEADLINE_SECONDS_MAX = 86_400
SLIPPAGE_BPS_MAX = 1_000
BPS = 10_000


@attrs.frozen
class Pool:
    """A v3 pool on the chain and its state at one block. `token0`, `token1` are pinned tokens, `fee` is in millionths."""

    address: str
    token0: Token
    token1: Token
    fee: int
    spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int

    @property
    def name(self) -> str:
        return f"{self.token0.symbol}/{self.token1.symbol} {self.fee / 10_000:g}%"

    def worth(self, amount0: int, amount1: int, token: Token) -> int:
        """Base units of `token` (one of the two) that the amounts are worth at the pool's price, rounded down."""
        square = self.sqrt_price_x96 * self.sqrt_price_x96
        if token == self.token0:
            return amount0 + (amount1 << 192) // square
        if token == self.token1:
            return amount1 + (amount0 * square >> 192)
        raise ValidationError(f"{token.symbol} is not a token of the pool {self.name}")


def check_amount(amount: int, what: str) -> None:
    """Raise ValidationError for nothing, less, and amounts that can only be a mistake."""
    check_whole(amount, f"{what} in base units")
    if amount <= 0:
        raise ValidationError(f"{what} of {amount} base units is none")
    if amount >= AMOUNT_MAX:
        raise ValidationError(f"{what} of {amount} base units is beyond any amount of ours; give the exact one")


def check_least(least: int, what: str) -> None:
    """Raise ValidationError for an order that would take any price."""
    check_whole(least, f"{what} in base units")
    if least <= 0:
        raise ValidationError(f"{what} of {least} would take any price; say what is the least")


def check_deadline(deadline: int, now: int) -> None:
    """Raise ValidationError for a time that has passed, or one so far that it is no deadline."""
    check_whole(deadline, "the deadline in seconds since 1970")
    if deadline <= now:
        raise ValidationError(f"the deadline {deadline} is not after the chain's time {now}")
    if deadline > now + DEADLINE_SECONDS_MAX:
        raise ValidationError(
            f"the deadline {deadline} is {deadline - now} s away; at most {DEADLINE_SECONDS_MAX} s are allowed"
        )


def check_priced(pool: Pool) -> None:
    """Raise ValidationError for a pool without a price."""
    if not pool.sqrt_price_x96:
        raise ValidationError(f"the pool {pool.name} at {pool.address} has no price yet")


def check_liquid(pool: Pool) -> None:
    """Raise ValidationError for a pool without a price, or without liquidity at its price."""
    check_priced(pool)
    if not pool.liquidity:
        raise ValidationError(f"the pool {pool.name} at {pool.address} is empty at its price")


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


def check_slippage(slippage_bps: int) -> None:
    """Raise ValidationError for a tolerance of nothing (it would never be met) or of more than a tenth."""
    check_whole(slippage_bps, "a slippage in bps")
    if not 1 <= slippage_bps <= SLIPPAGE_BPS_MAX:
        raise ValidationError(f"a slippage of {slippage_bps} bps must lie from 1 to {SLIPPAGE_BPS_MAX}")


def beyond(was_x96: int, now_x96: int, bps: int) -> bool:
    """Whether a price (as square roots, Q64.96) is further from what it was than so many parts in 10,000."""
    was, now = was_x96**2, now_x96**2
    return abs(now - was) * BPS > was * bps


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
