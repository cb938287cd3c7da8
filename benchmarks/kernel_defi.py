"""Strategies over the real position models of Aave and Uniswap, and a synthetic market for them, for the kernel's benchmarks.

One strategy per set of positions, all with the same genes, features and arithmetic, so that what an added position costs can be
read off: `SPOT`, `SPOT` and one of lending, account, range or a second coin, all four (`QUARTET`), and six (`SEXTET`).
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.strategy import FORCE, Choice, Column, Real, Role, Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.kernel import Kernel, prepare
from treasury_arena_aave.model import ACCOUNT, SUPPLY
from treasury_arena_uniswap.model import SPOT as UNISWAP_SPOT
from treasury_arena_uniswap.range_model import RANGE

ROWS = 4_320
YEAR_HOURS = 8_760.0


class Genes(NamedTuple):
    fast: Annotated[float, Choice((6.0, 12.0, 24.0, 48.0))]
    slow: Annotated[float, Choice((72.0, 120.0, 240.0, 480.0))]
    vol: Annotated[float, Choice((24.0, 72.0, 168.0))]
    base: Annotated[float, Real(0.1, 0.6)]
    tilt: Annotated[float, Real(-6.0, 6.0)]
    calm: Annotated[float, Real(0.0, 20.0)]
    second: Annotated[float, Real(0.2, 0.8)]
    third: Annotated[float, Real(0.2, 0.8)]
    ltv: Annotated[float, Real(0.1, 0.6)]
    floor: Annotated[float, Real(1.1, 1.6)]
    width: Annotated[float, Real(0.03, 0.4)]
    band: Annotated[float, Real(0.05, 0.4)]


class Features(NamedTuple):
    fast: Annotated[float, Column("log_sma", "fast", "eth")]
    slow: Annotated[float, Column("log_sma", "slow", "eth")]
    vol: Annotated[float, Column("volatility", "vol", "eth")]


class Own(NamedTuple):
    pass


class SpotBook(NamedTuple):
    drawdown: float


class AccountBook(NamedTuple):
    drawdown: float
    loan_health: float


class RangeBook(NamedTuple):
    drawdown: float
    pool: float
    pool_inside: float


class QuartetBook(NamedTuple):
    drawdown: float
    loan_health: float
    pool: float
    pool_inside: float


class SpotTarget(NamedTuple):
    eth: float
    band: float


class CoinsTarget(NamedTuple):
    eth: float
    btc: float
    band: float


class SupplyTarget(NamedTuple):
    eth: float
    usd: float
    band: float


class AccountTarget(NamedTuple):
    eth: float
    loan: float
    loan_ltv: float
    band: float


class RangeTarget(NamedTuple):
    eth: float
    pool: float
    pool_width: float
    band: float


class QuartetTarget(NamedTuple):
    eth: float
    usd: float
    loan: float
    loan_ltv: float
    pool: float
    pool_width: float
    band: float


class SextetTarget(NamedTuple):
    eth: float
    btc: float
    usd: float
    dai: float
    loan: float
    loan_ltv: float
    pool: float
    pool_width: float
    band: float


def unit(x: float) -> float:
    return 0.0 if x < 0.0 else (1.0 if x > 1.0 else x)


def exposure(f: Features, g: Genes, drawdown: float) -> float:
    share = unit(g.base + g.tilt * (f.fast - f.slow) - g.calm * f.vol)
    return 0.5 * share if drawdown > 0.3 else share


def recentred(pool: float, inside: float, width: float) -> float:
    """The width to tell the range: as it is while the price is inside, negative (re-centre now) when it is not."""
    return -width if pool > 1.0 and inside < 0.5 else width


def one(f: Features, g: Genes, book: SpotBook, s: Own) -> tuple[SpotTarget, Own]:
    return SpotTarget(exposure(f, g, book.drawdown), g.band), Own()


def coins(f: Features, g: Genes, book: SpotBook, s: Own) -> tuple[CoinsTarget, Own]:
    eth = exposure(f, g, book.drawdown)
    return CoinsTarget(eth, (1.0 - eth) * g.second, g.band), Own()


def supply(f: Features, g: Genes, book: SpotBook, s: Own) -> tuple[SupplyTarget, Own]:
    eth = exposure(f, g, book.drawdown)
    return SupplyTarget(eth, (1.0 - eth) * g.second, g.band), Own()


def account(f: Features, g: Genes, book: AccountBook, s: Own) -> tuple[AccountTarget, Own]:
    eth = exposure(f, g, book.drawdown)
    band = FORCE if book.loan_health < g.floor else g.band
    return AccountTarget(eth, (1.0 - eth) * g.second, g.ltv, band), Own()


def ranged(f: Features, g: Genes, book: RangeBook, s: Own) -> tuple[RangeTarget, Own]:
    eth = exposure(f, g, book.drawdown)
    width = recentred(book.pool, book.pool_inside, g.width)
    band = FORCE if width < 0.0 and g.band < 1.0 else g.band
    return RangeTarget(eth, (1.0 - eth) * g.second, width, band), Own()


def four(f: Features, g: Genes, book: QuartetBook, s: Own) -> tuple[QuartetTarget, Own]:
    eth = exposure(f, g, book.drawdown)
    rest = 1.0 - eth
    loan = rest * g.second
    pool = (rest - loan) * g.third
    width = recentred(book.pool, book.pool_inside, g.width)
    band = FORCE if (width < 0.0 or book.loan_health < g.floor) and g.band < 1.0 else g.band
    return QuartetTarget(eth, rest - loan - pool, loan, g.ltv, pool, width, band), Own()


def six(f: Features, g: Genes, book: QuartetBook, s: Own) -> tuple[SextetTarget, Own]:
    eth = exposure(f, g, book.drawdown)
    rest = 1.0 - eth
    loan = rest * g.second
    pool = (rest - loan) * g.third
    left = 0.5 * (rest - loan - pool)
    width = recentred(book.pool, book.pool_inside, g.width)
    band = FORCE if (width < 0.0 or book.loan_health < g.floor) and g.band < 1.0 else g.band
    return SextetTarget(0.6 * eth, 0.4 * eth, left, left, loan, g.ltv, pool, width, band), Own()


ETH, BTC = Role("spot", "eth"), Role("spot", "btc")
USD, DAI = Role("lending", "usd"), Role("lending", "dai")
LOAN, POOL = Role("account", "loan"), Role("range", "pool")


CASES = {
    strategy.name: strategy
    for strategy in (
        Strategy("1 spot", {"eth": ETH}, Genes, Features, SpotBook, SpotTarget, Own, one),
        Strategy("2 + spot", {"eth": ETH, "btc": BTC}, Genes, Features, SpotBook, CoinsTarget, Own, coins),
        Strategy("2 + supply", {"eth": ETH, "usd": USD}, Genes, Features, SpotBook, SupplyTarget, Own, supply),
        Strategy("2 + account", {"eth": ETH, "loan": LOAN}, Genes, Features, AccountBook, AccountTarget, Own, account),
        Strategy("2 + range", {"eth": ETH, "pool": POOL}, Genes, Features, RangeBook, RangeTarget, Own, ranged),
        Strategy(
            "4 one of each",
            {"eth": ETH, "usd": USD, "loan": LOAN, "pool": POOL},
            Genes,
            Features,
            QuartetBook,
            QuartetTarget,
            Own,
            four,
        ),
        Strategy(
            "6 + spot, supply",
            {"eth": ETH, "btc": BTC, "usd": USD, "dai": DAI, "loan": LOAN, "pool": POOL},
            Genes,
            Features,
            QuartetBook,
            SextetTarget,
            Own,
            six,
        ),
    )
}
MODELS = {"eth": UNISWAP_SPOT, "btc": UNISWAP_SPOT, "usd": SUPPLY, "dai": SUPPLY, "loan": ACCOUNT, "pool": RANGE}


def _spot(name: str, coin: str) -> MarketSpec:
    columns = {"price": f"{coin}.price", "liquidity": f"{coin}.liquidity", "gas": "gas.usd"}
    return MarketSpec(name, UNISWAP_SPOT.name, "spot", coin, columns, coin=True)


def _supply(name: str, asset: str) -> MarketSpec:
    columns = {field: f"{asset}.{field}" for field in ("rate", "price", "supplied", "borrowed")}
    return MarketSpec(name, SUPPLY.name, "lending", asset, columns | {"gas": "gas.usd"}, {"swap_fee": 0.0})


SPECS = {
    "eth": _spot("eth", "WETH"),
    "btc": _spot("btc", "WBTC"),
    "usd": _supply("usd", "USDC"),
    "dai": _supply("dai", "DAI"),
    "loan": MarketSpec(
        "loan",
        ACCOUNT.name,
        "account",
        "WETH",
        {"price": "WETH.price", "supply_rate": "WETH.rate", "borrow_rate": "USDC.borrow_rate", "gas": "gas.usd"},
        coin=True,
    ),
    "pool": MarketSpec(
        "pool",
        RANGE.name,
        "range",
        "WETH",
        {"price": "WETH.price", "liquidity": "WETH.liquidity", "volume": "WETH.volume", "gas": "gas.usd"},
        coin=True,
    ),
}


def kernel(case: str) -> Kernel:
    """The kernel of one case."""
    strategy = CASES[case]
    return prepare(strategy, {role: MODELS[role] for role in strategy.roles}, SPECS)


def market(rows: int = ROWS) -> MarketFrame:
    """Hours of two coins at 70 % and 50 % volatility with their pools, two lending reserves, and gas."""
    rng = stream(7, 0, "benchmark/defi")
    step = 0.7 / np.sqrt(YEAR_HOURS) * rng.standard_normal(rows)
    eth, btc = 2_000.0 * np.exp(np.cumsum(step)), 40_000.0 * np.exp(np.cumsum(0.7 * step))
    ones, wave = np.ones(rows), np.sin(np.arange(rows) / 300.0)
    columns = {
        "WETH.price": eth,
        "WETH.liquidity": 2e8 / np.sqrt(eth),
        "WETH.volume": 1e7 * rng.lognormal(0.0, 0.8, rows),
        "WETH.rate": 0.015 + 0.005 * wave,
        "WBTC.price": btc,
        "WBTC.liquidity": 1e8 / np.sqrt(btc),
        "USDC.borrow_rate": 0.07 + 0.03 * wave,
        "gas.usd": 0.05 * rng.lognormal(0.0, 0.4, rows),
    }
    for asset, supplied in (("USDC", 1e9), ("DAI", 2e8)):
        columns[f"{asset}.rate"] = 0.05 + 0.02 * wave
        columns[f"{asset}.price"] = ones
        columns[f"{asset}.supplied"] = supplied * ones
        columns[f"{asset}.borrowed"] = supplied * (0.82 + 0.05 * wave)
    return MarketFrame(1_704_067_200, 3_600, columns)
