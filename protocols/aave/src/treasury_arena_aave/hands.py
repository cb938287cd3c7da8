"""The hands that loop: a rehearsal on the mirrored pool, and transactions; and the exchange that both swap over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from treasury_arena.contracts.bound import ONE, asked, fixed
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ValidationError
from treasury_arena_aave.chain import Done
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.wad_ray import MAX_UINT256, WAD
from treasury_arena_aave.loop import Hands, Terms
from treasury_arena_aave.reading import USER, AaveReader

if TYPE_CHECKING:
    from treasury_arena_aave.onchain import AccountOnChain
    from treasury_arena_evm.receipts import Receipt

BPS, SLIPPAGE_BPS_MAX = 10_000, 1_000


class Deal(Protocol):
    """A swap that was mined: what came out in base units, and its receipts (approvals too)."""

    @property
    def amount_out(self) -> int: ...

    @property
    def receipts(self) -> tuple[Receipt, ...]: ...


class Quotes(Protocol):
    """What changing the base asset into the coin and back would give.

    A quote is for the latest block and of the whole amount, in base units; it raises ValidationError for what cannot be
    swapped.
    """

    def quote_buy(self, base_raw: int) -> int:
        """Coin for so much of the base asset."""

    def quote_sell(self, coin_raw: int) -> int:
        """Base asset for so much of the coin."""


class Exchange(Quotes, Protocol):
    """Changes the base asset into the coin and back, for the account that signs.

    A swap must itself refuse a price that is far from its quote, and must not be mined for less than `least_raw`.
    """

    def buy(self, base_raw: int, least_raw: int = 1) -> Deal:
        """Swap exactly so much of the base asset for at least so much of the coin."""

    def sell(self, coin_raw: int, least_raw: int = 1) -> Deal:
        """Swap exactly so much of the coin for at least so much of the base asset."""


@attrs.frozen
class Rate:
    """A swap as it was quoted: which way, and what goes in and comes out."""

    buys: bool
    given: int
    got: int


def least_of(rates: Sequence[Rate], done: int, buys: bool, amount: int, slippage_bps: int) -> int:
    """What a swap must give by the rates of the order's quote: those of its `done`-th swap of this direction, or of its last one.

    A swap of a direction that the quote had none of (an order that interest turned by some units) is held against the others.
    Raises ValidationError when nothing was to be swapped at all.
    """
    same = [rate for rate in rates if rate.buys == buys]
    if same:
        rate = same[min(done, len(same) - 1)]
        given, got = rate.given, rate.got
    elif rates:
        given, got = rates[-1].got, rates[-1].given
    else:
        raise ValidationError("the order's quote has no swap to hold this one against")
    return amount * got * (BPS - slippage_bps) // (given * BPS)


class Rehearsal(Hands):
    """Steps on an exact pool that was read from the chain; swaps as the exchange quotes them, one behind the other."""

    def __init__(
        self,
        coin: Asset,
        base: Asset,
        prices: tuple[int, int],
        terms: Terms,
        idle: int,
        pool: Pool,
        exchange: Quotes,
    ) -> None:
        super().__init__(coin, base, prices, terms, idle)
        self._pool, self._exchange = pool, exchange
        self._before = {True: (0, 0), False: (0, 0)}
        self.rates: list[Rate] = []

    @property
    def tokens(self) -> int:
        return self._pool.balance_of(self.coin.symbol, USER)

    @property
    def owed(self) -> int:
        return self._pool.debt_of(self.base.symbol, USER)

    def act(self, operation: str, amount: int | None) -> int:
        asset = self.coin if operation in ("supply", "withdraw") else self.base
        least = self.terms.floor
        if operation == "withdraw":
            least = self.terms.least(self.worth(self.tokens), self.owed)
        done = getattr(self._pool, operation)(asset.symbol, USER, MAX_UINT256 if amount is None else amount)
        # The account's own health factor, which other debts of it lower too.
        health = self._pool.account(USER).health / WAD
        if operation in ("borrow", "withdraw") and health < least:
            raise ValidationError(
                f"{operation} {asset.symbol}: the health factor would be {health:.4f}, below the floor of {least:g}"
            )
        return int(done.amount)

    def _whole(self, buys: bool, amount: int) -> tuple[int, int]:
        """In and out of all swaps of one direction so far and one more, as one swap: in a pool the path does not matter."""
        total = self._before[buys][0] + amount
        return total, self._exchange.quote_buy(total) if buys else self._exchange.quote_sell(total)

    def peek(self, buys: bool, amount: int) -> int:
        return self._whole(buys, amount)[1] - self._before[buys][1]

    def swap(self, buys: bool, amount: int) -> int:
        whole = self._whole(buys, amount)
        out, self._before[buys] = whole[1] - self._before[buys][1], whole
        self.rates.append(Rate(buys, amount, out))
        return out


def terms_of(aave: AaveReader, pool: Pool, coin: str, dust: int) -> Terms:
    """What bounds a loop of `USER` over a collateral, its e-mode category counted."""
    config, category = pool.config(coin), pool.emodes.get(USER, 0)
    emode = pool.categories.get(category)
    inside = emode if emode is not None and config.emode == category else config
    return Terms(inside.ltv, inside.threshold, aave.health_min, max(1, dust))


def _share(ltv: int) -> str:
    """A share of `ONE` for a sentence: four places, or few digits where it is nobody's."""
    return f"{ltv / ONE:.4f}" if ltv < 1_000 * ONE else f"{ltv / ONE:.3g}"


def aimed(terms: Terms, kept: int, control: tuple[float, ...], ltv_max: int | None, market: str, coin: str) -> int:
    """The loan-to-value to go to, of `ONE`: the control's, cut to `ltv_max`, or `kept` without one.

    Raises ValidationError for one that is no number, or beyond what Aave lends or the floor allows.
    """
    wanted = asked(market, "ltv", control)
    if wanted is None:
        return min(kept, terms.ltv_most)
    ltv = max(0, fixed(wanted, ONE))
    if ltv_max is not None:
        ltv = min(ltv, ltv_max)
    if ltv > terms.ltv_most:
        raise ValidationError(
            f"market {market!r}: a loan-to-value of {_share(ltv)} is more than {terms.ltv_most / ONE:.4f}, the most that "
            f"Aave lends against {coin} above the health floor of {terms.floor:g}"
        )
    return ltv


class Transactions(Hands):
    """Steps by transactions of a market's account; no swap gives less than its order's quote but for the market's slippage."""

    def __init__(
        self,
        coin: Asset,
        base: Asset,
        prices: tuple[int, int],
        terms: Terms,
        idle: int,
        market: AccountOnChain,
        rates: Sequence[Rate],
    ) -> None:
        super().__init__(coin, base, prices, terms, idle)
        self._market, self._rates = market, rates
        self._done = {True: 0, False: 0}

    @property
    def tokens(self) -> int:
        return self._market.supplied

    @property
    def owed(self) -> int:
        return self._market.owed

    def act(self, operation: str, amount: int | None) -> int:
        aave, who = self._market.aave, self._market.who
        asset = self.coin if operation in ("supply", "withdraw") else self.base
        raw = MAX_UINT256 if amount is None else amount
        done: Done
        if operation == "withdraw":
            done = aave.withdraw(who, asset.symbol, raw, self.terms.least(self.worth(self.tokens), self.owed))
        else:
            done = getattr(aave, operation)(who, asset.symbol, raw)
        return done.amount_raw

    def peek(self, buys: bool, amount: int) -> int:
        exchange = self._market.exchange
        return exchange.quote_buy(amount) if buys else exchange.quote_sell(amount)

    def swap(self, buys: bool, amount: int) -> int:
        exchange = self._market.exchange
        least = least_of(self._rates, self._done[buys], buys, amount, self._market.slippage_bps)
        if (now := self.peek(buys, amount)) < least:
            given, got = (self.base, self.coin) if buys else (self.coin, self.base)
            raise ValidationError(
                f"the price has moved since the quote: {given.to_text(amount)} {given.symbol} would give {got.to_text(now)} "
                f"{got.symbol} now, fewer than {got.to_text(least)}, what was quoted less {self._market.slippage_bps} bps"
            )
        deal = exchange.buy(amount, max(1, least)) if buys else exchange.sell(amount, max(1, least))
        self._done[buys] += 1
        self._market.sent(*deal.receipts)
        return deal.amount_out
