"""A coin in a v3 pool of a chain as a market: quoted on the pool as it is now, settled by transactions, told by their receipts.

What the swap's fee and the move of the price cost is in the fill's `cost_raw`, against the pool's price before; the postings
have tokens alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from treasury_arena.contracts.bound import ceil_div
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState, Fill
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_evm.onchain import OnChainMarket
from treasury_arena_evm.v3 import (
    Pool,
    check_amount,
    check_liquid,
    check_move,
    check_move_limit,
    check_priced,
    check_slippage,
    check_unmoved,
    least_out,
)
from treasury_arena_uniswap.bench import Bench, bench
from treasury_arena_uniswap.chain import DEADLINE_SECONDS, UniswapV3

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session


@attrs.frozen
class PoolFill(Fill):
    """A fill quoted on a pool at the square-root price `quoted_x96` (Q64.96), with the market's own `order`."""

    quoted_x96: int = 0
    order: Any = None


class PoolOnChain(OnChainMarket):
    """What markets in one pool of the coin and the base asset share.

    Args: as `OnChainMarket`, and `fee` of the pool in millionths, `slippage_bps` by which the pool's price may move, and a
    swap pay less, between a quote and its transactions, `max_move_bps` by which one order of ours may move the price (one that
    would move it further is to be split). Raises ConfigError for the base asset against itself, and where
    there is no such pool; ValidationError for a slippage or move that cannot be.
    """

    def __init__(
        self,
        spec: MarketSpec,
        session: Session,
        who: LocalAccount,
        asset: Asset,
        base: Asset,
        *,
        fee: int = 500,
        slippage_bps: int = 50,
        max_move_bps: int = 200,
        **more: Any,
    ) -> None:
        if asset == base:
            raise ConfigError(
                f"market {spec.name!r} trades {base.symbol} against itself; a pool needs a coin beside the base asset"
            )
        super().__init__(spec, session, who, asset, base, **more)
        check_slippage(slippage_bps)
        check_move_limit(max_move_bps)
        self.fee, self.slippage_bps, self.max_move_bps = fee, slippage_bps, max_move_bps
        self.uniswap = UniswapV3(session, who)
        try:
            pool = self.uniswap.pool(asset.symbol, base.symbol, fee)
        except ValidationError as error:
            raise ConfigError(f"market {spec.name!r}: {error}") from error
        self._coin_is_token0 = pool.token0.symbol == asset.symbol
        self._before = pool

    def spenders(self) -> Collection[tuple[Asset, str]]:
        """The router, that takes either token."""
        return [(asset, self.uniswap.router) for asset in (self.asset, self.base)]

    # ---------------------------------------------------------------- the pool
    def pool(self) -> Pool:
        """The pool at the latest block."""
        return self.uniswap.pool(self.asset.symbol, self.base.symbol, self.fee)

    def bench(self, pool: Pool | None = None, held: tuple[tuple[int, int, int], ...] = ()) -> Bench:
        """A copy of the pool to try an order on."""
        return bench(self.session, self.pool() if pool is None else pool, held)

    def sided(self, first: int, second: int) -> tuple[int, int]:
        """(token0, token1) as (coin, base), or back."""
        return (first, second) if self._coin_is_token0 else (second, first)

    def worth(self, pool: Pool, coin: int, base: int = 0) -> int:
        """Base units of the base asset at the pool's price, rounded down; ValidationError for a pool without one."""
        check_priced(pool)
        token = pool.token1 if self._coin_is_token0 else pool.token0
        return pool.worth(*self.sided(coin, base), token)

    def price(self, pool: Pool) -> float:
        """USD per coin."""
        ratio = (pool.sqrt_price_x96 / 2**96) ** 2
        raw = ratio if self._coin_is_token0 else 1.0 / ratio
        return raw * self.asset.unit / self.base.unit

    # ---------------------------------------------------------------- for subclasses
    def check_tokens(self, pool: Pool, into: Mapping[Asset, int], out: Mapping[Asset, int]) -> None:
        """Look at both tokens before anything is signed: amounts that go into the pool, and that come out of it."""
        for asset, amount in into.items():
            if amount > 0:
                self.token(asset).check(self.who.address, pool.address, amount)
        for asset, amount in out.items():
            if amount > 0:
                self.token(asset).check(pool.address, self.who.address, amount)

    def check_move(self, pool: Pool, after_x96: int) -> None:
        """Refuse an order after which the pool's price is too far from where it was."""
        check_move(pool, after_x96, self.max_move_bps, f"market {self.spec.name!r}: the order")

    def check_quoted(self, fill: Fill, pool: Pool) -> PoolFill:
        """The quote, unless the pool's price has moved by more than the slippage since, or the fill is none of ours."""
        if not isinstance(fill, PoolFill):
            raise ValidationError("the fill was not quoted by this market")
        check_unmoved(pool, fill.quoted_x96, self.slippage_bps)
        return fill

    def swapped(self, coin_in: bool, amount: int, expected: int) -> int:
        """Swap on the chain for what is expected less the slippage; what came."""
        names = (self.asset.symbol, self.base.symbol) if coin_in else (self.base.symbol, self.asset.symbol)
        least = least_out(expected, self.slippage_bps)
        return self.uniswap.swap(*names, self.fee, amount, least, self.deadline()).amount_out

    def deadline(self) -> int:
        """Until when a transaction that is sent now may be mined."""
        return self.session.now + DEADLINE_SECONDS

    def pool_fill(
        self,
        before: ExactState,
        after: ExactState,
        cash: int,
        size: int,
        cost: int,
        quoted_x96: int,
        order: Any = None,
    ) -> PoolFill:
        """The fill of what moved: `size` the notional, `cost` what holder and position lose together."""
        held, holds = self.holdings(before), self.holdings(after)
        entries = [("cash", self.base.symbol, cash)]
        entries += [("position", symbol, holds[symbol] - held.get(symbol, 0)) for symbol in holds]
        cost = max(0, cost)
        plain = self.fill(after, entries, size, cost, 10_000.0 * cost / size if size else 0.0)
        return PoolFill(**attrs.asdict(plain, recurse=False), quoted_x96=quoted_x96, order=order)


class SpotOnChain(PoolOnChain):
    """A coin held outright, bought and sold in the pool by SwapRouter02; the state is ``(base units,)``."""

    def open(self) -> ExactState:
        return (0,)

    def valued(self, state: ExactState) -> int:
        return self.worth(self.pool(), state[0]) if state[0] else 0

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.asset.symbol: state[0]}

    def found(self, state: ExactState) -> ExactState:
        return state

    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        pool = self.pool()
        worth = self.worth(pool, state[0])
        move = target_raw - worth
        if not move or (abs(move) < self.dust and not (target_raw == 0 and worth)):
            return None
        check_liquid(pool)
        coin_in = move < 0
        amount = state[0] - self._kept(pool, state[0], target_raw) if coin_in else move
        given, got = (self.asset, self.base) if coin_in else (self.base, self.asset)
        check_amount(amount, "a swap")
        self.check_tokens(pool, {given: amount}, {})
        quote = self.uniswap.quote(given.symbol, got.symbol, self.fee, amount)
        if not quote.amount_out:
            raise ValidationError(
                f"market {self.spec.name!r}: {amount} base units of {given.symbol} buy no unit of {got.symbol}"
            )
        self.check_move(pool, quote.sqrt_price_after_x96)
        self.check_tokens(pool, {}, {got: quote.amount_out})
        return self._filled(state, (amount, quote.amount_out), coin_in, pool)

    def _kept(self, pool: Pool, coins: int, target: int) -> int:
        """Coins that are worth the target, rounded up."""
        square, unit = pool.sqrt_price_x96**2, 1 << 192
        above, below = (unit, square) if self._coin_is_token0 else (square, unit)
        return min(coins, ceil_div(target * above, below))

    def _filled(self, state: ExactState, swap: tuple[int, int], coin_in: bool, pool: Pool) -> PoolFill:
        gone, came = swap
        after, cash = ((state[0] - gone,), came) if coin_in else ((state[0] + came,), -gone)
        cost = self.worth(pool, gone) - came if coin_in else gone - self.worth(pool, came)
        size = self.worth(pool, gone) if coin_in else gone
        return self.pool_fill(state, after, cash, size, cost, pool.sqrt_price_x96)

    def execute(self, state: ExactState, fill: Fill) -> Fill:
        self._before = self.pool()
        self.check_quoted(fill, self._before)
        coin_in = fill.cash_raw > 0
        coins = fill.state[0] - state[0]
        amount, expected = (-coins, fill.cash_raw) if coin_in else (-fill.cash_raw, coins)
        self.swapped(coin_in, amount, expected)
        return self.recovered(state, fill)

    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """By the tokens' own events."""
        coin_in, coin, base = fill.cash_raw > 0, self.moved(self.asset), self.moved(self.base)
        return self._filled(state, (-coin, base) if coin_in else (-base, coin), coin_in, self._before)
