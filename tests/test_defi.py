"""`examples/defi.toml`, shortened: on made-up history with the real files' layout, and on the real files where there are any."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from treasury_arena.assembly import assemble
from treasury_arena.config.load import load_config
from treasury_arena.registry.loader import load_registry

pytestmark = pytest.mark.no_cover

HERE = Path(__file__).parent
KINDS = {"farmer", "tactical", "trend", "voltarget", "range_tvl", "looper", "harvester_tvl", "peg"}
#: Start of a file's path -> what the time of its rows means, by the README of the data.
LABELS = {"aave/": "known", "gas/": "day_open", "prices/": "open", "uniswap/uniswap_v3_ethereum_pool_day": "day_open"}
LABELS |= {"uniswap/uniswap_v3_ethereum_usdc_usdt_hourly": "open"}
KILLS = (("live", 3), ("breed", 1), ("before COMMIT", 4))

#: Seven weeks in which whoever is not a failure is funded.
WEEKS: dict[str, Any] = {
    "start": "2024-01-22",
    "end": "2024-03-04",
    "population": {"agents": 24, "training_days": 24, "birth_cycles": 1, "warmup_days": 14},
    "evolution": {"population": 16, "generations": 3},
    "rules": {
        "simulation_floored_min": "off",
        "simulation_psr_min": "off",
        "simulation_drawdown_max": "off",
        "simulation_age_days_min": 7,
        "arena_return_min": "off",
        "arena_floored_min": "off",
        "arena_drawdown_max": "off",
        "arena_age_days_min": 14,
        "arena_top_share": 1.0,
    },
}


def shortened(house: Any, path: Path, changes: dict[str, Any]) -> Path:
    """The example with some tables changed."""
    tree = tomllib.loads((house.root / "examples" / "defi.toml").read_text())
    for name, value in changes.items():
        tree[name] = {**tree.get(name, {}), **value} if isinstance(value, dict) else value
    path.write_text(house.toml(tree))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of made-up history."""
    spec = importlib.util.spec_from_file_location("made_history", HERE / "support" / "made_history.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.make(tmp_path_factory.mktemp("history"))
    return folder


@pytest.fixture(scope="module")
def config(house: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shortened(house, tmp_path_factory.mktemp("config") / "defi.toml", WEEKS)


@pytest.fixture(scope="module")
def run(house: Any, config: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the run on made-up history, on one worker."""
    folder = tmp_path_factory.mktemp("defi") / "run"
    arguments = ("run", config, "--data", made, "--out", folder, "--workers", 1, "--json", "--quiet")
    (folder.parent / "run.json").write_text(house.arena(*arguments).ok().out)
    return folder


@pytest.fixture(scope="module")
def told(run: Path) -> dict[str, Any]:
    """What that run printed."""
    document: dict[str, Any] = json.loads((run.parent / "run.json").read_text())
    return document


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "arena.db") as connection:
        return connection.execute(query).fetchall()


def settled(folder: Path) -> list[dict[str, Any]]:
    found = rows(folder, "select data from events where event_type = 'OrderSettled'")
    return [json.loads(data)["payload"] for (data,) in found]


def assert_books(house: Any, folder: Path) -> None:
    """Whole by SQL alone, the same from the events alone, and nothing but integers on any line or in any position."""
    assert house.arena("audit", folder, "--json").ok().json["ok"]
    assert house.arena("replay", folder, "--json").ok().json["differences"] == []
    amounts = [amount for (amount,) in rows(folder, "select amount from capital_ledger")]
    fills = settled(folder)
    assert amounts
    assert fills
    for fill in fills:
        amounts += [fill["notional_raw"], fill["cost_raw"], fill["cash_raw"], *fill["state"]]
    assert all(isinstance(amount, str) and str(int(amount)) == amount for amount in amounts)


def assert_gaps(result: dict[str, Any]) -> None:
    promoted = [agent for agent in result["agents"] if agent["promoted"]]
    assert promoted
    for agent in promoted:
        if agent["gap_bps"] is not None:
            assert abs(agent["gap_bps"]) < 0.1, agent["id"]
        assert (agent["gap_bps"] is None) is bool(agent["gap_unmeasured"]), agent["id"]
    assert any(agent["gap_bps"] for agent in promoted)


def test_the_example_names_every_kind_of_strategy(house: Any) -> None:
    tree = tomllib.loads((house.root / "examples" / "defi.toml").read_text())
    assert set(tree["strategies"]["enabled"]) == KINDS
    registry = load_registry()
    assert {market["model"] for market in tree["markets"].values()} <= set(registry.models)


def test_all_are_bred_and_some_of_them_funded(told: dict[str, Any]) -> None:
    born = Counter(agent["strategy"] for agent in told["agents"])
    assert set(born) == KINDS
    assert {row["strategy"] for row in told["generations"]} == KINDS
    assert told["counts"]["failures"] == 0
    assert told["counts"]["graduations_arena"] > 0
    funded = {agent["strategy"] for agent in told["agents"] if agent["promoted"]}
    assert funded == KINDS


def test_its_books_are_whole_and_integers_with_debts_among_them(house: Any, run: Path) -> None:
    assert_books(house, run)
    markets = {fill["market"] for fill in settled(run)}
    assert markets >= {"btc", "eth", "eth_range", "loop", "usdc_lending", "usdt", "vault"}
    debts = rows(run, "select account, amount from capital_ledger where account like 'agent:%:debt:%'")
    assert any(int(amount) < 0 for _, amount in debts)
    assert rows(run, "select count(*) from capital_ledger where account like 'pool:%:lent' and amount <> '0'")[0][0]


def test_gaps_are_measured_and_small(told: dict[str, Any]) -> None:
    assert_gaps(told)


def test_the_report_shows_strategies_and_gaps(run: Path, told: dict[str, Any]) -> None:
    page = (run / "report.html").read_text()
    for kind in KINDS:
        assert kind in page
    shown = [agent["gap_bps"] for agent in told["agents"] if agent["promoted"] and agent["gap_bps"]]
    assert abs(shown[0]) < 0.01
    assert "&lt;0.01" in page
    assert not {"nan", "inf"} & set(page.lower().replace("<", " ").replace(">", " ").split())


def test_two_workers_give_the_same_run(
    house: Any, config: Path, made: Path, told: dict[str, Any], tmp_path: Path
) -> None:
    arguments = ("run", config, "--data", made, "--out", tmp_path / "run", "--workers", 2, "--json", "--quiet")
    assert house.outcome(house.arena(*arguments).ok().json) == house.outcome(told)


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(
    house: Any, config: Path, made: Path, told: dict[str, Any], tmp_path: Path
) -> None:
    ways = ["--workers", "1", "--json", "--quiet"]
    jobs = [
        [
            {
                "arguments": ["run", str(config), "--data", str(made), "--out", str(tmp_path / str(i)), *ways],
                "kill": kill,
            },
            {"arguments": ["resume", str(tmp_path / str(i)), *ways], "kill": None},
        ]
        for i, kill in enumerate(KILLS)
    ]
    driver = subprocess.run(
        [sys.executable, HERE / "support" / "crasher.py"], input=json.dumps(jobs), capture_output=True, text=True
    )
    assert driver.returncode == 0, driver.stderr
    for killed, resumed in json.loads(driver.stdout):
        assert killed["code"] == -signal.SIGKILL
        assert resumed["code"] == 0, resumed["err"]
        assert house.outcome(json.loads(resumed["out"])) == house.outcome(told)


@pytest.fixture(scope="module")
def real_data(root: Path) -> Path:
    """The folder of real data: $ARENA_DATA, else ../shared/data beside the repository."""
    folder = Path(os.environ.get("ARENA_DATA") or root.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no market data: {folder} does not exist (set ARENA_DATA)")
    return folder


def test_some_weeks_of_real_history(house: Any, real_data: Path, tmp_path: Path) -> None:
    """Mainnet gas of a hundredth, so that all kinds find something to do within weeks; all else as in the example."""
    tree = tomllib.loads((house.root / "examples" / "defi.toml").read_text())
    series = tree["source"]["history"]["series"]
    (gas,) = [entry for entry in series if entry["column"] == "gas.usd"]
    gas["scale"] = 0.01
    weeks = {**WEEKS, "start": "2024-10-01", "end": "2024-11-11", "source": {"history": {"series": series}}}
    config = shortened(house, tmp_path / "defi.toml", weeks)
    done = house.arena("run", config, "--data", real_data, "--out", tmp_path / "run", "--json", "--quiet").ok()
    assert {row["strategy"] for row in done.json["generations"]} == KINDS
    assert done.json["counts"]["failures"] == 0
    assert done.json["counts"]["graduations_proving"] > 0
    assert_books(house, tmp_path / "run")
    assert_gaps(done.json)


def test_no_column_of_the_example_is_known_too_early(house: Any, real_data: Path) -> None:
    """Every column at 60 rows against the file's own rows: the newest one that was known by then, by what its time means."""
    registry = load_registry()
    settings = load_config(house.root / "examples" / "defi.toml", registry)
    assembled = assemble(settings, registry, data=real_data, workers=1)
    frame = assembled.world.frame
    assembled.close()
    rng = np.random.Generator(np.random.PCG64(7))
    chosen = sorted(rng.choice(np.arange(72, frame.rows), 60, replace=False).tolist())
    entries = [entry for entry in settings.sections["source.history"].series if entry.file]
    assert len(entries) > 18
    files = {entry.file: pd.read_parquet(real_data / entry.file) for entry in entries}
    for entry in entries:
        table = files[entry.file]
        for column, wanted in entry.where.items():
            table = table[table[column] == wanted]
        times = pd.DatetimeIndex(table["timestamp"])
        known = {
            "known": times,
            "open": times + timedelta(hours=1),
            "day_open": times.floor("D") + timedelta(days=1),
        }
        (label,) = [label for path, label in LABELS.items() if entry.file.startswith(path)]
        values = table[entry.value].to_numpy(dtype=np.float64)
        for row in chosen:
            at = int(known[label].searchsorted(pd.Timestamp(frame.time(row)), side="right")) - 1
            expected = values[at] * entry.scale
            if entry.unit == "tick":
                expected = 1.0001 ** -values[at]
            if entry.unit == "percent_apr":
                expected /= 100.0
            if entry.unit == "gwei":
                expected *= 1e-9 * entry.gas_units
            if entry.times:
                expected *= frame[entry.times][row]
            assert frame[entry.column][row] == pytest.approx(expected, rel=1e-12), (entry.column, frame.time(row))
