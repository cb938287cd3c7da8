"""`arena chain chaos` proves with one command, on a real node, that kills lose nothing; and would notice if they did.

ARENA_CHAOS_MINUTES makes it last longer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from treasury_arena_evm.errors import ToolError
from treasury_arena_evm.local import rehearsal
from treasury_arena_evm.local.rehearsal import Asked, Programs, restless

pytestmark = pytest.mark.no_cover

MINUTES = os.environ.get("ARENA_CHAOS_MINUTES", "0.5")


def test_nothing_is_lost_on_a_chain(house: Any, tmp_path: Path, anvil_path: Path) -> None:
    words = ("--minutes", MINUTES, "--out", tmp_path / "chaos", "--anvil", anvil_path)
    said = house.arena("chain", "chaos", *words, "--json").ok().json
    assert said["lost"] == []
    assert said["chaos"]["kills"] >= 1
    assert said["signer_kills"] >= 1
    assert said["chaos"]["decisions_compared"] > 5
    again = house.arena("chain", "chaos", *words)
    assert again.code == 2
    assert "is there already" in again.err


def test_a_program_that_fails_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 means that something was found, or that the work was not done; only the document says which."""
    failing = (
        "from treasury_arena.cli import main, orders\norders.check.callback = lambda **given: given['lost']\nmain.run()"
    )
    monkeypatch.setattr(rehearsal, "_PROGRAM", failing)
    with pytest.raises(ToolError, match="`arena check` could not do its work: failed with KeyError"):
        Programs(tmp_path).run(["check", str(tmp_path)], found=(0, 1))


def test_ended_early_no_program_of_a_program_is_left_behind(tmp_path: Path) -> None:
    example, out = Path(__file__).resolve().parents[1] / "examples" / "chaos.toml", tmp_path / "run"

    def interrupt() -> None:
        while not (out / "run.json").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    waiting = threading.Thread(target=interrupt, daemon=True)
    waiting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Programs(tmp_path).run(["chaos", str(example), "--minutes", "9", "--out", str(out)])
    finally:
        signal.signal(signal.SIGINT, before)
    left = []
    for said in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if str(out).encode() in said.read_bytes():
                left.append(said.parent.name)
    assert left == []


STANDING = """
from treasury_arena_evm.local import rehearsal
rehearsal._PROGRAM = '''import json, sys, time
if sys.argv[1:3] == ["keys", "create"]:
    print(json.dumps({"address": "0x" + "11" * 20}))
else:
    print("Ctrl-C stops it, ready: 0x, arena daemon in", flush=True)
    time.sleep(600)
'''
from treasury_arena.cli.main import run
run()
"""
"""`arena` whose `chain chaos` starts programs that only stand there, so that it has them at once."""


def named(folder: Path) -> list[str]:
    """Command lines that name the folder, without that of `chain chaos` itself."""
    found = []
    for said in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            words = said.read_bytes().decode(errors="replace")
            if f"{folder}/" in words:
                found.append(words)
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_whatever_signal_ends_it_its_programs_end_first(tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "chaos"
    words = [sys.executable, "-c", STANDING, "chain", "chaos", "--minutes", "9", "--out", str(out), "--quiet"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while len(named(out)) < 3:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.05)
            for _ in range(3):  # whoever is impatient leaves nothing behind either
                process.send_signal(number)
            _, err = process.communicate(timeout=60)
            left = named(out)
        finally:
            process.kill()
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if f"{out}/" in line.read_text():
                        os.kill(int(line.parent.name), signal.SIGKILL)
    assert left == []
    assert process.returncode == code, err
    said = "interrupted" if number == signal.SIGINT else f"{signal.Signals(number).name}: every program"
    assert f"arena: {said}" in err
    assert err.count("\n") == (2 if number == signal.SIGINT else 1)


class Scripted(Programs):
    """Programs that answer as it is written here."""

    answers: dict[str, Any]

    def __init__(self, folder: Path, asked: Asked | None = None) -> None:
        super().__init__(folder, asked)
        self.begun: list[str] = []

    def start(self, name: str, words: Any, ready: str) -> None:
        self.begun.append(name)

    def end(self, name: str) -> int:
        return self.answers["exit"]

    def said(self, name: str) -> str:
        return "last words"

    def run(self, words: Any, *, found: tuple[int, ...] = (0,)) -> dict[str, Any]:
        return {
            "keys": {"address": "0x" + "11" * 20},
            "chaos": {"kills": 3, "lost": self.answers["lost"]},
            "stop": {},
            "orders": {"orders": self.answers["orders"]},
            "check": {"differences": self.answers["differences"]},
        }[words[0]]


CALM: dict[str, Any] = {"exit": 0, "lost": [], "orders": [], "differences": []}


@pytest.mark.parametrize(
    ("answers", "lost"),
    [
        ({}, ()),
        ({"lost": ["event 3 is gone"]}, ("event 3 is gone",)),
        ({"orders": [{"id": "a" * 64, "state": "EXECUTING"}]}, (f"order {'a' * 12} is still EXECUTING",)),
        (
            {"orders": [{"id": "a" * 64, "state": "QUARANTINED"}]},
            (f"order {'a' * 12} is still QUARANTINED: it waits for a person",),
        ),
        ({"differences": ["cash: 1 instead of 2"]}, ("cash: 1 instead of 2",)),
        ({"exit": 1}, ("the daemon ended with exit code 1 when it was asked to: last words",)),
    ],
    ids=["nothing", "what chaos found", "an open order", "one that waits for a person", "a difference", "a bad end"],
)
def test_whatever_is_found_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], lost: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Scripted, "answers", {**CALM, **answers}, raising=False)
    monkeypatch.setattr(rehearsal, "Programs", Scripted)
    monkeypatch.setattr(rehearsal, "SETTLE_SECONDS_MAX", 0.0)
    proof = rehearsal.rehearse(tmp_path / "new", 0.01, 1, None, lambda text: None)
    assert proof.lost == lost
    assert (tmp_path / "new" / "passphrase").stat().st_mode & 0o777 == 0o600


def test_a_program_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        Programs(tmp_path) as programs,
        pytest.raises(ToolError, match=r"`arena nonsense` ended by itself: .*nonsense"),
    ):
        programs.start("odd", ["nonsense"], "ready")
    with pytest.raises(ToolError, match="`arena status` ended with exit code 2: "):
        Programs(tmp_path).run(["status", str(tmp_path / "nowhere")])


def test_what_kills_and_fails_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "SIGNER_SECONDS", (0.0, 0.001))
    called = threading.Event()

    def kill() -> None:
        called.set()
        raise ToolError("it did not start again")

    with pytest.raises(ToolError, match="did not start again"), restless(kill, 1) as moments:
        assert called.wait(10)
    assert moments == []
