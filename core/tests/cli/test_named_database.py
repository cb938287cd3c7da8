"""A daemon's folder and `--db` together: the database is the arena's own, orders on a chain stay those of the folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.cli import deciding, orders
from treasury_arena.cli.folder import RunFolder
from treasury_arena.cli.main import execute
from treasury_arena.clock import WallClock
from treasury_arena.daemon.trading import stop_reader
from treasury_arena.domain.stops import HARD, OFF
from treasury_arena.store import open_store, stop


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A daemon's folder whose arena has its store elsewhere, in a database whose password is not kept."""
    folder = RunFolder(tmp_path / "run")
    notes = {"run_id": "run", "data": None, "seed": 1, "workers": None, "mode": "local", "live_inside": "live.db"}
    folder.begin("", {**notes, "db": "postgresql://ann@127.0.0.1/arena", "db_has_password": True})
    for path in (tmp_path / "arena.db", folder.path / "live.db"):
        open_store(path).close()
    return folder.path


def levels(folder: Path) -> tuple[str, str]:
    with open_store(folder.parent / "arena.db") as arena, open_store(folder / "live.db") as live:
        return stop.level(arena), stop.level(live)


def test_a_stop_and_its_release_reach_the_orders_too(folder: Path) -> None:
    named = [str(folder), "--db", str(folder.parent / "arena.db"), "--reason", "look"]
    assert execute(["stop", *named]) == 0
    assert levels(folder) == (HARD, HARD)
    assert execute(["release", *named]) == 0
    assert levels(folder) == (OFF, OFF)
    assert execute(["release", *named]) == 1


def test_a_release_that_was_interrupted_between_two_stores_can_be_finished(folder: Path) -> None:
    named = [str(folder), "--db", str(folder.parent / "arena.db"), "--reason", "look"]
    assert execute(["stop", *named]) == 0
    with open_store(folder.parent / "arena.db") as arena:
        stop.release(arena, "look", "ann", WallClock())
    assert levels(folder) == (OFF, HARD)
    assert execute(["release", *named]) == 0
    assert levels(folder) == (OFF, OFF)


class ReachedError(Exception):
    """The orders were opened."""


@pytest.mark.parametrize(
    "words",
    [
        ["quarantine", "list"],
        ["quarantine", "resolve", "sender"],
        ["correct"],
        ["flatten"],
        ["arm", "--limit", "5"],
        ["check"],
    ],
    ids=" ".join,
)
def test_what_persons_decide_opens_the_database_that_is_named(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    @contextlib.contextmanager
    def chain_trading(run: Any, out: Any, db: str | None = None, *, readonly: bool = False) -> Iterator[None]:
        asked.append((run, db))
        raise ReachedError
        yield

    for module in (deciding, orders):
        monkeypatch.setattr(module, "chain_trading", chain_trading)
    database = str(folder.parent / "arena.db")
    reason = [] if words[0] in ("arm", "check") or words[-1] == "list" else ["--reason", "look"]
    assert execute([*words, str(folder), "--db", database, *reason]) == 1
    assert asked == [(folder, database)]


def test_a_stop_of_an_arena_on_a_server_writes_the_file_that_its_signer_watches(
    folder: Path, fresh_postgres: Callable[[], str]
) -> None:
    url = fresh_postgres()
    open_store(url).close()
    named = [str(folder), "--db", url, "--reason", "look"]
    assert execute(["stop", *named]) == 0
    assert (folder / "arena.stop").exists()
    assert execute(["release", *named]) == 0
    assert not (folder / "arena.stop").exists()


def test_a_stop_needs_no_server_that_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = [str(folder), "--db", "postgresql://ann@127.0.0.1:1/arena", "--reason", "look"]
    assert execute(["stop", *named, "--soft"]) == 2
    assert not (folder / "arena.stop").exists()
    assert execute(["stop", *named]) == 0
    assert "arena.stop alone: store postgresql://ann@127.0.0.1:1/arena cannot be reached" in capsys.readouterr().out
    assert (folder / "arena.stop").exists()


SECRETS = {
    "reference": {"db": "env:NOT_SET", "db_on_server": True},
    "password": {"db": "postgresql://ann@127.0.0.1:1/arena", "db_has_password": True},
}


@pytest.mark.parametrize("noted", SECRETS.values(), ids=SECRETS)
def test_a_stop_needs_no_secret(folder: Path, noted: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    notes = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**notes, **noted}))
    named = [str(folder), "--reason", "look"]
    assert execute(["stop", *named, "--soft"]) == 2
    assert not (folder / "arena.stop").exists()
    capsys.readouterr()
    assert execute(["stop", *named]) == 0
    assert f"stopped by {folder / 'arena.stop'} alone: " in capsys.readouterr().out
    assert (folder / "arena.stop").exists()


def test_a_folder_notes_that_its_database_is_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    monkeypatch.setenv("ARENA_TEST_DB", "postgresql://ann:secret@127.0.0.1:1/arena")
    files, servers = (None, "arena.db", "sqlite:///a.db"), ("env:ARENA_TEST_DB", "postgresql://127.0.0.1/arena")
    assert [folder.where(url)["db_on_server"] for url in (*files, *servers)] == [False] * 3 + [True] * 2


def test_the_status_of_an_arena_on_a_server_sees_a_stop_that_stands_in_its_file_alone(
    folder: Path, fresh_postgres: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = fresh_postgres()
    open_store(url).close()
    stop.StopFile(folder / "arena.stop").engage("the server was down", "ann", WallClock())
    assert execute(["status", str(folder), "--db", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["emergency_stop"] == HARD
    assert execute(["release", str(folder), "--db", url, "--reason", "look"]) == 0
    with open_store(url, readonly=True) as store:
        assert [event.payload.reason for event in store.read()] == ["the server was down", "look"]


def test_the_file_of_an_arena_on_a_server_stops_every_order(folder: Path) -> None:
    with open_store("sqlite://") as arena, open_store(folder / "live.db") as live:
        level = stop_reader(live, arena, folder / "arena.stop")
        with live.database.read() as connection:
            assert level(connection) == OFF
            stop.StopFile(folder / "arena.stop").engage("look", "ann", WallClock())
            assert level(connection) == HARD
