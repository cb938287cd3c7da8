"""A second process for the proof of a long log: it proves the books while the first folds the payloads.

Two that look at one store must see the same of it. PostgreSQL hands a transaction's snapshot on. A file of SQLite cannot, so the
first process looks whether anybody has committed between the moment before both began and the moment after; if so, nobody
helps. Nothing is relied on but that: what was ever committed, both have seen it or neither, by hand or not.

The second process never makes a store sound. It says that the books stand and what every account holds, or that they do not
stand; when it says nothing (it cannot start, dies, or takes much longer than the first), the first proves everything itself.
It ends with its input: with the proof, and with the first process, however that ends. It is told what to open through its
input, where no list of processes shows a password.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from treasury_arena.errors import StoreError
from treasury_arena.store.database import Database, parse_url
from treasury_arena.store.event_store import EventStore
from treasury_arena.store.proof import Books, Proof, books_of, proven
from treasury_arena.veiled import Veiled

EVENTS_MIN = 100_000
"""From so many events on a second process gains more than its start takes."""

START_SECONDS = 5.0
"""How long the first waits for it to start, and to begin."""

GRACE_SECONDS = 10.0
"""How much longer than twice as long as the first it may take."""

PROGRAM = "from treasury_arena.store.second import main; main()"
"""What it runs: not the caller's main module again, as multiprocessing would."""

LOOK = "SELECT 1 FROM events LIMIT 1"
"""Begins what a transaction sees."""

READY, BEGUN = b"ready\n", b"begun\n"


class UnaidedError(Exception):
    """There is no second process, or none that said anything of use."""


def proven_by_two(store: EventStore) -> Proof | None:
    """`proven`, in a transaction of its own; by two processes where the log is long and a processor is free for the other."""
    if by_two(store):
        with (
            contextlib.suppress(UnaidedError),
            _Second(store.database) as second,
            store.database.read(snapshot=True) as connection,
        ):
            second.begin(connection)
            return proven(store, connection, books=second.books)
    with store.database.read(snapshot=True) as connection:
        return proven(store, connection)


def by_two(store: EventStore) -> bool:
    """Whether a log is long enough, and a processor free, for a second process to be of use."""
    database = store.database
    if database.sqlite and database.path is None:
        return False
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processors < 2:
        return False
    with database.read() as connection:
        last = connection.exec_driver_sql("SELECT max(seq) FROM events").scalar()
    return isinstance(last, int) and last >= EVENTS_MIN


class _Second:
    """The second process, from its start to its end; whatever goes wrong with it is an UnaidedError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._began = 0.0

    def __enter__(self) -> _Second:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise UnaidedError from error
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:  # closes its pipes and waits for it
            pass

    def begin(self, connection: Connection) -> None:
        """Let both see the same from now on; `connection` is in a transaction that has read nothing yet."""
        database = self._database
        where = str(database.path) if database.path else Veiled(database.url.render_as_string(hide_password=False))
        self._tell({"file": database.path is not None, "store": where, "timeout_ms": database.busy_timeout_ms})
        self._hear(READY)
        try:
            if database.sqlite:
                with database.watched() as unchanged:
                    connection.exec_driver_sql(LOOK).first()
                    self._tell(None)
                    self._hear(BEGUN)
                    if not unchanged():
                        raise UnaidedError
            else:
                self._tell(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar())
                self._hear(BEGUN)
        except (SQLAlchemyError, StoreError) as error:  # one process alone will say what it is, if it is anything
            raise UnaidedError from error
        self._began = time.monotonic()

    def books(self) -> Books | None:
        """What the second process has proven; None when it says that the books do not stand."""
        taken = time.monotonic() - self._began
        said = self._read(b"\n", taken + GRACE_SECONDS)
        try:
            return unpacked(said)
        except (KeyError, TypeError, ValueError) as error:
            raise UnaidedError from error

    def _tell(self, what: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
        except OSError as error:
            raise UnaidedError from error

    def _hear(self, word: bytes) -> None:
        if self._read(word, START_SECONDS) != word:
            raise UnaidedError

    def _read(self, end: bytes, seconds: float) -> bytes:
        """What it says up to `end`; raises UnaidedError when it ends or is silent before."""
        assert self._process.stdout is not None
        said, until = b"", time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not said.endswith(end):
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise UnaidedError
                part = os.read(self._process.stdout.fileno(), 65536)
                if not part:
                    raise UnaidedError
                said += part
        return said


def packed(books: Books | None) -> bytes:
    """What one process says to the other, a line of JSON."""
    return json.dumps(books and attrs.asdict(books)).encode() + b"\n"


def unpacked(said: bytes) -> Books | None:
    """What the other has said; raises KeyError, TypeError or ValueError for what `packed` does not write."""
    told = json.loads(said)
    return None if told is None else Books(Proof(**told["proof"]), [tuple(row) for row in told["moved"]])


def main() -> None:
    """Prove the books of the store that standard input names, as of the moment or the snapshot that it names next."""
    job = json.loads(sys.stdin.readline())
    url = parse_url(Path(job["store"]) if job["file"] else job["store"])
    database = Database(url, create=False, readonly=True, busy_timeout_ms=job["timeout_ms"])
    del job, url
    try:
        _say(READY)
        snapshot = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_input, daemon=True).start()
        with database.read(snapshot=True) as connection:
            if not database.sqlite:
                connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            connection.exec_driver_sql(LOOK).first()
            _say(BEGUN)
            books = books_of(database, connection)
        _say(packed(books))
    finally:
        database.close()


def _end_with_input() -> None:
    """The first process writes nothing more: its end, or that of the proof, is the end of what can be read."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


def _say(what: bytes) -> None:
    sys.stdout.buffer.write(what)
    sys.stdout.buffer.flush()
