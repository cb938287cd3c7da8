"""Swaps in one Uniswap v3 pool as steps of a plan: exactInputSingle, for at least so much, before a deadline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from treasury_arena.contracts.chain import PlannedStep, Step, StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_evm.planning import EvmPlanner, Expected
from treasury_arena_evm.v3 import BPS, Pool, Quote, V3Reader, check_move, least_out, swap_calldata

SWAP_GAS = 500_000
"""Most gas of a swap; one that crossed two ticks took 150,000 on the local chain, and every tick more some 25,000."""
KEYS = ("factory", "router", "quoter", "fee", "slippage_bps", "max_move_bps")
FEE, SLIPPAGE_BPS, MOVE_BPS = 500, 50, 200


class Swaps:
    """Swaps between a planner's coin and its base asset.

    Settings, among the planner's: `factory`, `router`, `quoter` (the chain's pinned ones); `fee` of the pool in millionths (500);
    `slippage_bps`, how much worse a swap may be than planned (50); `max_move_bps`, how far one may move the price (200).

    Raises ConfigError when there is no such pool.
    """

    def __init__(self, planner: EvmPlanner) -> None:
        places = planner.places
        self.planner = planner
        self.router = places.address("router", "uniswap_v3_router")
        self.fee = places.whole("fee", FEE, 1, 999_999)
        self.slippage_bps = places.whole("slippage_bps", SLIPPAGE_BPS, 1, 1_000)
        self.max_move_bps = places.whole("max_move_bps", MOVE_BPS, 1, BPS - 1)
        factory = places.address("factory", "uniswap_v3_factory")
        quoter = places.address("quoter", "uniswap_v3_quoter")
        self.v3 = V3Reader(planner.reader, planner.sender, factory=factory, quoter=quoter)
        try:
            with planner.refusals():
                self.pool()
        except ValidationError as error:
            raise ConfigError(f"market {planner.market!r}: {error}") from error

    def pool(self) -> Pool:
        """The pool at the latest block."""
        return self.v3.pool(self.planner.asset.symbol, self.planner.base.symbol, self.fee)

    def quote(self, buys: bool, amount: int) -> Quote:
        """What swapping exactly `amount` (of the base asset when it buys, else of the coin) would do now.

        Raises ValidationError for an empty pool, for what the pool cannot take or give, and for nothing in return.
        """
        given, got = self._sides(buys)
        quote = self.v3.quote(given.symbol, got.symbol, self.fee, amount)
        if not quote.amount_out:
            raise ValidationError(
                f"market {self.planner.market!r}: {amount} base units of {given.symbol} buy no unit of {got.symbol}"
            )
        return quote

    def checked(self, buys: bool, amount: int, paid_now: bool = True) -> Quote:
        """The quote of a swap that is allowed: within the move of the price, and of tokens that do what they say.

        Args:
            paid_now: whether the treasury holds the amount already; it may come in by a step before.
        """
        planner, pool, quote = self.planner, self.pool(), self.quote(buys, amount)
        check_move(pool, quote.sqrt_price_after_x96, self.max_move_bps, f"market {planner.market!r}: the order")
        given, got = self._sides(buys)
        planner.token(given).check(
            *((planner.sender, pool.address, amount) if paid_now else (pool.address,) * 2 + (1,))
        )
        planner.token(got).check(pool.address, planner.sender, quote.amount_out)
        return quote

    def step(self, buys: bool, amount: int | str, planned: tuple[int, int], **details: Any) -> PlannedStep:
        """The swap's step; `planned` is what was quoted, in and out."""
        given, _ = self._sides(buys)
        noted: Mapping[str, Any] = {"buys": buys, "in_raw": planned[0], "out_raw": planned[1], **details}
        return PlannedStep(StepKind.SWAP, given.symbol, amount, SWAP_GAS, dict(noted))

    def bind(self, step: PlannedStep, amount: int, now: int) -> Step:
        """The swap at this moment: at least what is quoted now and what was planned, each less the slippage."""
        planner, buys = self.planner, bool(step.details["buys"])
        deadline, quote = planner.deadline(now), self.checked(buys, amount)
        planned = int(step.details["out_raw"]) * amount // int(step.details["in_raw"])
        least = max(least_out(out, self.slippage_bps) for out in (quote.amount_out, planned))
        given, got = (planner.reader.tokens.symbol(asset.symbol) for asset in self._sides(buys))
        if quote.amount_out < least:
            raise ValidationError(
                f"market {planner.market!r}: swapping {amount} base units of {given.symbol} would give {quote.amount_out} of "
                f"{got.symbol} now, fewer than {least}: the price moved since the plan by more than {self.slippage_bps} bps"
            )
        amounts = (amount, least)
        function, *arguments = swap_calldata(
            given, got, self.fee, planner.sender, amounts, deadline, "exactInputSingle"
        )
        expects: Expected = {
            "asset": given.address,
            "token_in": given.address,
            "token_out": got.address,
            "fee": self.fee,
            "recipient": planner.sender,
            "amount_raw": amount,
            "min_out_raw": least,
            "deadline": deadline,
        }
        return planner.called(step, self.router, function, tuple(arguments), expects, {step.asset: amount})

    def _sides(self, buys: bool) -> tuple[Asset, Asset]:
        """What is given, and what is got."""
        coin, base = self.planner.asset, self.planner.base
        return (base, coin) if buys else (coin, base)
