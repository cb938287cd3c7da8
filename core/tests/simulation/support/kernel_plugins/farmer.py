"""Two recursive averages whose speeds are genes (state), a decision period gene; supply and spot."""

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import HOLD, Column, Integer, Real, Role, Strategy


class Genes(NamedTuple):
    quick: Annotated[float, Real(0.02, 0.3)]
    slow: Annotated[float, Real(0.002, 0.02)]
    gain: Annotated[float, Real(1.0, 40.0)]
    floor: Annotated[float, Real(0.0, 0.4)]
    calm: Annotated[float, Real(0.002, 0.02)]
    band: Annotated[float, Real(0.02, 0.2)]
    period: Annotated[float, Integer(1, 72)]


class Features(NamedTuple):
    log_price: Annotated[float, Column("log_price", 1, "eth")]
    vol: Annotated[float, Column("volatility", 72, "eth")]
    gas: Annotated[float, Column("raw", 1, "gas.usd")]


class Book(NamedTuple):
    step: float
    cash: float


class Target(NamedTuple):
    usd: float
    eth: float
    band: float


class State(NamedTuple):
    quick: float = 0.0
    slow: float = 0.0
    wait: float = 0.0


def follow(average: float, x: float, speed: float) -> float:
    return average + speed * (x - average)


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    quick = follow(s.quick, f.log_price, g.quick) if book.step > 0.0 else f.log_price
    slow = follow(s.slow, f.log_price, g.slow) if book.step > 0.0 else f.log_price
    eth = g.floor + g.gain * (quick - slow)
    if f.vol > g.calm:
        eth = 0.5 * eth
    eth = min(max(eth, 0.0), 1.0)
    due = s.wait <= 0.0
    wait = g.period if due else s.wait
    if f.gas > 8.0:
        wait = wait + 0.5
    return Target(1.0 - eth, eth, g.band if due else HOLD), State(quick, slow, wait - 1.0)


STRATEGY = Strategy(
    "farmer",
    {"usd": Role("lending", "usd"), "eth": Role("spot", "eth")},
    Genes,
    Features,
    Book,
    Target,
    State,
    decide,
)
