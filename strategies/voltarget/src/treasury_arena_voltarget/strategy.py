"""Volatility-targeted allocator: as much ETH as keeps the portfolio at a volatility, the rest lent.

Share of ETH = target volatility / ETH volatility, up to a cap: volatility scaling as in Moreira and Muir, "Volatility-Managed
Portfolios", Journal of Finance 72 (2017), with volatility in place of variance.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import DUST_USD, EXIT_BAND, changes, dearer
from treasury_arena.contracts.strategy import Choice, Column, Real, Role, Strategy

HOURS_PER_YEAR_ROOT = 93.59487165438072
"""sqrt(8760): from the deviation of hourly changes to a year's."""
VOLATILITY_LOW = 0.01
"""Annual volatility below which a measurement is taken as this; every target lies above it."""
FULL_FALL = 0.05
"""Log distance below the average at which the trend filter takes its whole share."""


class Genes(NamedTuple):
    """Volatility is annual, shares are of equity, both windows are indices into their hours."""

    target_volatility: Annotated[float, Real(0.1, 1.0, 0.3, "per year")]
    window: Annotated[float, Choice((24, 72, 168, 336, 720), 2, "hours")]
    cap: Annotated[float, Real(0.1, 1.0, 0.8, "share of equity")]
    band: Annotated[float, Real(0.02, 0.3, 0.1, "share of equity")]
    gas_limit: Annotated[float, Real(0.001, 0.02, 0.005, "share of the drift")]
    trend_filter: Annotated[float, Real(0.0, 1.0, 0.0, "share of the position")]
    trend_window: Annotated[float, Choice((168, 336, 720, 1440), 2, "hours")]


class Features(NamedTuple):
    """Standard deviation of hourly log changes, log of price over its average, and USD of gas per action."""

    volatility: Annotated[float, Column("volatility", "window", of="eth")]
    distance: Annotated[float, Column("log_ratio_sma", "trend_window", of="eth")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD."""

    equity: float
    eth: float
    usd: float


class Target(NamedTuple):
    """Shares of equity, and the band."""

    eth: float
    usd: float
    band: float


class State(NamedTuple):
    """Nothing is remembered: the band alone makes it slow."""


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Scale the position to the target volatility, then let the trend filter take its part of it in a fall."""
    annual = max(f.volatility * HOURS_PER_YEAR_ROOT, VOLATILITY_LOW)
    falling = min(max(-f.distance / FULL_FALL, 0.0), 1.0)
    eth = min(g.target_volatility / annual, g.cap) * (1.0 - g.trend_filter * falling)
    usd = 1.0 - eth
    actions = changes(eth, book.eth, book.equity) + changes(usd, book.usd, book.equity)
    band = dearer(g.band, actions * f.gas, book.equity, g.gas_limit)
    if eth <= 0.0 and book.eth > DUST_USD:
        band = EXIT_BAND
    return Target(eth, usd, band), State()


STRATEGY = Strategy(
    name="voltarget",
    roles={"eth": Role("spot", "eth"), "usd": Role("lending", "usdc_lending")},
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="holds the share of ETH that keeps a target volatility, lends the rest",
)
