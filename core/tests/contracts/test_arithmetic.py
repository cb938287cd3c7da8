"""The arithmetic that decisions share."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.arithmetic import DUST_USD, changes, counted, power_of_two
from treasury_arena.simulation.layout import Function
from treasury_arena.simulation.lint import advise, check_functions, compile_alone


@given(st.floats(-8.0, 8.0))
def test_the_power_of_two_is_one(x: float) -> None:
    assert power_of_two(x) == pytest.approx(2.0**x, rel=3e-4)


@given(st.floats(-8.0, 7.9), st.floats(1e-6, 0.1))
def test_the_power_of_two_grows(x: float, more: float) -> None:
    assert power_of_two(x + more) > power_of_two(x)


@given(st.floats(-1.0, 1.0), st.floats(-1e6, 1e6), st.floats(0.0, 1e9))
def test_a_role_changes_when_its_distance_is_more_than_dust(share: float, value: float, equity: float) -> None:
    assert changes(share, value, equity) == float(abs(share * equity - value) > DUST_USD)
    assert counted(share, equity) == changes(share, 0.0, equity)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_never_quietly_a_trade_of_nothing(value: float) -> None:
    assert changes(0.5, value, 100.0) == float(value > 0.0)
    assert math.isnan(power_of_two(math.nan))


@pytest.mark.parametrize(("function", "count"), [(changes, 3), (counted, 2), (power_of_two, 1)])
def test_every_one_is_fit_for_a_kernel_and_cheap(function: Callable[..., float], count: int) -> None:
    declared = Function(function.__name__, function, (float,) * count, (float,))
    check_functions([declared])
    compile_alone(declared)
    assert advise(function) == []
