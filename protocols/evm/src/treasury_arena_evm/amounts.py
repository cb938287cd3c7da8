"""Whole numbers: what an order is made of, looked at before anything is signed."""

from __future__ import annotations

from treasury_arena.errors import ValidationError


def check_whole(number: object, what: str) -> None:
    """Raise ValidationError for anything but an int, True and False included: 1.5 base units are none, and 1e18 is not exact."""
    if type(number) is not int:
        raise ValidationError(f"{what} is {number!r}; expected a whole number (int)")
