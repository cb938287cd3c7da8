"""Units a series may be declared in, their conversion to the frame's units, and the range a sane value lies in."""

from __future__ import annotations

import math
import re

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.domain import elementary
from treasury_arena.errors import nearest

FloatArray = NDArray[np.float64]

SECONDS_PER_YEAR = 31_536_000
_TICK_BASE = 1.0001

#: Unit -> factor to the frame's unit. Units that are not a factor (apy, tick) are converted in `convert`.
UNITS: dict[str, float] = {
    "usd": 1.0,
    "ratio": 1.0,
    "fraction": 1.0,
    "percent": 1e-2,
    "bps": 1e-4,
    "token": 1.0,
    "apr": 1.0,
    "percent_apr": 1e-2,
    "ray_apr": 1e-27,
    "apy": 1.0,
    "percent_apy": 1e-2,
    "wei": 1e-18,
    "gwei": 1e-9,
    "tick": 1.0,
}
RATES = frozenset({"apr", "percent_apr", "ray_apr", "apy", "percent_apy"})
GAS = frozenset({"wei", "gwei"})
_SUMMABLE = frozenset({"usd", "token", "fraction", "ratio"})


@attrs.frozen
class _Family:
    """What the last part of a column's name demands: its units and its sane range (frame units)."""

    units: frozenset[str]
    low: float
    high: float
    low_open: bool = False


_RATE_FAMILY = _Family(RATES, 0.0, 2.0)
_FAMILIES: dict[str, _Family] = {
    "price": _Family(frozenset({"usd", "ratio", "tick"}), 0.0, 1e9, low_open=True),
    "lending_rate": _RATE_FAMILY,
    "borrow_rate": _RATE_FAMILY,
    "depth": _Family(frozenset({"usd"}), 0.0, 1e13),
    "usd": _Family(frozenset({"usd"}) | GAS, 0.0, 1e5),
    "volume": _Family(frozenset({"usd"}), 0.0, 1e13),
    "tvl": _Family(frozenset({"usd"}), 0.0, 1e13, low_open=True),
    "liquidity": _Family(frozenset({"ratio"}), 0.0, 1e18, low_open=True),
    "supplied": _Family(frozenset({"usd"}), 0.0, 1e13),
    "borrowed": _Family(frozenset({"usd"}), 0.0, 1e13),
}
_DURATION = re.compile(r"(?:\d+[smhd])+")
#: Ten years: nothing in a market is known, or carried, later than that.
DURATION_MAX = 3_660 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@attrs.frozen
class Bounds:
    """The range a value must lie in, in the frame's unit; `low_open` excludes the lower end."""

    low: float
    high: float
    low_open: bool = False

    def outside(self, values: FloatArray) -> NDArray[np.bool_]:
        below = values <= self.low if self.low_open else values < self.low
        return np.asarray(below | (values > self.high))

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.low_open else f"at least {self.low:g}"
        return f"{low} and at most {self.high:g}"


def family_of(column: str) -> str:
    """The last part of a column's name: ``price`` of ``WETH.price``."""
    return column.rpartition(".")[2]


def check_unit(column: str, unit: str) -> None:
    """Raise ValueError for an unknown unit, or one that a column of this name cannot have."""
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}: {nearest(unit, UNITS)}")
    family = _FAMILIES.get(family_of(column))
    if family is not None and unit not in family.units:
        raise ValueError(
            f"{column!r} cannot be declared in {unit!r}; expected one of {', '.join(sorted(family.units))}"
        )


def summable(unit: str) -> bool:
    """Whether adding values of this unit over time means anything."""
    return unit in _SUMMABLE


def bounds_of(column: str, minimum: float | None, maximum: float | None) -> Bounds:
    """The sane range of a column by its name; a declared minimum or maximum replaces the default one."""
    family = _FAMILIES.get(family_of(column)) or _Family(frozenset(), -np.inf, np.inf)
    low = family.low if minimum is None else minimum
    return Bounds(low, family.high if maximum is None else maximum, family.low_open and low <= family.low)


def convert(
    values: FloatArray, unit: str, *, compounding: int = SECONDS_PER_YEAR, decimals_shift: int = 0
) -> FloatArray:
    """Values of `unit` in the frame's unit; shape is kept.

    - ``apr``, ``percent_apr``, ``ray_apr``: linear APR as a fraction a year (a ray is 1e27).
    - ``apy``, ``percent_apy``: ``APR = n * ((1 + APY) ** (1 / n) - 1)`` with ``n = compounding`` periods a year
      (the inverse of the effective annual rate). The default compounds each second, as Aave displays it.
    - ``tick``: token1 per token0 ``= 1.0001 ** tick * 10 ** decimals_shift`` with
      ``decimals_shift = decimals0 - decimals1`` (Uniswap v3 white paper, equation 6.1).
    - ``wei``, ``gwei``: ETH per unit of gas.
    - everything else: a plain factor.
    """
    if unit == "tick":
        return np.asarray(elementary.exp(values * math.log(_TICK_BASE)) * 10.0**decimals_shift)
    scaled = np.asarray(values * UNITS[unit])
    if unit in ("apy", "percent_apy"):
        return np.asarray(compounding * elementary.expm1(elementary.log1p(scaled) / compounding))
    return scaled


def duration(text: str) -> int:
    """Seconds in ``26h``, ``1d``, ``90m`` or ``1h30m``; raises ValueError for anything else."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write for example 45s, 90m, 26h, 2d or 1h30m")
    parts = re.findall(r"(\d+)([smhd])", text)
    seconds = sum(int(number) * _SECONDS[letter] for number, letter in parts if len(number) <= 12)
    if seconds > DURATION_MAX or any(len(number) > 12 for number, _ in parts):
        raise ValueError(f"{text[:40]!r} is too long a duration; expected at most {spell(DURATION_MAX)}")
    return seconds


def spell(seconds: float) -> str:
    """A duration in the largest fitting units: ``1d 2h``, ``30m``."""
    parts = []
    rest = round(seconds)
    for letter, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{letter}")
    return " ".join(parts) or "0s"
