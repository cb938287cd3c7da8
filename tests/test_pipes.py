"""Output whose reader leaves, as in `arena events | head -2`: silence, and nothing that was asked for is left undone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: More than a pipe holds, so that a command cannot have written all of it before its reader leaves.
PIPE_BYTES = 1 << 16


@pytest.fixture
def unread() -> Iterator[int]:
    """The writing end of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_a_reader_that_has_enough_after_a_line(house: Any, finished: Path) -> None:
    whole = house.process("events", finished).ok().out
    assert len(whole) > PIPE_BYTES
    command = house.command("events", finished)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        first = writer.stdout.readline()
        writer.stdout.close()
        told = writer.stderr.read()
    assert first == whole.splitlines(keepends=True)[0]
    assert (writer.returncode, told) == (1, "")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("events", "--help"),
        ("agents", "RUN"),
        ("status", "RUN", "--json"),
        ("plugins",),
        ("data", "--help"),
    ],
    ids=" ".join,
)
def test_output_that_nobody_reads_is_no_fault(house: Any, finished: Path, unread: int, words: tuple[str, ...]) -> None:
    command = house.command(*(str(finished) if word == "RUN" else word for word in words))
    done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_run_whose_table_nobody_reads_has_its_reports(
    house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any], unread: int
) -> None:
    folder = copy_of_interrupted()
    command = house.command("resume", folder, "--quiet")
    done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert {path.name for path in folder.iterdir()} >= {Path(path).name for path in finished_json["files"]}


def test_progress_that_nobody_reads_loses_nothing(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path, unread: int
) -> None:
    command = house.command("run", small_config, "--out", tmp_path / "run")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=unread, text=True, check=False)
    assert done.returncode == 1
    resumed = house.arena("resume", tmp_path / "run", "--json", "--quiet").ok()
    assert resumed.json["digest"] == finished_json["digest"]


@pytest.mark.parametrize("words", [("plugins",), ("plugins", "--json")], ids=" ".join)
def test_output_on_a_full_disk_is_told_in_a_sentence(house: Any, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(house.command(*words), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "arena: standard output: No space left on device\n")


def test_a_failure_that_nobody_can_be_told_keeps_its_code(house: Any, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(house.command("status", tmp_path / "none"), stdout=full, stderr=full, check=False)
    assert done.returncode == 2


def test_words_that_find_no_room_undo_no_work(
    house: Any, copy_of_interrupted: Any, finished_json: dict[str, Any]
) -> None:
    with open("/dev/full", "w") as full:
        command = house.command("resume", copy_of_interrupted(), "--json")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["digest"] == finished_json["digest"]


def test_a_usage_error_that_nobody_can_be_told_keeps_its_code(house: Any, unread: int) -> None:
    with open("/dev/full", "w") as full:
        for stderr in (full, unread):
            assert subprocess.run(house.command("status", "--bogus"), stderr=stderr, check=False).returncode == 2


def test_a_plugins_output_that_finds_no_room_is_told() -> None:
    """What a command prints without flushing is missed at its end."""
    code = "\n".join(
        [
            "import click",
            "from treasury_arena.cli.main import arena, run",
            "arena.add_command(click.Command('told', callback=lambda: print('words')))",
            "type(arena).get_command = lambda self, ctx, name: self.commands[name]",
            "run(['told'])",
        ]
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "arena: standard output: No space left on device\n")


@pytest.mark.parametrize("err", ["read", "closed"])
def test_a_document_is_alone_whatever_plugins_write_to_its_descriptor(err: str) -> None:
    """Not only by `print`: C code, and programs that a plugin starts, know the descriptor alone."""
    code = "\n".join(
        [
            "import os, subprocess",
            "import treasury_arena.cli.plugins as command",
            "from treasury_arena.cli.main import run",
            "honest = command.load_registry",
            "def noisy():",
            "    os.write(1, b'noise of a library\\n')",
            "    subprocess.run(['echo', 'noise of a program'], check=True)",
            "    return honest()",
            "command.load_registry = noisy",
            "run(['plugins', '--json'])",
        ]
    )
    closed = " 2>&-" if err == "closed" else ""
    command = ["sh", "-c", f'exec "$0" -c "$1"{closed}', sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plugins"]
    if err == "read":
        assert done.stderr == "noise of a library\nnoise of a program\n"


@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r", "utf-8"])
def test_an_encoding_without_a_letter_gets_a_question_mark(
    house: Any, copy_of_finished: Any, finished_json: dict[str, Any], encoding: str
) -> None:
    done = subprocess.run(
        house.command("resume", copy_of_finished()),
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    said = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert finished_json["digest"][:12] in said
    assert ("  ?\n" in said, "  \u2013\n" in said) == (
        encoding != "utf-8",
        encoding == "utf-8",
    )  # costs of a row without any
