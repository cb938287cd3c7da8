"""What the how-to promises: key, chain, signer and daemon by commands alone, and nothing lost by `kill -9`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.errors import StoreError
from treasury_arena.store import open_store

pytestmark = pytest.mark.no_cover

ARENA = "from treasury_arena.cli.main import run; run()"
WAIT_SECONDS = 600


@attrs.define
class Desk:
    """A folder with the terminals that a person would have open."""

    folder: Path
    house: Any
    open: dict[str, subprocess.Popen[bytes]] = attrs.field(factory=dict)

    def terminal(self, name: str, *words: str) -> None:
        with open(self.folder / f"{name}.said", "ab") as said:
            self.open[name] = subprocess.Popen(
                [sys.executable, "-c", ARENA, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.said").read_text()

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.open.pop(name)
        os.kill(process.pid, number)
        return process.wait(300)

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        for _ in range(WAIT_SECONDS * 5):
            for name, process in self.open.items():
                assert process.poll() is None, f"{name}: {self.said(name)}"
            if holds():
                return
            time.sleep(0.2)
        raise AssertionError(f"{what} never came: { {name: self.said(name) for name in self.open} }")

    def settled(self) -> int:
        try:
            with open_store(self.folder / "runs/local-daemon/live.db", create=False, readonly=True) as store:
                return sum(event.payload.status == "SETTLED" for event in store.read(event_type="IntentEnded"))
        except StoreError:  # not there yet, or being made
            return 0


@pytest.fixture
def desk(tmp_path: Path, house: Any, anvil_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    found = Desk(tmp_path, house)
    yield found
    for name in list(found.open):
        found.end(name, signal.SIGKILL if name != "chain" else signal.SIGTERM)


def test_from_nothing_to_a_daemon_on_a_chain_by_commands_alone(desk: Desk, house: Any, anvil_path: Path) -> None:
    (desk.folder / "passphrase").write_text("only for rehearsal\n")
    (desk.folder / "passphrase").chmod(0o600)
    house.arena("keys", "create", "--mode", "local", "--folder", "keys", "--passphrase", "file:passphrase").ok()
    (key,) = (desk.folder / "keys").glob("0x*.json")
    address = "0x" + json.loads(key.read_text())["address"].removeprefix("0x")
    words = ("--address", address, "--passphrase", "file:passphrase", "--port", "0", "--anvil", str(anvil_path))
    desk.terminal("chain", "chain", "local", *words)
    desk.until("the chain", lambda: "Ctrl-C stops it" in desk.said("chain"))
    desk.terminal("signer", "keys", "serve", "chain/signer.toml")
    desk.until("the signer", lambda: "ready: 0x" in desk.said("signer"))
    desk.terminal("daemon", "daemon", "chain/arena.toml")
    desk.until("a settled order", lambda: desk.settled() > 0)
    desk.end("daemon", signal.SIGKILL)
    desk.end("signer", signal.SIGKILL)
    before = desk.settled()
    desk.terminal("signer", "keys", "serve", "chain/signer.toml")
    desk.until("the signer", lambda: desk.said("signer").count("ready: 0x") == 2)
    desk.terminal("daemon", "daemon", "chain/arena.toml")
    desk.until("orders after the kill", lambda: desk.settled() >= before + 3)
    assert desk.end("daemon") == 0, desk.said("daemon")
    listed = house.arena("orders", "runs/local-daemon", "--all", "--json").ok().json["orders"]
    assert sum(order["state"] == "SETTLED" for order in listed) >= before + 3
    assert house.arena("check", "runs/local-daemon", "--json").ok().json["differences"] == []
    assert desk.end("signer") == 0
    assert desk.end("chain") == 0
    again = ("--folder", "chain", "--anvil", str(anvil_path))
    desk.terminal("chain", "chain", "local", *again)  # kept: the same books fit the chain that was started again
    desk.until("the chain again", lambda: desk.said("chain").count("Ctrl-C stops it") == 2)
    assert house.arena("check", "runs/local-daemon", "--json").ok().json["differences"] == []
