"""A Uniswap v3 pool in integers (v3-core UniswapV3Pool): swaps through ticks, positions, fees, and the protocol's share.

Amounts are base units and, as in the contract's own return values, positive where the pool receives. A call that the
contract would revert raises `RefusedError` with the contract's reason and changes nothing. Payment is taken for granted.
The price oracle's observations, flash loans and ownership are not modelled.
"""

from __future__ import annotations

from typing import NamedTuple

from treasury_arena_uniswap.exact.refusal import RefusedError, require
from treasury_arena_uniswap.exact.sqrt_price_math import amount0_delta, amount1_delta
from treasury_arena_uniswap.exact.swap_math import PIPS, compute_swap_step
from treasury_arena_uniswap.exact.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    Q128,
    Q256,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from treasury_arena_uniswap.exact.ticks import TickTable

INT_256_MAX = (1 << 255) - 1
INT_128_MAX = (1 << 127) - 1


class SwapResult(NamedTuple):
    """What a swap does: amounts into (positive) and out of (negative) the pool, and the pool's state behind it."""

    amount0: int
    amount1: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    fee_growth_x128: int
    protocol_fee: int
    crossed: tuple[tuple[int, int], ...]


class Position:
    """Liquidity of one owner between two ticks, with what it is owed (`owed0`, `owed1`) as of its last touch."""

    __slots__ = ("inside0", "inside1", "liquidity", "owed0", "owed1")

    def __init__(self) -> None:
        self.liquidity = self.inside0 = self.inside1 = self.owed0 = self.owed1 = 0


class V3Pool:
    """One pool.

    Args:
        fee_pips: fee in millionths of what comes in.
        tick_spacing: ticks of positions are multiples of it.

    Attributes:
        sqrt_price_x96, tick, liquidity: where the price is, and the liquidity in range there.
        growth0, growth1: fee growth per unit of liquidity since the beginning (Q128.128, modulo 2**256).
        protocol_fees0, protocol_fees1: the protocol's uncollected share.
        fee_protocol0, fee_protocol1: the protocol takes one part in so many of a fee; 0 for nothing.
    """

    def __init__(self, fee_pips: int, tick_spacing: int) -> None:
        require(0 <= fee_pips < PIPS, "", f"a fee of {fee_pips} millionths is not below the whole")
        require(0 < tick_spacing < 16384, "", f"a tick spacing of {tick_spacing} is not from 1 to 16383")
        self.fee_pips = fee_pips
        self.tick_spacing = tick_spacing
        self.sqrt_price_x96 = self.tick = self.liquidity = 0
        self.growth0 = self.growth1 = 0
        self.protocol_fees0 = self.protocol_fees1 = 0
        self.fee_protocol0 = self.fee_protocol1 = 0
        self.ticks = TickTable(tick_spacing)
        self.positions: dict[tuple[str, int, int], Position] = {}

    def initialize(self, sqrt_price_x96: int) -> None:
        """Set the first price; refused ``AI`` a second time, ``R`` outside the range of prices."""
        require(not self.sqrt_price_x96, "AI", "the pool is already initialised")
        self.tick = tick_at_sqrt_ratio(sqrt_price_x96)
        self.sqrt_price_x96 = sqrt_price_x96

    # ---------------------------------------------------------------- swaps
    def swap(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int | None = None) -> SwapResult:
        """Swap an exact amount in (positive) or out (negative), no further than the price limit.

        Beyond the pool's liquidity, or at the limit, the swap is partial. Without a limit the whole range of prices is allowed.

        Raises RefusedError: ``AS`` for a zero amount, ``LOK`` before initialisation, ``SPL`` for a limit on the wrong side.
        """
        result = self.quote(zero_for_one, amount_specified, sqrt_price_limit_x96)
        self.sqrt_price_x96, self.tick, self.liquidity = result.sqrt_price_x96, result.tick, result.liquidity
        if zero_for_one:
            self.growth0 = result.fee_growth_x128
            self.protocol_fees0 = (self.protocol_fees0 + result.protocol_fee) % Q128
        else:
            self.growth1 = result.fee_growth_x128
            self.protocol_fees1 = (self.protocol_fees1 + result.protocol_fee) % Q128
        for tick, growth in result.crossed:
            entry = self.ticks.at[tick]
            global0, global1 = (growth, self.growth1) if zero_for_one else (self.growth0, growth)
            entry.outside0 = (global0 - entry.outside0) % Q256
            entry.outside1 = (global1 - entry.outside1) % Q256
        return result

    def quote(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int | None = None) -> SwapResult:
        """What `swap` would do; nothing changes. Raises as `swap` does."""
        limit = sqrt_price_limit_x96
        if limit is None:
            limit = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
        price = self.sqrt_price_x96
        self._check_swap(zero_for_one, amount_specified, limit)
        exact_in = amount_specified > 0
        remaining, calculated = amount_specified, 0
        tick, liquidity, fee_pips, ticks = self.tick, self.liquidity, self.fee_pips, self.ticks
        growth = self.growth0 if zero_for_one else self.growth1
        fee_protocol = self.fee_protocol0 if zero_for_one else self.fee_protocol1
        protocol_fee = 0
        crossed: list[tuple[int, int]] = []
        while remaining and price != limit:
            tick_next, initialised = ticks.next_within_word(tick, zero_for_one)
            if tick_next < MIN_TICK:
                tick_next = MIN_TICK
            elif tick_next > MAX_TICK:
                tick_next = MAX_TICK
            price_next = sqrt_ratio_at_tick(tick_next)
            beyond = price_next < limit if zero_for_one else price_next > limit
            start = price
            price, amount_in, amount_out, fee = compute_swap_step(
                price, limit if beyond else price_next, liquidity, remaining, fee_pips
            )
            if exact_in:
                remaining -= amount_in + fee
                calculated -= amount_out
            else:
                remaining += amount_out
                calculated += amount_in + fee
            if fee_protocol:
                share = fee // fee_protocol
                fee -= share
                protocol_fee += share
            if liquidity:
                growth += (fee << 128) // liquidity
            if price == price_next:
                if initialised:
                    crossed.append((tick_next, growth % Q256))
                    net = ticks.at[tick_next].liquidity_net
                    liquidity += -net if zero_for_one else net
                tick = tick_next - 1 if zero_for_one else tick_next
            elif price != start and not sqrt_ratio_at_tick(tick) <= price < sqrt_ratio_at_tick(tick + 1):
                tick = tick_at_sqrt_ratio(price)
        specified = amount_specified - remaining
        if abs(calculated) > INT_256_MAX:
            raise RefusedError("", "the amount exceeds 256 bits")
        amount0, amount1 = (specified, calculated) if zero_for_one == exact_in else (calculated, specified)
        return SwapResult(amount0, amount1, price, tick, liquidity, growth % Q256, protocol_fee % Q128, tuple(crossed))

    def _check_swap(self, zero_for_one: bool, amount_specified: int, limit: int) -> None:
        price = self.sqrt_price_x96
        if not amount_specified:
            raise RefusedError("AS", "a swap of nothing")
        if not -INT_256_MAX - 1 <= amount_specified <= INT_256_MAX:
            raise RefusedError("", "the amount exceeds 256 bits")
        if not price:
            raise RefusedError("LOK", "the pool is not initialised")
        if not (MIN_SQRT_RATIO < limit < price if zero_for_one else price < limit < MAX_SQRT_RATIO):
            raise RefusedError(
                "SPL", "the price limit lies on the wrong side of the price, or outside the range of prices"
            )

    # ---------------------------------------------------------------- positions
    def mint(self, owner: str, lower: int, upper: int, liquidity: int) -> tuple[int, int]:
        """Add liquidity to a position; returns the amounts of token0 and token1 to be paid.

        Raises RefusedError: ``LOK``, ``TLU``, ``TLM``, ``TUM``, ``LO``, ``LA``, or without reason for no liquidity and ticks off
        the spacing.
        """
        require(bool(self.sqrt_price_x96), "LOK", "the pool is not initialised")
        require(0 < liquidity <= INT_128_MAX, "", "the liquidity to mint is not from 1 to 127 bits")
        return self._modify(owner, lower, upper, liquidity)

    def burn(self, owner: str, lower: int, upper: int, liquidity: int) -> tuple[int, int]:
        """Take liquidity from a position; what it was worth is owed to it (see `collect`). 0 only brings its fees up to date.

        Raises RefusedError: ``LOK``, ``TLU``, ``TLM``, ``TUM``, ``LS`` for more than there is, ``NP`` for 0 of an empty position.
        """
        require(bool(self.sqrt_price_x96), "LOK", "the pool is not initialised")
        require(0 <= liquidity <= INT_128_MAX, "", "the liquidity to burn exceeds 127 bits")
        amount0, amount1 = self._modify(owner, lower, upper, -liquidity)
        if amount0 or amount1:
            position = self.positions[owner, lower, upper]
            position.owed0 = (position.owed0 - amount0) % Q128
            position.owed1 = (position.owed1 - amount1) % Q128
        return -amount0, -amount1

    def collect(self, owner: str, lower: int, upper: int, most0: int, most1: int) -> tuple[int, int]:
        """Pay out what is owed to a position, at most so much of each token; returns what was paid."""
        require(bool(self.sqrt_price_x96), "LOK", "the pool is not initialised")
        position = self.positions.get((owner, lower, upper))
        if position is None:
            return 0, 0
        paid0, paid1 = min(most0, position.owed0), min(most1, position.owed1)
        position.owed0 -= paid0
        position.owed1 -= paid1
        return paid0, paid1

    def growth_inside(self, lower: int, upper: int) -> tuple[int, int]:
        """Fee growth per unit of liquidity between two ticks now (Q128.128, modulo 2**256)."""
        return self.ticks.growth_inside(lower, upper, self.tick, self.growth0, self.growth1)

    def owed(self, owner: str, lower: int, upper: int) -> tuple[int, int]:
        """What a position could collect now, if it were brought up to date first."""
        position = self.positions.get((owner, lower, upper))
        if position is None:
            return 0, 0
        inside0, inside1 = self.growth_inside(lower, upper)
        fees0 = ((inside0 - position.inside0) % Q256) * position.liquidity >> 128
        fees1 = ((inside1 - position.inside1) % Q256) * position.liquidity >> 128
        return (position.owed0 + fees0) % Q128, (position.owed1 + fees1) % Q128

    def _modify(self, owner: str, lower: int, upper: int, delta: int) -> tuple[int, int]:
        """Change a position by `delta` liquidity; amounts are signed as the pool sees them. All checks come before any change."""
        ticks, key = self.ticks, (owner, lower, upper)
        ticks.check(lower, upper)
        held = self.positions[key].liquidity if key in self.positions else 0
        if delta:
            ticks.check_change(lower, delta)
            ticks.check_change(upper, delta)
            ticks.check_spacing(lower, delta)
            ticks.check_spacing(upper, delta)
            require(held + delta >= 0, "LS", "more liquidity would be taken than the position has")
            require(held + delta < Q128, "LA", "the position's liquidity would exceed 128 bits")
        else:
            require(held > 0, "NP", "an empty position has nothing to be brought up to date")
        inside = lower <= self.tick < upper
        if delta and inside:
            require(self.liquidity + delta < Q128, "LA", "the liquidity in range would exceed 128 bits")
        amounts = _amounts(self.sqrt_price_x96, self.tick, lower, upper, delta)
        if delta > 0:
            self._change_ticks(lower, upper, delta)
        inside0, inside1 = self.growth_inside(lower, upper)
        position = self.positions.setdefault(key, Position())
        position.owed0 = (position.owed0 + ((inside0 - position.inside0) % Q256 * held >> 128)) % Q128
        position.owed1 = (position.owed1 + ((inside1 - position.inside1) % Q256 * held >> 128)) % Q128
        position.inside0, position.inside1 = inside0, inside1
        position.liquidity = held + delta
        if delta < 0:
            self._change_ticks(lower, upper, delta)
        if inside:
            self.liquidity += delta
        return amounts

    def _change_ticks(self, lower: int, upper: int, delta: int) -> None:
        self.ticks.change(lower, delta, False, self.tick, self.growth0, self.growth1)
        self.ticks.change(upper, delta, True, self.tick, self.growth0, self.growth1)

    # ---------------------------------------------------------------- the protocol's share
    def set_fee_protocol(self, fee_protocol0: int, fee_protocol1: int) -> None:
        """Let the protocol take one part in so many of each token's fees: 0, or 4 to 10."""
        require(bool(self.sqrt_price_x96), "LOK", "the pool is not initialised")
        for part in (fee_protocol0, fee_protocol1):
            require(part == 0 or 4 <= part <= 10, "", f"the protocol's share 1/{part} is not 0 or from 1/4 to 1/10")
        self.fee_protocol0, self.fee_protocol1 = fee_protocol0, fee_protocol1

    def collect_protocol(self, most0: int, most1: int) -> tuple[int, int]:
        """Pay out the protocol's share, at most so much; the contract keeps one unit of a share that is taken whole."""
        require(bool(self.sqrt_price_x96), "LOK", "the pool is not initialised")
        paid0, paid1 = min(most0, self.protocol_fees0), min(most1, self.protocol_fees1)
        paid0 -= 1 if paid0 and paid0 == self.protocol_fees0 else 0
        paid1 -= 1 if paid1 and paid1 == self.protocol_fees1 else 0
        self.protocol_fees0 -= paid0
        self.protocol_fees1 -= paid1
        return paid0, paid1


def _amounts(sqrt_price_x96: int, tick: int, lower: int, upper: int, delta: int) -> tuple[int, int]:
    """Token0 and token1 of `delta` liquidity between two ticks: to be paid (rounded up) or, negative, given (rounded down)."""
    low, high = sqrt_ratio_at_tick(lower), sqrt_ratio_at_tick(upper)
    size, up, sign = abs(delta), delta > 0, 1 if delta > 0 else -1
    if tick < lower:
        return sign * amount0_delta(low, high, size, up), 0
    if tick < upper:
        amount0 = amount0_delta(sqrt_price_x96, high, size, up)
        return sign * amount0, sign * amount1_delta(low, sqrt_price_x96, size, up)
    return 0, sign * amount1_delta(low, high, size, up)
