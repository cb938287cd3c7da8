"""APScheduler under the laws of schedulers, and what is its own: wake-ups that persist, a table that may be damaged or gone."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from treasury_arena.clock import PacedClock, WallClock
from treasury_arena.contracts.runtime import Job, SchedulerContext
from treasury_arena.domain.slots import newest_slot
from treasury_arena.errors import ConfigError, StoreError
from treasury_arena.scheduling.bell import Bell
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.database import Database, parse_url
from treasury_arena.store.lease import Lease
from treasury_arena.store.slot_book import StoreSlotBook
from treasury_arena.testing.conformance import SchedulerConformance
from treasury_arena.testing.conformance.scheduling import PATIENCE, check_slots
from treasury_arena_apscheduler.config import ApschedulerSection
from treasury_arena_apscheduler.jobstore import WAKE, WakeStore
from treasury_arena_apscheduler.scheduler import ApsScheduler, build, wake_ups
from treasury_arena_apscheduler.waking import listening, wake


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'arena.db'}"
    fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return fresh()


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


class TestApscheduler(SchedulerConformance):
    @pytest.fixture
    def scheduler(self) -> str:
        return "apscheduler"

    @pytest.fixture
    def url(self, database_url: str) -> str:
        return database_url


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def book(store: EventStore) -> StoreSlotBook:
    lease = Lease(store, WallClock())
    lease.acquire()
    return StoreSlotBook(lease)


class Loud(Bell):
    """A bell that remembers whether it was rung."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = threading.Event()

    def ring(self) -> None:
        super().ring()
        self.rung.set()


@contextmanager
def running(scheduler: ApsScheduler, jobs: list[Job], book: StoreSlotBook) -> Iterator[None]:
    thread = threading.Thread(target=scheduler.run, args=(jobs, book))
    thread.start()
    try:
        yield
    finally:
        scheduler.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def persisted(url: str) -> dict[str, float]:
    """Job -> the moment of its next wake-up."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT id, next_run_time FROM apscheduler_jobs")
            return {str(name): float(moment) for name, moment in rows}
    finally:
        engine.dispose()


def scheduler_of(url: str, clock: Any = None) -> ApsScheduler:
    return ApsScheduler(ApschedulerSection(), SchedulerContext(clock or WallClock(), url))


def test_a_persistent_job_wakes_the_running_process_by_the_jobs_name(url: str, book: StoreSlotBook) -> None:
    bell = Loud()
    seen = threading.Semaphore(0)
    jobs = [Job("cycle", 1, lambda slot: seen.release(), 1), Job("day", 86_400, lambda slot: None, 60)]
    with listening(bell, ["cycle"]), running(scheduler_of(url), jobs, book):
        assert seen.acquire(timeout=PATIENCE)
        assert bell.rung.wait(PATIENCE)
        found = persisted(url)
    assert sorted(found) == ["cycle", "day"]
    assert abs(found["day"] - round(found["day"] / 86_400) * 86_400) < 1.0


def test_wake_ups_outlive_the_process_and_those_of_former_jobs_go(url: str, book: StoreSlotBook) -> None:
    begun = threading.Semaphore(0)
    old, new = Job("old", 3_600, lambda slot: None, 60), Job("new", 1, lambda slot: begun.release(), 1)
    with running(scheduler_of(url), [old, new], book):
        assert begun.acquire(timeout=PATIENCE)
    assert sorted(persisted(url)) == ["new", "old"]
    with running(scheduler_of(url), [new], book):
        assert begun.acquire(timeout=PATIENCE)
    assert sorted(persisted(url)) == ["new"]


def test_wake_ups_below_a_second_stay_in_memory(url: str, store: EventStore) -> None:
    clock = PacedClock(datetime(2024, 5, 1, tzinfo=UTC), 200.0)
    lease = Lease(store, clock)
    lease.acquire()
    begun = threading.Semaphore(0)
    jobs = [Job("fast", 60, lambda slot: begun.release(), 30), Job("slow", 3_600, lambda slot: None, 30)]
    with running(scheduler_of(url, clock), jobs, StoreSlotBook(lease)):
        for _ in range(3):
            assert begun.acquire(timeout=PATIENCE)
        assert sorted(persisted(url)) == ["slow"]
    check_slots(store, "fast", 60)


@pytest.mark.parametrize("rate", [1.0, 60.0])
def test_the_machines_moments_of_wake_ups_are_the_slots_of_the_arenas_clock(rate: float) -> None:
    clock = PacedClock(datetime(2024, 3, 30, 23, 59, 30, tzinfo=UTC), rate)
    arena, wall = clock.now(), WallClock().now()
    trigger = wake_ups(Job("a", 3_600, lambda slot: None, 1), clock)
    moment, shown = trigger.get_next_fire_time(None, wall), []
    for _ in range(30):  # through the hour that Europe leaves out
        shown.append(arena.timestamp() + (moment - wall).total_seconds() * rate)
        moment = trigger.get_next_fire_time(moment, moment)
    slots = [newest_slot(seconds + 1_800, 3_600) for seconds in shown]
    assert slots == list(range(slots[0], slots[0] + 30 * 3_600, 3_600))
    assert datetime.fromtimestamp(slots[0], UTC) == datetime(2024, 3, 31, tzinfo=UTC)
    assert shown == pytest.approx(slots, abs=10.0 * rate)


def test_a_wake_up_for_a_job_that_nobody_has_passes() -> None:
    bell = Loud()
    with listening(bell, ["a"]):
        wake("b")
        assert not bell.rung.is_set()
        wake("a")
        assert bell.rung.is_set()
    bell.rung.clear()
    wake("a")
    assert not bell.rung.is_set()


@attrs.define
class Rows:
    """The table of persistent jobs, written by somebody else."""

    url: str

    def put(self, name: str, state: bytes) -> None:
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(
                sa.text("INSERT INTO apscheduler_jobs VALUES (:id, :at, :state)"),
                {"id": name, "at": 1.0, "state": state},
            )
        engine.dispose()


class Bomb:
    """What a pickle can do to who reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (threading.current_thread().__class__, ())


def state_of(**changes: Any) -> bytes:
    plain = {"version": 1, "id": "x", "func": WAKE, "trigger": None, "args": ("x",), "kwargs": {}, "name": "x"}
    plain |= {"executor": "default", "misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    return pickle.dumps({**plain, "next_run_time": datetime(1970, 1, 1, tzinfo=UTC), **changes})


@pytest.mark.parametrize(
    "state",
    [pickle.dumps(Bomb()), state_of(func="os:getpid"), state_of(args=(Bomb(),)), b"no pickle at all"],
    ids=["an object", "a function", "an argument", "damage"],
)
def test_a_row_that_somebody_else_wrote_runs_nothing_and_is_removed(
    url: str, book: StoreSlotBook, state: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    begun = threading.Semaphore(0)
    job = Job("cycle", 1, lambda slot: begun.release(), 1)
    with running(scheduler_of(url), [job], book):
        assert begun.acquire(timeout=PATIENCE)
    Rows(url).put("x", state)
    with caplog.at_level(logging.ERROR), running(scheduler_of(url), [job], book):
        for _ in range(2):
            assert begun.acquire(timeout=PATIENCE)
    assert sorted(persisted(url)) == ["cycle"]
    assert 'Unable to restore job "x" -- removing it' in caplog.text


def test_a_table_that_is_gone_stops_no_slot(
    url: str, store: EventStore, book: StoreSlotBook, caplog: pytest.LogCaptureFixture
) -> None:
    """The wake-ups fail; looking at the clock goes on."""
    begun = threading.Semaphore(0)
    with running(scheduler_of(url), [Job("cycle", 1, lambda slot: begun.release(), 1)], book):
        assert begun.acquire(timeout=PATIENCE)
        with store.database.write() as connection:
            connection.exec_driver_sql("DROP TABLE apscheduler_jobs")
        for _ in range(4):
            assert begun.acquire(timeout=PATIENCE)
    check_slots(store, "cycle", 1)
    assert "wake-ups wait for the clock to be looked at" in caplog.text


def test_a_database_that_is_not_there_is_told_in_one_sentence(book: StoreSlotBook, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened; check that the folder exists"):
        scheduler_of(f"sqlite:///{tmp_path / 'nowhere' / 'arena.db'}").run([Job("a", 1, print, 1)], book)


def test_a_database_that_does_not_answer_is_asked_for_wake_ups_again(url: str) -> None:
    database = Database(parse_url(url), create=True, readonly=False, busy_timeout_ms=100)
    store = WakeStore(database)
    store.start(None, "default")
    assert store.get_next_run_time() is None
    assert store.get_due_jobs(WallClock().now()) == []
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE apscheduler_jobs")
    assert store.get_due_jobs(WallClock().now()) == []
    moment = store.get_next_run_time()
    assert moment is not None
    assert moment > WallClock().now()
    store.shutdown()


def test_without_a_section_the_defaults_hold() -> None:
    assert build(None, SchedulerContext(WallClock(), "sqlite://")).name == "apscheduler"


@pytest.mark.parametrize("seconds", [0.0, 60.1])
def test_a_poll_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises((ConfigError, ValueError), match="poll_seconds"):
        ApschedulerSection(poll_seconds=seconds)
