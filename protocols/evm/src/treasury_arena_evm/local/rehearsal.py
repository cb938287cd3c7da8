"""An arena on a chain of its own, in the processes that a person would start: chain, signer, daemon; killed at random moments."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import attrs

from treasury_arena.clock import Stopwatch
from treasury_arena.randomness import stream
from treasury_arena.scheduling.signals import hearing
from treasury_arena_evm.errors import ToolError

START_SECONDS_MAX = 300.0
#: Until every order that was open has ended, under a soft stop.
SETTLE_SECONDS_MAX = 600.0
LOOK_SECONDS = 0.2
#: Between two looks at the open orders, each a program of its own.
ORDERS_SECONDS = 1.0
#: How long a signer lives, at least and at most.
SIGNER_SECONDS = (2.0, 20.0)
_PROGRAM = "from treasury_arena.cli.main import run; run()"


@attrs.frozen
class Proof:
    """What happened, and what was found.

    Attributes:
        chaos: the document of `arena chaos`: kills of the daemon, orders by their state, what was lost.
        signer_kills: how often the signer was killed.
        settled_seconds: how long the open orders took to end under the soft stop.
        lost: everything that differs; empty when nothing was lost, doubled or hidden.
    """

    chaos: dict[str, Any]
    signer_kills: int
    settled_seconds: float
    lost: tuple[str, ...]


class SignalledError(ToolError):
    """A signal ended a rehearsal; the exit code is that of a program which it ends."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"{number.name}: every program that was started for this has ended, nothing was proved")
        self.exit_code = 128 + number


class Asked:
    """Whether a signal asked for the end. It is only noted when it comes, and raised where nothing is half begun."""

    def __init__(self) -> None:
        self._number: signal.Signals | None = None

    def hear(self, number: signal.Signals) -> None:
        """Note it."""
        self._number = self._number or number

    def check(self) -> None:
        """Raise SignalledError, or KeyboardInterrupt after a Ctrl-C, when one came."""
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._number is not None:
            raise SignalledError(self._number)


class Programs:
    """`arena` commands in processes of their own; what each says is in a file of the folder. Use as a context manager.

    `asked` is looked at while one of them is waited for.
    """

    def __init__(self, folder: Path, asked: Asked | None = None) -> None:
        self._folder = folder
        self._asked = asked or Asked()
        self._open: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._open)):  # the chain last: it keeps its state when it is asked to end
            self.end(name)

    def said(self, name: str) -> str:
        """Everything that a program has said since it was last started."""
        return (self._folder / f"{name}.said").read_text(errors="replace")

    def start(self, name: str, words: Sequence[str], ready: str) -> None:
        """Start one, and wait until it says that it is ready. Raises ToolError with its last words when it ends before."""
        with open(self._folder / f"{name}.said", "wb") as said:
            self._open[name] = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # an interrupt in the terminal is ours to handle
            )
        watch = Stopwatch()
        while ready not in self.said(name):
            self._asked.check()
            if self._open[name].poll() is not None:
                raise ToolError(f"`arena {words[0]}` ended by itself: {_last(self.said(name))}")
            if watch.seconds() > START_SECONDS_MAX:
                raise ToolError(
                    f"`arena {words[0]}` was not ready within {START_SECONDS_MAX:g} s: {_last(self.said(name))}"
                )
            sleep(LOOK_SECONDS)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._open.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> int:
        """SIGTERM; the exit code. One that does not end is killed."""
        process = self._open.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def run(self, words: Sequence[str], *, found: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """The JSON document of a command that ends; ToolError with its last words when its exit code is another than `found`,
        or what it says is that it could not do its work.

        Interrupted meanwhile it asks the command to end, which may have programs of its own, and waits for that.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = self._told(process)
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=START_SECONDS_MAX)
            raise
        finally:
            process.kill()
            process.wait()
        if process.returncode not in found:
            raise ToolError(f"`arena {words[0]}` ended with exit code {process.returncode}: {_last(err)}")
        document: dict[str, Any] = json.loads(out)
        if "error" in document:
            raise ToolError(f"`arena {words[0]}` could not do its work: {document['error']}")
        return document

    def _told(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        while True:
            try:
                told = process.communicate(timeout=LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                self._asked.check()
            else:
                self._asked.check()
                return told


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["it said nothing"])[-1]


@contextmanager
def restless(kill: Callable[[], None], seed: int) -> Iterator[list[float]]:
    """Call `kill` at random moments in a thread of its own while the block lasts; the moments. Raises what `kill` raised."""
    draw, ended, moments, errors = stream(seed, 0, "signer"), threading.Event(), list[float](), list[Exception]()
    watch = Stopwatch()

    def work() -> None:
        while not ended.wait(float(draw.uniform(*SIGNER_SECONDS))):
            try:
                kill()
            except Exception as error:  # told when the block ends
                errors.append(error)
                return
            moments.append(watch.seconds())

    thread = threading.Thread(target=work, name="restless")
    thread.start()
    try:
        yield moments
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]


def rehearse(folder: Path, minutes: float, seed: int, anvil: Path | None, tell: Callable[[str], None]) -> Proof:
    """Kill daemon and signer for so many minutes, end what is open under a soft stop, and hold journal, ledger and chain against
    each other.

    Args:
        folder: a new one; everything is kept there.
        seed: of the moments.
        tell: hears what is being done.

    Raises ToolError when a program does not start or ends by itself; SignalledError or KeyboardInterrupt when a signal ends it,
    after all that was started has ended.
    """
    folder.mkdir(parents=True, mode=0o700)
    here = folder.absolute()
    run, keys, passphrase, arena = here / "run", here / "keys", here / "passphrase", here / "chain" / "arena.toml"
    with open(os.open(passphrase, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(f"{secrets.token_hex(16)}\n")
    reference = f"file:{passphrase}"
    asked = Asked()
    with hearing(asked.hear), Programs(here, asked) as programs:
        tell("a key, a chain and a signer")
        made = programs.run(["keys", "create", "--mode", "local", "--folder", str(keys), "--passphrase", reference])
        words = ["chain", "local", "--folder", str(here / "chain"), "--address", made["address"], "--port", "0"]
        words += ["--keystore", str(keys), "--passphrase", reference, "--stop-file", str(run / "arena.db.stop")]
        words += [] if anvil is None else ["--anvil", str(anvil.absolute())]
        programs.start("chain", words, "Ctrl-C stops it")
        signer = ["keys", "serve", str(here / "chain" / "signer.toml")]
        programs.start("signer", signer, "ready: 0x")

        def kill_signer() -> None:
            programs.kill("signer")
            programs.start("signer", signer, "ready: 0x")

        tell(f"killing daemon and signer for {minutes:g} minutes")
        chaos = ["chaos", str(arena), "--minutes", str(minutes), "--seed", str(seed), "--out", str(run)]
        with restless(kill_signer, seed) as moments:
            document = programs.run(chaos, found=(0, 1))
        tell("a soft stop: what is open comes to its end")
        programs.run(["stop", str(run), "--soft", "--reason", "chaos is over"])
        watch = Stopwatch()
        programs.start("daemon", ["daemon", str(arena), "--out", str(run)], "arena daemon in")
        open_orders = _ended(programs, run)
        settled = watch.seconds()
        lost = [*document["lost"], *map(_unended, open_orders)]
        if code := programs.end("daemon"):
            lost.append(
                f"the daemon ended with exit code {code} when it was asked to: {_last(programs.said('daemon'))}"
            )
        tell("journal, ledger and chain against each other")
        lost += programs.run(["check", str(run)], found=(0, 1))["differences"]
        return Proof(document, len(moments), settled, tuple(lost))


def _ended(programs: Programs, run: Path) -> list[dict[str, Any]]:
    """Orders that are open after waiting for their end; one that waits for a person has not ended, but is not waited for."""
    watch = Stopwatch()
    while True:
        found: list[dict[str, Any]] = programs.run(["orders", str(run)])["orders"]
        if all(one["state"] == "QUARANTINED" for one in found) or watch.seconds() > SETTLE_SECONDS_MAX:
            return found
        sleep(ORDERS_SECONDS)


def _unended(order: dict[str, Any]) -> str:
    waits = ": it waits for a person" if order["state"] == "QUARANTINED" else ""
    return f"order {order['id'][:12]} is still {order['state']}{waits}"
