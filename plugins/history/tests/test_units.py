"""Unit conversion against formulas written out another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena_history.units import bounds_of, check_unit, convert, duration, spell


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("usd", 2500.0, 2500.0),
        ("fraction", 0.01, 0.01),
        ("percent", 4.0, 0.04),
        ("bps", 25.0, 0.0025),
        ("apr", 0.0486, 0.0486),
        ("percent_apr", 4.86, 0.0486),
        ("ray_apr", 4.86e25, 0.0486),
        ("gwei", 30.0, 3e-8),
        ("wei", 3e10, 3e-8),
    ],
)
def test_a_factor_unit_is_scaled(unit: str, value: float, expected: float) -> None:
    assert convert(np.array([value]), unit)[0] == pytest.approx(expected, rel=1e-14)


@given(apr=st.floats(0, 2), periods=st.sampled_from([1, 12, 365, 8760]))
def test_an_apy_goes_back_to_the_apr_it_was_compounded_from(apr: float, periods: int) -> None:
    apy = (1 + apr / periods) ** periods - 1
    assert convert(np.array([apy]), "apy", compounding=periods)[0] == pytest.approx(apr, abs=1e-9)
    assert convert(np.array([apy * 100]), "percent_apy", compounding=periods)[0] == pytest.approx(apr, abs=1e-9)


def test_the_default_compounding_is_by_the_second_close_to_continuous() -> None:
    assert convert(np.array([0.05]), "apy")[0] == pytest.approx(math.log(1.05), abs=1e-8)


def test_a_tick_is_a_power_with_the_decimals_shifted() -> None:
    assert convert(np.array([-1363.0]), "tick")[0] == pytest.approx(0.8726, abs=5e-5)
    # USDC/WETH on Ethereum: 6 and 18 decimals; tick 197,000 is WETH per USDC, so one over it is the ETH price.
    weth_per_usdc = convert(np.array([197_000.0]), "tick", decimals_shift=6 - 18)[0]
    assert 1 / weth_per_usdc == pytest.approx(1e12 / 1.0001**197_000, rel=1e-9)


@pytest.mark.parametrize(
    ("column", "unit"), [("WETH.price", "percent_apr"), ("USDC.lending_rate", "fraction"), ("gas.usd", "apr")]
)
def test_a_unit_of_another_family_is_refused(column: str, unit: str) -> None:
    with pytest.raises(ValueError, match=f"{column!r} cannot be declared in {unit!r}; expected one of"):
        check_unit(column, unit)


def test_an_unknown_unit_gets_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"unknown unit 'percent_aprr': did you mean 'percent_apr'\?"):
        check_unit("USDC.lending_rate", "percent_aprr")


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("26h", 93_600), ("2d", 172_800), ("1h30m", 5400)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "26", "h", "1.5h", "-1h", "1 h", "1w"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)


@given(st.integers(1, 10**7))
def test_spelling_a_duration_and_reading_it_gives_it_back(seconds: int) -> None:
    assert duration(spell(seconds).replace(" ", "")) == seconds


def test_bounds_at_both_sides() -> None:
    priced = bounds_of("WETH.price", None, None)
    assert priced.outside(np.array([0.0, np.nextafter(0, 1), 1e9, 1.1e9])).tolist() == [True, False, False, True]
    rate = bounds_of("USDC.lending_rate", None, None)
    assert rate.outside(np.array([-1e-12, 0.0, 2.0, 2.000001])).tolist() == [True, False, False, True]
    widened = bounds_of("USDC.lending_rate", -0.5, 3.0)
    assert widened.outside(np.array([-0.51, -0.5, 3.0, 3.1])).tolist() == [True, False, False, True]
    anything = bounds_of("WETH.funding", None, None)
    assert not anything.outside(np.array([-1e12, 1e12])).any()


@pytest.mark.parametrize("text", ["99999999999999999h", "3661d", "1000000000000s1d"])
def test_a_duration_beyond_ten_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is too long a duration; expected at most 3660d"):
        duration(text)


def test_a_duration_of_ten_years_is_read() -> None:
    assert duration("3660d") == 3660 * 86_400
