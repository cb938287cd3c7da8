"""Six positions at once, no features, early returns."""

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import HOLD, Integer, Real, Role, Strategy


class Genes(NamedTuple):
    eth: Annotated[float, Real(0.0, 0.4)]
    btc: Annotated[float, Real(0.0, 0.3)]
    usd: Annotated[float, Real(0.0, 0.3)]
    span: Annotated[float, Real(0.0, 0.3)]
    loan: Annotated[float, Real(0.0, 0.3)]
    ltv: Annotated[float, Real(0.0, 0.6)]
    band: Annotated[float, Real(0.01, 0.1)]
    every: Annotated[float, Integer(1, 48)]


class Features(NamedTuple):
    pass


class Book(NamedTuple):
    equity: float


class Target(NamedTuple):
    eth: float
    btc: float
    usd: float
    usdt: float
    span: float
    span_width: float
    loan: float
    loan_ltv: float
    band: float


class State(NamedTuple):
    clock: float = 0.0


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    if s.clock > 0.0:
        return Target(0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, HOLD), State(s.clock - 1.0)
    total = g.eth + g.btc + g.usd + g.span + g.loan
    scale = 1.0
    for k in range(3):
        scale = scale * (1.0 - 0.01 * k)
    scale = scale / max(total, 1.0)
    rest = 1.0 - scale * total
    target = Target(
        g.eth * scale, g.btc * scale, g.usd * scale, rest, g.span * scale, 0.1, g.loan * scale, g.ltv, g.band
    )
    return target, State(g.every)


STRATEGY = Strategy(
    "six",
    {
        "eth": Role("spot", "eth"),
        "btc": Role("spot", "btc"),
        "usd": Role("lending", "usd"),
        "usdt": Role("lending", "usdt"),
        "span": Role("span", "span"),
        "loan": Role("account", "loan"),
    },
    Genes,
    Features,
    Book,
    Target,
    State,
    decide,
)
