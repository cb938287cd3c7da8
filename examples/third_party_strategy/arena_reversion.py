"""Mean reversion: hold a coin while it is cheap against its own average, lend everything else.

The whole plugin is this module. Its distribution names it in the entry-point group ``treasury_arena``.
"""

from typing import Annotated, NamedTuple

from treasury_arena import hookimpl
from treasury_arena.contracts.strategy import Choice, Column, Real, Role, Strategy


class Genes(NamedTuple):
    """What breeding may change."""

    window: Annotated[float, Choice((24, 72, 168, 336), default=2, unit="hours")]
    entry: Annotated[float, Real(0.5, 3.0, default=1.5, unit="standard deviations")]
    size: Annotated[float, Real(0.1, 0.9, default=0.5, unit="share of equity")]
    memory: Annotated[float, Real(0.005, 0.2, default=0.02, unit="per hour")]
    band: Annotated[float, Real(0.02, 0.3, default=0.1, unit="share of equity")]


class Features(NamedTuple):
    """What is read from the market: columns computed once and shared by all agents."""

    deviation: Annotated[float, Column("zscore", "window", of="eth")]


class Book(NamedTuple):
    """What the agent sees of itself: the drawdown is a positive share of its highest equity."""

    drawdown: float


class Target(NamedTuple):
    """Shares of equity by role, and the drift that is worth a trade."""

    eth: float
    usd: float
    band: float


class State(NamedTuple):
    """How deep the dip has been lately; its time constant is a gene."""

    dip: float = 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    """The deeper the coin stands below its average, the more of it; nothing after a loss of a quarter."""
    dip = s.dip + g.memory * (max(-f.deviation, 0.0) - s.dip)
    eth = g.size * min(dip / g.entry, 1.0)
    if book.drawdown > 0.25:
        eth = 0.0
    return Target(eth, 1.0 - eth, g.band), State(dip)


@hookimpl
def arena_strategies() -> list[Strategy]:
    """The plugin's one hook."""
    roles = {"eth": Role("spot", "eth"), "usd": Role("lending", "usdc_lending")}
    summary = "Buys dips of ETH, lends the rest."
    return [Strategy("reversion", roles, Genes, Features, Book, Target, State, decide, summary)]
