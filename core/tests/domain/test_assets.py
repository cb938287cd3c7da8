"""Exact amounts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.domain.assets import KNOWN_ASSETS, Asset, AssetTable
from treasury_arena.errors import ValidationError

TABLE = AssetTable(KNOWN_ASSETS)


@given(st.integers(-(10**27), 10**27), st.integers(0, 36))
def test_text_and_base_units_are_inverse(raw: int, decimals: int) -> None:
    asset = Asset("X", decimals)
    assert asset.to_raw(asset.to_text(raw)) == raw


@pytest.mark.parametrize(
    ("symbol", "amount", "raw"),
    [
        ("USDC", "373261", 373_261_000_000),
        ("USDC", "0.000001", 1),
        ("WETH", "9.3", 93 * 10**17),
        ("WBTC", -1, -(10**8)),
    ],
)
def test_amounts_of_known_assets(symbol: str, amount: str | int, raw: int) -> None:
    assert TABLE[symbol].to_raw(amount) == raw


@pytest.mark.parametrize("amount", ["0.0000001", Decimal("1.0000005"), "NaN", "Infinity"])
def test_an_amount_finer_than_the_base_unit_is_refused(amount: str | Decimal) -> None:
    with pytest.raises(ValidationError, match="USDC has more than 6 decimals"):
        TABLE["USDC"].to_raw(amount)


def test_text_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="'ten' is not an amount of USDC"):
        TABLE["USDC"].to_raw("ten")


@pytest.mark.parametrize(
    ("decimals", "raw", "text"),
    [
        (6, 1_000_500_000, "1000.500000"),
        (6, -1, "-0.000001"),
        (6, 0, "0.000000"),
        (0, -12, "-12"),
        (18, 1, f"0.{'0' * 17}1"),
    ],
)
def test_text_of_base_units(decimals: int, raw: int, text: str) -> None:
    assert Asset("X", decimals).to_text(raw) == text


def test_floats_are_for_display() -> None:
    assert TABLE["USDC"].to_float(1_500_000) == 1.5
    assert TABLE["USDC"].unit == 10**6


@pytest.mark.parametrize("decimals", [-1, 37])
def test_decimals_have_bounds(decimals: int) -> None:
    with pytest.raises(ValueError, match="decimals"):
        Asset("X", decimals)


@pytest.mark.parametrize("decimals", [0, 36])
def test_decimals_at_their_bounds(decimals: int) -> None:
    assert Asset("X", decimals).unit == 10**decimals


def test_an_unknown_symbol_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="unknown asset 'USDX': did you mean 'USD"):
        TABLE["USDX"]


def test_the_table_lists_its_symbols() -> None:
    assert list(TABLE) == [asset.symbol for asset in KNOWN_ASSETS]
    assert len(TABLE) == len(KNOWN_ASSETS)
    assert "WETH" in TABLE
    assert TABLE["USDC"].stable
    assert not TABLE["WETH"].stable
