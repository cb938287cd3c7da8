"""Real Aave history: model against exact over 2024, and index growth against the indexes the chain recorded."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aave_pools import RAY

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ValidationError
from treasury_arena_aave.exact.interest import linear
from treasury_arena_aave.exact.versions import V3_0
from treasury_arena_aave.exact.wad_ray import ray_mul
from treasury_arena_aave.model import ACCOUNT, SUPPLY
from treasury_arena_aave.protocol import AaveProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
HOURLY = "aave/aave_v3_ethereum_hourly.parquet"
MINUTES = "aave/aave_v3_polygon_minute_samples.parquet"
PERP = "prices/binance_usdm_perp_1h_multi_2023_2026.parquet"
GAS = {"gas": "gas.usd"}


@pytest.fixture(scope="module")
def real_data() -> Path:
    """The folder of real data: $ARENA_DATA, else ../shared/data beside the repository."""
    repository = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("ARENA_DATA") or repository.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no market data: {folder} does not exist (set ARENA_DATA)")
    return folder


@pytest.fixture(scope="module")
def frame(real_data: Path) -> MarketFrame:
    """Every hour of 2024: USDC and WETH on Aave v3 Ethereum, and the price of ETH."""
    index = pd.date_range("2024-01-01", "2024-12-31 23:00", freq="h", tz="UTC")
    rows = pd.read_parquet(real_data / HOURLY)
    bars = pd.read_parquet(real_data / PERP).query("symbol == 'ETHUSDT'").set_index("timestamp")
    columns = {"gas.usd": np.full(len(index), 0.5), "USDC.price": np.ones(len(index))}
    columns["WETH.price"] = bars["close"].shift(1).reindex(index).to_numpy()
    for asset in ("USDC", "WETH"):
        one = rows[rows.asset == asset].set_index("timestamp").reindex(index)
        columns[f"{asset}.rate"] = one["supply_apr_pct"].to_numpy() / 100.0
        columns[f"{asset}.borrow_rate"] = one["variable_borrow_apr_pct"].to_numpy() / 100.0
        columns[f"{asset}.supplied"] = one["supplied_usd"].to_numpy()
        columns[f"{asset}.borrowed"] = one["borrowed_usd"].to_numpy()
    return MarketFrame(int(index[0].timestamp()), 3600, columns)


def spec_of(kind, asset, **params):
    if kind == "supply":
        columns = {field: f"{asset}.{field}" for field in ("rate", "price", "supplied", "borrowed")} | GAS
        return MarketSpec("m", "aave.supply", "lending", asset, columns, params)
    columns = {"price": "WETH.price", "supply_rate": "WETH.rate", "borrow_rate": "USDC.borrow_rate", **GAS}
    return MarketSpec("m", "aave.account", "account", asset, columns, params, coin=True)


def replay(frame, spec, targets, every, ltvs):
    """Both fidelities through the year; the largest relative difference of value plus cash, and what happened."""
    model = {"lending": SUPPLY, "account": ACCOUNT}[spec.kind]
    market = AaveProtocol().exact(spec, frame, ASSETS, ASSETS["USDC"])
    params = model.params()._replace(**spec.params)
    table = [frame[spec.columns[field]].tolist() for field in model.market._fields]
    held, exact, cash, exact_cash, worst, liquidations, trades = model.state(), market.open(), 0.0, 0, 0.0, 0, 0
    for row in range(frame.rows):
        line = model.market(*(column[row] for column in table))
        if row:
            before = held
            held = model.accrue(held, line, params)
            exact, _ = market.accrue(exact, row - 1, row)
            liquidations += spec.kind == "account" and held.debt < 0.99 * before.debt
        if row % every == 0:
            control = model.control(ltvs[row // every % len(ltvs)]) if model.control else None
            target = targets[row // every % len(targets)]
            held, change = model.trade(held, target, line, params, control)
            try:
                fill = market.trade(exact, round(target * 1e6), row, tuple(control or ()))
            except ValidationError:
                fill = None
            assert (fill is None) == (change == 0.0)
            if fill is not None:
                exact, exact_cash, trades = fill.state, exact_cash + fill.cash_raw, trades + 1
            cash += change
        if row % 24 == 0:
            value = model.value(held, line, params)
            gap = abs(value + cash - (market.value(exact, row) + exact_cash) / 1e6)
            worst = max(worst, gap / max(targets))
    return worst, trades, liquidations, market.value(exact, frame.rows - 1) / 1e6


@pytest.mark.parametrize(("size", "bound"), [(10_000.0, 5e-9), (1e6, 1e-9), (3e8, 1e-9)])
def test_a_year_of_lending(frame, size, bound):
    spec = spec_of("supply", "USDC", swap_fee=0.0, optimal=0.92)
    worst, trades, _, value = replay(frame, spec, [size], 24 * 366, [0.0])
    assert worst < bound
    assert trades == 1
    assert 1.02 < value / size < 1.10  # mean APR 7.2%; 300 million of our own thin it out
    worst, trades, _, _ = replay(frame, spec, [size, size / 2, size / 4, 0.0], 24 * 9, [0.0])
    assert worst < bound
    assert trades > 20


def test_lending_more_earns_less(frame):
    spec = spec_of("supply", "USDC", swap_fee=0.0, optimal=0.92)
    earned = [replay(frame, spec, [size], 24 * 366, [0.0])[3] / size - 1 for size in (1e4, 1e8, 1e9)]
    assert earned[0] > 1.05 * earned[1] > 1.05 * earned[2]


@pytest.mark.parametrize(
    ("ltvs", "every", "liquidated"), [([0.5], 24, False), ([0.3, 0.7, 0.0], 24 * 5, True), ([0.8], 24 * 366, True)]
)
def test_a_year_of_a_leveraged_account(frame, ltvs, every, liquidated):
    spec = spec_of("account", "WETH")
    worst, trades, liquidations, _ = replay(frame, spec, [100_000.0], every, ltvs)
    assert worst < 1e-8
    assert trades >= 366 * 24 // every - 1
    assert (liquidations > 0) == liquidated


@pytest.fixture(scope="module", params=["USDC.e", "WETH"])
def minutes(request, real_data):
    rows = pd.read_parquet(real_data / MINUTES)
    return rows[rows.asset == request.param].set_index("timestamp").sort_index()[:"2023-08-17"]


def growth(rates, factor):
    index = RAY
    for rate in rates:
        index = ray_mul(factor(round(rate * RAY), 60), index)
    return index / RAY - 1.0


def updates(minutes, column):
    """First rows of distinct values: the minutes in which the reserve was touched."""
    return np.flatnonzero(np.diff(minutes[column].to_numpy())) + 1


def test_the_borrow_index_grows_as_the_chain_recorded(minutes):
    """Over four days and some thousand updates, from the recorded rates.

    The sample says in which minute a reserve was touched, not in which second, so the span is known to a minute at both
    ends: 2 of 5,700 minutes, 3.5e-4 of the growth; and a rate that lived for less than a minute is not in it.
    """
    index, rate = minutes["variable_borrow_index"].to_numpy(), minutes["variable_borrow_rate"].to_numpy()
    touched = updates(minutes, "variable_borrow_index")
    first, last = touched[0], touched[-1]
    found = growth(rate[first:last], V3_0.compounded)
    assert found == pytest.approx(index[last] / index[first] - 1.0, rel=5e-4)


def test_the_liquidity_index_grows_by_the_rate_or_more(minutes):
    """Between two updates it grows by the rate, known to a minute; the few intervals above it are flash-loan fees.

    Flash-loan fees raise the liquidity index without a rate (`cumulateToLiquidityIndex`), 2% (USDC.e) and 8% (WETH) of
    those days' growth, which is why the rates alone cannot give it.
    """
    index, rate = minutes["liquidity_index"].to_numpy(), minutes["liquidity_rate"].to_numpy()
    touched = updates(minutes, "liquidity_index")
    first, last = touched[0], touched[-1]
    recorded, found = index[last] / index[first] - 1.0, growth(rate[first:last], linear)
    assert 0.9 * recorded < found < (1 + 5e-4) * recorded
    minute = rate.max() * 60 / 31_536_000
    above = below = 0
    for start, end in pairwise(touched):
        gap = index[end] / index[start] - 1.0 - growth(rate[start:end], linear)
        above, below = above + (gap > 1.05 * minute), below + (gap < -1.05 * minute)
    assert above < 0.03 * len(touched)
    assert below < 0.01 * len(touched)
