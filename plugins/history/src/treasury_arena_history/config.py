"""The configuration section ``[source.history]``: which file, rows and units make which frame column."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Literal

import attrs
from attrs.validators import ge, in_, le, optional

from treasury_arena.errors import nearest
from treasury_arena_history.units import GAS, SECONDS_PER_YEAR, check_unit, duration, family_of, summable

Label = Literal["known", "open", "day_open"]
Rule = Literal["last", "mean", "max", "min", "sum", "forward"]
TimeFormat = Literal["utc", "naive_utc", "s", "ms", "us", "ns"]

_COLUMN = re.compile(r"[A-Za-z0-9_]+\.[a-z_]+")


def _column(instance: Any, attribute: Any, value: str) -> None:
    if not _COLUMN.fullmatch(value):
        raise ValueError(f"{value!r} is not a column name; expected for example WETH.price or USDC.lending_rate")


def _duration(instance: Any, attribute: Any, value: str | None) -> None:
    if value is not None:
        duration(value)


def _finite(instance: Any, attribute: Any, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{attribute.name} is {value}; expected a finite number")


def _scale(instance: Any, attribute: Any, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"scale is {value}; expected a positive finite number")


def _sha256(instance: Any, attribute: Any, value: str | None) -> None:
    if value is not None and not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{value!r} is not a sha256; expected 64 lower-case hexadecimal digits")


def _key(default: Any, help: str, *checks: Callable[[Any, Any, Any], Any]) -> Any:
    return attrs.field(default=default, validator=list(checks) or None, metadata={"help": help})


@attrs.frozen(kw_only=True)
class Series:
    """One frame column and where it comes from: rows of a file, or a constant. Each key's `help` says what it means.

    Raises ValueError for keys that contradict each other.
    """

    column: str = _key(attrs.NOTHING, "The frame column it makes, for example `WETH.price`.", _column)
    unit: str = _key(attrs.NOTHING, "What the values are declared in: one of the units below.")
    file: str | None = _key(None, "Parquet or CSV file, relative to the data folder.")
    sha256: str | None = _key(None, "Hash the file's content must have; absent: any content.", _sha256)
    value: str | None = _key(None, "The file's column that holds the values.")
    where: dict[str, str | float | int] = attrs.field(
        factory=dict, metadata={"help": "File column = the one value its rows must have."}
    )
    time: str = _key("timestamp", "The file's column that holds the rows' times.")
    time_format: TimeFormat = _key(
        "utc",
        "`utc` (marked as UTC), `naive_utc` (not marked, declared to be UTC), or epoch `s`, `ms`, `us`, `ns`.",
        in_(("utc", "naive_utc", "s", "ms", "us", "ns")),
    )
    label: Label | None = _key(
        None,
        "What a row's time means: `known` (known then), `open` (a bar opens then; known one `bar` later), `day_open` "
        "(known at the end of that UTC day).",
        optional(in_(("known", "open", "day_open"))),
    )
    bar: str | None = _key(
        None, 'Length of a bar, with `label = "open"`; absent: the usual distance of the file\'s first rows.', _duration
    )
    delay: str = _key("0s", "Publication lag, added to the time a value is known.", _duration)
    resample: Rule = _key(
        "last",
        "How the rows known within one grid step become one value; `forward` for rows coarser than the grid.",
        in_(("last", "mean", "max", "min", "sum", "forward")),
    )
    max_age: str | None = _key(
        None,
        "How long a value may be carried forward; absent: one bar or one grid step, whichever is longer.",
        _duration,
    )
    compounding: int = _key(SECONDS_PER_YEAR, "Periods a year an APY is compounded over.", ge(1))
    decimals_shift: int = _key(0, 'Decimals of token0 minus decimals of token1, for `unit = "tick"`.', ge(-36), le(36))
    invert: bool = _key(False, "Use one over the value.")
    scale: float = _key(1.0, "Multiply the value by this, after its unit: 1/24 of a day's volume is an hour's.", _scale)
    gas_units: float | None = _key(None, 'Gas of one action, for `unit = "gwei"` or `"wei"`.', _finite)
    times: str | None = _key(None, "Another frame column to multiply with, row by row on the grid.")
    minimum: float | None = _key(None, "Smallest sane value (frame unit), instead of the column's default.", _finite)
    maximum: float | None = _key(None, "Largest sane value (frame unit), instead of the column's default.", _finite)
    constant: float | None = _key(None, "The same value at every row, instead of a file.", _finite)

    def __attrs_post_init__(self) -> None:
        check_unit(self.column, self.unit)
        if (self.file is None) == (self.constant is None):
            raise ValueError(f"{self.column!r} needs either file or constant")
        if self.file is not None:
            self._check_file(self.file)
        if (self.unit in GAS) != (self.gas_units is not None) or (self.unit in GAS and self.times is None):
            raise ValueError(
                f"{self.column!r}: a gas price (unit gwei or wei) needs both gas_units and times (the price of ETH), "
                f"and no other unit takes gas_units"
            )
        if self.gas_units is not None and self.gas_units <= 0:
            raise ValueError(f"{self.column!r}: gas_units must be positive, not {self.gas_units}")
        if self.resample == "sum" and (not summable(self.unit) or family_of(self.column) == "price"):
            raise ValueError(f"{self.column!r}: a sum over time of {self.unit} means nothing; use last or mean")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"{self.column!r}: minimum {self.minimum} is above maximum {self.maximum}")

    def _check_file(self, file: str) -> None:
        if PurePath(file).is_absolute():
            raise ValueError(f"{self.column!r}: file {file!r} must be relative to the data folder")
        if self.value is None:
            raise ValueError(f"{self.column!r}: file needs value, the name of the file's column that holds the values")
        if self.label is None:
            raise ValueError(
                f"{self.column!r}: file needs label, what a row's time means: known, open (a bar's opening) or day_open"
            )
        if self.bar is not None and (self.label != "open" or duration(self.bar) == 0):
            raise ValueError(f"{self.column!r}: bar goes with label = 'open' and is longer than 0s")

    @property
    def title(self) -> str:
        """How messages name the rows: ``column 'close' where symbol = ETHUSDT``."""
        rows = ", ".join(f"{name} = {wanted}" for name, wanted in self.where.items())
        return f"column {self.value!r}" + (f" where {rows}" if rows else "")


@attrs.frozen(kw_only=True)
class HistorySection:
    """``[source.history]``: the series, in any order.

    Raises ValueError for no series, two of one column, or `times` that is unknown or goes round in a circle.
    """

    series: list[Series] = _key(attrs.NOTHING, "The frame's columns, one table `[[source.history.series]]` each.")

    def __attrs_post_init__(self) -> None:
        if not self.series:
            raise ValueError("source.history needs at least one [[source.history.series]]")
        names = [series.column for series in self.series]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"column {name!r} is made by more than one series")
        for series in self.series:
            if series.times is not None and series.times not in names:
                raise ValueError(
                    f"{series.column!r}: times = {series.times!r} is not a column here; {nearest(series.times, names)}"
                )
        self.ordered()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of every frame; a market's are held against them before any data are read."""
        return tuple(series.column for series in self.series)

    def ordered(self) -> list[Series]:
        """The series with every factor (`times`) before the column that needs it; raises ValueError for a circle."""
        waiting = {series.column: series for series in self.series}
        done: list[Series] = []
        while waiting:
            ready = [series for series in waiting.values() if series.times not in waiting]
            if not ready:
                raise ValueError(f"times goes round in a circle: {', '.join(sorted(waiting))}")
            done.extend(ready)
            for series in ready:
                del waiting[series.column]
        return done
