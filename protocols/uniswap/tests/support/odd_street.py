"""A pool of an odd token with liquidity in it, on a real node: the token is the coin, or the base asset."""

from __future__ import annotations

from uniswap_street import USDC, WETH, Street

from treasury_arena.domain.assets import Asset
from treasury_arena_evm.addresses import checksummed
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_FACTORY, V3_POOL, V3_POSITIONS, V3_ROUTER02
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.local.uniswap import FOREVER, sqrt_price_x96

FEE, SPACING, TICK_MOST = 500, 10, 887_270


class OddStreet(Street):
    """ODD against USDC, or WETH against ODD where it is the base asset (one US dollar), with 4 million dollars of liquidity.

    Args:
        kind, decimals, more: the token as it is from the beginning, by the contract's name; see `LocalMarket.with_odd_token`.
        first: ODD is token0.
        price: US dollars that an odd coin is worth; WETH is always worth 2,000.
    """

    def __init__(
        self,
        market: LocalMarket,
        kind: str = "PlainToken",
        decimals: int = 18,
        *more: object,
        as_base: bool = False,
        first: bool | None = None,
        price: int = 2,
    ) -> None:
        self.coin_price = 2_000 if as_base else price
        odd = Asset("ODD", decimals, stable=as_base)
        coin, base = (WETH, odd) if as_base else (odd, USDC)
        super().__init__(market.with_odd_token(kind, decimals, *more, first=first), coin, base)

    def fund(self) -> None:
        for asset, whole in ((self.base, 1), (self.coin, self.coin_price)):
            self.market.fund(asset.symbol, self.user.address, 100_000 // whole * asset.unit)
            self.market.fund(asset.symbol, self.maker, 50_000_000 // whole * asset.unit)

    def move_to(self, sqrt_price_x96: int) -> None:
        """By SwapRouter02, which can pay with a token that returns nothing."""
        now = self.price()
        if now == sqrt_price_x96:
            return
        falls = sqrt_price_x96 < now
        spent, got = (self.base, self.coin) if falls == self.base_first else (self.coin, self.base)
        addresses = [self.market.token(asset.symbol).address for asset in (spent, got)]
        most = self.balance(spent.symbol, self.maker) // 2
        order = (*addresses, FEE, self.maker, most, 0, sqrt_price_x96)
        self.market.chain.send(
            self.maker, self.market.uniswap.router02, V3_ROUTER02.function("exactInputSingle"), order
        )

    def found(self) -> str:
        """Make the pool, at its price, and fill it: half of it everywhere, half within a factor of 1.8."""
        market, chain, positions = self.market, self.market.chain, self.market.uniswap.positions
        sides = [(self.base, self.coin_price), (self.coin, 1)]
        (token0, worth0), (token1, worth1) = sides if self.base_first else sides[::-1]
        addresses = [market.token(asset.symbol).address for asset in (token0, token1)]
        price = sqrt_price_x96(worth0 * token0.unit, worth1 * token1.unit)
        chain.send(
            self.maker, positions, V3_POSITIONS.function("createAndInitializePoolIfNecessary"), *addresses, FEE, price
        )
        pool = checksummed(chain.call(market.uniswap.factory, V3_FACTORY.function("getPool"), *addresses, FEE))
        for address in addresses:
            allowed = chain.call(address, ERC20.function("allowance"), self.maker, positions)
            if not allowed:
                chain.send(self.maker, address, ERC20.function("approve"), positions, 2**256 - 1)
        middle = chain.call(pool, V3_POOL.function("slot0"))[1] // SPACING * SPACING
        for lower, upper in ((-TICK_MOST, TICK_MOST), (middle - 6_000, middle + 6_000)):
            amounts = [
                1_000_000 * worth * asset.unit // self.coin_price
                for asset, worth in ((token0, worth0), (token1, worth1))
            ]
            order = (*addresses, FEE, lower, upper, *amounts, 0, 0, self.maker, FOREVER)
            chain.send(self.maker, positions, V3_POSITIONS.function("mint"), order)
        return pool
