"""A coin against the base asset in one v3 pool of a chain, for markets of others that swap on their way (a leveraged account)."""

from __future__ import annotations

from treasury_arena.errors import ValidationError
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.v3 import Pool, Quote, check_move, check_move_limit, check_slippage, check_unmoved, least_out
from treasury_arena_uniswap.chain import DEADLINE_SECONDS, Swapped, UniswapV3


class PoolExchange:
    """Swaps exact amounts between a coin and the base asset, as the account of `uniswap`; all amounts are base units.

    Args:
        coin, base: symbols of pinned tokens.
        fee: of the pool in millionths.
        slippage_bps: by which the pool's price may have moved since the last quote or swap here, and by which a swap may pay
            less than is quoted when it is sent.
        max_move_bps: by which one swap may move the price.

    Raises ValidationError where there is no such pool, and for a slippage or move that cannot be.
    """

    def __init__(
        self,
        uniswap: UniswapV3,
        coin: str,
        base: str,
        *,
        fee: int = 500,
        slippage_bps: int = 50,
        max_move_bps: int = 200,
    ) -> None:
        check_slippage(slippage_bps)
        check_move_limit(max_move_bps)
        self.uniswap, self.coin, self.base, self.fee = uniswap, coin, base, fee
        self.slippage_bps, self.max_move_bps = slippage_bps, max_move_bps
        self._seen_x96 = self._pool().sqrt_price_x96

    @property
    def spender(self) -> str:
        """The router, that takes what is swapped."""
        return self.uniswap.router

    def quote_buy(self, base_raw: int) -> int:
        """Coins for so much of the base asset at the latest block; ValidationError for what the pool cannot swap."""
        return self._quoted(self.base, self.coin, base_raw)

    def quote_sell(self, coin_raw: int) -> int:
        """Base asset for so many coins at the latest block; ValidationError for what the pool cannot swap."""
        return self._quoted(self.coin, self.base, coin_raw)

    def buy(self, base_raw: int, least_raw: int = 1) -> Swapped:
        """Swap exactly so much of the base asset for `least_raw` or more; ValidationError when the price is not as quoted."""
        return self._swapped(self.base, self.coin, base_raw, least_raw)

    def sell(self, coin_raw: int, least_raw: int = 1) -> Swapped:
        """Swap exactly so many coins for `least_raw` or more; ValidationError when the price is not as quoted."""
        return self._swapped(self.coin, self.base, coin_raw, least_raw)

    def _pool(self) -> Pool:
        return self.uniswap.pool(self.coin, self.base, self.fee)

    def _quoted(self, given: str, got: str, amount: int) -> int:
        pool = self._pool()
        out = self._checked(pool, given, got, amount).amount_out
        self._seen_x96 = pool.sqrt_price_x96
        return out

    def _checked(self, pool: Pool, given: str, got: str, amount: int) -> Quote:
        try:
            quote = self.uniswap.quote(given, got, self.fee, amount)
        except RevertError as error:
            raise ValidationError(f"the pool {pool.name} does not swap {amount} base units: {error}") from error
        check_move(pool, quote.sqrt_price_after_x96, self.max_move_bps, f"swapping {amount} base units of {given}")
        return quote

    def _swapped(self, given: str, got: str, amount: int, least_raw: int) -> Swapped:
        pool = self._pool()
        check_unmoved(pool, self._seen_x96, self.slippage_bps)
        expected = self._checked(pool, given, got, amount).amount_out
        least = max(least_raw, least_out(expected, self.slippage_bps))
        until = self.uniswap.session.now + DEADLINE_SECONDS
        done = self.uniswap.swap(given, got, self.fee, amount, least, until)
        self._seen_x96 = done.sqrt_price_x96
        return done
