"""The contract's own pool beside an exact market at a row: the same price, liquidity and fee, and its postings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import Leg
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick
from treasury_arena_uniswap.exact.v3_pool import V3Pool
from treasury_arena_uniswap.protocol import UniswapProtocol
from treasury_arena_uniswap.range_market import Held
from treasury_arena_uniswap.range_model import base_each, base_to_swap, coin_each, root_at

ASSETS = AssetTable(KNOWN_ASSETS)
KINDS = {model.name: model.kind for model in UniswapProtocol().models}
USD, ETH = 10**6, 10**18
PIPS = 500
GAS = 0.25 + 2.0**-21
"""USD; 250,000.48 base units: 250,001 are paid for one action, 500,001 for two, 750,002 for three."""
WIDE = 887_200
Q96, Q128 = 2**96, 2**128
PRICES = [3_000.0, 3_010.5, 3_700.0, 2_000.0]
"""Of the rows of a range: where it is opened, inside it, above and below."""


def market(
    model: str,
    fields: Mapping[str, Any],
    params: Mapping[str, float] | None = None,
    asset: str = "WETH",
    base: str = "USDC",
) -> Any:
    columns = {name: np.array(values, float) for name, values in fields.items()}
    spec = MarketSpec("m", model, KINDS[model], asset, {name: name for name in columns}, dict(params or {}))
    return UniswapProtocol().exact(spec, MarketFrame(0, 3600, columns), ASSETS, ASSETS[base])


def posted(legs: Iterable[Leg]) -> dict[tuple[str, str], int]:
    """Amounts by account and asset, each told once; they sum to zero per asset."""
    legs = tuple(legs)
    for symbol in {leg.asset for leg in legs}:
        assert sum(leg.amount for leg in legs if leg.asset == symbol) == 0
    amounts = {(leg.account, leg.asset): leg.amount for leg in legs}
    assert len(amounts) == len(legs)
    return amounts


def without_zeros(amounts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    return {key: amount for key, amount in amounts.items() if amount}


def pool_at(sqrt_price_x96: int, liquidity: int = 0, spacing: int = 200) -> V3Pool:
    """A pool at a price, with this liquidity around it."""
    pool = V3Pool(PIPS, spacing)
    pool.initialize(sqrt_price_x96)
    if liquidity:
        pool.mint("others", -WIDE, WIDE, liquidity)
    return pool


def swapped(pool: V3Pool, zero_for_one: bool, amount: int) -> tuple[int, int]:
    """What a swap pays out, and its fee, which the pool's growth tells."""
    liquidity = pool.liquidity
    done = pool.swap(zero_for_one, amount)
    assert (done.amount0 if zero_for_one else done.amount1) == amount
    fee = -(-done.fee_growth_x128 * liquidity >> 128)  # the growth is rounded down by less than one unit of fee
    return -(done.amount1 if zero_for_one else done.amount0), fee


class Side:
    """What the contract does with a range at a row of a market."""

    def __init__(self, trading: Any, token0: float, row: int) -> None:
        self.trading, self.token0, self.row = trading, token0, row
        self.price, self.depth = trading._sqrt_price(row), trading._liquidity(row)
        self.each = Fraction(PRICES[row]) / 10**12

    def sided(self, first: int, second: int) -> tuple[int, int]:
        return (first, second) if self.token0 else (second, first)

    def taken(self, held: Held, liquidity: int) -> tuple[int, int]:
        """Coins and base units for liquidity that is burnt."""
        if not liquidity:
            return 0, 0
        pool = pool_at(self.price, spacing=10)
        pool.mint("me", held.lower, held.upper, liquidity)
        return self.sided(*pool.burn("me", held.lower, held.upper, liquidity))

    def fees(self, held: Held) -> list[int]:
        return [math.floor(Fraction(g * held.liquidity, Q128)) for g in (held.growth_coin, held.growth_base)]

    def tokens(self, held: Held) -> tuple[int, int]:
        taken, fees = self.taken(held, held.liquidity), self.fees(held)
        return held.owed_coin + taken[0] + fees[0], held.owed_base + taken[1] + fees[1]

    def value(self, held: Held) -> int:
        coin, base = self.tokens(held)
        return math.floor(coin * self.each + base)

    def touched(self, held: Held) -> Held:
        coin, base = self.fees(held)
        owed = held.owed_coin + coin, held.owed_base + base
        return held._replace(
            growth_coin=0, growth_base=0, owed_coin=owed[0], owed_base=owed[1], sqrt_price_x96=self.price
        )

    def swapped(self, coin_in: bool, amount: int) -> tuple[int, int]:
        if not amount:
            return 0, 0
        return swapped(pool_at(self.price, self.depth), coin_in == (self.token0 == 1.0), amount)

    def wish(self, coin: int, base: int, held: Held) -> float:
        """The model's answer: USD to swap into the range, or, negative, coins."""
        ticks = (held.lower, held.upper) if self.token0 else (-held.upper, -held.lower)
        root, (low, high) = math.sqrt(PRICES[self.row]), (root_at(tick, 12.0) for tick in ticks)
        each, beside = coin_each(root, low, high), base_each(root, low, high)
        depth = self.depth / math.sqrt(1e18 * 1e6)
        return base_to_swap(coin / 1e18, base / 1e6, each, beside, root, depth, 1.0 - PIPS / 1e6)

    def invested(self, held: Held, coin: int, base: int) -> tuple[Held, int, int]:
        """`held` with what these tokens mint after the swap, the fee's worth and the swap's."""
        swap = self.wish(coin, base, held)
        if swap >= 0.0:
            size = moved = min(int(swap * 1e6), base)
            out, fee = self.swapped(False, moved)
            coin, base = coin + out, base - moved
        else:
            moved = min(int(-swap * 1e18), coin)
            out, fee = self.swapped(True, moved)
            coin, base = coin - moved, base + out
            size, fee = math.floor(moved * self.each), math.floor(fee * self.each)
        low, high = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
        first, second = self.sided(coin, base)
        at = min(max(self.price, low), high)
        most = [second * Q96 // (at - low)] if at > low else []
        most += [first * (at * high // Q96) // (high - at)] if at < high else []
        paid = self.sided(*pool_at(self.price, spacing=10).mint("me", held.lower, held.upper, min(most)))
        liquidity, owed = held.liquidity + min(most), (coin - paid[0], base - paid[1])
        after = held._replace(liquidity=liquidity, owed_coin=owed[0], owed_base=owed[1], sqrt_price_x96=self.price)
        return after, fee, size

    def sold(self, held: Held, target: int) -> tuple[Held, int, int, int]:
        """`held` after a sale, what came out in all, the fee's worth and the swap's."""
        share = Fraction(target, self.value(held))
        held = self.touched(held)
        left = {name: math.ceil(getattr(held, name) * share) for name in ("liquidity", "owed_coin", "owed_base")}
        after = held._replace(**left)
        coin, base = self.taken(held, held.liquidity - after.liquidity)
        coin, base = coin + held.owed_coin - after.owed_coin, base + held.owed_base - after.owed_base
        out, fee = self.swapped(True, coin)
        return after, base + out, math.floor(fee * self.each), math.floor(coin * self.each)

    def check(self, fill: Any, before: Held, after: Held, cash: int, gas: int, fee: int, size: int) -> None:
        """The fill's state, postings, costs and size are these."""
        assert fill.state == (tuple(after) if after.liquidity else tuple(Held()))
        after = Held(*fill.state)
        was, now = self.tokens(before), self.tokens(after)
        coin, base = now[0] - was[0], now[1] - was[1]
        cost = self.value(before) - self.value(after) - cash
        assert cost >= gas + fee
        amounts = {
            ("cash", "USDC"): cash,
            ("fee", "USDC"): fee,
            ("gas", "USDC"): gas,
            ("position", "USDC"): base,
            ("world", "USDC"): -cash - fee - gas - base,
            ("position", "WETH"): coin,
            ("world", "WETH"): -coin,
        }
        assert posted(fill.legs) == without_zeros(amounts)
        assert (fill.notional_raw, fill.cost_raw) == (size, cost)
        assert fill.slippage_bps == 10_000.0 * (cost - gas) / size
        assert self.trading.value(fill.state, self.row) == self.value(after)
        assert self.trading.holdings(fill.state) == {"WETH": now[0], "USDC": now[1]}
