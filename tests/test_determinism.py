"""The same configuration, data and seed give the same events, to the byte: on any number of workers, database, folder, day."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("workers", [1, 2])
def test_another_folder_and_any_number_of_workers_give_the_same_run(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path, workers: int
) -> None:
    folder = tmp_path / "another name"
    done = house.arena("run", small_config, "--out", folder, "--workers", workers, "--json", "--quiet").ok()
    assert house.outcome(done.json) == house.outcome(finished_json)


def test_the_run_is_worth_comparing(finished_json: dict[str, Any]) -> None:
    counts = finished_json["counts"]
    for what in ("births", "deaths", "graduations_proving", "graduations_arena", "orders"):
        assert counts[what] > 0, what


def test_postgresql_holds_the_same_events(
    house: Any,
    small_config: Path,
    finished: Path,
    finished_json: dict[str, Any],
    fresh_postgres: Callable[[], str],
    tmp_path: Path,
) -> None:
    url = fresh_postgres()
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--db", url, "--json", "--quiet").ok()
    assert house.outcome(done.json) == house.outcome(finished_json)
    assert not (tmp_path / "run" / "arena.db").exists()
    assert house.arena("events", "--db", url, "--json").json == house.arena("events", finished, "--json").json
    assert house.arena("audit", "--db", url, "--json").ok().json["ok"]


def test_another_process_with_other_surroundings_gives_the_same_run(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    surroundings = {"PYTHONHASHSEED": "12345", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "NUMBA_NUM_THREADS": "1"}
    done = house.process("run", small_config, "--out", "here", "--json", "--quiet", env=surroundings, cwd=tmp_path)
    assert house.outcome(done.ok().json) == house.outcome(finished_json)


def test_another_seed_gives_another_run(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--seed", 6, "--json", "--quiet").ok()
    assert done.json["digest"] != finished_json["digest"]
    assert done.json["seed"] == 6


def test_how_and_where_a_run_happens_is_not_in_its_digest(
    house: Any, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    """Executor, store and reporters of the configuration file are circumstances, not content."""
    changes = {
        "executor.workers": 2,
        "store.url": f"sqlite:///{tmp_path / 'elsewhere.db'}",
        "report.reporters": ["report"],
    }
    config = house.write(tmp_path / "circumstances.toml", changes)
    done = house.arena("run", config, "--out", tmp_path / "run", "--json", "--quiet").ok()
    assert done.json["digest"] == finished_json["digest"]
    assert (tmp_path / "elsewhere.db").exists()
