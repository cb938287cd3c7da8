"""A synthetic market, its markets, and kernels on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernel_plugins import lending, span, spot
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena.simulation.kernel import Kernel, prepare

MODELS: dict[str, PositionModel] = {m.kind: m for m in (spot.MODEL, lending.SUPPLY, lending.ACCOUNT, span.MODEL)}
GAS = {"gas": "gas.usd"}
SPECS = {
    "eth": MarketSpec("eth", "test.spot", "spot", "WETH", {"price": "WETH.price", **GAS}, coin=True),
    "btc": MarketSpec("btc", "test.spot", "spot", "WBTC", {"price": "WBTC.price", **GAS}, {"fee": 0.001}, coin=True),
    "usd": MarketSpec("usd", "test.supply", "lending", "USDC", {"rate": "USDC.lending_rate", **GAS}),
    "usdt": MarketSpec("usdt", "test.supply", "lending", "USDT", {"rate": "USDT.lending_rate", **GAS}),
    "loan": MarketSpec(
        "loan", "test.account", "account", "WETH", {"price": "WETH.price", "rate": "USDC.borrow_rate", **GAS}, coin=True
    ),
    "span": MarketSpec(
        "span", "test.span", "span", "WETH", {"price": "WETH.price", "fee_growth": "WETH.fee_growth", **GAS}, coin=True
    ),
}


def frame(rows: int = 600, seed: int = 7) -> MarketFrame:
    """Hours of two coins, three rates, fees and gas."""
    rng = stream(seed, 0, "test/market")
    vol = 0.012
    t = np.arange(rows)
    return MarketFrame(
        1_704_067_200,
        3600,
        {
            "WETH.price": 2000.0 * np.exp(np.cumsum(vol * rng.standard_normal(rows))),
            "WBTC.price": 40000.0 * np.exp(np.cumsum(0.7 * vol * rng.standard_normal(rows))),
            "USDC.lending_rate": 0.05 + 0.03 * np.sin(t / 100),
            "USDT.lending_rate": 0.05 + 0.03 * np.cos(t / 130),
            "USDC.borrow_rate": 0.08 + 0.03 * np.sin(t / 100),
            "WETH.fee_growth": 2e-3 * rng.lognormal(0, 0.5, rows),
            "gas.usd": 2.0 * rng.lognormal(0, 0.4, rows),
        },
    )


def kernel(strategy: Strategy, cache: Path, **changes: MarketSpec) -> Kernel:
    """The strategy on the test markets; `changes` rebinds roles."""
    models = {role: MODELS[wanted.kind] for role, wanted in strategy.roles.items()}
    specs = {role: changes.get(role, SPECS[wanted.market]) for role, wanted in strategy.roles.items()}
    return prepare(strategy, models, specs, cache=cache)
