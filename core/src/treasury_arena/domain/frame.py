"""MarketFrame: the market's history on one regular time grid, and the only thing a strategy's features see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.clock import from_epoch, to_epoch
from treasury_arena.domain import elementary
from treasury_arena.errors import DataError, nearest

FloatArray = NDArray[np.float64]

#: Largest believable change of a price within one row: a hundredfold.
JUMP_MAX = 100.0


@attrs.frozen
class Window:
    """The rows a data source is asked for: from `start` (inclusive) to `end` (exclusive), epoch seconds UTC."""

    start: int
    end: int

    def __attrs_post_init__(self) -> None:
        if self.end <= self.start:
            raise DataError(f"the window ends at {from_epoch(self.end)}, not after its start {from_epoch(self.start)}")


@attrs.frozen(eq=False)
class MarketFrame:
    """Columns of float64 on one grid. Row `t` is labelled with the time at which all its values are KNOWN.

    Attributes:
        start: epoch seconds (UTC) of row 0.
        step_seconds: grid step, 3600 for hours.
        columns: name -> array of shape (rows,), read-only and finite. Names say the unit:
            ``<ASSET>.price`` USD per token, ``<ASSET>.lending_rate`` APR as a fraction a year (linear),
            ``<ASSET>.depth`` USD, ``gas.usd`` USD per action.

    Raises DataError when a column is empty, of another length or not finite, naming column and row.
    """

    start: int
    step_seconds: int
    columns: Mapping[str, FloatArray]

    def __attrs_post_init__(self) -> None:
        if not self.columns:
            raise DataError("a market frame needs at least one column")
        for name, value in (("start", self.start), ("step", self.step_seconds)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise DataError(f"a market frame's {name} must be whole seconds (int), not {value!r}")
        if self.step_seconds <= 0:
            raise DataError(f"a market frame's step must be positive, not {self.step_seconds} s")
        clean: dict[str, FloatArray] = {}
        length = len(next(iter(self.columns.values())))
        for name, values in self.columns.items():
            if np.iscomplexobj(values):
                raise DataError(f"column {name!r} holds complex numbers; finite real numbers are needed")
            array = np.array(values, dtype=np.float64)
            if array.shape != (length,) or length == 0:
                raise DataError(f"column {name!r} has shape {array.shape}, expected ({length},) and not empty")
            bad = np.flatnonzero(~np.isfinite(array))
            if bad.size:
                row = int(bad[0])
                raise DataError(
                    f"column {name!r} is {array[row]} at row {row} ({self.time(row)}); a finite number is needed"
                )
            array.flags.writeable = False
            clean[name] = array
        object.__setattr__(self, "columns", MappingProxyType(clean))

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def end(self) -> int:
        """Epoch seconds just after the last row."""
        return self.start + self.rows * self.step_seconds

    @property
    def steps_per_day(self) -> int:
        return 86_400 // self.step_seconds

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self.columns:
            raise DataError(f"the market data have no column {name!r}: {nearest(name, self.columns)}")
        return self.columns[name]

    def epoch(self, row: int) -> int:
        return self.start + row * self.step_seconds

    def time(self, row: int) -> datetime:
        """When row `row` is known (UTC)."""
        return from_epoch(self.epoch(row))

    def closed_day(self, row: int) -> date:
        """The day (UTC) that a value known at row `row` is the close of: that of the moment just before it.

        Every daily value is labelled with it: at the midnight that ends 2024-12-31 it is 2024-12-31.
        """
        return from_epoch(self.epoch(row) - 1).date()

    def row(self, when: datetime | int) -> int:
        """The row labelled `when`; raises DataError outside the frame or off the grid."""
        epoch = when if isinstance(when, int) else to_epoch(when)
        row, rest = divmod(epoch - self.start, self.step_seconds)
        if rest or not 0 <= row < self.rows:
            raise DataError(
                f"{from_epoch(epoch)} is not a row of the market data, which run from {self.time(0)} to "
                f"{self.time(self.rows - 1)} every {self.step_seconds} s"
            )
        return row

    def slice(self, low: int, high: int) -> MarketFrame:
        """Rows `low` to `high` (exclusive) as a frame of its own."""
        if not 0 <= low < high <= self.rows:
            raise DataError(f"rows {low} to {high} are not inside a frame of {self.rows} rows")
        return MarketFrame(
            self.epoch(low), self.step_seconds, {name: column[low:high] for name, column in self.columns.items()}
        )

    def until(self, row: int) -> MarketFrame:
        """All rows up to and including `row`: what may be known at its time."""
        return self.slice(0, row + 1)


def first_jump(prices: FloatArray) -> int | None:
    """Index of the first price that is more than `JUMP_MAX` times, or less than the same part of, the one before."""
    jumps = np.abs(np.diff(elementary.log(np.maximum(prices, 1e-300))))
    far = np.flatnonzero(jumps > math.log(JUMP_MAX))
    return int(far[0]) + 1 if far.size else None


def check_jumps(frame: MarketFrame, column: str) -> None:
    """Raise DataError, naming the time, when a column of prices jumps as no market does."""
    prices = frame[column]
    row = first_jump(prices)
    if row is not None:
        raise DataError(
            f"column {column!r} goes from {prices[row - 1]:g} to {prices[row]:g} within one row at "
            f"{frame.time(row):%Y-%m-%d %H:%M} UTC: no price moves by more than {JUMP_MAX:.0f} times in {frame.step_seconds} s"
        )
