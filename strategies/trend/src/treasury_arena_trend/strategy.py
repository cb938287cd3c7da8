"""Trend follower: holds ETH and BTC in proportion to their smoothed distance above a moving average, lends the rest."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import DUST_USD, EXIT_BAND, changes, dearer
from treasury_arena.contracts.strategy import Choice, Column, Real, Role, Strategy


class Genes(NamedTuple):
    """Log distances are of price to its average, shares are of equity, the window is an index into its hours."""

    window: Annotated[float, Choice((72, 168, 336, 720, 1440), 2, "hours")]
    speed: Annotated[float, Real(0.005, 0.3, 0.05, "per hour")]
    tilt: Annotated[float, Real(2.0, 40.0, 15.0, "per unit of log distance")]
    hurdle: Annotated[float, Real(0.0, 0.05, 0.005, "log distance")]
    exposure: Annotated[float, Real(0.1, 1.0, 0.6, "share of equity")]
    eth_weight: Annotated[float, Real(0.0, 1.0, 0.5, "share of the exposure")]
    band: Annotated[float, Real(0.02, 0.3, 0.1, "share of equity")]
    gas_limit: Annotated[float, Real(0.001, 0.02, 0.005, "share of the drift")]
    fuse: Annotated[float, Real(0.03, 0.4, 0.15, "drawdown")]


class Features(NamedTuple):
    """Log of price over its average, and USD of gas per action."""

    eth: Annotated[float, Column("log_ratio_sma", "window", of="eth")]
    btc: Annotated[float, Column("log_ratio_sma", "window", of="btc")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD, and `drawdown`: positive fraction below the highest equity so far."""

    equity: float
    eth: float
    btc: float
    usd: float
    drawdown: float


class Target(NamedTuple):
    """Shares of equity, and the band."""

    eth: float
    btc: float
    usd: float
    band: float


class State(NamedTuple):
    """Smoothed log distances, the fuse's reference level as a share of the highest equity, and 1 while the fuse is blown."""

    eth: float = 0.0
    btc: float = 0.0
    reference: float = 0.0
    blown: float = 0.0


def score(trend: float, g: Genes) -> float:
    """0 up to the hurdle, 1 from `1 / tilt` above it."""
    return min(max(g.tilt * (trend - g.hurdle), 0.0), 1.0)


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Follow both trends; a loss of `fuse` since the last re-arming sells everything until both trends have ended."""
    eth_trend = s.eth + g.speed * (f.eth - s.eth)
    btc_trend = s.btc + g.speed * (f.btc - s.btc)
    eth_score = score(eth_trend, g)
    btc_score = score(btc_trend, g)

    level = 1.0 - book.drawdown
    reference = max(s.reference, level)
    loss = 1.0 - level / reference if reference > 0.0 else 1.0
    blown = 0.0 if s.blown < 0.5 and loss < g.fuse else 1.0
    if s.blown > 0.5 and eth_score + btc_score <= 0.0:
        blown = 0.0
        reference = level

    long = g.exposure * (1.0 - blown)
    eth = long * (g.eth_weight * eth_score)
    btc = long * ((1.0 - g.eth_weight) * btc_score)
    usd = max(1.0 - eth - btc, 0.0)
    actions = (
        changes(eth, book.eth, book.equity) + changes(btc, book.btc, book.equity) + changes(usd, book.usd, book.equity)
    )
    band = dearer(g.band, actions * f.gas, book.equity, g.gas_limit)
    if eth + btc <= 0.0 and book.eth + book.btc > DUST_USD:
        band = EXIT_BAND
    return Target(eth, btc, usd, band), State(eth_trend, btc_trend, reference, blown)


STRATEGY = Strategy(
    name="trend",
    roles={"eth": Role("spot", "eth"), "btc": Role("spot", "btc"), "usd": Role("lending", "usdc_lending")},
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="holds ETH and BTC while they trade above their moving average, lends the rest",
)
