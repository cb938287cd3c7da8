"""Whatever is wrong with the input: one clear sentence, exit code 2, no traceback, nothing lost; `resume` once it is right."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from treasury_arena.store import open_store

FIRST = datetime(2023, 12, 20, tzinfo=UTC)
HOURS = 24 * 23
BAD_ROW = 24 * 14 + 5  # inside the run
TRAINING_ROW = 24 * 8 + 5  # inside the training window before it


def assert_told(done: Any, *needles: str) -> None:
    """Exit code 2, and one sentence that holds every needle."""
    assert done.code == 2, f"exit code {done.code}: {done.out}{done.err}"
    assert "Traceback" not in done.err
    sentences = [line for line in done.err.splitlines() if line.startswith("arena: ")]
    assert len(sentences) == 1, done.err
    for needle in needles:
        assert needle in done.err, done.err


# -- market data


def hours() -> list[datetime]:
    return [FIRST + timedelta(hours=hour) for hour in range(HOURS)]


def lines() -> list[str]:
    """A good file, line by line: header, then hourly rows."""
    rows = [
        f"{when.isoformat()},{2000 + 3 * (hour % 50)},{40000 - 20 * (hour % 30)},{0.03 + 0.0001 * (hour % 7)}"
        for hour, when in enumerate(hours())
    ]
    return ["timestamp,eth,btc,rate", *rows]


def series(column: str, value: str, unit: str, file: str) -> dict[str, Any]:
    return {"column": column, "file": file, "value": value, "unit": unit, "label": "known"}


def history(file: str = "market.csv") -> dict[str, Any]:
    """Changes that make the small configuration a short run on a file."""
    return {
        "start": "2024-01-01",
        "end": "2024-01-09",
        "population": {"agents": 2, "training_days": 7, "warmup_days": 3, "birth_cycles": 1},
        "evolution": {"population": 4, "generations": 1, "elites": 1},
        "strategies.enabled": ["trend"],
        "source": {
            "name": "history",
            "history": {
                "series": [
                    series("WETH.price", "eth", "usd", file),
                    series("WBTC.price", "btc", "usd", file),
                    series("USDC.lending_rate", "rate", "apr", file),
                    {"column": "gas.usd", "constant": 0.05, "unit": "usd"},
                ]
            },
        },
    }


def changed(text: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    return lambda path: path.write_text("\n".join(text(lines())) + "\n") and None


def row(change: Callable[[list[str]], list[str]], at: int = BAD_ROW) -> Callable[[Path], None]:
    """Change the cells of one row."""

    def apply(all_lines: list[str]) -> list[str]:
        all_lines[at] = ",".join(change(all_lines[at].split(",")))
        return all_lines

    return changed(apply)


def cell(index: int, value: str, at: int = BAD_ROW) -> Callable[[Path], None]:
    return row(lambda cells: [*cells[:index], value, *cells[index + 1 :]], at)


def instead(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Put something else where the file is."""

    def apply(path: Path) -> None:
        path.unlink()
        make(path)

    return apply


LINE = f"{BAD_ROW + 1}"
DATA_FAULTS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "nan": (cell(1, "nan"), ("market.csv", "eth", LINE)),
    "empty cell": (cell(1, ""), ("market.csv", "eth", LINE)),
    "infinite": (cell(2, "inf"), ("market.csv", "btc", LINE)),
    "text": (cell(1, "much"), ("market.csv", "eth", "much")),
    "negative price": (cell(2, "-40000"), ("market.csv", "btc", "-40000", LINE)),
    "zero price": (cell(1, "0"), ("market.csv", "eth", LINE)),
    "impossible rate": (cell(3, "900"), ("market.csv", "rate", LINE)),
    "gap": (changed(lambda all_: all_[:BAD_ROW] + all_[BAD_ROW + 10 :]), ("market.csv", "2024-01-03")),
    "duplicate": (changed(lambda all_: [*all_[: BAD_ROW + 1], *all_[BAD_ROW:]]), ("market.csv", "2024-01-03")),
    "unsorted": (
        changed(lambda all_: [*all_[:BAD_ROW], all_[BAD_ROW + 1], all_[BAD_ROW], *all_[BAD_ROW + 2 :]]),
        ("market.csv", "2024-01-03"),
    ),
    "wrong time zone": (
        changed(lambda all_: [line.replace("+00:00", "+02:00") for line in all_]),
        ("market.csv", "timestamp", "+02:00", "UTC"),
    ),
    "no time zone": (
        changed(lambda all_: [line.replace("+00:00", "") for line in all_]),
        ("market.csv", "timestamp", "naive_utc"),
    ),
    "impossible jump": (
        cell(1, "300000"),
        ("market.csv: column 'eth' takes 'WETH.price'", f"to 300000 at line {LINE} (2024-01-03 0", "100 times"),
    ),
    "impossible fall": (
        cell(2, "300"),
        ("column 'btc' takes 'WBTC.price'", f"to 300 at line {LINE} (2024-01-03 0", "100 times"),
    ),
    "impossible jump in the training window": (
        cell(1, "300000", at=TRAINING_ROW),
        ("'WETH.price'", f"to 300000 at line {TRAINING_ROW + 1} (2023-12-28 0"),
    ),
    "negative price in the training window": (
        cell(2, "-40000", at=TRAINING_ROW),
        ("market.csv", "btc", "-40000", f"{TRAINING_ROW + 1}"),
    ),
    "gap in the training window": (
        changed(lambda all_: all_[:TRAINING_ROW] + all_[TRAINING_ROW + 10 :]),
        ("market.csv", "2023-12-28"),
    ),
    "starts too late": (changed(lambda all_: [all_[0], *all_[24 * 10 :]]), ("market.csv", "2023-12")),
    "ends too early": (changed(lambda all_: all_[: 24 * 15]), ("market.csv", "2024-01")),
    "empty file": (lambda path: path.write_text("") and None, ("market.csv", "empty")),
    "no rows": (changed(lambda all_: all_[:1]), ("market.csv", "no rows")),
    "unknown column": (
        changed(lambda all_: ["timestamp,ethh,btc,rate", *all_[1:]]),
        ("market.csv", "'eth'", "did you mean 'ethh'?"),
    ),
    "no header": (changed(lambda all_: all_[1:]), ("market.csv",)),
    "not text": (lambda path: path.write_bytes(b"\x00\xff\xfe" * 500) and None, ("market.csv",)),
    "a folder": (instead(lambda path: path.mkdir()), ("market.csv is a folder",)),
    "a pipe": (instead(os.mkfifo), ("market.csv is no regular file",)),
    "a link to nothing": (
        instead(lambda path: path.symlink_to("/nowhere/x.csv")),
        ("market.csv is a link to /nowhere/x.csv, which leads to no file",),
    ),
    "nothing but NUL": (lambda path: path.write_bytes(bytes(1000)) and None, ("market.csv is no text: byte 1 is NUL",)),
    "missing file": (lambda path: path.unlink(), ("market.csv", "is not in the data folder")),
}


@pytest.fixture(scope="module")
def market(house: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A configuration, a good data folder, and the digest of the run on it."""
    folder = tmp_path_factory.mktemp("market")
    data = folder / "data"
    data.mkdir()
    (data / "market.csv").write_text("\n".join(lines()) + "\n")
    config = house.write(folder / "history.toml", history())
    done = house.arena("run", config, "--data", data, "--out", folder / "run", "--json", "--quiet").ok()
    return config, data, done.json["digest"]


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_data_faults(house: Any, market: tuple[Path, Path, str], tmp_path: Path, fault: str) -> None:
    config, good, digest = market
    data = Path(shutil.copytree(good, tmp_path / "data"))
    spoil, needles = DATA_FAULTS[fault]
    path = data / "market.csv"
    spoil(path)
    out = tmp_path / "run"
    assert_told(house.arena("run", config, "--data", data, "--out", out, "--quiet"), *needles)
    assert not out.exists(), "a run whose data are not good must leave nothing behind"
    if path.is_dir():
        path.rmdir()
    elif not path.is_file():
        path.unlink(missing_ok=True)
    shutil.copy(good / "market.csv", data / "market.csv")
    again = house.arena("run", config, "--data", data, "--out", out, "--json", "--quiet").ok()
    assert again.json["digest"] == digest


def test_the_check_of_data_and_the_run_refuse_the_same_start_and_name_the_earliest(
    house: Any, market: tuple[Path, Path, str], tmp_path: Path
) -> None:
    """The file begins on 2023-12-20; a run reads 7 days of training and 3 of warm-up before its start."""
    data = market[1]
    late = house.write(tmp_path / "late.toml", {**history(), "start": "2023-12-29"})
    sentence = "a run reads 10 days before its start (training and warm-up), so with these data the earliest start is 2023-12-30"
    assert_told(house.arena("run", late, "--data", data, "--out", tmp_path / "run", "--quiet"), sentence)
    checked = house.arena("data", "check", late, "--data", data)
    assert checked.code == 1
    assert sentence in checked.out
    good = house.write(tmp_path / "good.toml", {**history(), "start": "2023-12-30"})
    usable = house.arena("data", "check", good, "--data", data).ok().out
    assert "2023-12-20 00:00 UTC to 2024-01-10 00:00 UTC" in usable
    assert usable.endswith("\nusable\n")
    assert "note: " not in usable
    house.arena("run", good, "--data", data, "--out", tmp_path / "run", "--quiet").ok()


@pytest.mark.parametrize("fault", ["impossible jump", "impossible fall", "impossible jump in the training window"])
def test_a_check_of_the_data_says_what_a_run_would(
    house: Any, market: tuple[Path, Path, str], tmp_path: Path, fault: str
) -> None:
    config, good, _ = market
    data = Path(shutil.copytree(good, tmp_path / "data"))
    house.arena("data", "check", config, "--data", data).ok()
    spoil, needles = DATA_FAULTS[fault]
    spoil(data / "market.csv")
    done = house.arena("data", "check", config, "--data", data, "--json")
    assert done.code == 1
    assert all(needle in done.json["frame"]["error"] for needle in needles)


def test_a_truncated_parquet_file(house: Any, market: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, good, _ = market
    data = tmp_path / "data"
    data.mkdir()
    path = data / "market.parquet"
    table = pa_csv.read_csv(good / "market.csv")
    stamps = pa.array([when.replace(tzinfo=None) for when in hours()], pa.timestamp("us")).cast(
        pa.timestamp("us", "UTC")
    )
    pq.write_table(table.set_column(0, "timestamp", stamps), path)
    whole = path.read_bytes()
    config = house.write(tmp_path / "parquet.toml", history("market.parquet"))
    out = tmp_path / "run"
    path.write_bytes(whole[: len(whole) // 2])
    assert_told(house.arena("run", config, "--data", data, "--out", out), "market.parquet", "truncated or damaged")
    path.write_bytes(whole)
    again = house.arena("run", config, "--data", data, "--out", out, "--json", "--quiet").ok()
    assert again.json["counts"]["births"] > 0


def test_data_that_change_under_a_run_are_refused_and_nothing_is_lost(
    house: Any, market: tuple[Path, Path, str], tmp_path: Path
) -> None:
    config, good, digest = market
    data = Path(shutil.copytree(good, tmp_path / "data"))
    out = tmp_path / "run"
    house.arena("run", config, "--data", data, "--out", out, "--json", "--quiet").ok()
    cell(1, "2500")(data / "market.csv")
    assert_told(house.arena("resume", out), "other market data", "--data")
    assert house.arena("status", out, "--json").json["digest"] == digest
    done = house.arena("resume", out, "--data", good, "--json", "--quiet").ok()
    assert done.json["digest"] == digest


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [([], "--data"), (["--data", "nowhere"], "nowhere")],
)
def test_a_missing_data_folder(
    house: Any, market: tuple[Path, Path, str], tmp_path: Path, arguments: list[str], needle: str
) -> None:
    assert_told(house.arena("run", market[0], *arguments, "--out", tmp_path / "run"), needle)


# -- configuration

CONFIG_FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown key": ({"population.agnets": 5}, ("population.agnets", "did you mean 'agents'?")),
    "unknown table": ({"poplation": {"agents": 5}}, ("poplation", "population")),
    "wrong type": ({"population.agents": "many"}, ("population.agents", "many")),
    "bool for a number": ({"population.agents": True}, ("population.agents",)),
    "fraction for a whole number": ({"population.agents": 2.5}, ("population.agents", "2.5")),
    "negative": ({"population.agents": -3}, ("population.agents", "-3")),
    "not finite": ({"rules.coin_cap": float("nan")}, ("rules.coin_cap", "NaN")),
    "infinite": ({"evolution.crossover_rate": float("inf")}, ("evolution.crossover_rate", "inf")),
    "impossible date": ({"start": "2024-02-30"}, ("start", "2024-02-30")),
    "no date": ({"start": None}, ("start",)),
    "start long ago": ({"start": "1970-12-31"}, ("start", "is 1970-12-31; expected a day of the years 1971 to 9000")),
    "end in a far future": ({"end": "9001-01-01"}, ("end", "is 9001-01-01; expected a day of the years 1971 to 9000")),
    "end of all days": ({"end": "9999-12-31"}, ("end", "is 9999-12-31; expected a day of the years 1971 to 9000")),
    "end before start": ({"end": "2023-06-01"}, ("end", "2023-06-01", "2024-01-01")),
    "capital that does not add up": ({"capital.total": 400000}, ("capital", "373261", "400000", "26739")),
    "slots beyond the pool": ({"capital.proving_slot": 2000}, ("capital", "proving_slot", "20000")),
    "unknown strategy": ({"strategies.enabled": ["trent"]}, ("trent", "did you mean 'trend'?")),
    "unknown model": ({"markets.eth.model": "simulation.spott"}, ("markets.eth.model", "simulation.spot")),
    "unknown asset": ({"markets.eth.asset": "WETTH"}, ("markets.eth.asset", "WETH")),
    "unknown profile": ({"profile": "balancd"}, ("profile", "balanced")),
    "unknown source": ({"source": {"name": "simulatd"}}, ("simulatd", "simulated")),
    "unknown operator": ({"evolution.mutation": {"name": "gausian"}}, ("gausian", "gaussian")),
    "unknown fitness": ({"fitness.search": [{"name": "sharp"}]}, ("sharp",)),
    "missing market": ({"markets.btc": None}, ("btc",)),
    "unknown column": (
        {"markets.eth.columns": {"price": "WETTH.price", "gas": "gas.usd"}},
        ("markets.eth.columns.price", "no column 'WETTH.price'; did you mean 'WETH.price'?"),
    ),
    "elites too many": ({"evolution.elites": 10}, ("elites", "10")),
    "dates before the data": ({"start": "2019-01-01"}, ("2023-01-01",)),
    "idle market of nobody": ({"capital.idle_market": "usdc_lendin"}, ("usdc_lendin", "usdc_lending")),
    "a name that is a path": (
        {"name": "../../evil"},
        ("name: is '../../evil'", "expected letters, digits, spaces and - _ ."),
    ),
    "a folder in the name": ({"name": "a/b"}, ("name: is 'a/b'",)),
    "two lines for a name": ({"name": "a\nb"}, ("name: is 'a\\nb'",)),
    "no character in the name": ({"name": "a\0b"}, ("name: is 'a\\x00b'",)),
    "a hidden name": ({"name": ".a"}, ("name: is '.a'", "begins with a dot")),
    "a long name": ({"name": "x" * 65}, ("name", "at most 64")),
    "a training window of ages": ({"population.training_days": 1_000_000}, ("population.training_days", "<= 3660")),
    "a warm-up of ages": ({"population.warmup_days": 10**12}, ("population.warmup_days", "<= 3660")),
    "cycles of ages": ({"population.cycle_days": 10**6}, ("population.cycle_days", "<= 3660")),
    "too many agents": ({"population.agents": 10_001}, ("population.agents", "<= 10000")),
    "too many genomes": ({"evolution.population": 100_000_000}, ("evolution.population", "<= 100000")),
    "too many generations": ({"evolution.generations": 10_001}, ("evolution.generations", "<= 10000")),
    "a run of millennia": (
        {"end": "8999-12-31"},
        ("is 8999-12-31; expected a day within a century of start, 2024-01-01",),
    ),
    "a rate for a price": (
        {"markets.eth.columns": {"price": "USDC.lending_rate", "gas": "gas.usd"}},
        ("markets.eth.columns.price", "'USDC.lending_rate' is no price", "ASSET.price"),
    ),
    "a price for gas": (
        {"markets.eth.columns": {"price": "WETH.price", "gas": "WETH.price"}},
        ("markets.eth.columns.gas", "'WETH.price' is no gas"),
    ),
    "a coin at par": (
        {"markets.usdc_lending.asset": "WETH", "capital.idle_market": "none"},
        ("'usdc_lending'", "WETH one for one as USDC", "stablecoin"),
    ),
    "a fee beyond everything": ({"markets.eth.params": {"fee": 2}}, ("params.fee = 2", "expected less than 1")),
    "a series with a mistyped key": (
        {
            "source": {
                "name": "history",
                "history": {"series": [{"colum": "WETH.price", "constant": 1.0, "unit": "usd"}]},
            }
        },
        ("source.history.series[0].colum", "did you mean 'column'?"),
    ),
    "a mistyped list of series": (
        {
            "source": {
                "name": "history",
                "history": {"serie": [{"column": "WETH.price", "constant": 1.0, "unit": "usd"}]},
            }
        },
        ("source.history.serie", "did you mean 'series'?"),
    ),
    "a series that is none": (
        {"source": {"name": "history", "history": {"series": [7]}}},
        ("source.history.series[0]",),
    ),
    "tiers that do not sum to one": ({"rules.tier_elite_share": 0.9}, ("tier", "sum")),
}


@pytest.mark.parametrize("fault", CONFIG_FAULTS)
def test_configuration_faults(house: Any, tmp_path: Path, fault: str) -> None:
    changes, needles = CONFIG_FAULTS[fault]
    config = house.write(tmp_path / "bad.toml", changes)
    done = house.arena("run", config, "--out", tmp_path / "run", "--json")
    assert_told(done, *needles)
    assert done.json["exit_code"] == 2
    assert done.json["error"] in done.err
    if (tmp_path / "run" / "arena.db").exists():
        with open_store(tmp_path / "run" / "arena.db", readonly=True) as store:
            assert store.last()[0] == 0


def test_every_mistake_is_told_at_once_with_its_line(house: Any, tmp_path: Path) -> None:
    config = house.write(
        tmp_path / "bad.toml", {"population.agnets": 5, "seed": -1, "profile": "x", "start": "2024-13-01"}
    )
    done = house.arena("config", "check", config)
    assert done.code == 2
    for path in ("population.agnets", "seed", "profile", "start"):
        assert path in done.err, done.err
    line = next(n for n, text in enumerate(config.read_text().splitlines(), 1) if "agnets" in text)
    assert f"bad.toml:{line}" in done.err


@pytest.mark.parametrize(
    ("content", "needle"),
    [(b"name = ", "bad.toml:1:8"), (b"a = 1\na = 2\n", "a"), (b"\xff\xfe\x00", "bad.toml"), (b"", "start")],
    ids=["syntax", "twice", "not text", "empty"],
)
def test_files_that_are_no_configuration(house: Any, tmp_path: Path, content: bytes, needle: str) -> None:
    config = tmp_path / "bad.toml"
    config.write_bytes(content)
    assert_told(house.arena("run", config, "--out", tmp_path / "run"), "bad.toml", needle)
    assert not (tmp_path / "run").exists()


def test_a_configuration_that_is_not_there_or_a_folder(house: Any, tmp_path: Path) -> None:
    assert_told(house.arena("run", tmp_path / "none.toml"), "none.toml")
    assert_told(house.arena("run", tmp_path), str(tmp_path))


def test_a_mistyped_configuration_is_told_with_the_nearest_name_by_every_command(house: Any, tmp_path: Path) -> None:
    house.write(tmp_path / "small.toml")
    for words in (["run"], ["backtest"], ["evolve"], ["config", "check"]):
        told = house.arena(*words, tmp_path / "smal.toml")
        assert_told(told, "smal.toml: there is no such file; did you mean 'small.toml'?")
        assert "Errno" not in told.err
        assert_told(house.arena(*words, tmp_path), f"{tmp_path}: is a folder; expected a file (known: small.toml)")


def test_a_delay_of_ages(house: Any, market: tuple[Path, Path, str], tmp_path: Path) -> None:
    changes = history()
    changes["source"]["history"]["series"][0]["delay"] = "99999999999999999h"
    config = house.write(tmp_path / "late.toml", changes)
    done = house.arena("run", config, "--data", market[1], "--out", tmp_path / "run")
    assert_told(done, "'99999999999999999h' is too long a duration; expected at most 3660d")


def test_notes_of_a_run_that_cannot_be_read_are_not_called_missing(house: Any, copy_of_finished: Any) -> None:
    folder = copy_of_finished()
    (folder / "run.json").unlink()
    assert_told(house.arena("status", folder), "run.json is missing")
    (folder / "run.json").mkdir()
    assert_told(house.arena("status", folder), "run.json cannot be read: Is a directory")


def test_folders_that_cannot_be_written(house: Any, small_config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert_told(house.arena("run", small_config, "--out", tmp_path / "file"), "file")
    assert_told(house.arena("run", small_config, "--out", tmp_path / "file" / "below"), "below")


# -- the store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a locked store for a moment only."""
    assert open_store.__kwdefaults__ is not None
    monkeypatch.setitem(open_store.__kwdefaults__, "busy_timeout_ms", 60)


def last(folder: Path) -> tuple[int, str]:
    with open_store(folder / "arena.db", readonly=True) as store:
        return store.last()


@pytest.mark.usefixtures("impatient")
def test_a_locked_store(house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any]) -> None:
    folder = copy_of_interrupted()
    before = last(folder)
    other = sqlite3.connect(folder / "arena.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert_told(house.arena("resume", folder, "--quiet"), "arena.db", "is locked by another process")
    other.execute("ROLLBACK")
    other.close()
    assert last(folder) == before
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


def test_a_store_newer_than_the_program(house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any]) -> None:
    folder = copy_of_interrupted()
    with sqlite3.connect(folder / "arena.db") as database:
        known = database.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for command in ("resume", "status", "events", "audit", "replay", "agents"):
        assert_told(house.arena(command, folder), "schema 9999, newer than this program")
    with sqlite3.connect(folder / "arena.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (known,))
    database.close()
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


@pytest.mark.parametrize("spoil", ["a part", "everything", "empty"])
def test_a_corrupt_store(house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any], spoil: str) -> None:
    folder = copy_of_interrupted()
    path = folder / "arena.db"
    whole = path.read_bytes()
    damaged = {
        "a part": whole[:8192] + b"\xaa" * (len(whole) - 8192),
        "everything": b"not a database at all " * 1000,
        "empty": b"",
    }
    path.write_bytes(damaged[spoil])
    for command in ("status", "events") if spoil != "empty" else ("status",):
        assert_told(house.arena(command, folder), "arena.db")
    if spoil != "empty":
        assert_told(house.arena("resume", folder, "--quiet"), "arena.db")
    path.write_bytes(whole)
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


def _limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def process_with_limit(house: Any, size: int, *arguments: object) -> Any:
    # A process that may write no file cannot write its coverage either, and says so at length.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(house.command(*arguments), env=env, capture_output=True, text=True, preexec_fn=_limited(size))
    return house.done(done.returncode, done.stdout, done.stderr)


def test_a_full_disk(house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any]) -> None:
    folder = copy_of_interrupted()
    before = last(folder)
    assert_told(process_with_limit(house, 60_000, "resume", folder, "--quiet"), "arena.db", "full")
    assert last(folder) == before
    assert house.arena("audit", folder, "--json").ok().json["ok"]
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


def test_a_disk_too_full_for_the_report(house: Any, copy_of_finished: Any, finished_json: dict[str, Any]) -> None:
    folder = copy_of_finished()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".json", ".html"}}
    done = process_with_limit(house, 40_000, "resume", folder, "--quiet")
    assert_told(done, str(folder))
    for name, content in before.items():
        assert (folder / name).read_bytes() == content, f"{name} was spoiled"
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


@contextlib.contextmanager
def heeding_permissions() -> Iterator[None]:
    """Take from root, for a while, the capabilities to pass over a file's permissions; nothing to do for another user."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the interface, this thread
    held = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, low and high words
    assert libc.capget(header, held) == 0
    less = (ctypes.c_uint32 * 6)(*held)
    less[0] &= ~((1 << 1) | (1 << 2))  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, less) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that another user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="arena-readonly-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_store(house: Any, interrupted: Path, shared_folder: Path, finished_json: dict[str, Any]) -> None:
    folder = Path(shutil.copytree(interrupted, shared_folder / "run"))
    before = last(folder)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    with heeding_permissions():
        resumed = house.arena("resume", folder, "--quiet")
        stopped = house.arena("stop", folder, "--soft", "--reason", "drill", "--operator", "ann")
        looked = house.arena("status", folder, "--json")
    assert_told(resumed, "arena.db")
    assert_told(stopped, "arena.db")
    assert looked.ok().json["events"] == before[0]
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    assert last(folder) == before
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


@pytest.mark.parametrize(
    ("url", "needle"),
    [
        ("mysql://u:secret@h/d", "expected sqlite or postgresql"),
        (
            "postgresql://u:secret@127.0.0.1:1/d",
            "store postgresql://u:***@127.0.0.1:1/d cannot be reached: expected a PostgreSQL server at 127.0.0.1, port 1 "
            "(Connection refused)",
        ),
        ("postgresql:///d", "names no user; expected postgresql://USER@HOST/NAME"),
        ("postgresql://u@127.0.0.1:1/d?password=secret", "cannot be reached"),
        ("postgresql://u:secret@127.0.0.1:port/d", "cannot be read"),
        ("sqlite:////nowhere/at/all/arena.db", "does not exist"),
    ],
)
def test_database_urls(house: Any, small_config: Path, tmp_path: Path, url: str, needle: str) -> None:
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--db", url)
    assert_told(done, needle)
    for inner in ("timeout is None", "pg8000"):
        assert inner not in done.err
    assert "secret" not in done.err + done.out
