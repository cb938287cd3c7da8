"""examples/history.toml on the real files, against independent pandas code and the facts their README states."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import attrs
import numpy as np
import pandas as pd
import pytest

from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena_history.command import load_section, run_check
from treasury_arena_history.config import HistorySection, Series
from treasury_arena_history.reader import Reader
from treasury_arena_history.source import build_frame

PERP = "prices/binance_usdm_perp_1h_multi_2023_2026.parquet"
AAVE = "aave/aave_v3_ethereum_hourly.parquet"
GAS = "gas/ethereum_gas_daily_2015_2026.parquet"
FIRST, LAST = pd.Timestamp("2023-06-01", tz="UTC"), pd.Timestamp("2025-06-30", tz="UTC")


@pytest.fixture(scope="module")
def frame(real_data: Path, example: Path) -> MarketFrame:
    window = Window(int(FIRST.timestamp()), int(LAST.timestamp()))
    return build_frame(load_section(example).section, Reader(real_data), window.start, window.end, 3600)


@pytest.fixture(scope="module")
def index(frame: MarketFrame) -> pd.DatetimeIndex:
    return pd.date_range(FIRST, periods=frame.rows, freq="h")


def test_the_example_gives_every_column_for_the_whole_period(frame: MarketFrame) -> None:
    assert frame.rows == 760 * 24
    assert set(frame.columns) == {
        *("WETH.price", "WBTC.price", "USDT.price", "DAI.price", "gas.usd"),
        *("USDC.lending_rate", "USDT.lending_rate", "DAI.lending_rate"),
    }
    for name in ("USDT.price", "DAI.price"):
        assert (frame[name] == 1.0).all()


@pytest.mark.parametrize(("column", "symbol"), [("WETH", "ETHUSDT"), ("WBTC", "BTCUSDT")])
def test_a_price_is_the_close_of_the_bar_that_ended_then(
    frame: MarketFrame, index: pd.DatetimeIndex, real_data: Path, column: str, symbol: str
) -> None:
    bars = pd.read_parquet(real_data / PERP).query("symbol == @symbol").set_index("timestamp")
    expected = bars["close"].shift(1).reindex(index)
    np.testing.assert_array_equal(frame[f"{column}.price"], expected.to_numpy())
    # With no gap between bars the close is near the open of the bar that begins at the same time.
    assert (np.abs(frame[f"{column}.price"] / bars["open"].reindex(index).to_numpy() - 1) < 0.002).mean() > 0.99


@pytest.mark.parametrize("asset", ["USDC", "USDT", "DAI"])
def test_a_rate_is_the_apr_as_a_fraction_at_its_label(
    frame: MarketFrame, index: pd.DatetimeIndex, real_data: Path, asset: str
) -> None:
    rows = pd.read_parquet(real_data / AAVE).query("asset == @asset").set_index("timestamp")
    expected = rows["supply_apr_pct"].reindex(index).to_numpy() / 100
    np.testing.assert_allclose(frame[f"{asset}.lending_rate"], expected, rtol=1e-14)
    assert (rows["snapshot_time"].reindex(index) <= index).all()


def test_gas_is_the_average_of_the_day_before_at_the_price_of_the_hour(
    frame: MarketFrame, index: pd.DatetimeIndex, real_data: Path
) -> None:
    gwei = pd.read_parquet(real_data / GAS).set_index("timestamp")["avg_gas_price_gwei"]
    yesterday = gwei.reindex(index.floor("D") - pd.Timedelta("1D")).to_numpy()
    np.testing.assert_allclose(frame["gas.usd"], yesterday * 1e-9 * 180_000 * frame["WETH.price"], rtol=1e-12)
    assert 8 < frame["gas.usd"][index.year == 2024].mean() < 16


def test_known_values(frame: MarketFrame) -> None:
    midnight = frame.row(datetime(2024, 11, 13, tzinfo=UTC))
    assert frame["USDC.lending_rate"][midnight] == pytest.approx(0.339, abs=5e-4)
    assert frame["WETH.price"][frame.row(datetime(2024, 8, 5, 7, tzinfo=UTC))] == pytest.approx(2250, rel=0.05)
    assert frame["WBTC.price"].max() == pytest.approx(111_900, rel=0.01)


def test_the_check_finds_the_traps_the_readme_tells_of(real_data: Path, example: Path) -> None:
    start, end = datetime(2023, 6, 1, tzinfo=UTC), datetime(2025, 6, 29, tzinfo=UTC)
    document = run_check(load_section(example), real_data, start, end)
    assert document["ok"] is True
    assert document["frame"]["rows"] == 760 * 24
    entries = {entry["column"]: entry for entry in document["series"]}
    (trap,) = [found for found in entries["USDC.lending_rate"]["hours_of_day"] if found["quarter"] == "2024-Q4"]
    assert (trap["hour"], round(trap["median"], 3), round(trap["other_median"], 3)) == (0, 0.136, 0.065)
    for column in ("WETH.price", "WBTC.price"):
        assert (entries[column]["gaps"], entries[column]["duplicates"]) == (0, 0)


def test_the_whole_file_has_the_carried_shares_the_readme_states(real_data: Path, example: Path) -> None:
    everything = attrs.evolve(load_section(example), low=None, high=None, first=None)
    document = run_check(everything, real_data, None, None)
    shares = {entry["column"]: entry.get("carried_share", 0.0) for entry in document["series"]}
    for asset, share in (("USDC", 0.02), ("USDT", 0.07), ("DAI", 0.25)):
        assert shares[f"{asset}.lending_rate"] == pytest.approx(share, abs=0.006)
    missing = {entry["column"]: entry.get("missing", 0) for entry in document["series"]}
    assert missing["USDC.lending_rate"] == 1


def test_the_peg_from_the_pool_can_replace_the_constant(real_data: Path) -> None:
    file = "uniswap/uniswap_v3_ethereum_usdc_usdt_hourly_state.parquet"
    peg = Series(column="USDT.price", file=file, value="tick", unit="tick", invert=True, label="open", bar="1h")
    window = (int(FIRST.timestamp()), int(LAST.timestamp()))
    built = build_frame(HistorySection(series=[peg]), Reader(real_data), *window, 3600)["USDT.price"]
    ticks = pd.read_parquet(real_data / file).set_index("timestamp")["tick"].shift(1)
    expected = 1 / np.power(1.0001, ticks.reindex(pd.date_range(FIRST, periods=len(built), freq="h")).to_numpy())
    np.testing.assert_allclose(built, expected, rtol=1e-12)
    assert 0.99 < built.min() < 1 < built.max() < 1.01
