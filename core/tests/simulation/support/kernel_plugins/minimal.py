"""The smallest strategies there are, one per position kind: quick to compile."""

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import Real, Role, Strategy


class Genes(NamedTuple):
    share: Annotated[float, Real(0.0, 1.0)]


class Empty(NamedTuple):
    pass


class CoinTarget(NamedTuple):
    eth: float
    band: float


class LentTarget(NamedTuple):
    usd: float
    band: float


def coin(f: Empty, g: Genes, book: Empty, s: Empty) -> tuple[CoinTarget, Empty]:
    return CoinTarget(g.share, 0.1), Empty()


def lent(f: Empty, g: Genes, book: Empty, s: Empty) -> tuple[LentTarget, Empty]:
    return LentTarget(g.share, 0.1), Empty()


COIN = Strategy("coin", {"eth": Role("spot", "eth")}, Genes, Empty, Empty, CoinTarget, Empty, coin)
LENT = Strategy("lent", {"usd": Role("lending", "usd")}, Genes, Empty, Empty, LentTarget, Empty, lent)
