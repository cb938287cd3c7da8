"""The cache: used when whole, rebuilt when damaged, safe when written at once."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena_history import source as source_module
from treasury_arena_history.cache import FrameCache, user_cache
from treasury_arena_history.config import Series

if TYPE_CHECKING:
    from .conftest import Bench

START = 1_704_067_200
WINDOW = Window(START, START + 3 * 3600)
Price = Callable[..., Series]


def frame(value: float = 1.0) -> MarketFrame:
    return MarketFrame(START, 3600, {"A.price": np.full(5, value), "B.price": np.linspace(value, value + 4, 5)})


def test_a_stored_frame_comes_back_bit_for_bit(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    cache.save("k", frame(0.1))
    back = cache.load("k")
    assert back is not None
    assert (back.start, back.step_seconds, list(back.columns)) == (START, 3600, ["A.price", "B.price"])
    for name, column in frame(0.1).columns.items():
        assert back[name].tobytes() == column.tobytes()
    assert cache.load("other") is None
    assert [path.name for path in tmp_path.iterdir()] == ["k.frame"]


@pytest.mark.parametrize("place", [0, 25, 90, 120, -1])
def test_any_flipped_byte_is_noticed(tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    cache = FrameCache(tmp_path)
    cache.save("k", frame())
    content = bytearray(cache.path("k").read_bytes())
    content[place] ^= 1
    cache.path("k").write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        assert cache.load("k") is None
    assert "damaged" in caplog.text


def test_a_short_or_foreign_file_is_noticed(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    cache.save("k", frame())
    content = cache.path("k").read_bytes()
    for size in (0, 10, len(content) - 8):
        cache.path("k").write_bytes(content[:size])
        assert cache.load("k") is None
    cache.path("other").write_bytes(content)
    assert cache.load("other") is None


def test_a_source_builds_once_and_rebuilds_a_damaged_file(
    bench: Bench, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0])
    built = []
    real = source_module.build_frame

    def counted(*given: Any) -> MarketFrame:
        built.append(1)
        return real(*given)

    monkeypatch.setattr(source_module, "build_frame", counted)
    for _ in range(3):
        assert bench.source(price()).fetch(WINDOW)["WETH.price"].tolist() == [1.0, 2.0, 3.0]
    assert len(built) == 1
    (stored,) = bench.cache.glob("*.frame")
    stored.write_bytes(stored.read_bytes()[:-1] + b"\x00")
    assert bench.source(price()).fetch(WINDOW)["WETH.price"].tolist() == [1.0, 2.0, 3.0]
    assert len(built) == 2
    bench.source(price()).fetch(WINDOW)
    assert len(built) == 2


def test_changed_contents_or_mapping_are_never_answered_from_the_cache(bench: Bench, price: Price) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0])
    assert bench.source(price()).fetch(WINDOW)["WETH.price"].tolist() == [1.0, 2.0, 3.0]
    bench.parquet("p.parquet", [1.0, 2.0, 4.0])
    assert bench.source(price()).fetch(WINDOW)["WETH.price"].tolist() == [1.0, 2.0, 4.0]
    assert bench.source(price(unit="ratio", invert=True)).fetch(WINDOW)["WETH.price"].tolist() == [1.0, 0.5, 0.25]
    assert bench.source(price()).fetch(Window(START, START + 3600)).rows == 1


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    seen: list[float] = []

    def work() -> None:
        for _ in range(20):
            cache.save("k", frame())
            loaded = cache.load("k")
            seen.append(float("nan") if loaded is None else float(loaded["B.price"].sum()))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [15.0] * 120
    assert [path.name for path in tmp_path.iterdir()] == ["k.frame"]


def test_the_cache_keeps_its_limit_and_drops_the_oldest(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, limit=2)
    for age, key in enumerate(("a", "b", "c")):
        cache.save(key, frame())
        if cache.path(key).exists():
            os.utime(cache.path(key), (1000 + age, 1000 + age))
    cache.save("d", frame())
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["c", "d"]


def test_what_a_killed_writer_left_is_removed_and_a_young_part_is_not(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    for name, age in (("old.part", 3700), ("young.part", 3500)):
        (tmp_path / name).write_bytes(b"half")
        cache.save("k", frame())
        written = cache.path("k").stat().st_mtime
        os.utime(tmp_path / name, (written - age, written - age))
    cache.save("k", frame())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.frame", "young.part"]


def test_a_folder_that_cannot_be_written_costs_only_a_warning(
    bench: Bench, price: Price, caplog: pytest.LogCaptureFixture
) -> None:
    bench.parquet("p.parquet", [1.0, 2.0, 3.0])
    bench.cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert bench.source(price()).fetch(WINDOW).rows == 3
    assert "cannot be written" in caplog.text


def test_the_user_cache_follows_the_platform_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "treasury-arena" / "history"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert user_cache() == tmp_path / "local" / "treasury-arena" / "history"
    monkeypatch.setattr("sys.platform", "darwin")
    assert user_cache().parts[-4:] == ("Library", "Caches", "treasury-arena", "history")
