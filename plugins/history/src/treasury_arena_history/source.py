"""The history source: series to market frame, with cache, fingerprint and description."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import attrs
import numpy as np

from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.errors import CoverageError, DataError
from treasury_arena_history import checks
from treasury_arena_history.cache import FrameCache, user_cache
from treasury_arena_history.config import HistorySection, Series
from treasury_arena_history.reader import NANOSECONDS, IntArray, Reader, Rows, show
from treasury_arena_history.resample import DAY, known_times, to_grid, usual_distance
from treasury_arena_history.units import GAS, Bounds, FloatArray, bounds_of, convert, duration, spell

if TYPE_CHECKING:
    from treasury_arena.config.context import SourceContext

#: Raised whenever the same files and mapping would give another frame, so that old cache files are not used.
RECIPE = 1
#: Raised whenever rows are refused that were not before: a frame of those in the cache is not used.
CHECKS = 2
_COARSE = "forward"


@attrs.frozen(eq=False)
class Timed:
    """Rows with the times their values are known, and the carry limit that applies (nanoseconds)."""

    rows: Rows
    known: IntArray
    distance: int | None
    max_age: int


def timed(rows: Rows, series: Series, step: int) -> Timed:
    """Settle when each row is known and how long it may be carried.

    Raises DataError for ``label = "open"`` without `bar` on irregular rows.
    """
    distance = usual_distance(rows.time)
    bar = duration(series.bar) * NANOSECONDS if series.bar else (distance or 0)
    if series.label == "open" and bar <= 0:
        raise DataError(
            f"{rows.name}: the rows have no usual distance, so label = 'open' needs bar, the length of a bar"
        )
    known = known_times(rows.time, str(series.label), bar, duration(series.delay) * NANOSECONDS)
    usual = DAY if series.label == "day_open" else bar
    max_age = duration(series.max_age) * NANOSECONDS if series.max_age else max(usual, step)
    return Timed(rows, known, distance, max_age)


class HistorySource(DataSource):
    """Market history from files, one frame column per configured series."""

    def __init__(self, section: HistorySection, context: SourceContext) -> None:
        self._section = section
        self._data = context.data
        self._step = context.step_seconds
        self._cache = FrameCache(context.cache if context.cache is not None else user_cache())

    def fetch(self, window: Window) -> MarketFrame:
        """Every grid row in `window`; a frame built before from the same contents comes from the cache.

        Raises DataError as `treasury_arena.contracts.source.DataSource.fetch` says.
        """
        reader = Reader(self._data)
        seal = f"{CHECKS} {self._fingerprint(reader)} {window.start} {window.end}"
        key = hashlib.sha256(seal.encode()).hexdigest()
        frame = self._cache.load(key)
        if frame is None:
            frame = build_frame(self._section, reader, window.start, window.end, self._step)
            self._cache.save(key, frame)
        return frame

    def fingerprint(self) -> str:
        """sha256 over the contents of all files, the mapping and the grid step."""
        return self._fingerprint(Reader(self._data))

    def describe(self) -> dict[str, str]:
        """Column -> file, condition, unit, label and resampling rule in words."""
        return {series.column: _words(series) for series in self._section.series}

    def _fingerprint(self, reader: Reader) -> str:
        files = sorted({series.file for series in self._section.series if series.file is not None})
        facts = {
            "recipe": RECIPE,
            "step_seconds": self._step,
            "files": {file: reader.digest(file) for file in files},
            "mapping": attrs.asdict(self._section),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def build_frame(section: HistorySection, reader: Reader, start: int, end: int, step_seconds: int) -> MarketFrame:
    """The frame of the grid from `start` to `end` (exclusive, epoch seconds), built from the files."""
    return _Builder(reader, np.arange(start, end, step_seconds, dtype=np.int64) * NANOSECONDS, step_seconds).frame(
        section
    )


@attrs.frozen(eq=False)
class _Builder:
    """One build: the reader, the grid (nanoseconds), and the columns made so far."""

    reader: Reader
    grid: IntArray
    step_seconds: int
    made: dict[str, FloatArray] = attrs.field(factory=dict)

    def frame(self, section: HistorySection) -> MarketFrame:
        try:
            for series in section.ordered():
                self.made[series.column] = self._column(series)
        except CoverageError as error:
            raise CoverageError(str(error), self._first(section)) from error
        columns = {series.column: self.made[series.column] for series in section.series}
        return MarketFrame(int(self.grid[0]) // NANOSECONDS, self.step_seconds, columns)

    def _first(self, section: HistorySection) -> int | None:
        """Epoch seconds from which on every file knows a value; None when a file does not let that be told."""
        step = self.step_seconds * NANOSECONDS
        try:
            files = [(self.reader.rows(series), series) for series in section.series if series.file is not None]
            return max(int(timed(rows, series, step).known.min()) for rows, series in files) // NANOSECONDS
        except DataError:
            return None

    def _column(self, series: Series) -> FloatArray:
        bounds = bounds_of(series.column, series.minimum, series.maximum)
        if series.constant is not None:
            values = converted(np.full(len(self.grid), series.constant), series)
        else:
            values = self._from_file(series, bounds)
        if series.gas_units is not None:
            values = values * series.gas_units
        if series.times is not None:
            values = values * self.made[series.times]
        bad = np.flatnonzero(bounds.outside(values) | ~np.isfinite(values))
        if bad.size:
            raise DataError(
                f"{series.file or 'the constant'} makes {series.column!r} {values[bad[0]]:g} at "
                f"{show(int(self.grid[bad[0]]))}, expected {bounds}; or allow it with minimum and maximum"
            )
        return np.asarray(values, dtype=np.float64)

    def _from_file(self, series: Series, bounds: Bounds) -> FloatArray:
        grid, step = self.grid, self.step_seconds * NANOSECONDS
        rows = self.reader.rows(series)
        checks.check_order(rows)
        entry = timed(rows, series, step)
        if series.resample != _COARSE and (entry.distance or 0) > step:
            raise DataError(
                f"{rows.name} has a row every {spell((entry.distance or 0) / NANOSECONDS)}, coarser than the grid of "
                f"{spell(self.step_seconds)}, so resample = {series.resample!r} cannot make {series.column!r}; "
                f"declare 'forward'"
            )
        checks.check_cover(rows, entry.known, grid, entry.max_age, series.column)
        low, high = _used(entry, grid, step, series.resample)
        used, known = rows.part(low, high), entry.known[low:high]
        checks.check_finite(used, series.column)
        values = converted(used.value, series)
        # The range is that of the product; of its factors only the sign is known.
        sign = Bounds(0.0 if bounds.low >= 0 else -np.inf, np.inf, low_open=bounds.low_open or series.unit in GAS)
        checks.check_bounds(used, values, series, sign if series.times else bounds)
        checks.check_jumps(used, values, series)
        gridded = to_grid(known, values, grid, step, series.resample, lead=entry.max_age)
        checks.check_age(used, known, grid, gridded.source, entry.max_age, series.column)
        return gridded.values


def converted(values: FloatArray, series: Series) -> FloatArray:
    """Values in the series' declared unit in the frame's unit, before gas units and factors."""
    converted = convert(values, series.unit, compounding=series.compounding, decimals_shift=series.decimals_shift)
    if series.invert:
        with np.errstate(divide="ignore"):
            converted = np.asarray(1.0 / converted)
    return converted if series.scale == 1.0 else converted * series.scale


def _used(entry: Timed, grid: IntArray, step: int, rule: str) -> tuple[int, int]:
    """The rows a window can rest on: those known in it, and the newest before it (or in the carry limit before it)."""
    high = int(np.searchsorted(entry.known, grid[-1], side="right"))
    newest = int(np.searchsorted(entry.known, grid[0], side="right")) - 1
    if rule in ("last", "forward"):
        return max(newest, 0), high
    if newest >= 0 and entry.known[newest] > grid[0] - step:
        return int(np.searchsorted(entry.known, grid[0] - step, side="right")), high
    return int(np.searchsorted(entry.known, grid[0] - step - entry.max_age, side="right")), high


def _words(series: Series) -> str:
    times = f", times {series.times}" if series.times else ""
    gas = f", times {series.gas_units:g} gas" if series.gas_units is not None else ""
    if series.file is None:
        return f"constant {series.constant:g} {series.unit}{gas}{times}"
    scaled = f", times {series.scale:g}" if series.scale != 1.0 else ""
    bar = f" (bar {series.bar})" if series.bar else ""
    carried = f", carried at most {series.max_age}" if series.max_age else ""
    return (
        f"{series.file}, {series.title}, declared in {series.unit}{', inverted' if series.invert else ''}{scaled}{gas}{times}, "
        f"label {series.label}{bar}, resampled by {series.resample}{carried}"
    )
