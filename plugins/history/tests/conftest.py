"""Small files and sources for the tests of the history plugin, and the folder of real data where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from treasury_arena_history.config import HistorySection, Series
from treasury_arena_history.source import HistorySource

HOUR = 3600
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())


@attrs.frozen
class Context:
    """What a source factory is given (the fields of the configuration layer's SourceContext that it reads)."""

    data: Path | None
    cache: Path | None
    step_seconds: int = HOUR


class Bench:
    """A data folder of its own, with helpers that write files and build sources."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.cache = folder / "cache"
        self.data.mkdir()

    def parquet(
        self, name: str, values: Any, times: Sequence[int] | None = None, zone: str | None = "UTC", **more: Any
    ) -> Path:
        """A file of hourly (or given, epoch seconds) `timestamp` and `close`, with more columns on request."""
        seconds = np.asarray(START + HOUR * np.arange(len(values)) if times is None else times, dtype=np.int64)
        stamps = pa.array(seconds * 1_000_000, pa.int64()).cast(pa.timestamp("us", zone))
        path = self.data / name
        pq.write_table(pa.table({"timestamp": stamps, "close": values, **more}), path)
        return path

    def csv(self, name: str, text: str) -> Path:
        path = self.data / name
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def source(self, *series: Series, step: int = HOUR, data: bool = True) -> HistorySource:
        section = HistorySection(series=list(series))
        return HistorySource(section, Context(self.data if data else None, self.cache, step))  # type: ignore[arg-type]


def price(**changes: Any) -> Series:
    """The plainest price series; keys replace its own."""
    keys: dict[str, Any] = {
        "column": "WETH.price",
        "file": "p.parquet",
        "value": "close",
        "unit": "usd",
        "label": "known",
        **changes,
    }
    return Series(**keys)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(name="price")
def _price() -> Callable[..., Series]:
    return price


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: $ARENA_DATA, else ../shared/data beside the repository."""
    repository = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("ARENA_DATA") or repository.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no market data: {folder} does not exist (set ARENA_DATA)")
    return folder


@pytest.fixture(scope="session")
def example() -> Path:
    return Path(__file__).resolve().parents[3] / "examples" / "history.toml"
