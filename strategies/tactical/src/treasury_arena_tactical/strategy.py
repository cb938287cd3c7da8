"""Tactical-Trader: buys ETH and BTC when they are cheap against their long average, sells when dear, lends the rest.

Price over its long average stands in for MVRV (market value over realised value), which needs on-chain cost-basis data.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.arithmetic import DUST_USD, EXIT_BAND, changes, dearer, follow
from treasury_arena.contracts.strategy import Choice, Column, Real, Role, Strategy

FULL_DISCOUNT = 0.2
"""How far below `buy_below` the valuation ratio has to lie for the whole of `max_leverage`."""


class Genes(NamedTuple):
    """Ratios are price over its average, shares are of equity, the window is an index into its hours."""

    window: Annotated[float, Choice((720, 1440, 2160, 4320), 2, "hours")]
    buy_below: Annotated[float, Real(0.6, 1.2, 1.0, "ratio")]
    sell_above: Annotated[float, Real(1.2, 2.4, 1.5, "ratio")]
    position_size: Annotated[float, Real(0.1, 0.5, 0.25, "share of equity")]
    max_leverage: Annotated[float, Real(1.0, 3.0, 2.0, "times position_size")]
    smoothing: Annotated[float, Real(1.0, 168.0, 24.0, "hours")]
    band: Annotated[float, Real(0.01, 0.15, 0.05, "share of equity")]
    gas_limit: Annotated[float, Real(0.001, 0.02, 0.005, "share of the drift")]


class Features(NamedTuple):
    """USD per token, now and on average, and USD of gas per action."""

    eth: Annotated[float, Column("raw", 1, of="eth")]
    eth_average: Annotated[float, Column("sma", "window", of="eth")]
    btc: Annotated[float, Column("raw", 1, of="btc")]
    btc_average: Annotated[float, Column("sma", "window", of="btc")]
    gas: Annotated[float, Column("raw", 1, of="gas.usd")]


class Book(NamedTuple):
    """USD."""

    equity: float
    eth: float
    btc: float
    usd: float


class Target(NamedTuple):
    """Shares of equity, and the band."""

    eth: float
    btc: float
    usd: float
    band: float


class State(NamedTuple):
    """Smoothed valuation ratios (0 before the first row), and 1 for each coin that is to be held."""

    eth_ratio: float = 0.0
    btc_ratio: float = 0.0
    eth_in: float = 0.0
    btc_in: float = 0.0


def valuation(price: float, average: float) -> float:
    return price / average if average > 0.0 else 1.0


def holds(ratio: float, held: float, g: Genes) -> float:
    """Switch in below one ratio, out above the other, and keep the last answer between them."""
    if ratio < g.buy_below:
        return 1.0
    if ratio > g.sell_above:
        return 0.0
    return held


def size(ratio: float, held: float, g: Genes) -> float:
    """Share wanted of one coin: `position_size`, growing with the discount to `max_leverage` times that."""
    discount = (g.buy_below - ratio) / FULL_DISCOUNT
    conviction = min(max(discount, 0.0), 1.0)
    return held * (g.position_size * (1.0 + (g.max_leverage - 1.0) * conviction))


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """Smooth the valuations, switch each coin in or out, and scale both to at most the whole equity."""
    eth_ratio = follow(s.eth_ratio, valuation(f.eth, f.eth_average), g.smoothing)
    btc_ratio = follow(s.btc_ratio, valuation(f.btc, f.btc_average), g.smoothing)
    eth_in = holds(eth_ratio, s.eth_in, g)
    btc_in = holds(btc_ratio, s.btc_in, g)
    eth = size(eth_ratio, eth_in, g)
    btc = size(btc_ratio, btc_in, g)
    scale = 1.0 / max(eth + btc, 1.0)
    eth = eth * scale
    btc = btc * scale
    usd = max(1.0 - eth - btc, 0.0)
    actions = (
        changes(eth, book.eth, book.equity) + changes(btc, book.btc, book.equity) + changes(usd, book.usd, book.equity)
    )
    band = dearer(g.band, actions * f.gas, book.equity, g.gas_limit)
    if eth + btc <= 0.0 and book.eth + book.btc > DUST_USD:
        band = EXIT_BAND
    return Target(eth, btc, usd, band), State(eth_ratio, btc_ratio, eth_in, btc_in)


STRATEGY = Strategy(
    name="tactical",
    roles={"eth": Role("spot", "eth"), "btc": Role("spot", "btc"), "usd": Role("lending", "usdc_lending")},
    genes=Genes,
    features=Features,
    book=Book,
    target=Target,
    state=State,
    decide=decide,
    summary="buys ETH and BTC below their long average, sells far above it, lends the rest",
)
