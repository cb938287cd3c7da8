"""DeFi-Yield-Farmer: stablecoins to the lending markets with the best rates, when the move pays for itself.

The best eligible market takes `max_share` of equity, the next best takes as much of the rest as it may, and so on; what no
market takes stays in cash. Rates are compared as APY. Between moves nothing trades.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import (
    CAP_SLACK,
    DAYS_PER_YEAR,
    DUST_USD,
    MOVE_BAND,
    STAKE,
    counted,
    unless_topped_up,
)
from treasury_arena.contracts.strategy import HOLD, Choice, Column, Real, Role, Strategy


class Genes(NamedTuple):
    """Rates are APY as fractions a year, shares are of equity, the smoothing is an index into its hours."""

    minimum_apy: Annotated[float, Real(0.0, 0.12, 0.08, "APY")]
    rebalance_threshold: Annotated[float, Real(0.0, 0.05, 0.02, "APY")]
    max_share: Annotated[float, Real(0.25, 1.0, 0.4, "share of equity")]
    smoothing: Annotated[float, Choice((6, 24, 72, 168, 336), 1, "hours")]
    horizon_days: Annotated[float, Real(1.0, 60.0, 14.0, "days")]
    swap_cost: Annotated[float, Real(0.0, 0.003, 0.0005, "share of the amount swapped")]


class Features(NamedTuple):
    """Averaged supply APRs as fractions a year, and USD of gas per action."""

    usdc: Annotated[float, Column("sma", "smoothing", of="usdc", field="rate")]
    usdt: Annotated[float, Column("sma", "smoothing", of="usdt", field="rate")]
    dai: Annotated[float, Column("sma", "smoothing", of="dai", field="rate")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD."""

    equity: float
    usdc: float
    usdt: float
    dai: float


class Target(NamedTuple):
    """Shares of equity, and the band."""

    usdc: float
    usdt: float
    dai: float
    band: float


class State(NamedTuple):
    """Nothing is remembered: holdings and averages say it all."""


def apy(apr: float) -> float:
    """APY of a continuously compounded APR: the series of e^apr - 1 to the third power (0.0004 too low at 30 %)."""
    return apr * (1.0 + apr * (0.5 + apr / 6.0))


def eligible(rate: float, held: float, minimum: float, threshold: float) -> float:
    """1 when a market may be lent to; a market already held may fall `threshold` below the minimum first."""
    floor = minimum - threshold if held > STAKE else minimum
    return 1.0 if rate >= floor else 0.0


def above(rate: float, other: float) -> float:
    return 1.0 if rate > other else 0.0


def from_above(rate: float, other: float) -> float:
    """Ties go to the role that is declared first."""
    return 1.0 if rate >= other else 0.0


def place(usable: float, better: float, most: float, held: float) -> float:
    """Share of a market that `better` eligible markets come before; a top-up below STAKE is left out."""
    left = 1.0 - better * most
    share = usable * min(most, left if left > 0.0 else 0.0)
    return unless_topped_up(share, held)


def worth(usable: float, rate: float, minimum: float) -> float:
    """What a market is taken to earn: below the minimum, minus what it falls short of it, so that cash is better."""
    return rate if usable > 0.5 else rate - minimum


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Rank the eligible markets, then move if the gain over the horizon beats the cost or a market outgrew its cap."""
    if book.equity <= DUST_USD:
        return Target(0.0, 0.0, 0.0, HOLD), State()
    held_usdc = book.usdc / book.equity
    held_usdt = book.usdt / book.equity
    held_dai = book.dai / book.equity
    rate_usdc = apy(f.usdc)
    rate_usdt = apy(f.usdt)
    rate_dai = apy(f.dai)
    usable_usdc = eligible(rate_usdc, held_usdc, g.minimum_apy, g.rebalance_threshold)
    usable_usdt = eligible(rate_usdt, held_usdt, g.minimum_apy, g.rebalance_threshold)
    usable_dai = eligible(rate_dai, held_dai, g.minimum_apy, g.rebalance_threshold)
    better_usdc = usable_usdt * above(rate_usdt, rate_usdc) + usable_dai * above(rate_dai, rate_usdc)
    better_usdt = usable_usdc * from_above(rate_usdc, rate_usdt) + usable_dai * above(rate_dai, rate_usdt)
    better_dai = usable_usdc * from_above(rate_usdc, rate_dai) + usable_usdt * from_above(rate_usdt, rate_dai)
    usdc = place(usable_usdc, better_usdc, g.max_share, held_usdc)
    usdt = place(usable_usdt, better_usdt, g.max_share, held_usdt)
    dai = place(usable_dai, better_dai, g.max_share, held_dai)

    more_usdc = usdc - held_usdc
    more_usdt = usdt - held_usdt
    more_dai = dai - held_dai
    bought = max(more_usdc, 0.0) + max(more_usdt, 0.0) + max(more_dai, 0.0)
    sold = max(-more_usdc, 0.0) + max(-more_usdt, 0.0) + max(-more_dai, 0.0)
    gain = (
        more_usdc * worth(usable_usdc, rate_usdc, g.minimum_apy)
        + more_usdt * worth(usable_usdt, rate_usdt, g.minimum_apy)
        + more_dai * worth(usable_dai, rate_dai, g.minimum_apy)
    )
    actions = counted(more_usdc, book.equity) + counted(more_usdt, book.equity) + counted(more_dai, book.equity)
    cost = g.swap_cost * (abs(more_usdt) + abs(more_dai)) + actions * f.gas / book.equity
    worthwhile = gain > g.rebalance_threshold * max(bought, sold) and gain * (g.horizon_days / DAYS_PER_YEAR) > cost
    overgrown = max(held_usdc, held_usdt, held_dai) > g.max_share + CAP_SLACK
    return Target(usdc, usdt, dai, MOVE_BAND if worthwhile or overgrown else HOLD), State()


STRATEGY = Strategy(
    name="farmer",
    roles={
        "usdc": Role("lending", "usdc_lending"),
        "usdt": Role("lending", "usdt_lending"),
        "dai": Role("lending", "dai_lending"),
    },
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="lends stablecoins where the rate is best, when moving pays for itself",
)
