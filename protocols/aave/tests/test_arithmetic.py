"""Rounding, interest and the rate curve against numbers from outside and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from aave_pools import CURVE, RAY
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import ConfigError
from treasury_arena_aave.exact import wad_ray
from treasury_arena_aave.exact.interest import (
    SECONDS_PER_YEAR,
    compounded_by_exponent,
    compounded_by_powers,
    linear,
)
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import V3_0, V3_4, V3_5, V3_7, VERSIONS, version_of

YEARS_7 = 7 * SECONDS_PER_YEAR
amounts = st.integers(0, 2**112)
indexes = st.integers(RAY, 50 * RAY)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


@given(a=amounts, b=indexes)
def test_ray_and_percent_functions_round_as_their_names_say(a, b):
    for base, exact in (("ray_mul", Fraction(a * b, RAY)), ("ray_div", Fraction(a * RAY, b))):
        assert getattr(wad_ray, base)(a, b) == half_up(exact)
        assert getattr(wad_ray, f"{base}_floor")(a, b) == math.floor(exact)
        assert getattr(wad_ray, f"{base}_ceil")(a, b) == math.ceil(exact)
    share = 1 + b % 20_000
    for base, exact in (("percent_mul", Fraction(a * share, 10_000)), ("percent_div", Fraction(a * 10_000, share))):
        assert getattr(wad_ray, base)(a, share) == half_up(exact)
        assert getattr(wad_ray, f"{base}_floor")(a, share) == math.floor(exact)
        assert getattr(wad_ray, f"{base}_ceil")(a, share) == math.ceil(exact)
    assert wad_ray.wad_div(a, b) == half_up(Fraction(a * 10**18, b))
    assert wad_ray.mul_div_ceil(a, b, share) == math.ceil(Fraction(a * b, share))


def test_published_interest_of_eight_percent_for_seven_years():
    rate = 8 * RAY // 100
    assert compounded_by_exponent(rate, YEARS_7) == 1_746_069_333_333_333_333_333_333_333
    assert linear(rate, YEARS_7) == 156 * RAY // 100
    # The older formula cuts the powers of the rate per second to whole rays first.
    assert 0 < 1_746_069_333_333_333_333_333_333_333 - compounded_by_powers(rate, YEARS_7) < RAY // 1000


@pytest.mark.parametrize("compounded", [compounded_by_powers, compounded_by_exponent])
@given(rate=st.integers(0, 3 * RAY), seconds=st.integers(0, 90 * 86_400))
def test_compounding_lies_between_linear_and_the_exponential(compounded, rate, seconds):
    found = compounded(rate, seconds)
    x = rate / RAY * seconds / SECONDS_PER_YEAR
    assert linear(rate, seconds) <= found
    assert found / RAY <= math.exp(x) * (1 + 1e-12)
    assert found / RAY == pytest.approx(1 + x + x * x / 2 + x**3 / 6, rel=1e-6)
    assert compounded(rate, 0) == RAY


def test_at_low_rates_the_third_term_of_the_older_formula_is_zero():
    rate = RAY // 1000
    squared = wad_ray.ray_mul(rate, rate) // SECONDS_PER_YEAR**2
    assert wad_ray.ray_mul(squared, rate) // SECONDS_PER_YEAR == 0
    month = 30 * 86_400
    without_third = RAY + rate * month // SECONDS_PER_YEAR + month * (month - 1) * squared // 2
    assert compounded_by_powers(rate, month) == without_third
    assert compounded_by_exponent(rate, month) > without_third


def test_the_curve_at_the_kink_and_at_full_usage():
    # Base 1%, slope 4% to 80%, then 60%: 5% at the kink, 65% at full usage.
    assert CURVE.borrow_rate(8 * RAY // 10) == 5 * RAY // 100
    assert CURVE.borrow_rate(RAY) == 65 * RAY // 100
    assert CURVE.borrow_rate(0) == RAY // 100
    for version in VERSIONS.values():
        supply, borrow = CURVE.rates(200, 800, 1000, version)
        assert borrow == 5 * RAY // 100
        assert supply == 36 * RAY // 1000  # 5% times 80% times 90%
        assert CURVE.rates(1000, 0, 1000, version) == (0, RAY // 100)
    assert CURVE.rates(200, 800, 1000, V3_5, unbacked=1000)[0] == 18 * RAY // 1000


@pytest.mark.parametrize("fields", [(0, 0, 0, 0), (RAY + 1, 0, 0, 0), (RAY, -1, 0, 0), (RAY, 0, 0, -1)])
def test_curves_that_are_none(fields):
    with pytest.raises(ConfigError, match="no rate curve"):
        RateStrategy(*fields)


@given(amount=st.integers(1, 2**100), index=indexes)
def test_from_3_5_on_every_conversion_favours_the_pool(amount, index):
    for version in (V3_5, V3_7):
        assert version.balance(version.supply_scaled(amount, index), index) <= amount
        assert version.withdraw_scaled(amount, index) * index >= amount * RAY
        assert version.debt(version.borrow_scaled(amount, index), index) >= amount
        assert version.repay_scaled(amount, index) * index <= amount * RAY
    # The older versions round to the nearest, so that one unit may be won or lost.
    assert abs(V3_0.balance(V3_0.supply_scaled(amount, index), index) - amount) <= index // RAY


def test_half_up_does_give_away_a_unit_where_the_later_versions_do_not():
    index = 19 * RAY // 10
    given_away = [n for n in range(1, 40) if V3_0.balance(V3_0.supply_scaled(n, index), index) > n]
    assert given_away
    assert not [n for n in range(1, 40) if V3_5.balance(V3_5.supply_scaled(n, index), index) > n]


@given(base=st.integers(1, 2**90), bonus=st.integers(10_001, 12_000), fee=st.integers(1, 10_000))
def test_3_7_never_seizes_more_and_never_charges_less(base, bonus, fee):
    assert 0 <= V3_5.seized(base, bonus) - V3_7.seized(base, bonus) <= 1
    assert 0 <= V3_7.protocol_fee(base, bonus, fee) - V3_5.protocol_fee(base, bonus, fee) <= 2
    assert V3_4.seized(base, bonus) == V3_0.seized(base, bonus)


def test_3_7_rounds_the_protocols_part_of_the_bonus_up():
    # 105 seized at a bonus of 5%: 5 of them are bonus, 1% of which is 0.05.
    assert [version.protocol_fee(105, 10_500, 100) for version in (V3_0, V3_5, V3_7)] == [0, 0, 1]
    # 106 / 1.05 = 100.95 without the bonus: 101 to the nearest, 100 rounded down.
    assert [version.protocol_fee(106, 10_500, 10_000) for version in (V3_0, V3_5, V3_7)] == [5, 5, 6]
    assert V3_7.protocol_fee(105, 10_500, 2_000) == 1  # a whole unit is not rounded


@given(seized=st.integers(1, 2**90), bonus=st.integers(10_001, 12_000), fee=st.integers(1, 10_000))
def test_3_7s_fee_is_the_ceiling_of_its_share(seized, bonus, fee):
    part = seized - seized * 10_000 // bonus
    assert V3_7.protocol_fee(seized, bonus, fee) == math.ceil(Fraction(part * fee, 10_000))


def test_versions_are_found_by_name():
    assert version_of("3.7") is V3_7
    assert {version.checked for version in VERSIONS.values()} == {
        "bytecode of @aave/core-v3 1.19.3",
        "bytecode of @aave-dao/aave-v3-origin 3.6.0",
        "published source",
        "published text",
    }
    with pytest.raises(ConfigError, match=r"no Aave version '2\.0'"):
        version_of("2.0")
