"""The refusals: each looks at rows or grid values and raises one DataError naming file, column, row and time."""

from __future__ import annotations

import numpy as np

from treasury_arena.domain.frame import JUMP_MAX, first_jump
from treasury_arena.errors import CoverageError, DataError
from treasury_arena_history.config import Series
from treasury_arena_history.reader import NANOSECONDS, IntArray, Rows, show
from treasury_arena_history.units import RATES, Bounds, FloatArray, family_of, spell


def check_order(rows: Rows) -> None:
    """Refuse duplicate times and rows that go back in time."""
    steps = np.diff(rows.time)
    wrong = np.flatnonzero(steps <= 0)
    if not wrong.size:
        return
    index = int(wrong[0]) + 1
    if steps[index - 1] == 0:
        raise DataError(
            f"{rows.name} has two rows of one time: {rows.noun} {rows.number[index - 1]} and {rows.at(index)}; "
            f"one value per time is needed, so narrow `where` or clean the file"
        )
    raise DataError(
        f"{rows.name} is not in order of time: {rows.at(index)} comes after {rows.at(index - 1)}; sort the file or narrow `where`"
    )


def check_finite(rows: Rows, column: str) -> None:
    """Refuse NaN, missing and infinite values."""
    bad = np.flatnonzero(~np.isfinite(rows.value))
    if bad.size:
        index = int(bad[0])
        raise DataError(
            f"{rows.name} is {rows.value[index]} at {rows.at(index)}, needed for {column!r}; a number is needed"
        )


def check_bounds(rows: Rows, converted: FloatArray, series: Series, bounds: Bounds) -> None:
    """Refuse values outside the sane range of the column (after unit conversion)."""
    bad = np.flatnonzero(bounds.outside(converted) | ~np.isfinite(converted))
    if not bad.size:
        return
    index = int(bad[0])
    hint = "; or allow it with minimum and maximum"
    if series.unit in RATES:
        hint = f"; is the unit really {series.unit}? If so, allow it with minimum and maximum"
    raise DataError(
        f"{rows.name} is {rows.value[index]:g} at {rows.at(index)}, which makes {series.column!r} {converted[index]:g}, "
        f"expected {bounds}{hint}"
    )


def jump(rows: Rows, converted: FloatArray, column: str) -> str | None:
    """The first row at which a price moves as no market does, in a sentence; None without one.

    Args:
        converted: the rows' prices in USD, finite and above 0, in order of time.
    """
    index = first_jump(converted)
    if index is None:
        return None
    return (
        f"{rows.name} takes {column!r} from {converted[index - 1]:g} at {rows.at(index - 1)} to {converted[index]:g} at "
        f"{rows.at(index)}: no price moves by more than {JUMP_MAX:.0f} times from one row to the next"
    )


def check_jumps(rows: Rows, converted: FloatArray, series: Series) -> None:
    """Refuse a price that jumps; of a product only the whole is a price, which is looked at on the grid."""
    if family_of(series.column) != "price" or series.times is not None:
        return
    found = jump(rows, converted, series.column)
    if found is not None:
        raise DataError(found)


def check_cover(rows: Rows, known: IntArray, grid: IntArray, max_age: int, column: str) -> None:
    """Refuse a window that begins before the first known value or ends after the last may be carried: CoverageError."""
    if known[0] <= grid[0] and grid[-1] <= known[-1] + max_age:
        return
    raise CoverageError(
        f"{rows.name} covers {show(int(known[0]))} to {show(int(known[-1]))} (when its values are known), but {column!r} "
        f"is asked for from {show(int(grid[0]))} to {show(int(grid[-1]))}"
    )


def check_age(rows: Rows, known: IntArray, grid: IntArray, source: IntArray, max_age: int, column: str) -> None:
    """Refuse a grid value that rests on a row older than `max_age`, or on no row at all."""
    age = grid - known[np.maximum(source, 0)]
    stale = np.flatnonzero((source < 0) | (age > max_age))
    if not stale.size:
        return
    at = int(stale[0])
    row = int(source[at]) if source[at] >= 0 else int(np.searchsorted(known, grid[at], side="right")) - 1
    before = f" after {rows.at(row)}" if row >= 0 else ""
    following = f"; the next is {rows.at(row + 1)}" if row + 1 < len(rows) else ""
    raise DataError(
        f"{rows.name} has a gap{before}: at {show(int(grid[at]))} the newest value of {column!r} is older than "
        f"{spell(max_age / NANOSECONDS)} (max_age){following}"
    )
