"""Reading leaves Arrow's threads nothing of Python's to let go of: at the interpreter's end that aborts the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from treasury_arena_history.config import Series
from treasury_arena_history.reader import Reader

if TYPE_CHECKING:
    from .conftest import Bench

COUNT = """
import os, sys
from pathlib import Path
from treasury_arena_history.config import Series
from treasury_arena_history.reader import Reader
series = Series(column="WETH.price", file="p.parquet", value="close", unit="usd", label="known")
before = len(os.listdir("/proc/self/task"))
rows = Reader(Path(sys.argv[1])).rows(series)
print(len(rows), len(os.listdir("/proc/self/task")) - before)
"""


def test_a_parquet_file_is_read_in_the_threads_that_are_there(bench: Bench) -> None:
    bench.parquet("p.parquet", [float(value) for value in range(5_000)])
    done = subprocess.run([sys.executable, "-c", COUNT, bench.data], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["5000", "0"]), done.stderr


def test_what_arrow_reads_from_is_its_own(
    bench: Bench, price: Callable[..., Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, pa.BufferReader] = {}
    parquet, csv = pq.ParquetFile, pa_csv.read_csv

    def opened(source: pa.BufferReader, **keys: Any) -> Any:
        given["p.parquet"] = source
        return parquet(source, **keys)

    def read(source: pa.BufferReader, **keys: Any) -> Any:
        given["p.csv"] = source
        return csv(source, **keys)

    monkeypatch.setattr(pq, "ParquetFile", opened)
    monkeypatch.setattr(pa_csv, "read_csv", read)
    bench.parquet("p.parquet", [1.0, 2.0])
    bench.csv("p.csv", "timestamp,close\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00Z,2\n")
    reader = Reader(bench.data)
    for file in ("p.parquet", "p.csv"):
        assert reader.rows(price(file=file)).value.tolist() == [1.0, 2.0]
        content = pa.py_buffer(reader._bytes(file))
        given[file].seek(0)
        held = given[file].read_buffer()
        assert held.equals(content)
        assert held.address != content.address
