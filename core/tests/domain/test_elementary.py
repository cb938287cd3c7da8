"""The project's own elementary functions: close to the truth, right at the edges, and the same bits on every machine."""

from __future__ import annotations

import hashlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treasury_arena.domain import elementary as el

ULPS = 1.0
"""Bound of every error, in units in the last place of the exact result."""
DIGITS = Context(prec=60, Emax=10**6, Emin=-(10**6))
LONG = Context(prec=420, Emax=10**6, Emin=-(10**6))

ONE = [el.exp, el.log, el.log1p, el.expm1]
EDGES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 2.0**53, 2.0**53 + 2.0, 2.0**70, 1e-300, 5e-324, 2.0**-1022, 1e308, math.inf]
SPECIAL = [*EDGES, *(-x for x in EDGES), 1.0 - 2.0**-53, 1.0 + 2.0**-52, 709.78, 710.0, -745.2, -746.0, math.nan]

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=5e-324, max_value=1.7976931348623157e308)
near_one = st.builds(lambda sign, e: 1.0 + sign * 2.0**-e, st.sampled_from([-1.0, 1.0]), st.floats(1.0, 52.0))
wide = finite | st.floats(-750.0, 710.0) | st.floats(-2.0, 2.0)


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def ulps(got: float, exact: Decimal) -> float:
    """Distance from the exact value in units in the last place of the nearest float; or none at the brink of infinity."""
    nearest = float(exact)
    if math.isinf(nearest):
        return 0.0 if got == nearest or abs(got) == 1.7976931348623157e308 else math.inf
    if math.isinf(got):
        return 0.0 if abs(nearest) == 1.7976931348623157e308 else math.inf
    return abs(float(DIGITS.divide(DIGITS.subtract(Decimal(got), exact), Decimal(math.ulp(nearest)))))


def exact_exp(x: float) -> Decimal:
    return DIGITS.exp(Decimal(max(min(x, 1000.0), -2000.0)))


def exact_expm1(x: float) -> Decimal:
    if abs(x) < 1e-20:
        return LONG.add(Decimal(x), LONG.multiply(Decimal(x), Decimal(x) / 2))
    return LONG.subtract(exact_exp(x), Decimal(1)) if x > 100.0 else LONG.subtract(_long_exp(x), Decimal(1))


def _long_exp(x: float) -> Decimal:
    return Context(prec=90, Emax=10**6, Emin=-(10**6)).exp(Decimal(max(x, -2000.0)))


def exact_log1p(x: float) -> Decimal:
    if abs(x) < 1e-20:
        return LONG.subtract(Decimal(x), LONG.multiply(Decimal(x), Decimal(x) / 2))
    return DIGITS.ln(LONG.add(Decimal(1), Decimal(x)))


def exact_power(x: float, y: float) -> Decimal:
    long = Context(prec=90, Emax=10**6, Emin=-(10**6))
    return long.exp(max(min(long.multiply(long.ln(Decimal(x)), Decimal(y)), Decimal(1000)), Decimal(-2000)))


# ---------------------------------------------------------------- accuracy
@settings(max_examples=600)
@given(wide)
@example(709.782712893384)
@example(-745.1332191019411)
def test_exp_is_within_an_ulp(x: float) -> None:
    assert ulps(float(el.exp(x)), exact_exp(x)) < ULPS


@settings(max_examples=600)
@given(positive | near_one | st.floats(0.5, 2.0))
def test_log_is_within_an_ulp(x: float) -> None:
    assert ulps(float(el.log(x)), DIGITS.ln(Decimal(x))) < ULPS


@settings(max_examples=600)
@given(st.floats(-1.0 + 2.0**-53, 1.7976931348623157e308) | st.floats(-0.9999, 2.0) | st.floats(-1e-6, 1e-6))
def test_log1p_is_within_an_ulp(x: float) -> None:
    assert ulps(float(el.log1p(x)), exact_log1p(x)) < ULPS


@settings(max_examples=600)
@given(wide | st.floats(-40.0, 40.0) | st.floats(-1e-6, 1e-6))
@example(37.38590365071492)
def test_expm1_is_within_an_ulp(x: float) -> None:
    assert ulps(float(el.expm1(x)), exact_expm1(x)) < ULPS


@settings(max_examples=800)
@given(positive | near_one | st.floats(0.01, 100.0), finite | st.floats(-50.0, 50.0) | st.floats(-1e17, 1e17))
def test_power_is_within_an_ulp(x: float, y: float) -> None:
    assert ulps(float(el.power(x, y)), exact_power(x, y)) < ULPS


@given(st.floats(0.01, 100.0), st.floats(-20.0, 20.0))
def test_they_agree_with_the_standard_library(x: float, y: float) -> None:
    assert float(el.exp(y)) == pytest.approx(math.exp(y), rel=5e-16)
    assert float(el.log(x)) == pytest.approx(math.log(x), rel=5e-16, abs=0.0)
    assert float(el.log1p(x)) == pytest.approx(math.log1p(x), rel=5e-16)
    assert float(el.expm1(y)) == pytest.approx(math.expm1(y), rel=5e-16, abs=0.0)
    assert float(el.power(x, y)) == pytest.approx(x**y, rel=5e-16)


# ---------------------------------------------------------------- the edges
def standard(function: Callable[..., float], *arguments: float) -> float:
    """What C99 says: the standard library where it answers, else the limit its exception stands for."""
    try:
        return function(*arguments)
    except OverflowError:
        x, y = (*arguments, 1.0)[:2]
        return -math.inf if x < 0.0 and y % 2.0 == 1.0 else math.inf
    except ValueError:
        if function is math.pow and arguments[0] == 0.0:
            odd = arguments[1] % 2.0 == 1.0
            return math.copysign(math.inf, arguments[0]) if odd else math.inf
        pole = {math.log: 0.0, math.log1p: -1.0}.get(function)
        return -math.inf if arguments[0] == pole else math.nan


def alike(got: float, expected: float) -> bool:
    """Equal with the sign of zero, both NaN, or neighbours."""
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    if expected == 0.0 or math.isinf(expected):
        return got == expected and math.copysign(1.0, got) == math.copysign(1.0, expected)
    return abs(got - expected) <= math.ulp(expected)


@pytest.mark.parametrize("x", SPECIAL)
@pytest.mark.parametrize("name", ["exp", "log", "log1p", "expm1"])
def test_special_values(name: str, x: float) -> None:
    got, expected = float(getattr(el, name)(x)), standard(getattr(math, name), x)
    assert alike(got, expected), (got, expected)


@pytest.mark.parametrize("x", SPECIAL)
def test_special_values_of_power(x: float) -> None:
    for y in SPECIAL:
        got, expected = float(el.power(x, y)), standard(math.pow, x, y)
        assert alike(got, expected), (y, got, expected)


# ---------------------------------------------------------------- element by element
def bits(values: Any) -> list[int]:
    return np.atleast_1d(np.asarray(values, dtype=np.float64)).view(np.int64).tolist()  # type: ignore[no-any-return]


@given(st.lists(st.floats() | st.floats(-2.0, 2.0) | st.sampled_from(SPECIAL), min_size=1, max_size=30))
def test_a_value_does_not_depend_on_its_neighbours(values: list[float]) -> None:
    array = np.array(values)
    for function in ONE:
        assert bits(function(array)) == [bit for x in values for bit in bits(function(x))]
    turned = array[::-1]
    assert bits(el.power(array, turned)) == [
        bit for x, y in zip(array, turned, strict=True) for bit in bits(el.power(x, y))
    ]
    assert bits(array) == bits(values)


@pytest.mark.parametrize("function", ONE)
def test_nor_on_where_the_array_is_cut(function: Callable[..., Any]) -> None:
    array = grid()[: 3 * el.CHUNK + 7]
    whole = bits(function(array))
    assert bits(function(array[5 : 2 * el.CHUNK + 9])) == whole[5 : 2 * el.CHUNK + 9]
    assert bits(function(array.reshape(1, -1).T[:, 0])) == whole


def test_shapes() -> None:
    assert isinstance(el.exp(1), float)
    assert el.exp([]).shape == (0,)
    assert el.log(np.ones((2, 3), dtype=np.float32)).dtype == np.float64
    assert el.power(np.ones((2, 1)), [1, 2, 3]).shape == (2, 3)
    assert el.exp(np.arange(6.0).reshape(2, 3).T)[2, 1] == el.exp(5.0)


# ---------------------------------------------------------------- the same on every machine
def grid() -> Any:
    """Numbers of every size and sign, NaN and subnormal ones too, and a fine grid around 0; from integers alone."""
    scattered = (np.arange(20_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.float64)
    return np.concatenate([scattered, np.arange(-20_000, 20_000) / 512.0, SPECIAL])


GOLDEN = {
    "exp": "7fc3ef3b2597e953",
    "log": "a787b85217cf7bed",
    "log1p": "f2aee037cc3df488",
    "expm1": "605ff61515aaa52f",
}
GOLDEN_POWER = "ad2c2f7a89767cb6"


def digest(values: Any) -> str:
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bits_are_those_of_every_other_machine(name: str) -> None:
    assert digest(getattr(el, name)(grid())) == GOLDEN[name]


def test_the_bits_of_powers_too() -> None:
    near = np.arange(1, 20_001) / 1024.0
    exponents = np.arange(-10_000, 10_000) / 256.0
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
    base, exponent = np.concatenate([near, pairs[:, 0]]), np.concatenate([exponents, pairs[:, 1]])
    assert digest(el.power(base, exponent)) == GOLDEN_POWER
