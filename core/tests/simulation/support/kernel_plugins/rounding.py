"""Rounds amounts beyond 64 bits, and counts with a loop's numbers and with truth values."""

import math
from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import Column, Real, Role, Strategy


class Genes(NamedTuple):
    unit: Annotated[float, Real(1e15, 1e21)]
    band: Annotated[float, Real(0.0, 0.2)]


class Features(NamedTuple):
    eth: Annotated[float, Column("momentum", 24, "eth")]


class Book(NamedTuple):
    equity: float


class Target(NamedTuple):
    eth: float
    band: float


class State(NamedTuple):
    seen: float = 0.0


def pick(up: bool, x: float) -> float:
    return x if up else -x


def decide(f: Features, g: Genes, book: Book, s: State) -> tuple[Target, State]:
    base = float(math.floor(book.equity * g.unit))
    up = f.eth > 0.0
    lots = float(math.ceil(base / 1e17)) - float(math.floor(pick(up, base) / 1e18))
    total = 0.0
    for k in range(5):
        total = total + float(k) * k + lots * (f.eth > 0.01)
    return Target(abs(total) % 97.0 / 100.0, g.band), State(s.seen + 1.0)


STRATEGY = Strategy("rounding", {"eth": Role("spot", "eth")}, Genes, Features, Book, Target, State, decide)
