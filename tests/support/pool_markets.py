"""Data of two Uniswap v3 pools and of lending, and markets of the real models over it."""

from __future__ import annotations

from typing import Any

import numpy as np

from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.testing.frames import START
from treasury_arena.testing.reference import LENDING
from treasury_arena_uniswap.protocol import UniswapProtocol

MODELS: dict[str, PositionModel] = {model.name: model for model in UniswapProtocol().models}
RANGE, RANGE_TVL = MODELS["uniswap.range"], MODELS["uniswap.range_tvl"]
LIQUIDITY = 2.0e6
TVL = 2.0e7
#: Tick spacing of a pool by its fee.
SPACING = {0.0005: 10.0, 0.003: 60.0}


def make_frame(rows: int, seed: int, gas: float = 0.2) -> MarketFrame:
    """Hourly: a coin on a random walk with quiet and wild weeks, two pools, lending rates that wander."""
    rng = np.random.default_rng(seed)
    hours = np.arange(rows)
    wild = 0.004 + 0.006 * (np.sin(hours / 150.0) > 0.6)
    price = 2_000.0 * np.exp(np.cumsum(wild * rng.standard_normal(rows)))
    wave = np.exp(0.3 * np.sin(hours / 90.0) + 0.2 * rng.standard_normal(rows))
    columns: dict[str, Any] = {"WETH.price": price, "gas.usd": np.full(rows, gas)}
    for pool, volume in (("low", 2.0e6), ("high", 3.3e5)):
        columns[f"{pool}.liquidity"] = LIQUIDITY / wave
        columns[f"{pool}.tvl"] = TVL / wave
        columns[f"{pool}.volume"] = volume * wave
    for asset in ("USDC", "USDT", "DAI", "VAULT"):
        columns[f"{asset}.price"] = np.ones(rows)
        columns[f"{asset}.lending_rate"] = 0.06 * (1.0 + np.sin(np.cumsum(rng.normal(0.0, 0.05, rows))))
    return MarketFrame(START, 3600, columns)


def range_spec(name: str, pool: str, model: PositionModel, fee: float) -> MarketSpec:
    """A pool's market of `model`, over the columns of `make_frame`."""
    columns = {"price": "WETH.price", "gas": "gas.usd", "volume": f"{pool}.volume"}
    depth = "tvl" if "tvl" in model.market._fields else "liquidity"
    columns[depth] = f"{pool}.{depth}"
    return MarketSpec(name, model.name, "range", "WETH", columns, {"fee": fee, "spacing": SPACING[fee]}, coin=True)


def lending_spec(name: str, asset: str) -> MarketSpec:
    """Lending of USDC at an asset's rate, by the reference protocol."""
    columns = {"rate": f"{asset}.lending_rate", "price": f"{asset}.price", "gas": "gas.usd"}
    return MarketSpec(name, LENDING.name, "lending", "USDC", columns)
