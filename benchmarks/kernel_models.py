"""Position models, strategies and a synthetic market for the kernel's benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import FORCE, HOLD, Choice, Column, Real, Role, Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.kernel import Kernel, prepare

ROWS = 4_320
YEAR_HOURS = 8_760.0


class Spot(NamedTuple):
    units: float = 0.0


class SpotMarket(NamedTuple):
    price: float
    gas: float


class SpotParams(NamedTuple):
    fee: float = 0.0005
    half_spread: float = 0.0001
    impact: float = 5e-10
    dust: float = 1.0


def spot_value(s: Spot, m: SpotMarket, p: SpotParams) -> float:
    return s.units * m.price


def spot_trade(s: Spot, target: float, m: SpotMarket, p: SpotParams, c: None) -> tuple[Spot, float]:
    move = target - s.units * m.price
    size = abs(move)
    if size < p.dust:
        return s, 0.0
    cost = size * (p.fee + p.half_spread + p.impact * size) + m.gas
    if move > 0.0:
        return Spot((target - cost) / m.price), -move
    return Spot(target / m.price), -move - cost


class Supply(NamedTuple):
    amount: float = 0.0


class SupplyMarket(NamedTuple):
    rate: float
    gas: float


class SupplyParams(NamedTuple):
    dust: float = 1.0


def supply_value(s: Supply, m: SupplyMarket, p: SupplyParams) -> float:
    return s.amount


def supply_trade(s: Supply, target: float, m: SupplyMarket, p: SupplyParams, c: None) -> tuple[Supply, float]:
    move = target - s.amount
    if abs(move) < p.dust:
        return s, 0.0
    if move > 0.0:
        return Supply(target - m.gas), -move
    return Supply(target), -move - m.gas


def supply_accrue(s: Supply, m: SupplyMarket, p: SupplyParams) -> Supply:
    return Supply(s.amount * (1.0 + m.rate / YEAR_HOURS))


SPOT = PositionModel("bench.spot", "spot", Spot, SpotMarket, SpotParams, spot_value, spot_trade)
SUPPLY = PositionModel(
    "bench.supply", "lending", Supply, SupplyMarket, SupplyParams, supply_value, supply_trade, supply_accrue
)


class RotationGenes(NamedTuple):
    fast: Annotated[float, Choice((6.0, 12.0, 24.0, 48.0))]
    slow: Annotated[float, Choice((72.0, 120.0, 240.0, 480.0))]
    vol: Annotated[float, Choice((24.0, 72.0, 168.0))]
    eth_base: Annotated[float, Real(0.0, 0.5)]
    eth_tilt: Annotated[float, Real(-6.0, 6.0)]
    btc_base: Annotated[float, Real(0.0, 0.5)]
    btc_tilt: Annotated[float, Real(-6.0, 6.0)]
    calm: Annotated[float, Real(0.0, 20.0)]
    band: Annotated[float, Real(0.05, 0.4)]
    fuse: Annotated[float, Real(0.15, 0.6)]


class RotationFeatures(NamedTuple):
    fast: Annotated[float, Column("log_sma", "fast", "eth")]
    slow: Annotated[float, Column("log_sma", "slow", "eth")]
    vol: Annotated[float, Column("volatility", "vol", "eth")]


class RotationBook(NamedTuple):
    drawdown: float


class RotationTarget(NamedTuple):
    eth: float
    btc: float
    usd: float
    band: float


class RotationState(NamedTuple):
    halted: float = 0.0


def unit(x: float) -> float:
    return 0.0 if x < 0.0 else (1.0 if x > 1.0 else x)


def rotate(
    f: RotationFeatures, g: RotationGenes, book: RotationBook, s: RotationState
) -> tuple[RotationTarget, RotationState]:
    momentum = f.fast - f.slow
    eth = unit(g.eth_base + g.eth_tilt * momentum - g.calm * f.vol)
    btc = unit(g.btc_base + g.btc_tilt * momentum - g.calm * f.vol)
    total = eth + btc
    scale = 1.0 / (total if total > 1.0 else 1.0)
    band = g.band
    halted = s.halted
    if book.drawdown > g.fuse:
        band = FORCE if halted == 0.0 else HOLD
        scale = 0.0
        halted = 1.0
    if halted > 0.0 and band > 0.0:
        band = HOLD
    eth, btc = eth * scale, btc * scale
    return RotationTarget(eth, btc, max(1.0 - eth - btc, 0.0), band), RotationState(halted)


ROTATION = Strategy(
    "rotation",
    {"eth": Role("spot", "eth"), "btc": Role("spot", "btc"), "usd": Role("lending", "usd")},
    RotationGenes,
    RotationFeatures,
    RotationBook,
    RotationTarget,
    RotationState,
    rotate,
    "Two coins and lending by momentum and volatility; the benchmark's three positions.",
)

SPECS = {
    "eth": MarketSpec("eth", "bench.spot", "spot", "WETH", {"price": "WETH.price", "gas": "gas.usd"}, coin=True),
    "btc": MarketSpec("btc", "bench.spot", "spot", "WBTC", {"price": "WBTC.price", "gas": "gas.usd"}, coin=True),
    "usd": MarketSpec("usd", "bench.supply", "lending", "USDC", {"rate": "USDC.lending_rate", "gas": "gas.usd"}),
}


def rotation(cache: Path | None = None) -> Kernel:
    """The three-position kernel."""
    return prepare(ROTATION, {"eth": SPOT, "btc": SPOT, "usd": SUPPLY}, SPECS, cache=cache)


def market(rows: int = ROWS) -> MarketFrame:
    """Hours of two coins at 70 % and 50 % volatility, a lending rate and gas."""
    rng = stream(7, 0, "benchmark/market")
    step = 0.7 / np.sqrt(YEAR_HOURS) * rng.standard_normal(rows)
    return MarketFrame(
        1_704_067_200,
        3_600,
        {
            "WETH.price": 2_000.0 * np.exp(np.cumsum(step)),
            "WBTC.price": 40_000.0 * np.exp(np.cumsum(0.7 * step)),
            "USDC.lending_rate": 0.05 + 0.03 * np.sin(np.arange(rows) / 300.0),
            "gas.usd": 0.05 * rng.lognormal(0.0, 0.4, rows),
        },
    )
