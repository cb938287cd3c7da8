"""What exact markets over a frame refuse: numbers that are none, and numbers that are no market's."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.bound import ONE, PRICE_MIN, TARGET_MAX, asked, check_target, fixed
from treasury_arena.errors import ValidationError


@given(st.floats(-1e30, 1e30), st.sampled_from([1, 10**6, ONE, 10**27]))
def test_a_float_becomes_the_nearest_integer_of_its_exact_value(value: float, scale: int) -> None:
    assert fixed(value, scale) == math.floor(Fraction(value) * scale + Fraction(1, 2))
    assert fixed(PRICE_MIN, ONE) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_amount(value: float) -> None:
    with pytest.raises(ValidationError, match=f"^{value} is no amount; expected a finite number$"):
        fixed(value, ONE)


def test_a_control_is_a_finite_number() -> None:
    assert asked("m", "ltv", ()) is None
    for value in (0.0, -0.5, 1e300, -1e300):
        assert asked("m", "ltv", (value,)) == value
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(
            ValidationError, match=f"^market 'm': the control ltv is {value}; expected a finite number$"
        ):
            asked("m", "ltv", (value,))


def test_a_target_is_an_amount() -> None:
    check_target("m", 0)
    check_target("m", TARGET_MAX - 1)
    for odd in (1.5, float("nan"), True, None, "7"):
        with pytest.raises(ValidationError, match="is no amount; expected whole base units"):
            check_target("m", odd)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"^market 'm': the target -1 is negative; a position cannot be$"):
        check_target("m", -1)
    with pytest.raises(ValidationError, match=r"^market 'm': a target of 256 binary digits is no amount"):
        check_target("m", TARGET_MAX)
