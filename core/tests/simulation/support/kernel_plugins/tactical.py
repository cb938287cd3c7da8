"""Three positions, window genes, controls, a view, a drawdown fuse in the state."""

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import FORCE, HOLD, Choice, Column, Real, Role, Strategy

FAST = (6, 12, 24, 48)
SLOW = (72, 120, 240)


class Genes(NamedTuple):
    fast: Annotated[float, Choice(FAST)]
    slow: Annotated[float, Choice(SLOW)]
    vol: Annotated[float, Choice((24, 72, 168))]
    eth_base: Annotated[float, Real(0.0, 0.5)]
    eth_momentum: Annotated[float, Real(-6.0, 6.0)]
    loan_base: Annotated[float, Real(0.0, 0.5)]
    loan_vol: Annotated[float, Real(0.0, 20.0)]
    span_base: Annotated[float, Real(0.0, 0.5)]
    ltv: Annotated[float, Real(0.0, 0.7)]
    band: Annotated[float, Real(0.05, 0.4)]
    width: Annotated[float, Real(0.02, 0.3)]
    fuse: Annotated[float, Real(0.05, 0.6)]


class Features(NamedTuple):
    fast: Annotated[float, Column("log_sma", "fast", "eth")]
    slow: Annotated[float, Column("log_sma", "slow", "eth")]
    vol: Annotated[float, Column("volatility", "vol", "eth")]


class Book(NamedTuple):
    drawdown: float
    span: float
    span_inside: float


class Target(NamedTuple):
    eth: float
    loan: float
    loan_ltv: float
    span: float
    span_width: float
    band: float


class State(NamedTuple):
    halted: float = 0.0


def unit(x: float) -> float:
    return 0.0 if x < 0.0 else (1.0 if x > 1.0 else x)


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    momentum = f.fast - f.slow
    eth = unit(g.eth_base + g.eth_momentum * momentum)
    loan = unit(g.loan_base - g.loan_vol * f.vol)
    span = unit(g.span_base + momentum)
    total = eth + loan + span
    scale = 1.0 / (total if total > 1.0 else 1.0)
    band = g.band
    if (book.span > 0.0) & (book.span_inside == 0.0):
        band = FORCE
    halted = s.halted
    if book.drawdown > g.fuse:
        scale = 0.0
        band = FORCE if halted == 0.0 else HOLD
        halted = 1.0
    if halted > 0.0 and band > 0.0:
        band = HOLD
    return Target(eth * scale, loan * scale, g.ltv, span * scale, g.width, band), State(halted)


STRATEGY = Strategy(
    "tactical",
    {"eth": Role("spot", "eth"), "loan": Role("account", "loan"), "span": Role("span", "span")},
    Genes,
    Features,
    Book,
    Target,
    State,
    decide,
)
