"""Looping and delevering, step by step, with whatever hands do the steps: on a mirrored pool to quote, on the chain to act.

A step that adds risk (a loan, a withdrawal) is at most what leaves the health factor at the floor, so the floor holds
between any two steps. Two accounts may still delever: one that is below the floor already, whose withdrawals go at most half
the way from its health factor to one; and one that stands within `STEP` of it, whose withdrawals may go `STEP` down, but no
more than half the way. Every repayment raises it again.

So an account at or above the floor takes out at least `STEP` of its collateral (less `MARGIN`) in every round of delevering
but the last, and more in each: what a round of w pays back lets the next one go w (floor / threshold - 1) further, of which the
swap's cost is lost. That bounds the rounds: at most `DELEVER_ROUNDS_MAX` from any health at or above a floor of at least 1.05
where the threshold is at most 0.95 and swaps cost at most 1 %.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import NoReturn

import attrs

from treasury_arena.contracts.bound import ONE, ceil_div, fixed
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena_aave.exact.wad_ray import PERCENT

GRAIN = ONE // 1_000
"""How near to the loan-to-value asked for a loop ends."""
MARGIN = 1_000_000
"""One part in so many of the collateral is left alone at each limit: for roundings, and interest until a step is mined."""
SPARE = 1_000
"""One part in so many more (a cent at least) is sold to pay a debt off whole; what is left over is the holder's."""
ROUNDS_MAX = 60
"""An order that is not done in so many rounds is refused: an account near liquidation, or swaps that cost more than they free."""
STEP = 0.02
"""How far below its floor, as a share of its health factor, a withdrawal may bring an account that stands just above it."""
DELEVER_ROUNDS_MAX = 30
LOSS_PERCENT_MAX = 10
"""An exchange that is further below the oracle's price is not looped over."""


class NotReachedError(ValidationError):
    """A loan-to-value that no sequence of allowed steps ends at."""


@attrs.frozen
class Terms:
    """What bounds a loop.

    Attributes:
        ltv_bps, threshold_bps: of the collateral on Aave.
        floor: health factor that no step goes below, but for delevering near it or below it; see the module.
        dust: base units of the base asset not worth a step of their own.
        dip: how far below the floor, as a share of its health factor, a withdrawal may bring an account just above it, or 0.
    """

    ltv_bps: int
    threshold_bps: int
    floor: float
    dust: int
    dip: float = STEP

    @property
    def ltv_most(self) -> int:
        """Largest loan-to-value that Aave lends at and the floor allows, as a share of `ONE`."""
        return min(self.ltv_bps * ONE // PERCENT, self._at(self.floor))

    def _at(self, health: float) -> int:
        return self.threshold_bps * ONE * ONE // (PERCENT * fixed(health, ONE))

    def health(self, held: int, owed: int) -> float:
        """Health factor of collateral worth `held`."""
        return held * self.threshold_bps / (PERCENT * owed) if owed else float("inf")

    def least(self, held: int, owed: int) -> float:
        """Health factor that the next withdrawal must leave."""
        health = self.health(held, owed)
        halfway = (1.0 + health) / 2.0
        return min(self.floor, max(halfway, health * (1.0 - self.dip))) if health >= self.floor else halfway

    def secured(self, owed: int, health: float) -> int:
        """Collateral that a debt needs at a health factor, base units of the base asset."""
        return ceil_div(owed * ONE, self._at(health))


class Hands(ABC):
    """Does the steps of one order, and knows what it has.

    Attributes:
        terms: see `Terms`.
        cash: base units of the base asset that the order has in hand.
        idle: base units of the coin in hand.
        swapped, lost: base units of the base asset that went through swaps, and how much less came out by the oracle's price.
    """

    def __init__(self, coin: Asset, base: Asset, prices: tuple[int, int], terms: Terms, idle: int) -> None:
        self.coin, self.base, self.terms = coin, base, terms
        self._prices = prices
        self.cash, self.idle, self.swapped, self.lost = 0, idle, 0, 0

    # --- what there is

    @property
    def cent(self) -> int:
        """A hundredth of the base asset, in base units."""
        return self.base.unit // 100

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Base units of the coin that secure the debt."""

    @property
    @abstractmethod
    def owed(self) -> int:
        """Base units of the base asset."""

    def worth(self, coin: int) -> int:
        """Base units of the base asset by the oracle's prices, rounded down."""
        return coin * self._prices[0] * self.base.unit // (self._prices[1] * self.coin.unit)

    def coin_for(self, worth: int) -> int:
        """Base units of the coin, rounded up."""
        return ceil_div(worth * self._prices[1] * self.coin.unit, self._prices[0] * self.base.unit)

    @property
    def held(self) -> int:
        """Worth of all of the coin."""
        return self.worth(self.tokens + self.idle)

    @property
    def room(self) -> int:
        """Loan that may be added now."""
        secured = self.worth(self.tokens)
        return secured * self.terms.ltv_most // ONE - secured // MARGIN - self.owed

    @property
    def free(self) -> int:
        """Worth of collateral that may be withdrawn now."""
        secured, owed = self.worth(self.tokens), self.owed
        if not owed:
            return secured
        return secured - self.terms.secured(owed, self.terms.least(secured, owed)) - secured // MARGIN

    @property
    def pays_all(self) -> bool:
        """Whether the cash in hand pays all of the debt, what it grows until that is mined included."""
        return self.cash > self.owed + self.owed // (2 * SPARE)

    # --- what can be done

    @abstractmethod
    def act(self, operation: str, amount: int | None) -> int:
        """Supply or withdraw the coin, borrow or repay the base asset; None: everything. The amount that moved."""

    @abstractmethod
    def peek(self, buys: bool, amount: int) -> int:
        """What swapping so much would give now."""

    @abstractmethod
    def swap(self, buys: bool, amount: int) -> int:
        """Swap base units of the base asset for the coin, or of the coin back; what came out."""

    def cost(self, buys: bool, worth: int) -> int:
        """Share of `worth` that swapping it loses against the oracle's price, of `ONE`; negative for a gain.

        Of a few units it would tell their rounding: it is asked of a cent or the dust at least.
        """
        if worth <= 0:
            return 0
        worth = max(worth, self.cent, self.terms.dust)
        amount = worth if buys else self.coin_for(worth)
        out = self.peek(buys, amount)
        back = self.worth(out) if buys else out
        if back * 100 < worth * (100 - LOSS_PERCENT_MAX):
            raise ValidationError(
                f"swapping {self.base.to_text(worth)} {self.base.symbol}'s worth would give {self.base.to_text(back)}, more than "
                f"{LOSS_PERCENT_MAX} % below Aave's price of {self.coin.symbol}"
            )
        return ONE - back * ONE // worth

    def lend(self) -> None:
        """Supply all of the coin in hand."""
        if self.idle:
            self.idle -= self.act("supply", self.idle)

    def withdraw(self, worth: int | None) -> None:
        """Take collateral of so much worth in hand, or all of it."""
        amount = None if worth is None else min(self.coin_for(worth), self.tokens)
        if amount != 0 and self.tokens:
            self.idle += self.act("withdraw", amount)

    def borrow(self, amount: int) -> None:
        """Take a loan in hand."""
        self.cash += self.act("borrow", amount)

    def repay(self, amount: int | None) -> None:
        """Pay back from what is in hand."""
        self.cash -= self.act("repay", amount)

    def buy(self, amount: int) -> None:
        """Change so much of the cash in hand into the coin, and supply all there is of it; refused far from Aave's price."""
        self._guard(True, amount)
        got = self.swap(True, amount)
        self.cash -= amount
        self.idle += got
        self._swapped(amount, self.worth(got))
        self.lend()

    def sell(self, amount: int) -> None:
        """Change so much of the coin in hand into the base asset; refused far from Aave's price."""
        self._guard(False, self.worth(amount))
        got = self.swap(False, amount)
        self.idle -= amount
        self.cash += got
        self._swapped(self.worth(amount), got)

    def _guard(self, buys: bool, worth: int) -> None:
        """Raise ValidationError for a swap of more than dust that would lose what `cost` refuses, whoever asked for it."""
        if worth > self.terms.dust:
            self.cost(buys, worth)

    def _swapped(self, before: int, after: int) -> None:
        self.swapped += before
        self.lost += before - after


def place(hands: Hands, ltv: int) -> None:
    """Put the cash in hand into the position, and bring its debt to `ltv` (of `ONE`) of its collateral.

    Raises ValidationError when that is not reached in `ROUNDS_MAX` rounds.
    """
    surplus = hands.owed - max(0, hands.held + hands.cash - hands.owed) * ltv // (ONE - ltv)
    if hands.cash and surplus > hands.terms.dust:
        hands.repay(None if not ltv and hands.pays_all else min(hands.cash, surplus))
    if hands.cash:
        hands.cost(True, hands.cash)
        hands.buy(hands.cash)
    hands.lend()
    for _ in range(ROUNDS_MAX):
        held, owed = hands.held, hands.owed
        lacking = ltv * held - owed * ONE
        if abs(lacking) <= GRAIN * held and (ltv or not owed):
            break
        if lacking > 0:
            rough = lacking // (ONE - ltv)
            kept = ONE - hands.cost(True, rough)
            loan = min(lacking // (ONE - ltv * kept // ONE), hands.room)
            if loan <= 0:
                _not_reached(hands, ltv)
            hands.borrow(loan)
            hands.buy(hands.cash)
        else:
            rough = -lacking // (ONE - ltv)
            kept = ONE - hands.cost(False, rough)
            sold = -lacking // (kept - ltv) if kept > ltv else owed
            lower(hands, max(0, owed - sold * kept // ONE) if ltv else 0, ltv)
    else:
        _not_reached(hands, ltv)
    if hands.cash > hands.terms.dust:
        hands.buy(hands.cash)


def lower(hands: Hands, goal: int, ltv: int) -> None:
    """One round of bringing the debt down to `goal`: withdraw as much as is safe, sell it, pay back.

    What is in hand already is paid back first where less is safe than is needed: that makes room for more.
    """
    if (hands.idle or hands.cash) and _wanted(hands, goal) > hands.free:
        _pay(hands, goal)
    wanted = _wanted(hands, goal)
    if wanted > 0:
        free = min(wanted, hands.free)
        if free <= 0:
            _not_reached(hands, ltv)
        hands.withdraw(free)
    _pay(hands, goal)


def _wanted(hands: Hands, goal: int) -> int:
    """Worth of the collateral whose sale, with what is in hand, brings the debt down to `goal`."""
    need = hands.owed - goal - hands.cash - hands.worth(hands.idle)
    if need <= 0:
        return 0
    kept = ONE - hands.cost(False, need)
    return need * ONE // kept + (max(need // SPARE, hands.cent) + 1 if goal == 0 else 0)


def _pay(hands: Hands, goal: int) -> None:
    """Sell the coin in hand, and pay the debt back down to `goal` as far as the cash in hand goes."""
    if hands.idle:
        hands.sell(hands.idle)
    if goal == 0 and hands.owed and hands.pays_all:
        hands.repay(None)
    elif (amount := min(hands.cash, hands.owed - goal)) > 0:
        hands.repay(amount)


def pay_off(hands: Hands) -> None:
    """Pay all that is owed from the cash in hand, and take out and sell what collateral is left and worth more than dust.

    Coin that the exchange does not take in one piece stays in hand; the orders after this one sell it.
    """
    hands.repay(None)
    if hands.worth(hands.tokens) > hands.terms.dust:
        hands.withdraw(None)
    if hands.worth(hands.idle) > hands.terms.dust:
        with suppress(SizeRefusedError):
            hands.sell(hands.idle)


def release(hands: Hands, target: int, ltv: int) -> None:
    """Take out of the position until it is worth `target`, with a debt of `ltv` (of `ONE`) of its collateral, into cash in hand.

    The debt ends within `terms.dust` of its goal. Where it was raised, the position may be worth less than `target` by as much,
    which is then in hand: buying it back is not worth a step.

    Raises ValidationError when that is not reached in `ROUNDS_MAX` rounds.
    """
    goal = target * ltv // (ONE - ltv)
    for _ in range(ROUNDS_MAX):
        surplus = hands.owed - goal
        if abs(surplus) <= hands.terms.dust and (goal or not hands.owed):
            break
        if surplus > 0:
            lower(hands, goal, ltv)
        else:
            _lift(hands, target, goal, ltv)
    else:
        _not_reached(hands, ltv)
    if target == 0 and not hands.owed:
        hands.withdraw(None)
        if hands.idle:
            hands.sell(hands.idle)
        return
    surplus = hands.held - (target + hands.owed)
    if surplus > 0:
        hands.withdraw(max(0, surplus - hands.worth(hands.idle)))
        hands.sell(min(hands.idle, hands.coin_for(surplus)))


def _lift(hands: Hands, target: int, goal: int, ltv: int) -> None:
    """One round of bringing the debt up to `goal` while the position's worth goes to `target`."""
    loan = min(goal - hands.owed, hands.room)
    if loan <= 0:
        _not_reached(hands, ltv)
    hands.borrow(loan)
    lacking = target + goal - hands.held
    if lacking > hands.terms.dust:
        kept = ONE - hands.cost(True, lacking)
        hands.buy(min(hands.cash, lacking * ONE // kept))


def _not_reached(hands: Hands, ltv: int) -> NoReturn:
    health = hands.terms.health(hands.worth(hands.tokens), hands.owed)
    raise NotReachedError(
        f"the loan-to-value {ltv / ONE:.4f} cannot be reached: {hands.base.to_text(hands.owed)} {hands.base.symbol} are owed "
        f"at a health factor of {health:.4f}, and no step leaves it at {hands.terms.floor:g}"
    )
