"""An exchange over the evm library's Uniswap router, so that these tests need no other protocol's package."""

from __future__ import annotations

from typing import Any

import attrs

from treasury_arena.errors import ValidationError
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.interfaces.uniswap import V3_QUOTER, V3_ROUTER02
from treasury_arena_evm.receipts import Receipt


@attrs.frozen
class Dealt:
    """A mined swap."""

    amount_out: int
    receipts: tuple[Receipt, ...]


class RouterExchange:
    """Swaps of one account between the base asset and a coin in one v3 pool; at most `slippage_bps` worse than quoted."""

    def __init__(self, session: Any, who: Any, coin: str, base: str, fee: int = 500, slippage_bps: int = 100) -> None:
        self.session, self.who, self.fee, self.slippage_bps = session, who, fee, slippage_bps
        self.coin, self.base = session.tokens.symbol(coin), session.tokens.symbol(base)
        self.router = session.chain.contract("uniswap_v3_router")
        self.quoter = session.chain.contract("uniswap_v3_quoter")

    def _quote(self, spent: Any, got: Any, amount: int) -> int:
        order = (spent.address, got.address, amount, self.fee, 0)
        try:
            return int(self.session.call(self.quoter, V3_QUOTER.function("quoteExactInputSingle"), order)[0])
        except RevertError as error:
            raise ValidationError(f"{spent.symbol} cannot be swapped for {got.symbol}: {error.reason}") from error

    def quote_buy(self, base_raw: int) -> int:
        return self._quote(self.base, self.coin, base_raw)

    def quote_sell(self, coin_raw: int) -> int:
        return self._quote(self.coin, self.base, coin_raw)

    def buy(self, base_raw: int, least_raw: int = 1) -> Dealt:
        return self._swap(self.base, self.coin, base_raw, least_raw)

    def sell(self, coin_raw: int, least_raw: int = 1) -> Dealt:
        return self._swap(self.coin, self.base, coin_raw, least_raw)

    def _swap(self, spent: Any, got: Any, amount: int, least_raw: int) -> Dealt:
        least = max(least_raw, self._quote(spent, got, amount) * (10_000 - self.slippage_bps) // 10_000)
        approvals = Erc20(self.session, spent).approve(self.who, self.router, amount)
        order = (spent.address, got.address, self.fee, self.who.address, amount, least, 0)
        receipt = self.session.send(self.who, self.router, V3_ROUTER02.function("exactInputSingle"), order)
        return Dealt(receipt.deltas(self.who.address)[got.address], (*approvals, receipt))
