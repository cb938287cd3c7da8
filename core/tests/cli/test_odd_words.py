"""What persons may type or close by mistake: each gets one sentence and exit code 2, or is what they meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from treasury_arena.cli.main import execute
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
