"""`kill -9` at any moment, then `arena resume`: the run ends as if nothing had happened.

The points are enumerated from the code (every phase a cycle tells its listener of, and every step of the folder, the store
and the reports that the driver knows); more come at random. ARENA_KILLS=N asks for N random kills instead of a few.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from treasury_arena import assembly
from treasury_arena.arena.cycle import PHASES
from treasury_arena.config.load import load_config
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store

pytestmark = pytest.mark.no_cover

DRIVER = Path(__file__).parent / "support" / "crasher.py"
KILLED = -signal.SIGKILL
KILLS = int(os.environ.get("ARENA_KILLS", "4"))
CYCLES = 9
FIRST, MIDDLE, LAST = 0, 4, CYCLES - 1
#: Points that are passed once per transaction: the opening one, the first cycle's, one in the middle, the last one.
PER_TRANSACTION = ("events inserted", "before COMMIT", "after COMMIT")
#: Points before there is anything to resume: the same `run` begins again.
NOTHING_YET = ("before the folder", "configuration written")


def _driver() -> Any:
    spec = importlib.util.spec_from_file_location("crasher", DRIVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OTHER_POINTS: tuple[str, ...] = _driver().OTHER_POINTS
POINTS: list[tuple[str, int]] = [
    # On the last cycle nothing new is bred.
    *((phase, cycle) for phase in PHASES for cycle in (FIRST, MIDDLE, LAST - (phase == "breed"))),
    *((point, number) for point in PER_TRANSACTION for number in (1, 2, CYCLES // 2 + 1, CYCLES + 1)),
    *((point, 1) for point in OTHER_POINTS if point not in PER_TRANSACTION),
]
PAIRS = [(("live", 2), ("judge", 5)), (("before COMMIT", 1), ("record", 0)), (("commit", 6), ("before a report", 1))]


def crash(jobs: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Let the driver make the attempts of every job; half of the jobs in each of two processes."""
    halves = [half for half in (jobs[::2], jobs[1::2]) if half]
    drivers = [
        subprocess.Popen(
            [sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in halves
    ]
    for driver, half in zip(drivers, halves, strict=True):
        assert driver.stdin is not None
        driver.stdin.write(json.dumps(half))
        driver.stdin.close()
        driver.stdin = None
    results = []
    for driver in drivers:
        out, err = driver.communicate()
        assert driver.returncode == 0, err
        results.append(json.loads(out))
    outcomes: list[Any] = [None] * len(jobs)
    for index, result in enumerate(results):
        outcomes[index::2] = result
    return outcomes


class Commands:
    """The command lines of a job in one folder."""

    def __init__(self, config: Path, folder: Path) -> None:
        self.run = ["run", str(config), "--out", str(folder), "--workers", "1", "--json", "--quiet"]
        self.resume = ["resume", str(folder), "--workers", "1", "--json", "--quiet"]


def attempt(arguments: list[str], kill: tuple[str, float] | None = None) -> dict[str, Any]:
    return {"arguments": arguments, "kill": kill}


@pytest.fixture(scope="module")
def crashed(small_config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, list[dict[str, Any]]]:
    """Every enumerated crash and what came after it, by point or pair of points."""
    folder = tmp_path_factory.mktemp("crashes")
    jobs: dict[Any, list[dict[str, Any]]] = {}
    for index, point in enumerate(POINTS):
        commands = Commands(small_config, folder / str(index))
        jobs[point] = [attempt(commands.run, point), attempt(commands.resume)]
        if point[0] in NOTHING_YET:
            jobs[point].append(attempt(commands.run))
    for index, (first, second) in enumerate(PAIRS):
        commands = Commands(small_config, folder / f"pair{index}")
        jobs[first, second] = [
            attempt(commands.run, first),
            attempt(commands.resume, second),
            attempt(commands.resume),
        ]
    # A prepared fork takes about a second; a moment after its end finds the run complete, one before its beginning no run.
    moments = random.Random(20)
    for number in range(KILLS):
        commands = Commands(small_config, folder / f"random{number}")
        kills = [("seconds", moments.uniform(0.0, 1.2)) for _ in range(1 + number % 2)]
        jobs["random", number] = [
            attempt(commands.run, kills[0]),
            *(attempt(commands.resume, kill) for kill in kills[1:]),
            attempt(commands.run),
            attempt(commands.resume),
        ]
    return dict(zip(jobs, crash(list(jobs.values())), strict=True))


def assert_same(house: Any, outcome: dict[str, Any], expected: dict[str, Any]) -> None:
    assert outcome["code"] == 0, outcome["err"]
    assert house.outcome(json.loads(outcome["out"])) == house.outcome(expected)


def test_every_phase_is_told_and_every_told_phase_is_enumerated(small_config: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    registry = load_registry()
    assembled = assembly.assemble(load_config(small_config, registry, {}), registry)
    with open_store(tmp_path / "arena.db") as store:
        manager = assembled.manager(store, lambda phase, cycle: told.append((phase, cycle)))
        assert len(manager.schedule()) == CYCLES
        manager.run()
        manager.close()
    assembled.close()
    assert {phase for phase, _ in told} == set(PHASES)
    assert {point for point in POINTS if point[0] in PHASES} <= set(told)
    assert {point for point, _ in POINTS} == {*PHASES, *OTHER_POINTS}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}".replace(" ", "_"))
def test_a_run_killed_at_a_point_ends_as_if_it_had_not_been(
    house: Any, crashed: dict[Any, list[dict[str, Any]]], finished_json: dict[str, Any], point: tuple[str, int]
) -> None:
    killed, resumed, *again = crashed[point]
    assert killed["code"] == KILLED, f"{point} was not reached: {killed}"
    assert killed["out"] == ""
    if point[0] in NOTHING_YET:
        assert resumed["code"] == 2
        assert "is not a run's folder" in resumed["err"]
        resumed = again[0]
    assert_same(house, resumed, finished_json)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "_then_".join(point for point, _ in pair).replace(" ", "_"))
def test_two_kills_in_one_run(
    house: Any, crashed: dict[Any, list[dict[str, Any]]], finished_json: dict[str, Any], pair: Any
) -> None:
    first, second, resumed = crashed[pair]
    assert (first["code"], second["code"]) == (KILLED, KILLED)
    assert_same(house, resumed, finished_json)


def test_the_files_of_a_resumed_run_are_those_of_an_uninterrupted_one(
    house: Any, crashed: dict[Any, list[dict[str, Any]]], finished: Path
) -> None:
    document = json.loads(crashed["before a report", 1][-1]["out"])
    folder = Path(document["out"])
    for name in ("results.json", "report.html"):
        assert (folder / name).exists(), name
    resumed, whole = (json.loads((path / "results.json").read_text()) for path in (folder, finished))
    assert house.outcome(resumed) == house.outcome(whole)
    # SQLite's own companions come and go with whoever has the database open.
    found, expected = (
        {path.name for path in where.iterdir() if ".db-" not in path.name} for where in (folder, finished)
    )
    assert found == expected - {"stdout.json"}


@pytest.mark.parametrize("number", range(KILLS))
def test_kills_at_random_moments(
    house: Any, crashed: dict[Any, list[dict[str, Any]]], finished_json: dict[str, Any], number: int
) -> None:
    *_, begun, resumed = crashed["random", number]
    assert begun["code"] in (0, 2), begun["err"]
    assert_same(house, resumed, finished_json)


def test_a_real_process_killed_on_its_way(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    running = subprocess.Popen(
        house.command("run", small_config, "--out", folder, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while running.poll() is None and not _cycles_stored(folder):
        time.sleep(0.02)
    running.kill()
    running.communicate()
    assert running.returncode == KILLED
    assert house.arena("audit", folder, "--json").ok().json["ok"]
    done = house.arena("resume", folder, "--json", "--quiet").ok()
    assert house.outcome(done.json) == house.outcome(finished_json)


def _cycles_stored(folder: Path) -> bool:
    path = folder / "arena.db"
    if not path.exists():
        return False
    with open_store(path) as store:
        return store.last()[0] > 1


def test_resuming_a_finished_run_says_the_same_again(
    house: Any, copy_of_finished: Any, finished_json: dict[str, Any]
) -> None:
    folder = copy_of_finished()
    for _ in range(2):
        done = house.arena("resume", folder, "--json", "--quiet").ok()
        assert house.outcome(done.json) == house.outcome(finished_json)
        assert done.json["run_id"] == finished_json["run_id"]


def test_another_seed_is_refused(house: Any, copy_of_finished: Any) -> None:
    done = house.arena("resume", copy_of_finished(), "--seed", 9)
    assert done.code == 2
    assert "seed 5, not 9" in done.err


def test_another_configuration_is_refused(house: Any, copy_of_finished: Any, finished_json: dict[str, Any]) -> None:
    folder = copy_of_finished()
    own = (folder / "config.toml").read_text()
    house.write(folder / "config.toml", {"population.agents": 9})
    done = house.arena("resume", folder)
    assert done.code == 2
    assert "holds a run of another configuration" in done.err
    (folder / "config.toml").write_text(own)
    assert house.arena("resume", folder, "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


def test_a_begun_folder_is_not_begun_again(house: Any, finished: Path, small_config: Path) -> None:
    done = house.arena("run", small_config, "--out", finished)
    assert done.code == 2
    assert "already holds a run" in done.err
