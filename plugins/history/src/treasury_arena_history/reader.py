"""Reading the rows of one series out of a parquet or CSV file, as they are, or refusing in one sentence."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from treasury_arena.clock import from_epoch
from treasury_arena.errors import DataError, nearest
from treasury_arena_history.config import Series
from treasury_arena_history.units import FloatArray

IntArray = NDArray[np.int64]
NANOSECONDS = 1_000_000_000
_UTC_NAMES = frozenset({"UTC", "Etc/UTC", "Z", "+00:00", "GMT"})
_UNREADABLE = (pa.ArrowException, OSError, ValueError)
_FLAG = "is_forward_filled"
_TIME_NAMES = frozenset({"time", "timestamp", "date", "datetime", "open_time", "ts", "block_timestamp"})
#: Entries of the data folder looked at for the nearest name of a missing file.
_SEARCHED = 20_000


@attrs.frozen(eq=False)
class Rows:
    """The rows of one series in file order, values unconverted.

    Attributes:
        file: as configured. `title`: column and condition, for messages. `noun`: ``row`` (parquet, counted from 0) or
            ``line`` (CSV, the header is line 1).
        number: shape (n,), each row's number in the file.
        time: shape (n,), the row's own label, nanoseconds since 1970 UTC.
        value: shape (n,), NaN where the file has none.
        filled: shape (n,) when the file flags forward-filled rows (``is_forward_filled``), else None.
    """

    file: str
    title: str
    noun: str
    number: IntArray
    time: IntArray
    value: FloatArray
    filled: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.time)

    def part(self, low: int, high: int) -> Rows:
        """Rows `low` to `high` (exclusive)."""
        return attrs.evolve(
            self,
            number=self.number[low:high],
            time=self.time[low:high],
            value=self.value[low:high],
            filled=None if self.filled is None else self.filled[low:high],
        )

    def only(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows at which `keep` is True."""
        return attrs.evolve(
            self,
            number=self.number[keep],
            time=self.time[keep],
            value=self.value[keep],
            filled=None if self.filled is None else self.filled[keep],
        )

    def at(self, index: int) -> str:
        """Where row `index` is, for messages."""
        return f"{self.noun} {self.number[index]} ({show(int(self.time[index]))})"

    @property
    def name(self) -> str:
        return f"{self.file}: {self.title}"


def show(nanoseconds: int) -> str:
    """A time in messages: ``2024-01-01 05:00 UTC``, with seconds only where there are any."""
    when = from_epoch(nanoseconds // NANOSECONDS)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC" if when.second else "%Y-%m-%d %H:%M UTC")


class Reader:
    """Reads files below one data folder; each file's content is read and hashed once and stays in memory."""

    def __init__(self, data: Path | None) -> None:
        self._data = data
        self._content: dict[str, bytes] = {}

    def digest(self, file: str) -> str:
        """The sha256 of the file's content."""
        return hashlib.sha256(self._bytes(file)).hexdigest()

    def rows(self, series: Series) -> Rows:
        """Every row that the series selects, in file order.

        Raises DataError naming file, column and row for anything unreadable, unknown or of a wrong type.
        """
        file = str(series.file)
        is_csv = file.lower().endswith(".csv")
        content = self._bytes(file)
        if series.sha256 is not None and self.digest(file) != series.sha256:
            raise DataError(
                f"{file} has the sha256 {self.digest(file)}, but {series.column!r} was declared for {series.sha256}; "
                f"the file was changed or damaged"
            )
        table = _read_csv(file, content, series) if is_csv else _read_parquet(file, content, series)
        noun, offset = ("line", 2) if is_csv else ("row", 0)
        number = np.arange(len(table), dtype=np.int64)
        for name, wanted in series.where.items():
            mask = _matches(file, table[name], name, wanted)
            table, number = table.filter(pa.array(mask)), number[mask]
        numbers = number + offset
        time = _times(file, table[series.time], series, noun, numbers)
        value = _values(file, table[str(series.value)], series, noun, numbers)
        return Rows(file, series.title, noun, numbers, time, value, _flags(file, table))

    def folder(self) -> Path:
        """The data folder; raises DataError when none was given or it does not exist."""
        if self._data is None:
            raise DataError("the history source reads files below a data folder; give it with --data DIR")
        if not self._data.is_dir():
            raise DataError(f"the data folder {self._data} does not exist or is no folder")
        return self._data

    def _bytes(self, file: str) -> bytes:
        if file not in self._content:
            self._content[file] = _content_of(self.folder(), file)
        return self._content[file]


def _content_of(data: Path, file: str) -> bytes:
    path = data / file
    if not file.lower().endswith((".parquet", ".csv")):
        raise DataError(f"{file}: a history file is .parquet or .csv")
    if path.is_symlink() and not path.exists():
        raise DataError(f"{file} is a link to {os.readlink(path)}, which leads to no file")
    if path.exists() and not path.is_file():
        raise DataError(f"{file} is {'a folder' if path.is_dir() else 'no regular file'}, not a file that can be read")
    if not path.is_file():
        near = (
            found
            for found in islice(data.rglob("*"), _SEARCHED)
            if found.suffix in (".parquet", ".csv") and found.is_file()
        )
        known = [found.relative_to(data).as_posix() for found in near]
        raise DataError(f"{file} is not in the data folder {data}: {nearest(file, known)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{file} is empty (0 bytes)")
    return content


def _wanted(file: str, names: list[str], series: Series) -> list[str]:
    asked = [("time", series.time), ("value", str(series.value)), *(("where", name) for name in series.where)]
    for key, name in asked:
        if name not in names:
            hint = nearest(name, names)
            stop = "" if hint.endswith("?") else "."
            raise DataError(
                f"{file} has no column {name!r}, asked for by {series.column!r}: {hint}{stop} {_remedy(key, names)}"
            )
    wanted = [name for _, name in asked]
    if _FLAG in names:
        wanted.append(_FLAG)
    return list(dict.fromkeys(wanted))


def _remedy(key: str, names: list[str]) -> str:
    """Which key names the column instead, for the end of a sentence."""
    if key == "time":
        guesses = [name for name in names if name.lower() in _TIME_NAMES]
        example = f" = {json.dumps(guesses[0])}" if guesses else ""
        return f"Declare `time{example}`{'' if example else ', the column that holds the times of the rows'}"
    return "Declare `value`, the column that holds the values" if key == "value" else "Its name is a key of `where`"


def _held(content: bytes) -> pa.BufferReader:
    """The content in memory of Arrow's own.

    A thread of Arrow's that lets go of a Python object while the interpreter ends aborts the process.
    """
    stream = pa.BufferOutputStream()
    stream.write(content)
    return pa.BufferReader(stream.getvalue())


def _read_parquet(file: str, content: bytes, series: Series) -> pa.Table:
    try:
        source = pq.ParquetFile(_held(content), page_checksum_verification=True)
        names = list(source.schema_arrow.names)
    except _UNREADABLE as error:
        raise DataError(f"{file} is not a readable parquet file (truncated or damaged?): {_one_line(error)}") from error
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{file} has the column {name!r} {names.count(name)} times, expected once")
    wanted = _wanted(file, names, series)
    try:
        table = source.read(columns=wanted, use_threads=False)
        table.validate(full=True)  # Arrow itself does not look whether text is UTF-8
    except _UNREADABLE as error:
        raise DataError(f"{file}: columns {', '.join(wanted)} cannot be read: {_one_line(error)}") from error
    if not len(table):
        raise DataError(f"{file} has no rows")
    return table


def _read_csv(file: str, content: bytes, series: Series) -> pa.Table:
    try:
        text = content.split(b"\n", 1)[0].decode("utf-8-sig")
        header = next(csv.reader(io.StringIO(text)), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: line 1 is not a CSV header: {_one_line(error)}") from error
    if b"\0" in content:
        raise DataError(f"{file} is no text: byte {content.index(0) + 1} is NUL (truncated or damaged?)")
    _check_header(file, header)
    wanted = _wanted(file, header, series)
    try:
        table = pa_csv.read_csv(
            _held(content),
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
            ),
        )
    except _UNREADABLE as error:
        raise DataError(f"{file} is not a readable CSV file: {_one_line(error)}") from error
    if not len(table):
        raise DataError(f"{file} has a header and no rows")
    return table


def _check_header(file: str, header: list[str]) -> None:
    for position, name in enumerate(header, start=1):
        if not name or name != name.strip():
            raise DataError(
                f"{file}: column {position} of the header is named {name!r}; names may not be empty or padded"
            )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{file}: the header names column {twice[0]!r} more than once")
    if not header or all(_is_number(name) for name in header):
        raise DataError(f"{file}: line 1 ({', '.join(header)}) is not a header; the first line must name the columns")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _matches(file: str, column: pa.ChunkedArray, name: str, wanted: str | float | int) -> NDArray[np.bool_]:
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            mask = pc.equal(column, pa.scalar(str(wanted), kind))
        elif pa.types.is_boolean(kind):
            mask = pc.equal(column, {"true": True, "false": False}[str(wanted).lower()])
        else:
            mask = pc.equal(column.cast(pa.float64()), float(wanted))
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise DataError(f"{file}: column {name!r} holds {kind}, which cannot be compared with {wanted!r}") from error
    found = np.asarray(mask.fill_null(False), dtype=bool)
    if not found.any():
        known = [str(value) for value in pc.unique(column).to_pylist()[:1000]]
        raise DataError(f"{file} has no row where {name} = {wanted}: {nearest(str(wanted), known)}")
    return found


def _times(file: str, column: pa.ChunkedArray, series: Series, noun: str, numbers: IntArray) -> IntArray:
    """The time column as nanoseconds since 1970 UTC; only what the declared `time_format` says is accepted."""
    name, kind, wanted = series.time, column.type, series.time_format
    nulls = np.flatnonzero(np.asarray(column.is_null(), dtype=bool))
    if nulls.size:
        raise DataError(f"{file}: column {name!r} has no time at {noun} {numbers[nulls[0]]}")
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if wanted in ("s", "ms", "us", "ns"):
        if text:
            column = _cast(file, column, pa.int64(), name, noun, numbers, f"whole {wanted} since 1970")
        elif not pa.types.is_integer(kind):
            raise DataError(f"{file}: column {name!r} holds {kind}; time_format = {wanted!r} needs whole numbers")
        column = column.cast(pa.int64()).cast(pa.timestamp(wanted, "UTC"))
    elif text and wanted == "utc":
        zoned = pc.match_substring_regex(column, r"(Z|[+-]00:?00|[+]00)$")
        other = np.flatnonzero(~np.asarray(zoned, dtype=bool))
        if other.size:
            row = int(other[0])
            raise DataError(
                f"{file}: column {name!r} is {column[row].as_py()!r} at {noun} {numbers[row]}, which is not marked as UTC "
                f"(Z or +00:00); if the times are UTC, declare time_format = 'naive_utc'"
            )
        column = _cast(file, column, pa.timestamp("ns", "UTC"), name, noun, numbers, "an ISO 8601 time")
    elif text:
        column = _cast(file, column, pa.timestamp("ns"), name, noun, numbers, "an ISO 8601 time without a zone")
    else:
        _check_zone(file, name, kind, wanted)
    try:
        return np.asarray(column.cast(pa.timestamp("ns")).cast(pa.int64()), dtype=np.int64)
    except pa.ArrowException as error:
        raise DataError(f"{file}: column {name!r} holds a time out of range: {_one_line(error)}") from error


def _check_zone(file: str, name: str, kind: Any, wanted: str) -> None:
    dates = pa.types.is_date(kind)
    if not (dates or pa.types.is_timestamp(kind)):
        raise DataError(f"{file}: column {name!r} holds {kind}, expected times; for epoch numbers declare time_format")
    zone = None if dates else kind.tz
    if wanted == "utc" and zone is None:
        raise DataError(
            f"{file}: column {name!r} has times without a zone; if they are UTC, declare time_format = 'naive_utc'"
        )
    if zone is not None and zone not in _UTC_NAMES:
        raise DataError(f"{file}: column {name!r} is in the time zone {zone}, expected UTC; convert the file")


def _values(file: str, column: pa.ChunkedArray, series: Series, noun: str, numbers: IntArray) -> FloatArray:
    kind, name = column.type, str(series.value)
    if file.lower().endswith(".csv"):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        column = _cast(file, column, pa.float64(), name, noun, numbers, "a number")
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise DataError(f"{file}: column {name!r} holds {kind}, expected numbers for {series.column!r}")
    try:
        floats = column.cast(pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise DataError(f"{file}: column {name!r} cannot be read as numbers: {_one_line(error)}") from error
    return np.asarray(floats.fill_null(np.nan), dtype=np.float64)


def _flags(file: str, table: pa.Table) -> NDArray[np.bool_] | None:
    if _FLAG not in table.column_names:
        return None
    column = table[_FLAG]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.is_in(pc.utf8_lower(column.cast(pa.string())), pa.array(["true", "1"]))
    try:
        return np.asarray(column.cast(pa.bool_()).fill_null(False), dtype=bool)
    except pa.ArrowException as error:
        raise DataError(f"{file}: column {_FLAG!r} is of type {column.type}, expected true and false") from error


def _cast(
    file: str, column: pa.ChunkedArray, target: Any, name: str, noun: str, numbers: IntArray, expected: str
) -> pa.ChunkedArray:
    """Cast text, naming the first line that cannot be: a prefix fails if and only if it holds a bad entry."""
    try:
        return column.cast(target)
    except pa.ArrowException as error:
        good, bad = 0, len(column)
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                column.slice(0, middle).cast(target)
                good = middle
            except pa.ArrowException:
                bad = middle
        raise DataError(
            f"{file}: column {name!r} is {column[bad - 1].as_py()!r} at {noun} {numbers[bad - 1]}, expected {expected}"
        ) from error
