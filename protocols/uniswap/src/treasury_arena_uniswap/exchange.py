"""A coin against the base asset in one v3 pool of a chain, for markets of others that swap on their way (a leveraged account)."""

from __future__ import annotations

from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.v3 import BPS, Pool, Quote, beyond, check_slippage
from treasury_arena_uniswap.chain import Swapped, UniswapV3

DEADLINE_SECONDS = 600


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
        if not 1 <= max_move_bps < BPS:
            raise ValidationError(f"a move of the price by {max_move_bps} bps must lie from 1 to {BPS - 1}")
        self.uniswap, self.coin, self.base, self.fee = uniswap, coin, base, fee
        self.slippage_bps, self.max_move_bps = slippage_bps, max_move_bps
        self._seen_x96 = self._pool().sqrt_price_x96

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
        low, high = sorted((pool.sqrt_price_x96, quote.sqrt_price_after_x96))
        if beyond(low, high, self.max_move_bps):
            raise SizeRefusedError(
                f"swapping {amount} base units of {given} would move the price of {pool.name} by more than "
                f"{self.max_move_bps} bps; split it"
            )
        return quote

    def _swapped(self, given: str, got: str, amount: int, least_raw: int) -> Swapped:
        pool = self._pool()
        if beyond(self._seen_x96, pool.sqrt_price_x96, self.slippage_bps):
            raise ValidationError(
                f"the price of {pool.name} has moved by more than {self.slippage_bps} bps since the quote"
            )
        expected = self._checked(pool, given, got, amount).amount_out
        least = max(1, least_raw, expected * (BPS - self.slippage_bps) // BPS)
        until = self.uniswap.session.now + DEADLINE_SECONDS
        done = self.uniswap.swap(given, got, self.fee, amount, least, until)
        self._seen_x96 = done.sqrt_price_x96
        return done
