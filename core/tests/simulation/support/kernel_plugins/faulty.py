"""Gives invalid targets when its genes say so; stateless, without a book."""

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import Column, Integer, Real, Role, Strategy


class Genes(NamedTuple):
    eth: Annotated[float, Real(0.1, 0.8)]
    btc: Annotated[float, Real(0.0, 0.3)]
    fault: Annotated[float, Integer(0, 4)]
    at: Annotated[float, Integer(0, 300)]


class Features(NamedTuple):
    eth: Annotated[float, Column("momentum", 24, "eth")]


class Book(NamedTuple):
    step: float
    equity: float


class Target(NamedTuple):
    eth: float
    btc: float
    usd: float
    band: float


class State(NamedTuple):
    pass


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    eth, btc, usd, band = g.eth + f.eth, g.btc, 0.0, 0.02
    if book.step >= g.at:
        huge = 1e308 * 10.0
        if g.fault == 1.0:
            eth = huge - huge
        elif g.fault == 2.0:
            btc = huge
        elif g.fault == 3.0:
            band = huge - huge
        elif g.fault == 4.0:
            usd = -2e-9
    return Target(eth, btc, usd, band), State()


STRATEGY = Strategy(
    "faulty",
    {"eth": Role("spot", "eth"), "btc": Role("spot", "btc"), "usd": Role("lending", "usd")},
    Genes,
    Features,
    Book,
    Target,
    State,
    decide,
)
