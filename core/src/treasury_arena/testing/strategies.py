"""Two tiny strategies for tests: a holder of a fixed share of a coin, and a lender."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from treasury_arena.contracts.strategy import Choice, Column, Integer, Real, Role, Strategy


class HolderGenes(NamedTuple):
    """``share`` of equity in the coin and ``band`` of drift, in shares of equity; ``window`` rows; ``patience`` steps."""

    share: Annotated[float, Real(0.0, 1.0, 0.5, "share of equity")]
    band: Annotated[float, Real(0.01, 0.5, 0.1, "share of equity")]
    patience: Annotated[float, Integer(0, 48, 0, "rows")]
    window: Annotated[float, Choice((4.0, 24.0), 0, "rows")]


class HolderFeatures(NamedTuple):
    """Log of the price over its average."""

    dear: Annotated[float, Column("log_ratio_sma", "window", of="coin")]


class HolderBook(NamedTuple):
    """Rows since birth."""

    step: float


class HolderTarget(NamedTuple):
    """Shares of equity, and the band."""

    coin: float
    usd: float
    band: float


class HolderState(NamedTuple):
    """Rows on which the price stood above its average."""

    above: float = 0.0


def hold(f: HolderFeatures, g: HolderGenes, book: HolderBook, s: HolderState) -> tuple[HolderTarget, HolderState]:
    """Hold `share` in the coin from `patience` rows after birth, lend the rest."""
    above = s.above + (1.0 if f.dear > 0.0 else 0.0)
    share = g.share if book.step >= g.patience else 0.0
    return HolderTarget(share, 1.0 - share, g.band), HolderState(above)


HOLDER = Strategy(
    name="holder",
    roles={"coin": Role("spot", "coin"), "usd": Role("lending", "usd")},
    genes=HolderGenes,
    features=HolderFeatures,
    book=HolderBook,
    target=HolderTarget,
    state=HolderState,
    decide=hold,
    summary="holds a fixed share of a coin, lends the rest",
)


class LenderGenes(NamedTuple):
    """``minimum_apr`` a fraction a year below which nothing is lent, ``share`` of equity lent, ``band`` of drift."""

    minimum_apr: Annotated[float, Real(0.0, 0.5, 0.0, "fraction a year")]
    share: Annotated[float, Real(0.05, 1.0, 1.0, "share of equity")]
    band: Annotated[float, Real(0.01, 0.5, 0.02, "share of equity")]


class LenderFeatures(NamedTuple):
    """The present rate."""

    rate: Annotated[float, Column("raw", 1, of="usd", field="rate")]


class LenderBook(NamedTuple):
    """Positive fraction below the highest equity so far."""

    drawdown: float


class LenderTarget(NamedTuple):
    """Share of equity, and the band."""

    usd: float
    band: float


class LenderState(NamedTuple):
    """Nothing is remembered but the last rate."""

    rate: float = 0.0


def lend(f: LenderFeatures, g: LenderGenes, book: LenderBook, s: LenderState) -> tuple[LenderTarget, LenderState]:
    """Lend while the rate reaches the minimum."""
    share = g.share if f.rate >= g.minimum_apr else 0.0
    return LenderTarget(share, g.band), LenderState(f.rate)


LENDER = Strategy(
    name="lender",
    roles={"usd": Role("lending", "usd")},
    genes=LenderGenes,
    features=LenderFeatures,
    book=LenderBook,
    target=LenderTarget,
    state=LenderState,
    decide=lend,
    summary="lends while the rate reaches a minimum",
)
