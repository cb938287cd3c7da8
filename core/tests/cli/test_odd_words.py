"""What persons may type or close by mistake: each gets one sentence and exit code 2, or is what they meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from treasury_arena.cli.main import execute
from treasury_arena.config.keys import SECRET_MAX
from treasury_arena.config.parse import TEXT_MAX, toml_text
from treasury_arena.errors import ConfigError, StoreError
from treasury_arena.store import open_store

ARENA = "from treasury_arena.cli.main import run; run()"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert execute(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "is empty; expected a path"),
        ("bad\udcff", "is no text in this machine's encoding"),
        ("loop", "Too many levels of symbolic links"),
        ("dangling", "is a link to nowhere, which is not there"),
        ("x" * 4000, "File name too long"),
        ("nul\0", "null"),
    ],
)
def test_a_folder_that_no_program_could_use(
    name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    os.symlink("nowhere", "dangling")
    assert sentence in told(capsys, "run", "a.toml", "--out", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "loop"]


@pytest.mark.parametrize("reason", ["\udcff", " "])
def test_words_that_are_none(reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "say it in words" in told(capsys, "stop", str(tmp_path), "--reason", reason)


def test_a_configuration_without_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"has more than {TEXT_MAX} characters"):
        toml_text(Path("/dev/zero"))
    with pytest.raises(ConfigError, match=r"there is no such file$"):
        toml_text(tmp_path / "nope.toml")


def test_an_option_that_the_databases_driver_does_not_have() -> None:
    with pytest.raises(StoreError, match=r"there is no option 'timeot'; did you mean 'timeout'\?") as raised:
        open_store("postgresql://ann:secret@127.0.0.1:1/arena?timeot=1")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("timeout=soon", r"the option 'timeout' is 'soon'; expected seconds, more than 0$"),
        ("timeout=-1", r"expected seconds, more than 0$"),
        ("ssl_context=perhaps", r"expected true or false$"),
        ("timeout=1&timeout=2", r"the option 'timeout' is given more than once$"),
        ("source_address=1", r"there is no option 'source_address'; known: application_name, "),
        (
            "timeout=1&ssl_context=false&tcp_keepalive=true&application_name=a",
            r"cannot be reached: expected .* port 1 ",
        ),
        ("port=2", r"cannot be reached: expected .* port 2 "),
    ],
)
def test_options_of_a_server_are_what_its_driver_takes(query: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        open_store(f"postgresql://ann:secret@127.0.0.1:1/arena?{query}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (":memory:", "keeps nothing; expected a URL or a path"),
        ("sqlite://", "keeps nothing; expected a URL or a path"),
        ("sqlite:///:memory:", "keeps nothing; expected a URL or a path"),
        ("./bad\udcff.db", "no text in this machine's encoding"),
        ("sqlite:///nul\0.db", "no text in this machine's encoding"),
    ],
)
@pytest.mark.parametrize("words", ["run a.toml", "status", "stop --reason x"])
def test_a_database_that_keeps_nothing_or_has_no_name(
    words: str, name: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in told(capsys, *words.split(), "--db", name)


def test_a_path_longer_than_sqlite_takes(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["x" * 100] * 5)
    folder.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"its path has \d+ bytes, and SQLite takes 504$"):
        open_store(folder / "arena.db")
    short = tmp_path / "y"
    room = 504 - len(os.fsencode(short)) - 1
    parts = [room // 3, room // 3, room - 2 * (room // 3) - 2]
    longest = short.joinpath(*["z" * part for part in parts])
    assert len(os.fsencode(longest)) == 504
    longest.parent.mkdir(parents=True)
    open_store(longest).close()


def test_a_run_whose_configuration_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = {"run_id": "a", "data": None, "db": None, "seed": 1, "workers": None}
    (tmp_path / "run.json").write_text(json.dumps(notes))
    said = told(capsys, "resume", str(tmp_path))
    assert f"{tmp_path / 'config.toml'} is missing: put the configuration back that {tmp_path} was begun with" in said


def test_a_pipe_to_which_nobody_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for words in ("run", "config check"):
        assert "is a pipe, to which perhaps nobody writes" in told(capsys, *words.split(), str(tmp_path / "pipe"))


@pytest.mark.parametrize("words", ["< <(cat a.toml) /dev/stdin", "<(cat a.toml)"])
def test_a_configuration_from_a_command(words: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("nonsense = 1\n")
    command = f"{sys.executable} -c '{ARENA}' config check {words}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ":1: nonsense: unknown key" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("words", ["plugins", "plugins --json"])
def test_who_closes_an_output_wants_to_hear_nothing(words: str, closed: str) -> None:
    command = f"{sys.executable} -c '{ARENA}' {words} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_output_is_named() -> None:
    command = f"{sys.executable} -c '{ARENA}' plugins > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["arena: standard output: No space left on device"]


def test_a_secret_is_not_read_from_a_pipe_or_without_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    long = tmp_path / "long"
    long.write_text("x" * (SECRET_MAX + 1))
    for place, said in (
        (tmp_path / "pipe", "is a pipe, to which perhaps nobody writes"),
        ("/dev/zero", f"has more than {SECRET_MAX} characters; expected a secret"),
        (long, f"has more than {SECRET_MAX} characters; expected a secret"),
    ):
        for words in ("run a.toml", "status"):
            assert f"file:{place}: {place}: {said}" in told(capsys, *words.split(), "--db", f"file:{place}")


@pytest.mark.parametrize("query", ["mode=ro", "timeout=abc", "cache=shared&mode=ro"])
def test_a_sqlite_file_takes_no_options(query: str, tmp_path: Path) -> None:
    option = query.partition("=")[0]
    with pytest.raises(
        StoreError, match=f"has the option '{option}'; a SQLite file takes none, expected sqlite:///x.db"
    ):
        open_store(f"sqlite:///x.db?{query}")
