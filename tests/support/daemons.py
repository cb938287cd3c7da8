"""Paper daemons as processes of their own: started, heard, waited for until enough has happened, ended, and taken apart."""

from __future__ import annotations

import contextlib
import copy
import os
import resource
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from treasury_arena.errors import StoreError
from treasury_arena.store import audit, open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.accounting import accounted

GIB = 1 << 30
PATIENCE = 240.0
"""Seconds after which what has not happened never will; no test waits that long unless something is wrong."""


@attrs.frozen
class Ended:
    """How a daemon ended."""

    code: int
    said: str


class Daemon:
    """A daemon at work; `place`: its store, as `open_store` takes it."""

    def __init__(self, process: subprocess.Popen[str], place: Path | str) -> None:
        self.process, self.place = process, place
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self._lines.extend(iter(stream.readline, ""))

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until something has happened, as long as the daemon lives."""
        end = time.monotonic() + PATIENCE
        while not done():
            assert self.process.poll() is None, f"it ended before {what}: {self.said}"
            assert time.monotonic() < end, f"never: {what}: {self.said}"
            time.sleep(0.2)

    def hears(self, text: str) -> None:
        """Wait until the daemon has said `text`."""
        self.until(lambda: text in self.said, f"it said {text!r}")

    def works(self, slots: int = 3, failed: int = 0) -> None:
        """Wait until it has done so many more slots; or, where some are to fail, has ended so many, and so many failed."""
        before = self.counts()

        def enough() -> bool:
            counts = self.counts()
            ended, at_first = (counts.total(), before.total()) if failed else (counts["done"], before["done"])
            return ended >= at_first + slots and counts["failed"] >= before["failed"] + failed

        self.until(enough, f"{slots} slots, {failed} with an error")

    def counts(self) -> Counter[str]:
        """Slots that ended, `done` or `failed`; none while the store is not there yet."""
        with contextlib.suppress(StoreError), open_store(self.place, create=False, readonly=True) as store:
            finished = store.read(event_type="JobFinished")
            return Counter("failed" if event.payload.error else "done" for event in finished)
        return Counter()

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return Ended(code, self.said)

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Signal it, and wait for its end."""
        os.kill(self.process.pid, number)
        return self.end()


def configured(house: Any, folder: Path, **observer: Any) -> Path:
    """The small arena as a daemon's configuration: a day a second, a lease of three seconds."""
    tree = copy.deepcopy(house.small)
    tree["daemon"] = {"speed": 86_400.0, "scheduler": "plain", "lease_seconds": 3}
    if observer:
        tree["observer"] = observer
    folder.mkdir(exist_ok=True)
    path = folder / "arena.toml"
    path.write_text(house.toml(tree))
    return path


def start(
    house: Any, config: Path, out: Path, *, site: Path | None = None, gib: int = 0, db: str = "", place: str = ""
) -> Daemon:
    """A daemon in a process of its own.

    Args:
        site: folder of distributions laid beside it.
        gib: most memory that it may have.
        db, place: `--db`, and where a test finds that store, when it is not in `out`.
    """

    def limited() -> None:
        if gib:
            resource.setrlimit(resource.RLIMIT_AS, (gib * GIB, gib * GIB))

    path = {"PYTHONPATH": str(site)} if site is not None else {}
    process = subprocess.Popen(
        house.command(
            "daemon", config, "--out", out, "--seconds", PATIENCE, "--workers", "1", *(("--db", db) if db else ())
        ),
        env=os.environ | path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limited,
    )
    return Daemon(process, place or out / "arena.db")


def check(place: Path | str) -> Counter[str]:
    """Log and books are whole, and every tick is accounted for; `place`: a daemon's folder, or a database."""
    with open_store(place / "arena.db" if isinstance(place, Path) else place, create=False, readonly=True) as store:
        assert audit(store).ok
        assert replay(store).ok
        return accounted(store)
