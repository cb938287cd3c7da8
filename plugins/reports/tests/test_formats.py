from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena_reports.formats import NOTHING, number, percent, plain, plural, shorten, tiny, usd


@pytest.mark.parametrize(
    ("value", "text"),
    [("1234.56", "1,234.56"), (0, "0.00"), (-0.001, "0.00"), (-0.005001, "-0.01"), ("373261.000000", "373,261.00")],
)
def test_money(value: object, text: str) -> None:
    assert usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0749, "7.49%"), (-0.0, "0.00%"), (-0.00001, "0.00%"), (-0.123, "-12.30%"), (None, NOTHING)]
)
def test_share(value: object, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.01, "+1.0%"), (-0.01, "-1.0%"), (0.0, "0.0%"), (0.00001, "0.0%")])
def test_only_a_gain_that_can_be_seen_has_a_plus(value: float, text: str) -> None:
    assert percent(value, 1, sign=True) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-3.2421e-07, "<0.01"),
        (0.00999, "<0.01"),
        (-0.0, "0"),
        (0.01, "0.01"),
        (-12.345, "-12.34"),
        (0.0, "0"),
        (None, NOTHING),
    ],
)
def test_what_is_far_below_one_is_told_without_its_digits(value: object, text: str) -> None:
    assert tiny(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "NaN", "twelve", ""])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="expected a"):
        number(value)


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=8), st.integers(0, 6))
def test_text_reads_back_within_half_a_unit_and_never_says_minus_zero(value: Decimal, digits: int) -> None:
    text = number(value, digits)
    assert abs(Decimal(text.replace(",", "")) - value) <= Decimal(1).scaleb(-digits) / 2
    assert not (text.startswith("-") and Decimal(text.replace(",", "")) == 0)


@given(st.text())
def test_plain_text_has_no_control_signs_and_can_be_encoded(text: str) -> None:
    made = plain(text)
    assert len(made) == len(text)
    assert all(sign.isprintable() for sign in made.replace("\ufffd", ""))
    assert made.encode("utf-8").decode("utf-8") == made


def test_words() -> None:
    assert (plural(1, "birth"), plural(2, "birth"), plural(0, "birth")) == ("1 birth", "2 births", "0 births")
    assert plural(2, "search", "searches") == "2 searches"
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
