"""Liquidity in a range of a v3 pool of a chain as a market: mint, increase, decrease, collect, burn, and swaps for the ratio.

One order is several transactions. It is tried on a copy of the pool first (`treasury_arena_uniswap.bench`). Where one of them
fails after another was mined, what did happen is the fill: tokens that were taken out and not put back stand in the account as
the position's idle ones, and go into the range with the next order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import attrs

from treasury_arena.contracts.bound import ONE, asked, ceil_div, fixed
from treasury_arena.contracts.protocol import ExactState, Fill
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_POSITIONS
from treasury_arena_evm.v3 import NOWHERE, Pool, check_amount, check_liquid
from treasury_arena_uniswap.bench import Bench
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick
from treasury_arena_uniswap.hands import ChainHands, Hands, HeldOnChain, Look, TrialHands
from treasury_arena_uniswap.onchain import PoolFill, PoolOnChain
from treasury_arena_uniswap.range_model import LOG_TEN, LOG_TICK, snapped

_POSITIONS = ("Transfer", "IncreaseLiquidity", "DecreaseLiquidity", "Collect")


@attrs.frozen
class Order:
    """What is to be done: from `value` to `target`; into `bounds` anew, or into the range that is held."""

    value: int
    target: int
    small: bool
    bounds: tuple[int, int] | None
    width: float

    @property
    def sells(self) -> bool:
        return self.target < self.value and not self.small

    @property
    def more(self) -> int:
        return max(0, self.target - self.value)


class RangeOnChain(PoolOnChain):
    """One range of the account; the state is the fields of `HeldOnChain`, so that several ranges do not meet."""

    _look: Look
    """The position before the order that is being executed."""

    def open(self) -> ExactState:
        return tuple(HeldOnChain())

    def spenders(self) -> Collection[tuple[Asset, str]]:
        """The router and the position manager, that take either token."""
        return [*super().spenders(), *((asset, self.uniswap.positions) for asset in (self.asset, self.base))]

    # ---------------------------------------------------------------- what is held
    def look(self, state: ExactState) -> Look:
        """The position at the latest block. ValidationError when its token belongs to somebody else."""
        held = HeldOnChain(*state)
        if not held.token_id:
            return Look(self.pool(), held)
        now = self.uniswap.position(held.token_id)
        if now.owner.lower() != self.who.address.lower():
            raise ValidationError(
                f"market {self.spec.name!r}: position {held.token_id} belongs to {now.owner}, not to {self.who.address}"
            )
        coin, base = self.sided(now.amount0, now.amount1)
        fees_coin, fees_base = self.sided(now.fees0, now.fees1)
        held = held._replace(
            liquidity=now.liquidity, lower=now.lower, upper=now.upper, coin=coin + fees_coin, base=base + fees_base
        )
        return Look(now.pool, held, fees_coin, fees_base)

    def _worth(self, pool: Pool, held: HeldOnChain) -> int:
        return self.worth(pool, held.idle_coin + held.coin, held.idle_base + held.base)

    def valued(self, state: ExactState) -> int:
        if state == self.open():
            return 0
        look = self.look(state)
        return self._worth(look.pool, look.held)

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        held = HeldOnChain(*state)
        return {self.asset.symbol: held.idle_coin + held.coin, self.base.symbol: held.idle_base + held.base}

    def found(self, state: ExactState) -> ExactState:
        return tuple(self.look(state).held) if HeldOnChain(*state).token_id else state

    def viewed(self, state: ExactState) -> Mapping[str, float]:
        if not HeldOnChain(*state).liquidity:
            return {"inside": 0.0, "offset": 0.0}
        look = self.look(state)
        held = look.held
        low, high = self._ticks(held.lower, held.upper)
        centre = 0.25 * (low + high) * LOG_TICK + 0.5 * self._apart * LOG_TEN
        offset = (0.5 * math.log(self.price(look.pool)) - centre) / (0.25 * (high - low) * LOG_TICK)
        return {"inside": 1.0 if look.inside else 0.0, "offset": offset}

    @property
    def _apart(self) -> int:
        return self.asset.decimals - self.base.decimals

    def _ticks(self, lower: int, upper: int) -> tuple[int, int]:
        """Ticks in the pool's order as those of base units per coin, or back."""
        return (lower, upper) if self._coin_is_token0 else (-upper, -lower)

    # ---------------------------------------------------------------- quoting
    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        """A sale stands alone where moving what is left would move the price too far, as in `RangeMarket`."""
        look = self.look(state)
        order = self._order(look, target_raw, control)
        if order is None:
            return None
        try:
            return self._quoted(state, look, order)
        except SizeRefusedError:
            if not order.sells or order.bounds is None or not order.target:
                raise
            return self._quoted(state, look, attrs.evolve(order, bounds=None))

    def _quoted(self, state: ExactState, look: Look, order: Order) -> Fill | None:
        """The order tried on a copy of the pool."""
        if order.more:
            check_liquid(look.pool)
            check_amount(order.more, "an order")
            self.check_tokens(look.pool, {self.base: order.more}, {})
        hands = TrialHands(look, self._bench(look), self._coin_is_token0)
        after, cash, swapped = self._done(hands, look, order)
        if not cash and not swapped and after[:5] == state[:5]:
            return None
        self.check_move(look.pool, hands.bench().pool.sqrt_price_x96)
        self._check_flows(look.pool, hands)
        return self._filled(state, look, after, cash, swapped, order)

    def _check_flows(self, pool: Pool, hands: TrialHands) -> None:
        """Look at all that goes into the pool and comes out of it, as far as the one that pays holds it already."""
        for asset, into, out in zip((self.asset, self.base), hands.into, hands.out, strict=True):
            token = self.token(asset)
            self.check_tokens(
                pool,
                {asset: min(into, token.balance(self.who.address))} if into else {},
                {asset: min(out, token.balance(pool.address))} if out else {},
            )

    def _bench(self, look: Look) -> Bench:
        held = look.held
        return self.bench(look.pool, ((held.lower, held.upper, held.liquidity),) if held.liquidity else ())

    def _order(self, look: Look, target: int, control: tuple[float, ...]) -> Order | None:
        """What the control asks for beside the value, as for `RangeMarket`; None when there is nothing to do."""
        held, width = look.held, asked(self.spec.name, "width", control) or 0.0
        value = self._worth(look.pool, held)
        move = target - value
        small = abs(move) < max(1, self.dust) and not (target == 0 and value)
        bounds = self._wanted(look, width)
        if small and not (bounds is not None and (held.token_id or value >= max(1, self.dust))):
            return None
        if move > 0 and not held.token_id and bounds is None:
            return None
        return Order(value, target, small, bounds, width)

    def _wanted(self, look: Look, width: float) -> tuple[int, int] | None:
        """The ticks of the range to be had anew, in the pool's order; None to keep the one that is held."""
        if not width:
            return None
        low, high = snapped(self.price(look.pool), abs(width), float(look.pool.spacing), float(self._apart))
        bounds = self._ticks(int(low), int(high))
        held = look.held
        same = held.liquidity and fixed(abs(width), ONE) == held.width
        kept = bounds == (held.lower, held.upper) or (width > 0.0 and look.inside)
        return None if same and kept else bounds

    # ---------------------------------------------------------------- doing
    def execute(self, state: ExactState, fill: Fill) -> Fill:
        self._look = self.look(state)
        order = self.check_quoted(fill, self._look.pool).order
        _, cash, _ = self._done(ChainHands(self, self._look), self._look, order)
        return self._booked(state, order, cash)

    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """As far as it came. What the range bought with the holder's cash is paid for; the rest of it was never touched."""
        assert isinstance(fill, PoolFill)  # `execute` has looked at it
        return self._booked(state, fill.order, min(0, self._look.held.idle_base + self.moved(self.base)))

    def _booked(self, state: ExactState, order: Order, cash: int) -> Fill:
        """The fill by the receipts alone; the node is asked only what the range is worth now."""
        look = self._look
        after = self._noted(look, order)._replace(
            idle_coin=look.held.idle_coin + self.moved(self.asset),
            idle_base=look.held.idle_base + self.moved(self.base) - cash,
        )
        try:
            after = self.look(tuple(after)).held
        except Exception as error:  # the receipts have said enough
            self.unfinished = self.unfinished or f"the range could not be read: {error}"
        return self._filled(state, look, tuple(after), cash, self._swapped(look.pool), order)

    def _swapped(self, pool: Pool) -> int:
        """What the swaps of this fill were worth, by the pool's events."""
        worth = 0
        for receipt in self._spent:
            for event in receipt.events(V3_POOL.event("Swap"), pool.address):
                coin, base = self.sided(event["amount0"], event["amount1"])
                worth += self.worth(pool, coin) if coin > 0 else max(0, base)
        return worth

    def _noted(self, look: Look, order: Order) -> HeldOnChain:
        """The position by the receipts of this fill, worth what it is at the last price that they tell."""
        held, me, price = look.held, self.who.address.lower(), look.pool.sqrt_price_x96
        owed = self.sided(look.fees_coin, look.fees_base)
        for receipt in self._spent:
            for event in receipt.events(V3_POOL.event("Swap"), look.pool.address):
                price = event["sqrtPriceX96"]
            told = {name: receipt.events(V3_POSITIONS.event(name), self.uniswap.positions) for name in _POSITIONS}
            for event in told["Transfer"]:
                if event["from"].lower() == me and event["tokenId"] == held.token_id:
                    held, owed = HeldOnChain(), (0, 0)
                elif event["from"] == NOWHERE and event["to"].lower() == me:
                    lower, upper = order.bounds or (look.held.lower, look.held.upper)
                    width = fixed(abs(order.width), ONE) if order.bounds else look.held.width
                    held = HeldOnChain(event["tokenId"], 0, lower, upper, width)
            for event in told["IncreaseLiquidity"]:
                if event["tokenId"] == held.token_id:
                    held = held._replace(liquidity=held.liquidity + event["liquidity"])
            for event in told["DecreaseLiquidity"]:
                if event["tokenId"] == held.token_id:
                    held = held._replace(liquidity=held.liquidity - event["liquidity"])
                    owed = owed[0] + event["amount0"], owed[1] + event["amount1"]
            if any(event["tokenId"] == held.token_id for event in told["Collect"]):
                owed = (0, 0)  # it is always all that is collected
        if held.liquidity:
            bounds = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
            amounts = amounts_for_liquidity(price, *bounds, held.liquidity)
            owed = owed[0] + amounts[0], owed[1] + amounts[1]
        coin, base = self.sided(*owed)
        return held._replace(coin=coin, base=base)

    def _done(self, hands: Hands, look: Look, order: Order) -> tuple[ExactState, int, int]:
        """Do the order: the state, what it changes cash by, and the worth of what was swapped."""
        held, pool = look.held, look.pool
        coin, base, cash, swapped = held.idle_coin, held.idle_base, 0, 0
        if order.sells:

            def kept(amount: int) -> int:
                return ceil_div(amount * order.target, order.value)

            burnt = fees = (0, 0)
            if held.token_id:
                burnt, fees = hands.take(held.liquidity - kept(held.liquidity))
            sold_coin = burnt[0] + coin + fees[0] - kept(coin + fees[0])
            sold_base = burnt[1] + base + fees[1] - kept(base + fees[1])
            coin, base = kept(coin + fees[0]), kept(base + fees[1])
            out = hands.swap(True, sold_coin) if sold_coin and self.worth(pool, sold_coin) else 0
            if sold_coin and not out:
                coin += sold_coin
            else:
                swapped += self.worth(pool, sold_coin)
            cash = sold_base + out
        anew = order.bounds is not None and order.target > 0
        if order.more or anew:
            coin, base, more = self._invested(hands, look, order, coin, base)
            cash -= order.more
            swapped += more
        return tuple(hands.after(coin, base)), cash, swapped

    def _invested(self, hands: Hands, look: Look, order: Order, coin: int, base: int) -> tuple[int, int, int]:
        """Put idle tokens, fees and the holder's `more` into the range; what is left idle, and the worth of what was swapped."""
        if hands.token_id:
            burnt, fees = hands.take(hands.liquidity if order.bounds is not None else 0)
            coin, base = coin + burnt[0] + fees[0], base + burnt[1] + fees[1]
        base += order.more
        lower, upper = order.bounds or (look.held.lower, look.held.upper)
        on = hands.bench()
        first, amount = on.to_swap(lower, upper, *self.sided(coin, base))
        swapped = 0
        if amount:
            coin_in = first == self._coin_is_token0
            out = hands.swap(coin_in, amount)
            coin, base = (coin - amount, base + out) if coin_in else (coin + out, base - amount)
            swapped = self.worth(look.pool, amount) if coin_in else amount
        used = hands.add(lower, upper, coin, base, fixed(abs(order.width), ONE) if order.bounds else look.held.width)
        return coin - used[0], base - used[1], swapped

    def _filled(
        self,
        state: ExactState,
        look: Look,
        after: ExactState,
        cash: int,
        swapped: int,
        order: Order,
    ) -> Fill:
        """The cost is against the pool's price before."""
        pool, held = look.pool, HeldOnChain(*after)
        coin, base = held.idle_coin, held.idle_base
        if held.liquidity:
            bounds = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
            inside = self.sided(*amounts_for_liquidity(pool.sqrt_price_x96, *bounds, held.liquidity))
            coin, base = coin + inside[0], base + inside[1]
        cost = self._worth(pool, look.held) - self.worth(pool, coin, base) - cash
        size = max(swapped, order.more, order.value - order.target if order.sells else 0)
        return self.pool_fill(state, after, cash, size, cost, pool.sqrt_price_x96, order)
