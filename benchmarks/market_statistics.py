"""Statistics of the simulated market beside those of real data, as a Markdown table.

    python benchmarks/market_statistics.py --data DIR [--seeds 20]

DIR is laid out as the history examples expect it: Binance hourly prices (``prices/``), Aave v3 Ethereum hourly rates
(``aave/``), the hourly state of Uniswap's USDC/USDT pool (``uniswap/``) and daily Ethereum gas prices (``gas/``). The
simulated columns cover equally many hours; each figure is the median over the seeds, in brackets the smallest and the largest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.generator import MarketGenerator

FloatArray = NDArray[np.float64]
Facts = dict[str, float]

COINS = {"WETH": "ETHUSDT", "WBTC": "BTCUSDT", "SOL": "SOLUSDT"}
LENT = ("USDC", "USDT", "DAI", "WETH")
HOURS_PER_YEAR = 8760
FIRST_RATES = "2023-07-01"  # the v3 markets had grown up by then
GAS_UNITS = 200_000
PRICES = "prices/binance_usdm_perp_1h_multi_2023_2026.parquet"
RATES = "aave/aave_v3_ethereum_hourly.parquet"
PEG = "uniswap/uniswap_v3_ethereum_usdc_usdt_hourly_state.parquet"
GAS = "gas/ethereum_gas_daily_2015_2026.parquet"


def autocorrelation(x: FloatArray, lag: int) -> float:
    """Autocorrelation of `x` at `lag` rows."""
    x = x - x.mean()
    return float((x[lag:] * x[:-lag]).mean() / (x * x).mean())


def half_life_days(hourly: FloatArray) -> float:
    """Days after which the autocorrelation of daily means, taken as first order, has halved."""
    rho = autocorrelation(by_day(hourly).mean(axis=1), 1)
    return math.log(0.5) / math.log(rho) if 0.0 < rho < 1.0 else math.nan


def by_day(hourly: FloatArray) -> FloatArray:
    """(days, 24)."""
    return hourly[: len(hourly) // 24 * 24].reshape(-1, 24)


def price_facts(name: str, price: FloatArray) -> Facts:
    """Facts of an hourly price."""
    r = np.diff(np.log(price))
    day = by_day(r).sum(axis=1)
    size = np.abs(r)
    return {
        f"{name} annual volatility, %": 100.0 * float(r.std()) * math.sqrt(HOURS_PER_YEAR),
        f"{name} kurtosis of hourly returns": float(((r - r.mean()) ** 4).mean() / r.var() ** 2),
        f"{name} kurtosis of daily returns": float(((day - day.mean()) ** 4).mean() / day.var() ** 2),
        f"{name} skewness of hourly returns": float(((r - r.mean()) ** 3).mean() / r.std() ** 3),
        **{f"{name} autocorrelation of abs(return), {lag} h": autocorrelation(size, lag) for lag in (1, 24, 168)},
        f"{name} autocorrelation of returns, 1 h": autocorrelation(r, 1),
        f"{name} largest hourly move, %": 100.0 * float(size.max()),
        f"{name} maximum drawdown, %": 100.0 * float((price / np.maximum.accumulate(price) - 1.0).min()),
    }


def rate_facts(name: str, rate: FloatArray) -> Facts:
    """Facts of an hourly supply APR, a fraction a year."""
    percent = 100.0 * rate
    shares = {"5th": 0.05, "50th": 0.5, "95th": 0.95, "99th": 0.99}
    return {
        f"{name} supply APR mean, %": float(percent.mean()),
        f"{name} supply APR standard deviation": float(percent.std()),
        **{f"{name} supply APR {label} percentile": float(np.quantile(percent, q)) for label, q in shares.items()},
        f"{name} supply APR highest": float(percent.max()),
        f"{name} half-life of daily means, days": half_life_days(rate),
    }


def gas_facts(daily: FloatArray) -> Facts:
    """Facts of daily mean gas cost, relative to its median (the level is a key of the configuration)."""
    relative, logs = daily / np.median(daily), np.log(daily)
    shares = {"5th": 0.05, "25th": 0.25, "75th": 0.75, "95th": 0.95}
    return {
        **{f"gas {label} percentile / median": float(np.quantile(relative, q)) for label, q in shares.items()},
        "gas standard deviation of the log": float(logs.std()),
        **{f"gas autocorrelation of the log, {lag} d": autocorrelation(logs, lag) for lag in (1, 7, 30)},
    }


def joint_facts(prices: Mapping[str, FloatArray], rates: Mapping[str, FloatArray]) -> Facts:
    """Facts across columns; `rates` end with the prices and may start later."""
    r = {name: np.diff(np.log(price)) for name, price in prices.items()}
    rate = by_day(rates["USDC"]).mean(axis=1)
    level = np.log(by_day(prices["WETH"])[:, -1])
    run_up = (level[30:] - level[:-30])[-len(rate) :]
    other = by_day(rates["USDT"]).mean(axis=1)
    return {
        "correlation ETH, BTC (hourly)": float(np.corrcoef(r["WETH"], r["WBTC"])[0, 1]),
        "correlation ETH, SOL (hourly)": float(np.corrcoef(r["WETH"], r["SOL"])[0, 1]),
        "correlation of USDC and USDT rates (daily)": float(np.corrcoef(rate, other)[0, 1]),
        "correlation of the USDC rate with ETH's last 30 days": float(np.corrcoef(run_up, rate[-len(run_up) :])[0, 1]),
    }


def real(data: Path) -> tuple[Facts, int]:
    """Facts of the real data and the number of hours they cover."""
    table = pd.read_parquet(data / PRICES).pivot(index="timestamp", columns="symbol", values="close")
    prices = {name: table[symbol].to_numpy(dtype=float) for name, symbol in COINS.items()}
    aave = pd.read_parquet(data / RATES).pivot(index="timestamp", columns="asset", values="supply_apr_pct")
    aave = aave.loc[FIRST_RATES:]
    rates = {asset: aave[asset].to_numpy(dtype=float) / 100.0 for asset in LENT}
    gas = pd.read_parquet(data / GAS).set_index("timestamp").loc[table.index[0] : table.index[-1]]
    usd = (gas["avg_gas_price_gwei"] * 1e-9 * GAS_UNITS * gas["eth_price_usd"]).to_numpy(dtype=float)
    ticks = pd.read_parquet(data / PEG).set_index("timestamp")["tick"].loc[table.index[0] : table.index[-1]]
    return facts(prices, rates, usd, 1.0001 ** ticks.to_numpy(dtype=float)), len(table)


def simulated(seed: int, hours: int) -> Facts:
    """Facts of one simulated path."""
    columns = MarketGenerator(SimulatedSection(), seed).columns(0, hours)
    prices = {coin: columns[f"{coin}.price"] for coin in COINS}
    rates = {asset: columns[f"{asset}.lending_rate"] for asset in LENT}
    pegs = np.minimum(columns["USDT.price"], columns["DAI.price"])
    return facts(prices, rates, by_day(columns["gas.usd"]).mean(axis=1), pegs)


def facts(prices: Mapping[str, FloatArray], rates: Mapping[str, FloatArray], gas: FloatArray, peg: FloatArray) -> Facts:
    """All facts, in the order of the table."""
    found: Facts = {}
    for name, price in prices.items():
        found |= price_facts({"WETH": "ETH", "WBTC": "BTC"}.get(name, name), price)
    for name, rate in rates.items():
        found |= rate_facts(name, rate)
    found |= gas_facts(gas) | joint_facts(prices, rates)
    return found | {"lowest price of a stablecoin (hourly), USD": float(peg.min())}


def main() -> None:
    parser = argparse.ArgumentParser(description="Statistics of the simulated market beside those of real data.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--seeds", type=int, default=20, help="number of simulated paths")
    chosen = parser.parse_args()
    truth, hours = real(chosen.data)
    drawn = [simulated(seed, hours) for seed in range(chosen.seeds)]
    print(f"| {hours:,} hours, {chosen.seeds} seeds | real | simulated |")
    print("|---|---:|---:|")
    for name, value in truth.items():
        values = np.array([one[name] for one in drawn])
        print(f"| {name} | {value:.3g} | {np.median(values):.3g} ({values.min():.3g} to {values.max():.3g}) |")


if __name__ == "__main__":
    main()
