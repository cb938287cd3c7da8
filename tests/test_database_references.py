"""Passwords of databases: never written down. References stay references, and `resume` works or says what it needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

CONTENT = {"end": "2024-01-16"}


@pytest.fixture(scope="module")
def short(house: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of three cycles."""
    return Path(house.write(tmp_path_factory.mktemp("short") / "short.toml", CONTENT))


@pytest.fixture(scope="module")
def digest(house: Any, short: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of its run in a SQLite file of its own."""
    folder = tmp_path_factory.mktemp("own") / "run"
    return str(house.arena("run", short, "--out", folder, "--json", "--quiet").ok().json["digest"])


@pytest.fixture
def url(fresh_postgres: Callable[[], str]) -> str:
    return fresh_postgres()


@pytest.fixture
def password(url: str) -> str:
    return str(sa.make_url(url).password)


def notes(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return document


def nowhere(password: str, folder: Path, *done: Any) -> None:
    """The password is in no file of the run and in nothing that was said."""
    for path in folder.rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes(), path
    for outcome in done:
        assert password not in outcome.out + outcome.err


def test_a_password_is_not_kept_and_resume_says_what_it_needs(
    house: Any, short: Path, digest: str, url: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    begun = house.arena("run", short, "--out", folder, "--db", url, "--json", "--quiet").ok()
    assert begun.json["digest"] == digest
    assert notes(folder)["db"] == url.replace(f":{password}@", "@")
    assert not (folder / "arena.db").exists()
    asked = [house.arena(command, folder) for command in ("resume", "status", "audit")]
    for done in asked:
        assert done.code == 2
        assert "wants a password, which is not kept: give --db with the URL, or a reference to it" in done.err
        assert notes(folder)["db"] in done.err
    monkeypatch.setenv("ARENA_DB", url)
    secret = tmp_path / "secret"
    secret.write_text(url + "\n")
    given = [
        house.arena("resume", folder, "--db", place, "--json", "--quiet").ok()
        for place in (url, "env:ARENA_DB", f"file:{secret}")
    ]
    assert {done.json["digest"] for done in given} == {digest}
    assert house.arena("status", folder, "--db", url, "--json").ok().json["digest"] == digest
    nowhere(password, folder, begun, *asked, *given)


def test_a_password_among_the_parameters_is_a_password_too(
    house: Any, short: Path, digest: str, url: str, password: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    other = url.replace(f":{password}@", "@") + f"?password={password}"
    begun = house.arena("run", short, "--out", folder, "--db", other, "--json", "--quiet").ok()
    assert begun.json["digest"] == digest
    assert notes(folder)["db"] == url.replace(f":{password}@", "@")
    resumed = house.arena("resume", folder)
    assert resumed.code == 2
    assert "wants a password" in resumed.err
    nowhere(password, folder, begun, resumed)


@pytest.mark.parametrize("where", ["command line", "configuration"])
@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_reference_stays_one_and_resume_follows_it(
    house: Any,
    short: Path,
    digest: str,
    url: str,
    password: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    kind: str,
) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "run"
    secret.write_text(url + "\n")
    monkeypatch.setenv("ARENA_DB", url)
    reference = {"env": "env:ARENA_DB", "file": f"file:{secret}"}[kind]
    config, options = short, ["--db", reference]
    if where == "configuration":
        config, options = house.write(tmp_path / "own.toml", {**CONTENT, "store.url": reference}), []
    begun = house.arena("run", config, "--out", folder, *options, "--json", "--quiet").ok()
    assert begun.json["digest"] == digest
    assert (notes(folder)["db"], notes(folder)["db_has_password"]) == (reference, False)
    resumed = house.arena("resume", folder, "--json", "--quiet").ok()
    assert resumed.json["digest"] == digest
    status = house.arena("status", folder, "--json").ok()
    assert status.json["digest"] == digest
    monkeypatch.delenv("ARENA_DB")
    secret.unlink()
    lost = house.arena("resume", folder)
    assert lost.code == 2
    missing = {
        "env": "env:ARENA_DB: the environment variable ARENA_DB is not set",
        "file": f"file:{secret}: the file cannot be read",
    }
    assert missing[kind] in lost.err
    nowhere(password, folder, begun, resumed, status, lost)


def test_a_database_without_a_password_is_kept_as_it_was_given(
    house: Any, short: Path, digest: str, tmp_path: Path
) -> None:
    place = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    house.arena("run", short, "--out", tmp_path / "run", "--db", place, "--json", "--quiet").ok()
    assert (notes(tmp_path / "run")["db"], notes(tmp_path / "run")["db_has_password"]) == (place, False)
    assert house.arena("resume", tmp_path / "run", "--json", "--quiet").ok().json["digest"] == digest
