"""The exact market of liquidity in a range: the contracts' own amounts, liquidity and fee growth, in integers.

Which range, and how much to swap into it, are decisions and come from the model's functions; what they do is integers. The
position's tokens change with the price, so holding it posts to both of its assets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from treasury_arena.contracts.bound import ONE, asked, ceil_div, fixed, legs
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactState, Fill, Leg
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, SizeRefusedError
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity, liquidity_for_amounts
from treasury_arena_uniswap.exact.swap_math import PIPS
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick
from treasury_arena_uniswap.market import PoolMarket
from treasury_arena_uniswap.range_model import LOG_TEN, LOG_TICK, base_each, base_to_swap, coin_each, root_at, snapped


class Held(NamedTuple):
    """The state of a range position, all integers.

    Attributes:
        liquidity: L in base units.
        lower, upper: ticks, in the pool's token order.
        growth_coin, growth_base: fee growth per unit of liquidity since the last trade, Q128.128.
        owed_coin, owed_base: base units not invested: fees as of the last trade, and what did not fit the range.
        width: what the range was asked for, times 10**18.
        sqrt_price_x96: the pool's price as of the last accrual or trade.
    """

    liquidity: int = 0
    lower: int = 0
    upper: int = 0
    growth_coin: int = 0
    growth_base: int = 0
    owed_coin: int = 0
    owed_base: int = 0
    width: int = 0
    sqrt_price_x96: int = 0


class RangeMarket(PoolMarket):
    """Liquidity in one range of the pool; the state is the fields of `Held`.

    A position must be accrued up to a row before it is valued or traded there, as the model's is.
    """

    def __init__(self, spec: MarketSpec, model: PositionModel, frame: MarketFrame, asset: Asset, base: Asset) -> None:
        super().__init__(spec, model, frame, asset, base)
        self._whole("spacing", 1, 1, 16_383, " of ticks")
        self._part = self._whole("fee_protocol", 1, 0, 10, "")
        if 0 < self._part < 4:
            raise ConfigError(
                f"market {spec.name!r}: params.fee_protocol = {self._part}; the protocol takes one part in 4 to 10, or 0"
            )
        apart = asset.decimals - base.decimals
        if self._params["decimals_apart"] != apart:
            raise ConfigError(
                f"market {spec.name!r}: params.decimals_apart = {self._params['decimals_apart']:g}, but {asset.symbol} has "
                f"{asset.decimals} decimals and {base.symbol} {base.decimals}: write {apart}"
            )

    # ---------------------------------------------------------------- what is held
    def open(self) -> ExactState:
        return tuple(Held())

    def _tokens(self, held: Held, sqrt_price_x96: int) -> tuple[int, int]:
        """Coins and base units that could be taken out: the liquidity's, rounded down, and the fees."""
        coin, base = held.owed_coin, held.owed_base
        if held.liquidity:
            low, high = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
            here = self._sided(*amounts_for_liquidity(sqrt_price_x96, low, high, held.liquidity))
            coin += here[0] + (held.growth_coin * held.liquidity >> 128)
            base += here[1] + (held.growth_base * held.liquidity >> 128)
        return coin, base

    def _sided(self, first: int, second: int) -> tuple[int, int]:
        """(token0, token1) as (coin, base), or back."""
        return (first, second) if self._coin_is_token0 else (second, first)

    def value(self, state: ExactState, row: int) -> int:
        coin, base = self._tokens(Held(*state), self._sqrt_price(row))
        above, below = self._fraction(row)
        return (coin * above + base * below) // below

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        held = Held(*state)
        coin, base = self._tokens(held, held.sqrt_price_x96)
        return {self.asset.symbol: coin, self.base.symbol: base}

    def views(self, state: ExactState, row: int) -> Mapping[str, float]:
        held = Held(*state)
        if not held.liquidity:
            return {"inside": 0.0, "offset": 0.0}
        low, high = (held.lower, held.upper) if self._coin_is_token0 else (-held.upper, -held.lower)
        price = float(self._columns["price"][row])
        centre = 0.25 * (low + high) * LOG_TICK + 0.5 * self._params["decimals_apart"] * LOG_TEN
        offset = (0.5 * math.log(price) - centre) / (0.25 * (high - low) * LOG_TICK)
        return {"inside": 1.0 if self._inside(held, self._sqrt_price(row)) else 0.0, "offset": offset}

    def shape(self, state: ExactState, row: int) -> tuple[float, ...]:
        """Width and ticks of base units of the base asset for one of the coin; nothing to say for no range."""
        held = Held(*state)
        if not held.liquidity:
            return ()
        low, high = (held.lower, held.upper) if self._coin_is_token0 else (-held.upper, -held.lower)
        return (held.width / ONE, float(low), float(high))

    @staticmethod
    def _inside(held: Held, sqrt_price_x96: int) -> bool:
        return sqrt_ratio_at_tick(held.lower) <= sqrt_price_x96 < sqrt_ratio_at_tick(held.upper)

    # ---------------------------------------------------------------- holding
    def accrue(self, state: ExactState, row_from: int, row_to: int) -> tuple[ExactState, tuple[Leg, ...]]:
        self._check_rows(row_from, row_to)
        held = Held(*state)
        if row_from == row_to or not held.liquidity:
            return state, ()
        for row in range(row_from + 1, row_to + 1):
            if self._inside(held, self._sqrt_price(row)):
                held = self._earned(held, row)
        after = tuple(held._replace(sqrt_price_x96=self._sqrt_price(row_to)))
        before, now = self.holdings(state), self.holdings(after)
        moved = [(symbol, now[symbol] - before[symbol]) for symbol in now]
        return after, legs(
            *(("position", symbol, amount) for symbol, amount in moved),
            *(("world", symbol, -amount) for symbol, amount in moved),
        )

    def _earned(self, held: Held, row: int) -> Held:
        """Fee growth of the step that ends at the row: half its volume in each token, the fee in range shared by liquidity.

        Nothing where the pool has no other liquidity: then the volume that the data tell of was not traded in it.
        """
        if not self._liquidity(row):
            return held
        above, below = self._fraction(row)
        half = fixed(float(self._columns["volume"][row]), self.base.unit) // 2
        total = self._liquidity(row) + held.liquidity
        grown = []
        for fee in (half * below // above * self._pips // PIPS, half * self._pips // PIPS):
            left = fee - (fee // self._part if self._part else 0)
            grown.append((left << 128) // total)
        return held._replace(growth_coin=held.growth_coin + grown[0], growth_base=held.growth_base + grown[1])

    # ---------------------------------------------------------------- trading
    def trade(self, state: ExactState, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Fill | None:
        """See `RangeControl` for what the width says, and `range_trade` for the order of things.

        A sale stands alone where re-centring what is left would move the price too far: who has to sell can.
        """
        self._check_trade(target_raw, row)
        held, width = Held(*state), asked(self.spec.name, "width", control) or 0.0
        bounds = self._wanted(held, width, row)
        if not held.liquidity and bounds is None:
            return None
        again = bool(held.liquidity) and bounds is not None
        move = target_raw - self.value(state, row)
        small = not move or abs(move) < self._dust
        if small and not again:
            return None
        held = self._touched(held, row)
        cash = gas = fee = swapped = 0
        if move < 0 and not small:
            gas = self._gas(row, self._params["actions"])
            held, got, fee, swapped = self._sold(held, move, target_raw, row)
            if got <= gas:
                return None
            cash = got - gas
        more = max(0, move)
        if more or (again and held.liquidity):
            extra = self._gas(row, self._params["actions"] + (1.0 if again else 0.0))
            left = self.value(tuple(held), row) if again else 0
            added = None
            if left + more - extra > (self._dust if again else 0):
                try:
                    added = self._invested(held, more - extra, bounds, width, row)
                except SizeRefusedError:
                    if not cash:
                        raise
            if added is not None:
                held = added[0]
                cash, gas, fee, swapped = cash - more, gas + extra, fee + added[1], swapped + added[2]
            elif not cash:
                return None
        after = tuple(held) if held.liquidity else self.open()
        return self._fill(state, after, cash, gas, fee, max(swapped, more, 0 if small else -move), row)

    def _wanted(self, held: Held, width: float, row: int) -> tuple[int, int] | None:
        """The ticks of the range to be had anew, in the pool's token order; None to keep the one that is held."""
        if not width:
            return None
        price, wide = float(self._columns["price"][row]), abs(width)
        low, high = snapped(price, wide, self._params["spacing"], self._params["decimals_apart"])
        bounds = (int(low), int(high)) if self._coin_is_token0 else (-int(high), -int(low))
        if held.liquidity:
            same = fixed(wide, ONE) == held.width
            if same and (bounds == (held.lower, held.upper)):
                return None
            if same and width > 0.0 and self._inside(held, self._sqrt_price(row)):
                return None
        return bounds

    def _touched(self, held: Held, row: int) -> Held:
        """The position with its fees settled, at the row's price."""
        return held._replace(
            growth_coin=0,
            growth_base=0,
            owed_coin=held.owed_coin + (held.growth_coin * held.liquidity >> 128),
            owed_base=held.owed_base + (held.growth_base * held.liquidity >> 128),
            sqrt_price_x96=self._sqrt_price(row),
        )

    def _sold(self, held: Held, move: int, target: int, row: int) -> tuple[Held, int, int, int]:
        """Keep ``target / value`` of everything, rounded up, and swap the rest; returns what came out in all, the fee's worth
        and the swap's, in base units of the base asset."""
        value = target - move

        def kept(amount: int) -> int:
            return ceil_div(amount * target, value)

        after = held._replace(
            liquidity=kept(held.liquidity), owed_coin=kept(held.owed_coin), owed_base=kept(held.owed_base)
        )
        low, high = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
        burnt = amounts_for_liquidity(held.sqrt_price_x96, low, high, held.liquidity - after.liquidity)
        coin, base = self._sided(*burnt)
        coin += held.owed_coin - after.owed_coin
        base += held.owed_base - after.owed_base
        out, fee = self._swap(True, coin, row)
        return after, base + out, self._worth(fee, row), self._worth(coin, row)

    def _invested(
        self, held: Held, more: int, bounds: tuple[int, int] | None, width: float, row: int
    ) -> tuple[Held, int, int] | None:
        """Put `more` base units and what is owed into the range, or all there is into the one of `bounds`; None where that
        gives no liquidity. Also the worth of the swap's fee and of the swap."""
        coin, base, kept = held.owed_coin, held.owed_base + more, held.liquidity
        if bounds is not None:
            coin, base = self._tokens(held, held.sqrt_price_x96)
            base += more
            held, kept = held._replace(lower=bounds[0], upper=bounds[1], width=fixed(abs(width), ONE)), 0
        pool, price = self._liquidity_needed(row), self._sqrt_price(row)
        swap = self._to_swap(coin, base, held, pool, row)
        if swap >= 0:
            out, fee = self._swap(False, swap, row)
            coin, base, swapped = coin + out, base - swap, swap
        else:
            out, fee = self._swap(True, -swap, row)
            coin, base, swapped, fee = coin + swap, base + out, self._worth(-swap, row), self._worth(fee, row)
        if base < 0:
            return None
        low, high = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
        new = liquidity_for_amounts(price, low, high, *self._sided(coin, base))
        if not new:
            return None
        paid_coin, paid_base = self._sided(*amounts_for_liquidity(price, low, high, new, up=True))
        after = held._replace(
            liquidity=kept + new, owed_coin=coin - paid_coin, owed_base=base - paid_base, sqrt_price_x96=price
        )
        return after, fee, swapped

    def _to_swap(self, coin: int, base: int, held: Held, pool: int, row: int) -> int:
        """Base units of the base asset to swap into the range, or, negative, coins: the model's answer as a whole number."""
        apart = self._params["decimals_apart"]
        low, high = (held.lower, held.upper) if self._coin_is_token0 else (-held.upper, -held.lower)
        root, lower, upper = math.sqrt(float(self._columns["price"][row])), root_at(low, apart), root_at(high, apart)
        units, bases = float(self.asset.unit), float(self.base.unit)
        swap = base_to_swap(
            coin / units,
            base / bases,
            coin_each(root, lower, upper),
            base_each(root, lower, upper),
            root,
            pool / math.sqrt(units * bases),
            1.0 - self._pips / PIPS,
        )
        return min(int(swap * bases), max(0, base)) if swap >= 0.0 else -min(int(-swap * units), coin)
