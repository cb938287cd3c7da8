"""The laws of a scheduler, on a real store: each slot once or told, whatever is stopped, killed or taken over.

A subclass gives the fixtures ``scheduler``, its name among the installed plugins, and ``url``, a store's database without
events. Where a law needs processes, they run `treasury_arena.testing.daemon`.
"""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from treasury_arena.clock import Clock, PacedClock, WallClock
from treasury_arena.contracts.runtime import Job, Scheduler, SchedulerContext
from treasury_arena.domain.slots import next_slot
from treasury_arena.errors import LeaseLostError
from treasury_arena.events import daemon as d
from treasury_arena.registry import load_registry
from treasury_arena.scheduling.runner import LOG, NOT_BEGUN
from treasury_arena.store import EventStore, audit, open_store
from treasury_arena.store.database import parse_url
from treasury_arena.store.lease import Holder, Lease
from treasury_arena.store.slot_book import StoreSlotBook

PATIENCE = 60.0
"""Seconds after which something that should have happened has not."""


def check_slots(store: EventStore, job: str, every: int) -> list[int]:
    """Assert that each slot of a job, from its first to its last, was claimed or missed exactly once; returns the claimed."""
    claimed = [e.payload.slot for e in store.read(event_type="JobClaimed") if e.payload.job == job]
    missed = [
        slot
        for event in store.read(event_type="JobMissed")
        if event.payload.job == job
        for slot in range(event.payload.first, event.payload.last + 1, event.payload.every or every)
    ]
    handled = sorted(claimed + missed)
    assert handled == list(range(handled[0], handled[-1] + 1, every)), "a slot twice, or one without a word"
    assert claimed == sorted(claimed)
    report = audit(store)
    assert report.ok, report.findings
    return claimed


def payloads(store: EventStore, kind: type) -> list[Any]:
    """The payloads of every event of a kind."""
    return [event.payload for event in store.read(event_type=kind.__name__)]


@contextmanager
def outage(url: str) -> Iterator[None]:
    """A database that nobody can write to: a server that lets nobody in and throws everybody out, a file that is locked."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        direct = sqlite3.connect(str(parsed.database), isolation_level=None)
        direct.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            direct.close()
        return
    engine = sa.create_engine(parsed.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as server:
        server.exec_driver_sql(f'ALTER DATABASE "{parsed.database}" WITH ALLOW_CONNECTIONS false')
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        server.exec_driver_sql(others, (parsed.database,))
        try:
            yield
        finally:
            server.exec_driver_sql(f'ALTER DATABASE "{parsed.database}" WITH ALLOW_CONNECTIONS true')
    engine.dispose()


class Heard(logging.Handler):
    """Tells when a scheduler has said that its store does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.said = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("no slot can begin"):
            self.said.set()


class Life:
    """A process of `treasury_arena.testing.daemon`, and what it prints."""

    def __init__(self, url: str, scheduler: str, folder: Path, *, gate: Path | None = None, seconds: int = 1) -> None:
        self.log = folder / "log"
        self.log.touch()
        command = [sys.executable, "-m", "treasury_arena.testing.daemon", url, scheduler, str(seconds), str(self.log)]
        if gate is not None:
            command.append(str(gate))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.output = self.process.stdout

    def runs(self) -> list[tuple[int, int]]:
        """(slot, process) of every run that any process on this folder began."""
        return [(int(slot), int(pid)) for slot, pid in (line.split() for line in self.log.read_text().splitlines())]

    def own_runs(self) -> list[int]:
        """The slots that this process began."""
        return [slot for slot, pid in self.runs() if pid == self.process.pid]

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened; fails when it does not, or when the process ends first."""
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if happened():
                return
            assert self.process.poll() is None, self.process.communicate()
            pause.wait(0.05)
        raise AssertionError("it did not happen")

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; returns the exit code and what was printed on standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


class SchedulerConformance:
    """Subclass and give ``scheduler`` (a name) and ``url``."""

    @pytest.fixture
    def scheduler(self) -> str:
        raise NotImplementedError("give the scheduler's name")

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("give the URL of a database")

    @pytest.fixture
    def store(self, url: str) -> Iterator[EventStore]:
        with open_store(url) as opened:
            yield opened

    @pytest.fixture
    def make(self, scheduler: str, url: str) -> Callable[[Clock], Scheduler]:
        """Makes a new scheduler for a clock."""
        factory = load_registry(only=("core", scheduler)).schedulers[scheduler]
        return lambda clock: factory(None, SchedulerContext(clock, url))

    @pytest.fixture
    def started(self, url: str, scheduler: str, tmp_path: Path) -> Iterator[Callable[..., Life]]:
        lives: list[Life] = []

        def start(**more: Any) -> Life:
            lives.append(Life(url, scheduler, tmp_path, **more))
            return lives[-1]

        yield start
        for life in lives:
            if life.process.poll() is None:
                life.end(signal.SIGKILL)

    @contextmanager
    def running(self, scheduler: Scheduler, jobs: list[Job], book: StoreSlotBook) -> Iterator[list[BaseException]]:
        """The scheduler in a thread of its own; stopped at the end. Gives what `run` raised."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                scheduler.run(jobs, book)
            except LeaseLostError as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield raised
        finally:
            scheduler.stop()
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def test_it_runs_each_slot_and_goes_on_after_errors(
        self, store: EventStore, make: Callable[[Clock], Scheduler]
    ) -> None:
        enough, seen = threading.Semaphore(0), []

        def call(slot: int) -> None:
            seen.append(slot)
            enough.release()
            if len(seen) % 2:
                raise SystemExit(f"at {slot}")

        clock = PacedClock(datetime(2024, 3, 31, tzinfo=UTC), 200.0)  # the night in which Europe's clocks change
        lease = Lease(store, clock)
        lease.acquire()
        book = StoreSlotBook(lease)
        with self.running(
            make(clock), [Job("a", 60, call, 30), Job("b", 3_600, lambda slot: None, 60)], book
        ) as raised:
            for _ in range(6):
                assert enough.acquire(timeout=PATIENCE)
        assert raised == []
        claimed = check_slots(store, "a", 60)
        assert claimed == seen
        finished = {one.slot: one.error for one in payloads(store, d.JobFinished) if one.job == "a"}
        assert sorted(finished) == claimed
        assert [bool(finished[slot]) for slot in claimed] == [index % 2 == 0 for index in range(len(claimed))]

    def test_stop_waits_for_the_run_under_way_and_begins_no_other(
        self, store: EventStore, make: Callable[[Clock], Scheduler]
    ) -> None:
        begun, go, seen = threading.Event(), threading.Event(), []

        def call(slot: int) -> None:
            seen.append(slot)
            begun.set()
            assert go.wait(PATIENCE)

        clock = PacedClock(datetime(2024, 5, 1, tzinfo=UTC), 60.0)
        lease = Lease(store, clock)
        lease.acquire()
        scheduler = make(clock)
        with self.running(scheduler, [Job("a", 60, call, 30)], StoreSlotBook(lease)):
            assert begun.wait(PATIENCE)
            scheduler.stop()
            scheduler.stop()
            assert payloads(store, d.JobFinished) == []
            go.set()
        assert [one.slot for one in payloads(store, d.JobFinished)] == seen
        assert len(seen) == 1

    def test_a_stop_before_the_start_is_not_lost(self, store: EventStore, make: Callable[[Clock], Scheduler]) -> None:
        lease = Lease(store, WallClock())
        lease.acquire()
        scheduler = make(WallClock())
        scheduler.stop()
        scheduler.run([Job("a", 1, lambda slot: None, 1)], StoreSlotBook(lease))
        assert payloads(store, d.JobClaimed) == []

    def test_a_scheduler_whose_lease_was_taken_ends_and_the_other_goes_on(
        self, store: EventStore, make: Callable[[Clock], Scheduler]
    ) -> None:
        clock = PacedClock(datetime(2024, 5, 1, tzinfo=UTC), 100.0)
        holder = Holder.this_process()
        enough, seen = threading.Semaphore(0), []

        def call(slot: int) -> None:
            seen.append(slot)
            enough.release()

        jobs = [Job("a", 60, call, 30)]
        first, second = Lease(store, clock, holder), Lease(store, clock, holder)
        first.acquire()
        with self.running(make(clock), jobs, StoreSlotBook(first)) as raised:
            assert enough.acquire(timeout=PATIENCE)
            second.acquire()
            with self.running(make(clock), jobs, StoreSlotBook(second)) as none:
                for _ in range(3):
                    assert enough.acquire(timeout=PATIENCE)
        assert [type(error) for error in raised] == [LeaseLostError]
        assert none == []
        claimed = check_slots(store, "a", 60)
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(claimed)

    def test_a_database_that_is_gone_for_a_while_is_waited_for(
        self, url: str, make: Callable[[Clock], Scheduler]
    ) -> None:
        clock = PacedClock(datetime(2024, 5, 1, tzinfo=UTC), 60.0)
        enough, heard, seen = threading.Semaphore(0), Heard(), []

        def call(slot: int) -> None:
            seen.append(slot)
            enough.release()

        LOG.addHandler(heard)
        with open_store(url, busy_timeout_ms=100) as impatient:
            lease = Lease(impatient, clock)
            lease.acquire()
            with self.running(make(clock), [Job("a", 60, call, 30)], StoreSlotBook(lease)) as raised:
                assert enough.acquire(timeout=PATIENCE)
                with outage(url):
                    assert heard.said.wait(PATIENCE)
                    gone = next_slot(clock.now().timestamp(), 60) + 120
                    while clock.now().timestamp() < gone:
                        threading.Event().wait(0.05)
                while enough.acquire(blocking=False):
                    pass
                for _ in range(2):
                    assert enough.acquire(timeout=PATIENCE)
            LOG.removeHandler(heard)
            assert raised == []
            claimed = check_slots(impatient, "a", 60)
            given_up = {one.slot for one in payloads(impatient, d.JobFinished) if one.error == NOT_BEGUN}
        assert len(set(seen)) == len(seen)
        assert set(seen) | given_up == set(claimed)
        assert claimed[-1] > gone

    def test_sigterm_lets_the_run_under_way_end(
        self, store: EventStore, started: Callable[..., Life], tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        life = started(gate=gate)
        life.until(lambda: bool(life.runs()))
        life.process.send_signal(signal.SIGTERM)
        gate.touch()
        code, errors = life.end(signal.SIGTERM)
        assert (code, errors) == (0, "")
        claimed = check_slots(store, "tick", 1)
        assert [one.slot for one in payloads(store, d.JobFinished)] == claimed == life.own_runs()
        assert len(payloads(store, d.LeaseReleased)) == 1

    def test_a_run_that_was_killed_is_found_and_not_repeated(
        self, store: EventStore, started: Callable[..., Life], tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        first = started(gate=gate)
        first.until(lambda: bool(first.runs()))
        ((killed, _),) = first.runs()
        first.end(signal.SIGKILL)
        gate.touch()
        second = started(gate=gate)
        second.until(lambda: len(second.own_runs()) >= 2)
        assert second.end(signal.SIGTERM) == (0, "")
        assert payloads(store, d.JobInterrupted) == [
            d.JobInterrupted("tick", killed, "its process ended before it did")
        ]
        runs = [slot for slot, _ in second.runs()]
        assert sorted(set(runs)) == runs == check_slots(store, "tick", 1)

    def test_two_daemons_at_once_run_each_slot_once_while_one_after_the_other_is_killed(
        self, store: EventStore, started: Callable[..., Life]
    ) -> None:
        lives = [started(), started()]
        for _ in range(3):
            (active,) = self._first_to_run(lives)
            active.end(signal.SIGKILL)
            lives.remove(active)
            lives.append(started())
        (active,) = self._first_to_run(lives)
        lives.remove(active)
        assert active.end(signal.SIGTERM) == (0, "")
        for life in lives:
            life.until(lambda life=life: bool(life.own_runs()))  # type: ignore[misc]
            assert life.end(signal.SIGTERM) == (0, "")
        claimed = check_slots(store, "tick", 1)
        runs = [slot for slot, _ in active.runs()]
        assert len(set(runs)) == len(runs)
        assert set(runs) <= set(claimed)
        lost = set(claimed) - set(runs)
        assert lost <= {one.slot for one in payloads(store, d.JobInterrupted)}, "claimed, not run, and not told"

    def _first_to_run(self, lives: list[Life]) -> list[Life]:
        lives[0].until(lambda: any(life.own_runs() for life in lives))
        return [next(life for life in lives if life.own_runs())]
