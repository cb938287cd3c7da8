"""What is said of a run that was interrupted can be typed as it stands; a run that is complete is shown, not run."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.cli import run as run_module
from treasury_arena.cli.progress import RunProgress
from treasury_arena.cli.resuming import resume_command


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def advice(text: str) -> list[str]:
    """The command that a sentence names, as a shell takes it apart."""
    found = re.search(r"`arena (resume [^`]*)`", text)
    assert found is not None, text
    return shlex.split(found.group(1))


@pytest.mark.parametrize("db", [None, "../books.db"])
def test_ctrl_c_names_the_run_that_it_interrupted(
    house: Any,
    small_config: Path,
    finished: Path,
    finished_json: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    db: str | None,
) -> None:
    here = tmp_path / "here"
    (here / "runs").mkdir(parents=True)
    (here / "runs" / "another").symlink_to(finished)
    monkeypatch.chdir(here)
    given = [] if db is None else ["--db", db]
    with monkeypatch.context() as patch:
        patch.setattr(RunProgress, "__call__", interrupt)
        done = house.arena("run", small_config, "--out", "../else where", *given, "--quiet")
    assert done.code == 130
    words = advice(done.err)
    assert words == ["resume", "../else where", *given]
    resumed = house.arena(*words, "--json", "--quiet").ok()
    assert resumed.json["out"] == "../else where"
    assert resumed.json["digest"] == finished_json["digest"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_names_the_run_that_it_ended(
    house: Any,
    small_config: Path,
    finished_json: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
) -> None:
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(RunProgress, "__call__", lambda *_: os.kill(os.getpid(), number))
        done = house.arena("run", small_config, "--out", tmp_path / "run", "--json")
    assert (done.code, done.json["exit_code"]) == (code, code)
    assert done.json["error"].startswith(f"{signal.Signals(number).name}; nothing is lost: `arena resume ")
    assert signal.getsignal(number) is before
    assert house.arena(*advice(done.err), "--json", "--quiet").ok().json["digest"] == finished_json["digest"]


def test_a_run_that_never_began_is_not_to_be_resumed(
    house: Any, small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "assemble", interrupt)
    done = house.arena("run", small_config, "--out", tmp_path / "run", "--json")
    assert (done.code, done.json["error"]) == (130, "interrupted")
    assert not (tmp_path / "run").exists()


def test_code_that_exits_names_the_run_that_it_ended(
    house: Any, copy_of_interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of_interrupted()
    monkeypatch.setattr(run_module, "build_result", lambda *_: sys.exit(0))
    done = house.arena("resume", folder, "--db", folder / "arena.db", "--json", "--quiet")
    assert advice(done.json["error"]) == ["resume", str(folder), "--db", str(folder / "arena.db")]


def test_a_run_whose_store_is_empty_begins_anew_and_says_so(
    house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any]
) -> None:
    folder = copy_of_interrupted()
    told = "the run's store holds no event"
    assert told not in house.arena("resume", folder, "--json", "--quiet").ok().err
    other = copy_of_interrupted()
    for name in ("arena.db", "arena.db-wal", "arena.db-shm"):
        (other / name).unlink(missing_ok=True)
    (other / "arena.db").touch()
    done = house.arena("resume", other, "--json", "--quiet").ok()
    assert done.err.count(told) == 1
    assert done.json["digest"] == finished_json["digest"]


def test_a_password_is_left_for_the_person() -> None:
    url = "postgresql://ann:s3cret@db.house:5432/arena"
    assert (
        resume_command(Path("runs/x"), url) == "arena resume runs/x --db postgresql://ann:PASSWORD@db.house:5432/arena"
    )
    assert resume_command(Path("runs/x"), "env:ARENA_DB") == "arena resume runs/x --db env:ARENA_DB"


def test_a_complete_run_is_shown_and_keeps_its_files(
    house: Any, copy_of_finished: Any, finished_json: dict[str, Any]
) -> None:
    folder = copy_of_finished()
    files = [folder / "results.json", folder / "report.html"]
    before = [path.read_bytes() for path in files]
    done = house.arena("resume", folder).ok()
    assert f"{folder} is complete already" in done.err
    assert f"Took {finished_json['timings']['seconds']:,.1f} s" in done.out
    assert finished_json["digest"] in done.out
    assert [path.read_bytes() for path in files] == before
    assert house.arena("resume", folder, "--json").ok().json["timings"] == finished_json["timings"]


@pytest.mark.parametrize("spoilt", [None, "{", "[]", '{"timings": {"seconds": "long"}}'])
def test_a_complete_run_without_its_results_has_no_speed(house: Any, copy_of_finished: Any, spoilt: str | None) -> None:
    folder = copy_of_finished()
    steps = json.loads((folder / "results.json").read_text())["timings"]["agent_steps"]
    (folder / "results.json").unlink()
    if spoilt is not None:
        (folder / "results.json").write_text(spoilt)
    done = house.arena("resume", folder).ok()
    assert f"{steps:,.0f} agent-steps, " in done.out
    assert "Took" not in done.out
    assert "a second" not in done.out
    assert set(json.loads((folder / "results.json").read_text())["timings"]) == {"agent_steps", "events"}
