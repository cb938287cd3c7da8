"""A strategy for tests: some of the coin outright, some in a range that is re-centred when the price strays from its middle."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import FORCE, Choice, Column, Real, Role, Strategy


class Genes(NamedTuple):
    """Range width, how far from the middle is too far, shares of equity, drift band, window of the average."""

    width: Annotated[float, Real(0.005, 1.0)]
    stray: Annotated[float, Real(0.2, 2.0)]
    share: Annotated[float, Real(0.1, 0.9)]
    band: Annotated[float, Real(0.01, 0.3)]
    window: Annotated[float, Choice((4, 24))]


class Features(NamedTuple):
    """Log of the price over its average."""

    dear: Annotated[float, Column("log_ratio_sma", "window", of="lp")]


class Book(NamedTuple):
    """What is held, and where the price is in the range."""

    equity: float
    lp: float
    lp_inside: float
    lp_offset: float


class Target(NamedTuple):
    """Shares, the range's width, the band."""

    eth: float
    lp: float
    lp_width: float
    band: float


class State(NamedTuple):
    """Rows spent outside the range."""

    outside: float = 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    outside = s.outside + 1.0 - book.lp_inside
    held = book.lp > 0.0
    away = held and abs(book.lp_offset) > g.stray
    eth = 0.1 if f.dear > 0.0 else 0.2
    lp = g.share - eth if g.share > eth else 0.0
    if away and g.stray < 1.0:
        return Target(eth, lp, -g.width, FORCE), State(outside)
    if held and not away:
        return Target(eth, lp, 0.0, g.band), State(outside)
    return Target(eth, lp, g.width, g.band), State(outside)


STRATEGY = Strategy(
    "provider", {"eth": Role("spot", "eth"), "lp": Role("range", "lp")}, Genes, Features, Book, Target, State, decide
)
