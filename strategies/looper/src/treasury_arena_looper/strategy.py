"""Looper: lends collateral, borrows against it and lends that again, while the spread of the two rates pays.

Collateral and debt are stablecoins, or a staked coin and its coin, so that the loop earns
``leverage x supply rate - (leverage - 1) x borrow rate`` and hardly moves with prices.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.arithmetic import DAYS_PER_YEAR, DUST_USD, EXIT_BAND, HOURS_PER_YEAR, changes
from treasury_arena.contracts.strategy import FORCE, HOLD, Choice, Column, Real, Role, Strategy
from treasury_arena.domain import elementary

LOOP_ACTIONS = 4.0
"""Actions that gas is paid for to build, change or unwind a loop."""
GAS_SHARE = 0.01
"""Most that the gas of a shift between the loop and lending may be, share of what shifts."""
FIRST_THRESHOLD = 0.75
"""Liquidation threshold taken until a loan shows the market's own: health factor times loan-to-value."""
OWES = 0.001
"""A loan-to-value from which there is a debt worth the name."""


def yearly_growth(column: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Log growth a year of an hourly column: from its average over the `window` rows before to that over the last `window`.

    Growth is taken over the distance of the averages' middles; with fewer rows than two windows both shrink.
    """
    sums = np.concatenate([[0.0], np.cumsum(column)])
    row = np.arange(column.size)
    seen = np.minimum(row + 1, window)
    logs = elementary.log((sums[row + 1] - sums[row + 1 - seen]) / seen)
    middle = row - 0.5 * (seen - 1)
    before = np.maximum(row - window, 0)
    apart = middle - middle[before]
    return np.asarray((logs - logs[before]) * (HOURS_PER_YEAR / np.where(apart > 0.0, apart, 1.0)))


class Genes(NamedTuple):
    """Rates are APR as fractions a year, the smoothing is an index into its hours."""

    leverage: Annotated[float, Real(1.2, 12.0, 3.0, "collateral over own capital")]
    share: Annotated[float, Real(0.1, 1.0, 0.6, "share of equity")]
    enter: Annotated[float, Real(0.0, 0.15, 0.015, "APR")]
    hysteresis: Annotated[float, Real(0.001, 0.1, 0.01, "APR")]
    smoothing: Annotated[float, Choice((24, 72, 168, 336, 720), 2, "hours")]
    growth_weight: Annotated[float, Real(0.0, 1.0, 0.0, "part counted")]
    floor: Annotated[float, Real(1.01, 2.0, 1.05, "health factor")]
    cushion: Annotated[float, Real(0.01, 0.5, 0.05, "share of the floor")]
    ltv_band: Annotated[float, Real(0.02, 0.2, 0.05, "loan-to-value")]
    band: Annotated[float, Real(0.05, 0.5, 0.2, "share of equity")]
    horizon_days: Annotated[float, Real(1.0, 90.0, 21.0, "days")]
    swap_cost: Annotated[float, Real(0.0, 0.003, 0.0005, "share of the amount swapped")]


class Features(NamedTuple):
    """Averaged APRs of the collateral, the debt and plain lending, the collateral's yearly price growth, USD per action."""

    supply: Annotated[float, Column("sma", "smoothing", of="account", field="supply_rate")]
    borrow: Annotated[float, Column("sma", "smoothing", of="account", field="borrow_rate")]
    growth: Annotated[float, Column(yearly_growth, "smoothing", of="account")]
    rate: Annotated[float, Column("sma", "smoothing", of="usd", field="rate")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD, and the account's health factor and loan-to-value."""

    equity: float
    usd: float
    account: float
    account_health: float
    account_ltv: float


class Target(NamedTuple):
    """Shares of equity, the account's loan-to-value, and the band."""

    usd: float
    account: float
    account_ltv: float
    band: float


class State(NamedTuple):
    """1 while a loop is wanted, the liquidation threshold seen (0: none yet), and of the last change of the loan-to-value what
    was asked for and the most that was seen since."""

    looping: float = 0.0
    threshold: float = 0.0
    asked: float = 0.0
    reached: float = 0.0


def loan(g: Genes, threshold: float) -> float:
    """Loan-to-value of the leverage, or the most that leaves the health factor `cushion` above the floor."""
    known = threshold if threshold > 0.0 else FIRST_THRESHOLD
    return min(1.0 - 1.0 / g.leverage, known / (g.floor * (1.0 + g.cushion)), 0.99)


def leverage_at(ltv: float) -> float:
    return 1.0 / (1.0 - ltv) if ltv < 0.99 else 100.0


def net(supply: float, borrow: float, ltv: float) -> float:
    """APR on own capital of a loop."""
    lever = leverage_at(ltv)
    return lever * supply - (lever - 1.0) * borrow


def share_of(value: float, equity: float) -> float:
    return min(max(value / equity, 0.0), 1.0)


def loops(looping: float, spread: float, advantage: float, g: Genes) -> float:
    """Enter at the spread `enter` when that beats lending; stay while neither has fallen by more than the hysteresis."""
    if looping > 0.5:
        return 1.0 if spread >= g.enter - g.hysteresis and advantage >= -g.hysteresis else 0.0
    return 1.0 if spread >= g.enter and advantage > 0.0 else 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Delever at once below the floor; else enter, leave, or bring the loan back to its size when that pays."""
    if book.equity <= DUST_USD:
        return Target(0.0, 0.0, 0.0, HOLD), s
    owes = book.account_ltv > OWES
    threshold = book.account_health * book.account_ltv if owes and book.account_health < 99.0 else s.threshold
    aim = loan(g, threshold)
    held = share_of(book.account, book.equity)
    lent = min(share_of(book.usd, book.equity), 1.0 - held)
    reached = max(s.reached, book.account_ltv)
    if owes and book.account_health < g.floor:
        safe = min(aim, book.account_ltv)
        return Target(lent, held, safe, FORCE), State(s.looping, threshold, safe, 0.0)

    supply = f.supply + g.growth_weight * f.growth
    advantage = net(supply, f.borrow, aim) - f.rate
    looping = loops(s.looping, supply - f.borrow, advantage, g)
    size = g.share * book.equity
    years = g.horizon_days / DAYS_PER_YEAR
    round_trip = 2.0 * (g.swap_cost * leverage_at(aim) * size + (LOOP_ACTIONS + 1.0) * f.gas)
    if s.looping < 0.5 and advantage * size * years <= round_trip:
        looping = 0.0
    if looping < 0.5:
        idle = changes(1.0, book.usd, book.equity) * f.gas / (book.equity * GAS_SHARE)
        leaving = EXIT_BAND if book.account > LOOP_ACTIONS * f.gas else HOLD
        return Target(1.0, 0.0, 0.0, leaving if book.account > DUST_USD else max(g.band, idle)), State(
            0.0, threshold, 0.0, 0.0
        )

    if book.account > DUST_USD and s.looping > 0.5:
        over = book.account_ltv - aim
        fresh = aim - s.asked > g.ltv_band or reached - book.account_ltv > g.ltv_band
        off = over > g.ltv_band or (-over > g.ltv_band and fresh)
        swapped = abs(leverage_at(aim) - leverage_at(book.account_ltv)) * book.account
        if off and advantage * book.account * years > g.swap_cost * swapped + LOOP_ACTIONS * f.gas:
            return Target(lent, held, aim, FORCE), State(1.0, threshold, aim, 0.0)
    actions = LOOP_ACTIONS * changes(g.share, book.account, book.equity) + changes(1.0 - g.share, book.usd, book.equity)
    band = max(g.band, actions * f.gas / (book.equity * GAS_SHARE))
    asked = s.asked if s.looping > 0.5 else aim
    return Target(1.0 - g.share, g.share, aim, band), State(1.0, threshold, asked, reached)


STRATEGY = Strategy(
    name="looper",
    roles={"usd": Role("lending", "usdc_lending"), "account": Role("account", "loop")},
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="loops collateral and debt while the spread of their rates pays, above a floor of health",
)
