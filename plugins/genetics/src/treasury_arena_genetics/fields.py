"""Attrs fields with the limits that several operators share; a value outside them raises ConfigError."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from treasury_arena.errors import ConfigError

Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def within(low: float, high: float = math.inf, *, above: bool = False) -> Check:
    """A validator for a finite number in [low, high], or in (low, high] when `above`."""

    def check(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not low <= value <= high or (above and value == low):
            left = "(" if above else "["
            right = "infinity)" if high == math.inf else f"{high:g}]"
            raise ConfigError(
                f"operator {owner.name!r}: {attribute.name} must be a number in {left}{low:g}, {right}, not {value!r}"
            )

    return check


def whole(low: int) -> Check:
    """A validator for a whole number of at least `low`."""

    def check(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ConfigError(
                f"operator {owner.name!r}: {attribute.name} must be a whole number of at least {low}, not {value!r}"
            )

    return check


probability = within(0.0, 1.0)


def optional_probability(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator for a probability or None."""
    if value is not None:
        probability(owner, attribute, value)
