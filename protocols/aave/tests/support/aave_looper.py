"""A strategy with a supply and an account role, as an author would write it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import FORCE, HOLD, Integer, Real, Role, Strategy


class Genes(NamedTuple):
    share: Annotated[float, Real(0.0, 1.0)]
    ltv: Annotated[float, Real(0.0, 0.82)]
    safe: Annotated[float, Real(1.0, 1.6)]
    band: Annotated[float, Real(0.01, 0.2)]
    every: Annotated[float, Integer(1, 48)]


class Features(NamedTuple):
    pass


class Book(NamedTuple):
    loan_health: float
    loan_ltv: float


class Target(NamedTuple):
    usd: float
    loan: float
    loan_ltv: float
    band: float


class State(NamedTuple):
    clock: float = 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    if book.loan_health < g.safe and book.loan_ltv > 0.0:
        return Target(1.0 - g.share, g.share, 0.5 * book.loan_ltv, FORCE), State(g.every)
    if s.clock > 0.0:
        return Target(1.0 - g.share, g.share, g.ltv, HOLD), State(s.clock - 1.0)
    return Target(1.0 - g.share, g.share, g.ltv, g.band), State(g.every)


STRATEGY = Strategy(
    "looper",
    {"usd": Role("lending", "usd"), "loan": Role("account", "loan")},
    Genes,
    Features,
    Book,
    Target,
    State,
    decide,
)
