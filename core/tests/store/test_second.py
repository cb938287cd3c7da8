"""A second process may help with a proof: it may die, hang or never start, and what comes out is the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from treasury_arena.errors import IntegrityError
from treasury_arena.store import EventStore, audit, open_store, prove, second
from treasury_arena.store.audit import examine
from treasury_arena.store.proof import Books, Proof, proven
from treasury_arena.store.second import UnaidedError, packed, proven_by_two, unpacked

TAMPERED = {
    "a hash, which the second proves": "UPDATE events SET hash = prev_hash WHERE seq = 6",
    "a ledger line, which the second proves": "UPDATE capital_ledger SET amount = '7' WHERE entry = 3",
    "an order, which the first proves": "UPDATE intents SET state = 'FAILED'",
    "a balance, of which both know": "UPDATE account_balances SET amount = '1' WHERE account = 'pool:arena'",
    "pools, of which both know": "UPDATE arena_state SET available = '{}'",
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every second process; all stores are long enough for one, and two processors are free."""
    found: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        found.append(subprocess.Popen(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(second, "EVENTS_MIN", 1)
    monkeypatch.setattr(second, "START_SECONDS", 60.0)  # a busy machine is no finding
    monkeypatch.setattr(second, "GRACE_SECONDS", 60.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(second, "subprocess", SimpleNamespace(Popen=start, PIPE=-1, DEVNULL=-3))
    return found


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> list[Books | None]:
    """What second processes have said."""
    said: list[Books | None] = []

    def hear(line: bytes) -> Books | None:
        said.append(unpacked(line))
        return said[-1]

    monkeypatch.setattr(second, "unpacked", hear)
    return said


@pytest.fixture
def log(store: EventStore, make: SimpleNamespace) -> EventStore:
    store.append(make.story())
    store.append(make.live_story())
    store.append(make.daemon_story())
    return store


def alone(store: EventStore) -> Proof | None:
    with store.database.read(snapshot=True) as connection:
        return proven(store, connection)


def damage(store: EventStore, statement: str) -> None:
    with store.database.write() as connection:
        assert connection.exec_driver_sql(statement).rowcount != 0, statement


def over(processes: list[subprocess.Popen[bytes]]) -> bool:
    return all(process.returncode is not None for process in processes) and not any(
        thread.name.startswith("arena-") for thread in threading.enumerate()
    )


def test_two_prove_what_one_proves(
    log: EventStore, started: list[subprocess.Popen[bytes]], helped: list[Books | None]
) -> None:
    one = alone(log)
    assert one is not None
    assert proven_by_two(log) == one
    assert audit(log) == examine(log)
    assert len(helped) == len(started) == 2
    assert over(started)
    assert b"correct-horse" not in b"".join(repr(process.args).encode() for process in started)


@pytest.mark.parametrize("case", TAMPERED)
def test_two_vouch_for_nothing_that_was_tampered_with(
    log: EventStore, started: list[subprocess.Popen[bytes]], case: str
) -> None:
    damage(log, TAMPERED[case])
    assert proven_by_two(log) is None
    report = audit(log)
    assert not report.ok
    assert report == examine(log)
    with pytest.raises(IntegrityError, match="is damaged, and nothing is built on it"):
        prove(log)
    assert len(started) == 3
    assert over(started)


@pytest.mark.parametrize("sound", [True, False])
def test_a_second_that_is_killed_at_any_moment_changes_nothing(
    log: EventStore, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, sound: bool
) -> None:
    if not sound:
        damage(log, TAMPERED["a ledger line, which the second proves"])
    one, moments, enter = alone(log), random.Random(7), second._Second.__enter__
    timers: list[threading.Timer] = []

    def enter_and_be_killed(self: Any) -> Any:
        entered = enter(self)
        timers.append(threading.Timer(moments.uniform(0, 1.5), self._process.kill))
        timers[-1].start()
        return entered

    monkeypatch.setattr(second._Second, "__enter__", enter_and_be_killed)
    for _ in range(6):
        assert proven_by_two(log) == one
    for timer in timers:
        timer.cancel()
        timer.join()
    assert over(started)
    assert (one is not None) == sound


def test_what_sqlite_finds_in_its_file_is_told_as_ever(
    tmp_path: Path, make: SimpleNamespace, started: list[subprocess.Popen[bytes]]
) -> None:
    """It is looked for meanwhile, in a thread."""
    path = tmp_path / "a.db"
    with open_store(path) as store:
        store.append(make.story())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as direct:
        direct.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        direct.execute("PRAGMA writable_schema = ON")
        direct.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'fuses') "
            "WHERE name = 'jobs'"
        )
    with open_store(path) as store:
        report = audit(store)
        assert not report.ok
        assert report == examine(store)
    assert len(started) == 1
    assert over(started)


def test_a_second_that_dies_after_it_began_is_done_without(
    log: EventStore, started: list[subprocess.Popen[bytes]], helped: list[Books | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = second._Second.begin

    def begin_and_die(self: Any, connection: Any) -> None:
        begin(self, connection)
        self._process.kill()
        self._process.wait()
        while os.read(self._process.stdout.fileno(), 65536):  # whatever it has said before
            pass

    monkeypatch.setattr(second._Second, "begin", begin_and_die)
    assert proven_by_two(log) == alone(log) is not None
    assert helped == []
    damage(log, TAMPERED["an order, which the first proves"])
    assert proven_by_two(log) is None


@pytest.mark.parametrize("moment", ["before it began", "afterwards"])
def test_a_second_that_hangs_is_not_waited_for(
    log: EventStore,
    started: list[subprocess.Popen[bytes]],
    helped: list[Books | None],
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    begin = second._Second.begin

    def begin_and_hang(self: Any, connection: Any) -> None:
        if moment == "afterwards":
            begin(self, connection)
            self._process.send_signal(signal.SIGSTOP)
            with contextlib.suppress(UnaidedError):
                while True:  # whatever it has said before
                    self._read(b"\n", 0.2)
            return
        self._process.send_signal(signal.SIGSTOP)
        begin(self, connection)

    monkeypatch.setattr(second, "GRACE_SECONDS", 0.2)
    if moment != "afterwards":
        monkeypatch.setattr(second, "START_SECONDS", 0.2)
    monkeypatch.setattr(second._Second, "begin", begin_and_hang)
    assert proven_by_two(log) == alone(log) is not None
    assert helped == []
    assert over(started)


@pytest.mark.parametrize("said", [b"nonsense\n", b'{"proof":{}}\n', b'{"proof":{"x":1},"moved":[]}\n', b"[]\n", b"7\n"])
def test_what_makes_no_sense_is_no_proof(said: bytes) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        unpacked(said)


def test_one_that_cannot_start_is_done_without(log: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second, "EVENTS_MIN", 1)
    one = alone(log)
    for program in ("/nowhere/python", "/bin/false", "/bin/cat"):
        monkeypatch.setattr(second, "sys", SimpleNamespace(executable=program))
        assert proven_by_two(log) == one is not None


def test_a_short_log_a_single_processor_and_memory_have_no_second(
    log: EventStore, make: SimpleNamespace, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store("sqlite://") as memory:
        memory.append(make.story())
        assert proven_by_two(memory) is not None
    monkeypatch.setattr(second, "EVENTS_MIN", log.last()[0] + 1)
    assert proven_by_two(log) is not None
    monkeypatch.setattr(second, "EVENTS_MIN", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert proven_by_two(log) is not None
    assert started == []


def test_what_is_committed_while_both_begin_is_seen_by_both_or_nobody_helps(
    log: EventStore,
    store_url: str,
    make: SimpleNamespace,
    started: list[subprocess.Popen[bytes]],
    helped: list[Books | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hear = second._Second._hear

    def hear_and_write(self: Any, word: bytes) -> None:
        if word == second.BEGUN:
            writer.append([make.spawned("late"), make.allocated("a1", 1)])
        hear(self, word)

    monkeypatch.setattr(second._Second, "_hear", hear_and_write)
    before = log.last()[0]
    with open_store(store_url) as writer:
        proof = proven_by_two(log)
    assert proof is not None
    assert log.last()[0] == before + 2
    # PostgreSQL's snapshot is from before; a file is read anew, by one process.
    assert (proof.events, len(helped)) == ((before + 2, 0) if log.database.sqlite else (before, 1))
    assert alone(log) is not None


def test_the_second_ends_with_the_first(tmp_path: Path, make: SimpleNamespace) -> None:
    """However that ends: its input does."""
    with open_store(tmp_path / "a.db") as store:
        store.append(make.story())
    process = subprocess.Popen(
        [sys.executable, "-c", second.PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    with process:
        assert process.stdin is not None
        process.stdin.close()
        begun = time.monotonic()
        process.wait(60)
        assert time.monotonic() - begun < 60


def test_what_is_said_is_heard_as_it_was_said() -> None:
    books = Books(Proof(3, "d", 1, 2, 3, 4, 0), [("pool:arena", "USDC", str(2**90), 3), ("gas", "ETH", "-1", 2)])
    assert unpacked(packed(books)) == books
    assert unpacked(packed(None)) is None
