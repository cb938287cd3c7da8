"""Peg reverter: buys a stablecoin when it trades below one dollar, sells it when it has recovered, lends otherwise."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import DUST_USD, EXIT_BAND, changes, follow
from treasury_arena.contracts.strategy import HOLD, Column, Real, Role, Strategy

PEG = 1.0
HOURS_PER_DAY = 24.0
ENTRY_BAND = 0.1
"""Summed drift, share of equity, that a purchase (at least twice `max_share`) exceeds and a wobble of the price does not."""
ROUND_TRIP_ACTIONS = 4.0
"""Actions that gas is paid for to buy and sell again, lending included."""
GAS_SHARE = 0.01
"""Most that the gas of going back to lending may be, share of what is lent."""


class Genes(NamedTuple):
    """Discounts are USD below the peg."""

    discount: Annotated[float, Real(0.0005, 0.03, 0.003, "USD below the peg")]
    recovery: Annotated[float, Real(0.2, 1.2, 0.8, "share of the discount")]
    smoothing: Annotated[float, Real(1.0, 72.0, 3.0, "hours")]
    max_share: Annotated[float, Real(0.1, 1.0, 0.5, "share of equity")]
    stop: Annotated[float, Real(0.005, 0.2, 0.03, "USD below the discount")]
    patience_days: Annotated[float, Real(1.0, 60.0, 14.0, "days")]
    margin: Annotated[float, Real(1.0, 5.0, 1.5, "times the costs")]
    swap_cost: Annotated[float, Real(0.0, 0.003, 0.0003, "share of the amount swapped")]


class Features(NamedTuple):
    """USD per coin, and USD of gas per action."""

    price: Annotated[float, Column("raw", 1, of="usdt")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD."""

    equity: float
    usd: float
    usdt: float


class Target(NamedTuple):
    """Shares of equity, and the band."""

    usd: float
    usdt: float
    band: float


class State(NamedTuple):
    """The smoothed price (0 before the first row), 1 while the coin is wanted, for how many hours, and 1 while stopped."""

    price: float = 0.0
    holding: float = 0.0
    hours: float = 0.0
    stopped: float = 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Buy at the discount when its recovery pays, sell at the recovery, leave at the stop until the peg is back."""
    price = follow(s.price, f.price, g.smoothing)
    below = PEG - price
    recovered = (1.0 - g.recovery) * g.discount
    if book.equity <= DUST_USD:
        return Target(0.0, 0.0, HOLD), State(price, 0.0, 0.0, s.stopped)
    hours = s.hours + 1.0 if s.holding > 0.5 else 0.0
    late = hours > g.patience_days * HOURS_PER_DAY
    back = below <= recovered
    deep = below >= g.discount + g.stop
    stopped = 0.0 if back else (1.0 if deep or late else s.stopped)

    now = min(below, PEG - f.price)
    gain = now - recovered
    cost = 2.0 * g.swap_cost + ROUND_TRIP_ACTIONS * f.gas / (g.max_share * book.equity)
    cheap = now >= g.discount and gain > g.margin * cost
    holding = (0.0 if back else 1.0) if s.holding > 0.5 else (1.0 if cheap else 0.0)
    if stopped > 0.5:
        holding = 0.0

    usdt = g.max_share * holding
    usd = 1.0 - usdt
    band = ENTRY_BAND
    if holding < 0.5:
        idle = changes(1.0, book.usd, book.equity) * f.gas / (book.equity * GAS_SHARE)
        leaving = EXIT_BAND if book.usdt > 2.0 * f.gas else HOLD
        band = leaving if book.usdt > DUST_USD else max(ENTRY_BAND, idle)
    return Target(usd, usdt, band), State(price, holding, hours if holding > 0.5 else 0.0, stopped)


STRATEGY = Strategy(
    name="peg",
    roles={"usd": Role("lending", "usdc_lending"), "usdt": Role("spot", "usdt")},
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="buys a stablecoin below its peg, sells it when it recovers, lends otherwise",
)
