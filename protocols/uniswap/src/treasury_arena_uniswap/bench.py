"""A pool of a chain as it is now, in integers: an order is tried here before anything is signed.

The copy knows the ticks around the price and those of one position. What lies further away no order of ours may reach.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_TICK_LENS
from treasury_arena_evm.reading import ChainReader
from treasury_arena_evm.v3 import Pool, check_amount, check_liquid
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity, liquidity_for_amounts
from treasury_arena_uniswap.exact.refusal import RefusedError
from treasury_arena_uniswap.exact.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
)
from treasury_arena_uniswap.exact.v3_pool import Position, V3Pool
from treasury_arena_uniswap.orders import check_ticks

ME = "me"
#: Words of the bitmap on either side of the price's own that are read: 256 spacings each.
WORDS = 1
#: A swap into a range's ratio is found to this share of what there is.
PRECISION_BITS = 40


@attrs.define
class Bench:
    """The copy. Amounts are base units of token0 and token1; what an order does to the copy stays done.

    Attributes:
        facts: the pool when it was read.
        pool: the copy itself.
        lowest, highest: square-root prices (Q64.96) beyond which nothing is known.
    """

    facts: Pool
    pool: V3Pool
    lowest: int
    highest: int

    def swap(self, zero_for_one: bool, amount: int) -> int:
        """Swap exactly `amount`; what comes out. ValidationError where the known liquidity does not take it."""
        check_liquid(self.facts)
        check_amount(amount, "a swap")
        limit = self.lowest if zero_for_one else self.highest
        try:
            result = self.pool.swap(zero_for_one, amount, limit)
        except RefusedError:
            result = None
        if result is None or (result.amount0 if zero_for_one else result.amount1) != amount:
            raise SizeRefusedError(
                f"the pool {self.facts.name} has not the liquidity to swap {amount} base units; split it"
            )
        return -(result.amount1 if zero_for_one else result.amount0)

    def take(self, lower: int, upper: int, liquidity: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Burn liquidity of ours; what it amounts to, and the fees that the position earned on this bench."""
        taken = self.pool.burn(ME, lower, upper, liquidity)
        paid = self.pool.collect(ME, lower, upper, 2**128 - 1, 2**128 - 1)
        return taken, (paid[0] - taken[0], paid[1] - taken[1])

    def add(self, lower: int, upper: int, amount0: int, amount1: int) -> tuple[int, int, int]:
        """Put at most the amounts into a range; liquidity and what it took. ValidationError where they give none."""
        check_ticks(self.facts, lower, upper)
        price, low, high = self.pool.sqrt_price_x96, sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)
        liquidity = liquidity_for_amounts(price, low, high, amount0, amount1)
        if not liquidity:
            raise ValidationError(
                f"{amount0} base units of {self.facts.token0.symbol} and {amount1} of {self.facts.token1.symbol} give no "
                f"liquidity from tick {lower} to {upper} at the present tick {self.pool.tick}"
            )
        try:
            self.pool.mint(ME, lower, upper, liquidity)
        except RefusedError as error:
            raise ValidationError(
                f"the pool {self.facts.name} does not take the liquidity {liquidity}: {error}"
            ) from error
        return liquidity, *amounts_for_liquidity(price, low, high, liquidity, up=True)

    def to_swap(self, lower: int, upper: int, amount0: int, amount1: int) -> tuple[bool, int]:
        """Which token to swap, and how much, so that after the swap the amounts stand in the range's ratio.

        The ratio is the one at the price that the swap leaves behind. 0 where nothing worth a unit needs to be swapped.
        """
        low, high = sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)

        def surplus0(one: int, other: int, price: int) -> int:
            at = min(max(price, low), high)
            return one * (at - low) * at * high - (other * (high - at) << 192)

        begin = surplus0(amount0, amount1, self.pool.sqrt_price_x96)
        zero_for_one = begin > 0
        most = amount0 if zero_for_one else amount1
        limit = self.lowest if zero_for_one else self.highest
        enough, much, grain = 0, most + 1, max(1, most >> PRECISION_BITS)
        while much - enough > grain:
            trial = (enough + much) // 2
            result = self.pool.quote(zero_for_one, trial, limit)
            left0, left1 = amount0 - result.amount0, amount1 - result.amount1
            partial = (result.amount0 if zero_for_one else result.amount1) != trial
            now = surplus0(left0, left1, result.sqrt_price_x96)
            if partial or (now <= 0 if zero_for_one else now >= 0):
                much = trial
            else:
                enough = trial
        if enough:
            result = self.pool.quote(zero_for_one, enough, limit)
            if not (result.amount1 if zero_for_one else result.amount0):
                return zero_for_one, 0
        return zero_for_one, enough


def bench(reader: ChainReader, pool: Pool, held: Iterable[tuple[int, int, int]] = (), lens: str | None = None) -> Bench:
    """Read a pool's price, liquidity and ticks at one block; `held` are positions of ours: lower and upper tick, liquidity.

    `lens`: the contract that tells ticks, the chain's pinned one unless given.
    """
    height, spacing = reader.head().number, pool.spacing
    address = pool.address

    def read(name: str) -> tuple[int, ...]:
        found = reader.call(address, V3_POOL.function(name), block=height)
        return found if isinstance(found, tuple) else (found,)

    price, tick, _, _, _, taken, _ = read("slot0")
    (liquidity,) = read("liquidity")
    facts = attrs.evolve(pool, sqrt_price_x96=price, tick=tick, liquidity=liquidity)
    copy = V3Pool(pool.fee, spacing)
    copy.sqrt_price_x96, copy.tick, copy.liquidity = price, tick, liquidity
    copy.fee_protocol0, copy.fee_protocol1 = taken % 16, taken >> 4
    held = list(held)
    word = tick // spacing >> 8
    near = range(word - WORDS, word + WORDS + 1)
    lens, ask = lens or reader.chain.contract("uniswap_v3_tick_lens"), V3_TICK_LENS.function("getPopulatedTicksInWord")
    ends = {bound // spacing >> 8 for lower, upper, _ in held for bound in (lower, upper)}
    for number in sorted({*near, *ends}):
        if MIN_TICK // spacing >> 8 <= number <= MAX_TICK // spacing >> 8:
            for at, net, gross in reader.call(lens, ask, address, number, block=height):
                copy.ticks.place(at, gross, net)
    for lower, upper, size in held:
        position = copy.positions.setdefault((ME, lower, upper), Position())
        position.liquidity += size
    span = 256 * spacing
    first, last = near[0] * span, (near[-1] + 1) * span
    lowest = sqrt_ratio_at_tick(first) if first > MIN_TICK else MIN_SQRT_RATIO + 1
    highest = sqrt_ratio_at_tick(last) if last < MAX_TICK else MAX_SQRT_RATIO - 1
    return Bench(facts, copy, lowest, highest)
