"""Files of made-up history with the layout of the real ones that `examples/defi.toml` reads: 130 days around New Year 2024.

Rates, prices and pools are such that each protocol pays at times: USDT can be borrowed for less than USDC earns, the vault
beats Aave every other week, pools have much volume for their size, USDT strays from its peg, and gas is next to nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

START, DAYS = "2023-11-15", 130
POOLS = {
    "0x11b815efb8f581194ae79006d24e0d814b7697f6": (8.0e7, 1.5e8),
    "0x4e68ccd3e89f51c3074ca5072bbac773960dfa36": (1.8e8, 4.0e7),
    "0x4585fe77225b41b697c938b018e2ac67ac5a20c0": (1.2e8, 4.0e7),
}


def make(folder: Path, seed: int = 1) -> Path:
    """Write the files below `folder` and return it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    hours = pd.date_range(START, periods=24 * DAYS, freq="h", tz="UTC")
    days = pd.date_range(START, periods=DAYS, freq="D", tz="UTC")
    count = len(hours)

    def write(name: str, frame: pd.DataFrame) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path)

    def walk(first: float, hourly: float) -> Any:
        return first * np.exp(np.cumsum(rng.normal(2e-4, hourly, count)))

    def wave(mean: float, swing: float, period_days: float, noise: float) -> Any:
        turn = np.sin(2 * np.pi * np.arange(count) / (24 * period_days))
        return np.maximum(mean + swing * turn + rng.normal(0.0, noise, count), 0.01)

    def market(name: str, assets: dict[str, tuple[Any, Any]]) -> None:
        frames = [
            pd.DataFrame(
                {
                    "timestamp": hours,
                    "asset": asset,
                    "supply_apr_pct": supply,
                    "variable_borrow_apr_pct": borrow,
                    "supplied_usd": 6.0e8 + rng.normal(0.0, 1.0e6, count),
                    "borrowed_usd": 4.8e8 + rng.normal(0.0, 1.0e6, count),
                }
            )
            for asset, (supply, borrow) in assets.items()
        ]
        write(name, pd.concat(frames, ignore_index=True))

    prices = {"ETHUSDT": walk(2_000.0, 0.004), "BTCUSDT": walk(40_000.0, 0.003)}
    write(
        "prices/binance_usdm_perp_1h_multi_2023_2026.parquet",
        pd.concat(
            [pd.DataFrame({"timestamp": hours, "symbol": name, "close": close}) for name, close in prices.items()],
            ignore_index=True,
        ),
    )
    market(
        "aave/aave_v3_ethereum_hourly.parquet",
        {
            "USDC": (wave(8.0, 1.0, 9.0, 0.1), wave(10.0, 1.0, 9.0, 0.1)),
            "USDT": (wave(3.0, 0.5, 7.0, 0.1), wave(4.0, 0.5, 7.0, 0.1)),
            "DAI": (wave(7.0, 4.0, 12.0, 0.1), wave(9.0, 4.0, 12.0, 0.1)),
        },
    )
    usual = (wave(8.0, 5.0, 14.0, 0.1), wave(11.0, 5.0, 14.0, 0.1))
    market("aave/aave_v2_ethereum_hourly.parquet", {"USDC": usual})
    write(
        "uniswap/uniswap_v3_ethereum_pool_day.parquet",
        pd.concat(
            [
                pd.DataFrame(
                    {
                        "timestamp": days,
                        "pool": pool,
                        "tvl_usd": tvl * np.exp(rng.normal(0.0, 0.03, DAYS)),
                        "volume_usd": volume * np.exp(rng.normal(0.0, 0.3, DAYS)),
                    }
                )
                for pool, (tvl, volume) in POOLS.items()
            ],
            ignore_index=True,
        ),
    )
    strays = np.zeros(count)
    for hour in range(1, count):
        shock = 120.0 if rng.random() < 1 / 96 else 0.0
        strays[hour] = 0.93 * strays[hour - 1] + rng.normal(0.0, 1.0) + shock
    write(
        "uniswap/uniswap_v3_ethereum_usdc_usdt_hourly_state.parquet",
        pd.DataFrame(
            {
                "timestamp": hours,
                "tick": np.rint(strays).astype(np.int64),
                "active_liquidity": np.full(count, 5 * 10**16, dtype=np.int64),
            }
        ),
    )
    write(
        "gas/ethereum_gas_daily_2015_2026.parquet",
        pd.DataFrame({"timestamp": days, "avg_gas_price_gwei": rng.uniform(0.05, 0.15, DAYS)}),
    )
    return folder
