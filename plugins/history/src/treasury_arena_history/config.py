"""The configuration section ``[source.history]``: which file, rows and units make which frame column."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any, Literal

import attrs

from treasury_arena.errors import nearest
from treasury_arena_history.units import GAS, SECONDS_PER_YEAR, check_unit, duration, family_of, summable

Label = Literal["known", "open", "day_open"]
Rule = Literal["last", "mean", "max", "min", "sum", "forward"]
TimeFormat = Literal["utc", "naive_utc", "s", "ms", "us", "ns"]


def _duration(instance: Any, attribute: Any, value: str | None) -> None:
    if value is not None:
        try:
            duration(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name} = {error}") from error


def _finite(instance: Any, attribute: Any, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{attribute.name} = {value} is not a finite number")


@attrs.frozen(kw_only=True)
class Series:
    """One frame column and where it comes from: rows of a file, or a constant.

    Attributes:
        column: the frame column it makes, for example ``WETH.price``.
        unit: what the values are declared in; see `treasury_arena_history.units.convert`.
        file: parquet or CSV file, relative to the data folder.
        value: the file's column that holds the values.
        where: file column -> the one value its rows must have.
        time: the file's column that holds the row's time.
        time_format: ``utc`` (aware, UTC), ``naive_utc`` (declared to be UTC), or epoch ``s``, ``ms``, ``us``, ``ns``.
        label: what the row's time means: ``known`` (the value is known then), ``open`` (the bar opens then, so its
            value is known one `bar` later), ``day_open`` (known at the end of the UTC day).
        bar: the bar's length for ``label = "open"``; without it the usual distance of the first rows.
        delay: publication lag added to the time a value is known.
        resample: how rows known within one grid step become one value; ``forward`` for rows coarser than the grid.
        max_age: how long a value may be carried forward; default the rows' usual distance or the grid step, the longer.
        compounding: periods a year that an APY is compounded over.
        decimals_shift: decimals of token0 minus decimals of token1, for ``unit = "tick"``.
        invert: use one over the value.
        gas_units: gas of one action, for ``unit = "gwei"`` or ``"wei"``.
        times: another frame column to multiply with, row by row on the grid.
        minimum, maximum: replace the sane bounds of the column (frame unit).
        constant: the same value at every row, instead of a file.

    Raises ValueError for keys that contradict each other.
    """

    column: str = attrs.field(validator=attrs.validators.matches_re(r"[A-Za-z0-9_]+\.[a-z_]+"))
    unit: str
    file: str | None = None
    value: str | None = None
    where: dict[str, str | float | int] = attrs.field(factory=dict)
    time: str = "timestamp"
    time_format: TimeFormat = attrs.field(
        default="utc", validator=attrs.validators.in_(("utc", "naive_utc", "s", "ms", "us", "ns"))
    )
    label: Label | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.in_(("known", "open", "day_open")))
    )
    bar: str | None = attrs.field(default=None, validator=_duration)
    delay: str = attrs.field(default="0s", validator=_duration)
    resample: Rule = attrs.field(
        default="last", validator=attrs.validators.in_(("last", "mean", "max", "min", "sum", "forward"))
    )
    max_age: str | None = attrs.field(default=None, validator=_duration)
    compounding: int = attrs.field(default=SECONDS_PER_YEAR, validator=attrs.validators.ge(1))
    decimals_shift: int = attrs.field(default=0, validator=[attrs.validators.ge(-36), attrs.validators.le(36)])
    invert: bool = False
    gas_units: float | None = attrs.field(default=None, validator=_finite)
    times: str | None = None
    minimum: float | None = attrs.field(default=None, validator=_finite)
    maximum: float | None = attrs.field(default=None, validator=_finite)
    constant: float | None = attrs.field(default=None, validator=_finite)

    def __attrs_post_init__(self) -> None:
        check_unit(self.column, self.unit)
        if (self.file is None) == (self.constant is None):
            raise ValueError(f"{self.column!r} needs either file or constant")
        if self.file is not None:
            self._check_file()
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

    def _check_file(self) -> None:
        if PurePath(str(self.file)).is_absolute():
            raise ValueError(f"{self.column!r}: file {self.file!r} must be relative to the data folder")
        if self.value is None:
            raise ValueError(f"{self.column!r}: file needs value, the name of the file's column that holds the values")
        if self.label is None:
            raise ValueError(
                f"{self.column!r}: file needs label, what a row's time means: known, open (the bar's opening) or day_open"
            )
        if self.bar is not None and (self.label != "open" or duration(self.bar) == 0):
            raise ValueError(f"{self.column!r}: bar goes with label = 'open' and is longer than 0s")

    @property
    def title(self) -> str:
        """How messages name the rows: ``close where symbol = ETHUSDT``."""
        rows = ", ".join(f"{name} = {wanted}" for name, wanted in self.where.items())
        return f"column {self.value!r}" + (f" where {rows}" if rows else "")


@attrs.frozen(kw_only=True)
class HistorySection:
    """``[source.history]``: the series, in any order.

    Raises ValueError for no series, two of one column, or `times` that is unknown or goes round in a circle.
    """

    series: list[Series] = attrs.field(factory=list)

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
                    f"{series.column!r}: times = {series.times!r} is not a column here: {nearest(series.times, names)}"
                )
        self.ordered()

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
