"""A range position on a chain, and what does the parts of its orders: on a copy of the pool, or by transactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from treasury_arena_evm.v3 import Pool
from treasury_arena_uniswap.bench import ME, Bench
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity
from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick
from treasury_arena_uniswap.onchain import PoolOnChain

Pair = tuple[int, int]
"""Base units of the coin and of the base asset."""


class HeldOnChain(NamedTuple):
    """The state of a range on a chain, all integers.

    Attributes:
        token_id: the position's token, 0 while there is none.
        liquidity, lower, upper: as the position manager has them.
        width: what the range was asked for, times 10**18.
        idle_coin, idle_base: base units in the account that belong to the position.
        coin, base: base units that could be taken out of the range when the books last looked, fees included.
    """

    token_id: int = 0
    liquidity: int = 0
    lower: int = 0
    upper: int = 0
    width: int = 0
    idle_coin: int = 0
    idle_base: int = 0
    coin: int = 0
    base: int = 0


class Look(NamedTuple):
    """A position at the latest block: coins and base units of its liquidity and of its fees, and the pool."""

    pool: Pool
    held: HeldOnChain
    fees_coin: int = 0
    fees_base: int = 0

    @property
    def inside(self) -> bool:
        return self.held.lower <= self.pool.tick < self.held.upper


class Hands(ABC):
    """The position as the parts leave it. All amounts are (coin, base)."""

    def hold(self, held: HeldOnChain) -> None:
        """Take up a position as it is."""
        self.held = held
        self.token_id, self.liquidity = held.token_id, held.liquidity

    @abstractmethod
    def bench(self) -> Bench:
        """The pool as it is now."""

    @abstractmethod
    def take(self, liquidity: int) -> tuple[Pair, Pair]:
        """Burn so much and collect everything; what the liquidity amounted to, and the fees. A position emptied is forgotten."""

    @abstractmethod
    def swap(self, coin_in: bool, amount: int) -> int:
        """Swap exactly `amount`; what came."""

    @abstractmethod
    def add(self, lower: int, upper: int, coin: int, base: int, width: int) -> Pair:
        """Put at most so much into the range, which is the one that is held or a new one; what it took."""

    @abstractmethod
    def after(self, idle_coin: int, idle_base: int) -> HeldOnChain:
        """The position's state, given what stands idle."""

    def _forgotten(self) -> None:
        self.held = type(self.held)()
        self.token_id = self.liquidity = 0


def _plus(one: Pair, other: Pair) -> Pair:
    return one[0] + other[0], one[1] + other[1]


class TrialHands(Hands):
    """On a bench. `into` and `out` are the coins and base units that went into the pool so far, and that came out of it."""

    def __init__(self, look: Look, on: Bench, coin_is_token0: bool) -> None:
        self._on, self._coin_is_token0 = on, coin_is_token0
        self._fees = look.fees_coin, look.fees_base
        self.into = self.out = (0, 0)
        self.hold(look.held)

    def _sided(self, first: int, second: int) -> Pair:
        return (first, second) if self._coin_is_token0 else (second, first)

    def bench(self) -> Bench:
        return self._on

    def take(self, liquidity: int) -> tuple[Pair, Pair]:
        # A range that was emptied before, and not forgotten, has nothing on the bench.
        taken, fees = self._on.take(self.held.lower, self.held.upper, liquidity) if self.liquidity else ((0, 0), (0, 0))
        burnt, more = self._sided(*taken), self._sided(*fees)
        fees, self._fees = (self._fees[0] + more[0], self._fees[1] + more[1]), (0, 0)
        self.out = _plus(self.out, _plus(burnt, fees))
        self.liquidity -= liquidity
        if not self.liquidity:
            self._forgotten()
        return burnt, fees

    def swap(self, coin_in: bool, amount: int) -> int:
        out = self._on.swap(coin_in == self._coin_is_token0, amount)
        self.into = _plus(self.into, (amount, 0) if coin_in else (0, amount))
        self.out = _plus(self.out, (0, out) if coin_in else (out, 0))
        return out

    def add(self, lower: int, upper: int, coin: int, base: int, width: int) -> Pair:
        liquidity, *used = self._on.add(lower, upper, *self._sided(coin, base))
        self.liquidity += liquidity
        self.held = self.held._replace(lower=lower, upper=upper, width=width)
        taken = self._sided(*used)
        self.into = _plus(self.into, taken)
        return taken

    def after(self, idle_coin: int, idle_base: int) -> HeldOnChain:
        held = self.held
        coin, base = self._fees
        if self.liquidity:
            bounds = sqrt_ratio_at_tick(held.lower), sqrt_ratio_at_tick(held.upper)
            now = self._sided(*amounts_for_liquidity(self._on.pool.sqrt_price_x96, *bounds, self.liquidity))
            earned = self._sided(*self._on.pool.owed(ME, held.lower, held.upper))
            coin, base = coin + now[0] + earned[0], base + now[1] + earned[1]
        return held._replace(liquidity=self.liquidity, idle_coin=idle_coin, idle_base=idle_base, coin=coin, base=base)


class ChainHands(Hands):
    """By transactions of the market's account; what they did to the position is told by their receipts."""

    def __init__(self, market: PoolOnChain, look: Look) -> None:
        self._market = market
        self.hold(look.held)

    def bench(self) -> Bench:
        return self._market.bench()

    def take(self, liquidity: int) -> tuple[Pair, Pair]:
        market, uniswap, token_id = self._market, self._market.uniswap, self.token_id
        burnt0 = burnt1 = all0 = all1 = 0
        self._check_paid(liquidity)
        if liquidity:
            done = uniswap.decrease(token_id, liquidity, market.deadline(), market.slippage_bps)
            burnt0, burnt1 = done.amount0, done.amount1
            self.liquidity -= liquidity
        owed = uniswap.position(token_id)
        if owed.fees0 or owed.fees1:
            done = uniswap.collect(token_id)
            all0, all1 = done.amount0, done.amount1
        if not self.liquidity:
            uniswap.burn(token_id)
            self._forgotten()
        return market.sided(burnt0, burnt1), market.sided(all0 - burnt0, all1 - burnt1)

    def _check_paid(self, liquidity: int) -> None:
        """Look at the tokens before anything is taken out: what is burnt and cannot be collected would lie in the contract."""
        market, there = self._market, self._market.uniswap.position(self.token_id)
        coin, base = market.sided(there.fees0, there.fees1)
        if liquidity:
            coin, base = _plus((coin, base), market.sided(there.amount0, there.amount1))
        market.check_tokens(there.pool, {}, {market.asset: coin, market.base: base})

    def swap(self, coin_in: bool, amount: int) -> int:
        market = self._market
        given, got = (market.asset, market.base) if coin_in else (market.base, market.asset)
        expected = market.uniswap.quote(given.symbol, got.symbol, market.fee, amount).amount_out
        return market.swapped(coin_in, amount, expected) if expected else 0

    def add(self, lower: int, upper: int, coin: int, base: int, width: int) -> Pair:
        market, uniswap = self._market, self._market.uniswap
        amounts, until = market.sided(coin, base), market.deadline()
        if self.token_id:
            done = uniswap.increase(self.token_id, *amounts, until, market.slippage_bps)
        else:
            done = uniswap.mint(market.pool(), lower, upper, *amounts, until, market.slippage_bps)
        self.token_id, self.liquidity = done.token_id, self.liquidity + done.liquidity
        return market.sided(done.amount0, done.amount1)

    def after(self, idle_coin: int, idle_base: int) -> HeldOnChain:
        return self.held._replace(liquidity=self.liquidity, idle_coin=idle_coin, idle_base=idle_base, coin=0, base=0)
