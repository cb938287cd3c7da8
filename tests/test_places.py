"""Where a run's database is: found again from every folder, never half begun, never begun twice, and stopped only where it is."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import treasury_arena.cli.daemon as commands
from treasury_arena.arena import begun
from treasury_arena.cli.folder import RunFolder
from treasury_arena.cli.progress import RunProgress
from treasury_arena.errors import ConfigError
from treasury_arena.store import EventStore, open_store

ROOT = Path(__file__).resolve().parents[1]


def told(done: Any, *needles: str) -> None:
    """Exit code 2 and one sentence that holds every needle."""
    assert done.code == 2, f"exit code {done.code}: {done.out}{done.err}"
    assert "Traceback" not in done.err
    for needle in needles:
        assert needle in done.err, done.err


def interrupt(*_: object) -> None:
    """Ctrl-C after a run's first cycle."""
    raise KeyboardInterrupt


@pytest.fixture
def short(house: Any, tmp_path: Path) -> Path:
    """Two weeks of the small run."""
    path: Path = house.write(tmp_path / "short.toml", {"end": "2024-01-14"})
    return path


# -- a daemon's orders


class OpenedError(Exception):
    """Told where orders are."""


def test_a_daemon_finds_its_orders_from_every_folder(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "examples" / "daemon.toml").read_text().replace('mode = "paper"', 'mode = "local"')
    config = tmp_path / "daemon.toml"
    config.write_text(text + '\n[live]\naddress = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"\nstore = "orders.db"\n')
    found: list[str] = []

    def opened(*arguments: Any, **_: Any) -> None:
        found.append(arguments[4])
        raise OpenedError

    monkeypatch.setattr(commands, "opened", opened)
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        house.arena("daemon", config, "--out", tmp_path / "run")
    assert found == [str(tmp_path / "here" / "orders.db")] * 2


def test_a_password_of_the_orders_database_is_refused_in_a_file(house: Any, tmp_path: Path) -> None:
    config = tmp_path / "daemon.toml"
    text = (ROOT / "examples" / "daemon.toml").read_text()
    config.write_text(text + '\n[live]\nstore = "postgresql://ann:hushhush@127.0.0.1/orders"\n')
    done = house.arena("config", "check", config)
    told(done, "live.store", "holds a plain password; expected a reference")
    assert "hushhush" not in done.out + done.err


# -- the emergency stop


@pytest.mark.parametrize("url", ["sqlite:///t/x.db", "t/x.db"])
def test_a_stop_finds_the_run_from_every_folder(
    house: Any, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Also from one that has a folder of the same name, where a relative path would lead astray."""
    for folder in ("here", "there"):
        (tmp_path / folder / "t").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(RunProgress, "__call__", interrupt)
        assert house.arena("run", short, "--db", url, "--out", run, "--quiet").code == 130
    monkeypatch.chdir(tmp_path / "there")
    done = house.arena("stop", run, "--reason", "drill", "--operator", "ann").ok()
    assert "engaged (HARD)" in done.out
    assert list((tmp_path / "there" / "t").iterdir()) == []
    assert (tmp_path / "here" / "t" / "x.db.stop").exists()
    assert house.arena("status", run, "--json").ok().json["emergency_stop"] == "HARD"
    with open_store(tmp_path / "here" / "t" / "x.db", readonly=True) as store:
        assert [event.payload.reason for event in store.read(event_type="EmergencyStopEngaged")] == ["drill"]


@pytest.mark.parametrize("soft", [(), ("--soft",)])
def test_a_stop_of_a_mistyped_database_stops_nothing_and_says_so(
    house: Any, tmp_path: Path, soft: tuple[str, ...]
) -> None:
    (tmp_path / "hist").mkdir()
    (tmp_path / "empty.db").touch()
    said = ("--reason", "typo", "--operator", "ann", *soft)
    for db, needle in (
        ("hist/aren.db", "there is no store at"),
        ("hits/arena.db", "does not exist"),
        ("hist", "is a folder"),
        ("empty.db", "there is no store at"),
    ):
        done = house.arena("stop", "--db", tmp_path / db, *said)
        told(done, "nothing is stopped: ", needle)
        assert "engaged" not in done.out + done.err
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(".stop")] == []


def test_a_stop_without_a_word_of_reason_is_a_mistake_of_usage(house: Any, finished: Path) -> None:
    for words in (["--reason", ""], ["--reason", "drill", "--operator", " "]):
        for command in ("stop", "release"):
            told(house.arena(command, finished, *words), words[-2], "is empty; say it in words")
    assert not (finished / "arena.db.stop").exists()


# -- a run's folder


@pytest.mark.parametrize("url", [None, "runs/first/own.db", "sqlite:///runs/first/below/own.db"])
def test_a_folder_moved_with_its_database_still_works(
    house: Any, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first" / "below").mkdir(parents=True)
    chosen = [] if url is None else ["--db", url]
    done = house.arena("run", short, "--out", "runs/first", "--json", "--quiet", *chosen).ok()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "runs" / "first", tmp_path / "elsewhere" / "moved")
    again = house.arena("resume", tmp_path / "elsewhere" / "moved", "--json", "--quiet").ok()
    assert again.json["digest"] == done.json["digest"]
    assert not (tmp_path / "runs" / "first").exists()


def test_a_database_elsewhere_is_noted_by_its_whole_path(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is an option or a key of the configuration; references stay references."""
    monkeypatch.chdir(tmp_path)
    config = house.write(tmp_path / "short.toml", {"end": "2024-01-09", "store": {"url": "sqlite:///key.db"}})
    house.arena("run", config, "--out", "by-key", "--quiet").ok()
    assert json.loads((tmp_path / "by-key/run.json").read_text())["db"] == f"sqlite:///{tmp_path / 'key.db'}"
    house.arena("run", config, "--db", "below/../option.db", "--out", "by-option", "--quiet").ok()
    assert json.loads((tmp_path / "by-option/run.json").read_text())["db"] == str(tmp_path / "option.db")
    monkeypatch.setenv("ARENA_DB", f"sqlite:///{tmp_path / 'secret.db'}")
    house.arena("run", config, "--db", "env:ARENA_DB", "--out", "by-reference", "--quiet").ok()
    assert json.loads((tmp_path / "by-reference/run.json").read_text())["db"] == "env:ARENA_DB"


def test_a_run_whose_database_cannot_be_opened_leaves_nothing_behind(
    house: Any, small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be read as a header" * 20)
    for db, needle in (("none/x.db", "the folder"), ("text.db", "is not a database"), (str(tmp_path), "is a folder")):
        told(house.arena("run", small_config, "--db", db, "--out", "runs/mine", "--quiet"), needle)
        assert not (tmp_path / "runs").exists()
    told(house.arena("status"), "no run found under runs/")
    short = house.write(tmp_path / "short.toml", {"end": "2024-01-09"})
    house.arena("run", short, "--out", "runs/mine", "--quiet").ok()


def test_what_lay_in_the_folder_before_a_run_that_could_not_begin_stays(
    house: Any, small_config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = Path(shutil.copy(small_config, run / "config.toml"))
    told(house.arena("run", config, "--out", run, "--db", tmp_path / "none" / "x.db"), "the folder")
    assert [path.name for path in run.iterdir()] == ["config.toml"]
    assert config.read_text() == small_config.read_text()


def test_a_database_that_holds_a_run_is_not_run_into_again(
    house: Any, small_config: Path, finished: Path, interrupted: Path, tmp_path: Path
) -> None:
    """Neither this very run, of which `resume` tells, nor one of another seed, for which another --db is wanted."""
    for folder, state in ((finished, "complete"), (interrupted, "3 cycles of it")):
        db = f"sqlite:///{shutil.copy(folder / 'arena.db', tmp_path / f'{folder.parent.name}.db')}"
        with open_store(db, readonly=True) as store:
            before = store.last()
        same = house.arena("run", small_config, "--db", db, "--out", tmp_path / "again", "--quiet")
        told(same, f"already holds this very run ({state}), so nothing was run", "`arena resume`", "another --db")
        other = house.arena("run", small_config, "--db", db, "--seed", 6, "--out", tmp_path / "again", "--quiet")
        told(other, "holds a run of another configuration", "seed 5", "seed 6", "give another --db")
        assert "--out" not in other.err
        assert not (tmp_path / "again").exists()
        with open_store(db, readonly=True) as store:
            assert store.last() == before


@pytest.mark.parametrize("seed", [5, 6], ids=["this run", "another"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_two_runs_begun_at_once_on_a_fresh_database_one_begins(
    house: Any,
    short: Path,
    tmp_path: Path,
    fresh_postgres: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    seed: int,
) -> None:
    """The other finds the database empty, then one with a run, and presents nothing of that as its own."""
    db = fresh_postgres() if kind == "postgresql" else f"sqlite:///{tmp_path / 'b.db'}"
    honest, codes = EventStore.append, []

    def late(self: EventStore, drafts: Any, **more: Any) -> Any:
        if not codes:
            codes.append(0)
            first = house.arena("run", short, "--db", db, "--out", tmp_path / "first", "--quiet", "--json").ok()
            codes.append(first.json["timings"]["agent_steps"])
        return honest(self, drafts, **more)

    monkeypatch.setattr(EventStore, "append", late)
    second = house.arena("run", short, "--db", db, "--seed", seed, "--out", tmp_path / "second", "--quiet")
    assert codes[1:] != []
    assert codes[1] > 0
    sentence = "already holds this very run (complete)" if seed == 5 else "holds a run of another configuration"
    told(second, sentence, "give another --db")
    assert not (tmp_path / "second").exists()
    house.arena("audit", tmp_path / "first", "--db", db).ok()


@pytest.mark.parametrize("look", [1, 2])
def test_a_run_that_begins_between_two_looks_of_another_is_not_taken_for_it(
    house: Any, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    db = f"sqlite:///{tmp_path / 'b.db'}"
    honest, found = begun.holds, [False]

    def late(*arguments: Any) -> bool:
        there = honest(*arguments)
        if len(found) < look + 1:
            found.append(there)
            if len(found) == look + 1:
                house.arena("run", short, "--db", db, "--out", tmp_path / "first", "--quiet").ok()
        return there

    monkeypatch.setattr(begun, "holds", late)
    second = house.arena("run", short, "--db", db, "--out", tmp_path / "second", "--quiet")
    assert found == [False] * (look + 1)
    told(second, "already holds this very run (complete)", "give another --db")
    assert not (tmp_path / "second").exists()


def test_of_two_runs_begun_at_once_in_a_folder_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, folder = Path.mkdir, RunFolder(tmp_path / "run")

    def late(self: Path, *words: Any, **more: Any) -> None:
        honest(self, *words, **more)
        monkeypatch.setattr(Path, "mkdir", honest)
        folder.begin("# the first", {"run_id": "first"})

    monkeypatch.setattr(Path, "mkdir", late)
    with pytest.raises(ConfigError, match="already holds a run"), folder.beginning("# the second", {}):
        pass
    assert folder.config.read_text() == "# the first"
    assert "first" in (folder.path / "run.json").read_text()


@pytest.mark.parametrize("whole", [0, 1])
def test_a_folder_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    honest, written = os.replace, []

    def full(source: Any, target: Any) -> None:
        written.append(target)
        if len(written) > whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        honest(source, target)

    monkeypatch.setattr(os, "replace", full)
    folder = RunFolder(tmp_path / "not" / "there" / "yet")
    with pytest.raises(ConfigError, match="No space left on device"), folder.beginning("# mine", {}):
        pass
    assert len(written) == whole + 1
    assert list(tmp_path.iterdir()) == []


def test_a_store_left_in_the_folder_wants_another_folder(
    house: Any, small_config: Path, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(finished / "arena.db", tmp_path / "run")
    told(house.arena("run", small_config, "--out", tmp_path / "run", "--quiet"), "very run", "give another --out")
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    "words", [("run",), ("status",), ("stop", "--reason", "x"), ("resume",), ("daemon",)], ids=" ".join
)
@pytest.mark.parametrize("db", ["notaurl", "", "env:ODD_DB", "ann:s3cret@books"])
def test_a_database_that_is_neither_url_nor_path_is_refused(
    house: Any, small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], db: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ODD_DB", "s3cret")
    given = [small_config] if words[0] in ("run", "daemon") else []
    done = house.arena(words[0], *given, "--db", db, *words[1:])
    told(done, "is no database: expected a URL (postgresql://USER@HOST/NAME", "the path of a SQLite file")
    assert "s3cret" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_database_file_of_any_name_is_found_by_its_path(
    house: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished / "arena.db", tmp_path / "books")
    for db in ("books", "./books", f"sqlite:///{tmp_path / 'books'}"):
        assert house.arena("status", "--db", db, "--json").ok().json["completed"]
