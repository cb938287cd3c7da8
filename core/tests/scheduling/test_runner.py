"""Slots over random clocks: jumps, pauses, restarts, a store that comes and goes. A count of its own says what must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from treasury_arena.clock import VirtualClock
from treasury_arena.contracts.runtime import Job, SlotBook
from treasury_arena.errors import ConfigError, LeaseLostError, StoreError, TreasuryArenaError, ValidationError
from treasury_arena.events import daemon as d
from treasury_arena.scheduling.bell import Bell
from treasury_arena.scheduling.runner import LAST_TRIES, SlotRunner
from treasury_arena.store import EventStore, audit, open_store, schema
from treasury_arena.store.lease import Holder, Lease
from treasury_arena.store.slot_book import StoreSlotBook

T0 = datetime(2024, 5, 1, tzinfo=UTC)
START = int(T0.timestamp())


class Hand:
    """A clock that goes where a test puts it, also back, and a stopwatch that only goes on."""

    def __init__(self, rate: float = 1.0) -> None:
        self.at, self.watch, self.rate = 0.0, 0.0, rate

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.at)

    def pass_by(self, seconds: float) -> None:
        self.at += seconds * self.rate
        self.watch += seconds


@attrs.define
class World:
    """One store and whoever schedules on it, one after the other."""

    store: EventStore
    hand: Hand = attrs.field(factory=Hand)
    calls: list[tuple[str, int, float]] = attrs.field(factory=list)
    begun: list[Callable[[], None]] = attrs.field(factory=list)
    lives: int = 0

    def job(self, name: str = "cycle", every: int = 60, late: int = 10, catch_up: bool = True, **more: Any) -> Job:
        call = more.get("call", lambda slot: self.calls.append((name, slot, START + self.hand.at)))
        return Job(name, every, call, late, catch_up)

    def book(self) -> StoreSlotBook:
        self.lives += 1
        life = self.lives

        def moment(connection: Connection) -> datetime:
            return T0 + timedelta(days=life)

        lease = Lease(self.store, VirtualClock(T0), Holder(f"h{life}", "box", 1), moment=moment)
        lease.acquire()
        return StoreSlotBook(lease)

    def runner(self, *jobs: Job, book: SlotBook | None = None, at_once: bool = True) -> SlotRunner:
        """A new scheduler on the store; a run is done at once, or kept in `begun` until the test lets it end."""

        def spawn(name: str, work: Callable[[], None]) -> None:
            if at_once:
                work()
            else:
                self.begun.append(work)

        watch = self.hand
        return SlotRunner(jobs, book or self.book(), self.hand, Bell(), spawn=spawn, elapsed=lambda: watch.watch)

    def told(self, kind: type) -> list[Any]:
        return [event.payload for event in self.store.read(event_type=kind.__name__)]

    def missed(self) -> list[tuple[int, int, str]]:
        return [(one.first - START, one.last - START, one.reason) for one in self.told(d.JobMissed)]

    def ran(self) -> list[int]:
        return [slot - START for _, slot, _ in self.calls]


@pytest.fixture
def world() -> Any:
    with open_store("sqlite://") as store:
        yield World(store)


def test_a_job_runs_at_each_slot(world: World) -> None:
    runner = world.runner(world.job())
    for _ in range(300):
        runner.look()
        world.hand.pass_by(1.0)
    assert world.ran() == [0, 60, 120, 180, 240]
    assert world.missed() == []


def test_the_wait_ends_at_the_next_slot_and_never_lasts_longer_than_the_poll(world: World) -> None:
    runner = world.runner(world.job())
    world.hand.at = 58.0
    assert runner.look() == 1.0
    world.hand.at = 59.75
    assert runner.look() == 0.25


def test_an_accelerated_clock_is_waited_for_in_seconds_of_the_machine() -> None:
    with open_store("sqlite://") as store:
        world = World(store, Hand(rate=600.0))
        runner = world.runner(world.job())
        assert runner.look() == pytest.approx(0.1)


def test_an_absence_is_told_and_its_newest_slot_caught_up(world: World) -> None:
    jobs = world.job(), world.job("mark", catch_up=False)
    world.runner(*jobs).look()
    world.calls.clear()
    world.hand.pass_by(1_000.0)
    world.runner(*jobs).look()
    absent = "no scheduler was running"
    assert [(name, slot - START) for name, slot, _ in world.calls] == [("cycle", 960)]
    assert world.missed() == [(60, 900, absent), (60, 960, absent)]


def test_a_job_that_takes_too_long_misses_slots_and_the_one_that_may_still_begin_waits(world: World) -> None:
    runner = world.runner(world.job(), at_once=False)
    runner.look()
    for at in (60.0, 119.0, 125.0):
        world.hand.at = world.hand.watch = at
        runner.look()
    assert world.missed() == [(60, 60, "the run before it was still under way")]
    world.begun.pop()()
    world.hand.pass_by(1.0)
    runner.look()
    assert len(world.begun) == 1
    world.begun.pop()()
    assert world.ran() == [0, 120]
    assert world.missed() == [(60, 60, "the run before it was still under way")]


def test_a_slot_that_a_long_run_pushed_beyond_its_allowance_is_missed_not_caught_up(world: World) -> None:
    runner = world.runner(world.job(), at_once=False)
    runner.look()
    world.hand.pass_by(59.0)
    runner.look()
    world.hand.pass_by(12.0)
    world.begun.pop()()
    runner.look()
    world.hand.pass_by(1.0)
    runner.look()
    assert world.ran() == [0]
    assert world.missed() == [(60, 60, "the run before it was still under way")]


@pytest.mark.parametrize(("catch_up", "ran"), [(True, [0, 3_600]), (False, [0])])
def test_a_clock_that_jumps_forward_misses_what_it_jumped_over(world: World, catch_up: bool, ran: list[int]) -> None:
    runner = world.runner(world.job(catch_up=catch_up))
    runner.look()
    world.hand.pass_by(1.0)
    world.hand.at += 3_630.0
    runner.look()
    assert world.ran() == ran
    last = 3_540 if catch_up else 3_600
    assert world.missed() == [(60, last, "the clock jumped")]


def test_a_clock_that_goes_back_runs_nothing_twice_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    runner = world.runner(world.job())
    for at in (0.0, 60.0, 120.0, 10.0, 60.0, 119.0, 121.0, 180.0):
        world.hand.at = at
        world.hand.watch += 60.0
        runner.look()
    assert world.ran() == [0, 60, 120, 180]
    assert world.missed() == []
    assert [record.getMessage() for record in caplog.records] == [
        "the clock stands 110 seconds before the newest slot of job 'cycle'; none begins until it has passed that"
    ]


def test_a_scheduler_that_could_not_look_in_time_says_late(world: World) -> None:
    runner = world.runner(world.job(catch_up=False))
    runner.look()
    world.hand.pass_by(200.0)
    runner.look()
    assert world.missed() == [(60, 180, "noticed too late")]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no price"), "job 'cycle' failed: ValueError: no price"),
        (SystemExit(3), "job 'cycle' failed: SystemExit: 3"),
        (ConfigError("the house says why"), "the house says why"),
        (TreasuryArenaError(), "TreasuryArenaError"),
        (GeneratorExit(), "job 'cycle' failed: GeneratorExit"),
    ],
)
def test_a_job_that_raises_is_finished_with_its_error_and_the_next_slot_runs(
    world: World, error: BaseException, told: str
) -> None:
    def call(slot: int) -> None:
        world.calls.append(("cycle", slot, 0.0))
        raise error

    runner = world.runner(world.job(call=call))
    for _ in range(2):
        runner.look()
        world.hand.pass_by(60.0)
    runner.drain()
    assert world.ran() == [0, 60]
    assert [one.error for one in world.told(d.JobFinished)] == [told] * 2


def test_ctrl_c_in_a_job_ends_the_scheduler_with_it(world: World) -> None:
    def call(slot: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.runner(world.job(call=call), world.job("other")).run()
    assert [(one.job, one.error) for one in world.told(d.JobFinished)] == [("cycle", "stopped by the user")]
    assert world.calls == []


def test_a_job_that_loses_the_lease_ends_the_scheduler_with_it(world: World) -> None:
    def call(slot: int) -> None:
        world.book()  # another daemon
        raise LeaseLostError("the lease was lost")

    with pytest.raises(LeaseLostError, match="the lease was lost"):
        world.runner(world.job(call=call)).run()
    assert world.told(d.JobFinished) == []


def test_a_scheduler_without_the_lease_begins_nothing(world: World) -> None:
    book = world.book()
    world.book()
    with pytest.raises(LeaseLostError, match="is held by h2"):
        world.runner(world.job(), book=book).run()
    assert world.calls == []


def test_a_system_without_threads_is_an_error_of_the_slot(world: World) -> None:
    def spawn(name: str, work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    runner = SlotRunner([world.job()], world.book(), world.hand, Bell(), spawn=spawn)
    runner.look()
    runner.look()
    assert [one.error for one in world.told(d.JobFinished)] == ["RuntimeError: can't start new thread"]


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ([("a", 60, 0), ("a", 60, 0)], "two jobs are called 'a'"),
        ([("", 60, 0)], "a job's name must be a text"),
        ([("a", 0, 0)], "job 'a' has the period 0 s"),
        ([("a", 1, -1)], "job 'a' may be late by -1 s"),
    ],
)
def test_jobs_that_cannot_be_are_refused(world: World, jobs: Sequence[tuple[str, int, int]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        world.runner(*(Job(name, every, print, late) for name, every, late in jobs), book=world.book())


class Flaky:
    """The store of a book, which may not answer: before it did anything, or after."""

    def __init__(self, store: EventStore, answers: Callable[[], str]) -> None:
        self.store, self.answers = store, answers

    @property
    def database(self) -> Any:
        if self.answers():
            raise StoreError("the store is away")
        return self.store.database

    def append_decided(self, decide: Any) -> Any:
        answer = self.answers()
        if answer == "gone":
            raise StoreError("the store is away")
        events = self.store.append_decided(decide)
        if answer == "lost":
            raise StoreError("the answer was lost")
        return events


def flaky(book: StoreSlotBook, answers: Callable[[], str]) -> StoreSlotBook:
    """`book` on a store that gives these answers."""
    inside: Any = Flaky(book._store, answers)
    quiet: Any = SimpleNamespace(rows=book._store.database.rows)

    def row(connection: Connection, job: str) -> dict[str, Any] | None:
        rows = quiet.rows(connection, schema.JOBS, 'WHERE "job" = ?', [job])
        return dict(zip(schema.JOBS.columns, rows[0], strict=True)) if rows else None

    vars(book).update(_store=inside, _row=row)
    return book


def test_a_store_that_is_gone_for_a_while_is_waited_for_and_its_slots_are_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gone = [False]
    book = flaky(world.book(), lambda: "gone" if gone[0] else "")
    runner = world.runner(world.job(), book=book)
    runner.look()
    world.hand.pass_by(1.0)
    runner.look()  # records that slot 0 has ended
    for at in range(10, 1_000, 10):
        gone[0] = 50 <= at < 700
        world.hand.at = world.hand.watch = float(at)
        runner.look()
    assert world.ran() == [0, 660, 720, 780, 840, 900, 960]
    assert world.missed() == [(120, 600, "the store did not answer")]
    failed = [(one.slot - START, one.error) for one in world.told(d.JobFinished) if one.error]
    assert failed == [(60, "not begun: the store answered too late")]  # nobody knew whether its claim had arrived
    assert [record.getMessage() for record in caplog.records] == ["no slot can begin: the store is away"]


@pytest.mark.parametrize(("away", "ran"), [(5.0, [0, 60]), (30.0, [0, 60]), (75.0, [0, 120])])
@pytest.mark.parametrize("answer", ["lost", "gone"])
def test_a_claim_that_was_not_answered_is_asked_again(world: World, away: float, ran: list[int], answer: str) -> None:
    answers: list[str] = []
    runner = world.runner(world.job(), book=flaky(world.book(), lambda: answers.pop(0) if answers else ""))
    runner.look()
    world.hand.pass_by(1.0)
    runner.look()
    world.hand.pass_by(59.0)
    answers[:] = [answer]
    runner.look()
    assert world.ran() == [0]
    world.hand.pass_by(away)
    runner.look()
    runner.look()
    assert world.ran() == ran
    assert [one.slot - START for one in world.told(d.JobClaimed)] == sorted({0, 60, *ran})
    if 60 not in ran:
        assert [one.error for one in world.told(d.JobFinished)][1] == "not begun: the store answered too late"


def test_an_end_that_cannot_be_recorded_is_tried_and_then_told(world: World) -> None:
    answers = ["", ""]  # the newest slot, the claim
    tried: list[int] = []

    def answer() -> str:
        if answers:
            return answers.pop()
        tried.append(1)
        return "gone"

    runner = world.runner(world.job(), book=flaky(world.book(), answer))
    runner.poll_seconds = 0.0
    runner.look()
    runner.bell.stop()
    with pytest.raises(StoreError, match="the store is away"):
        runner.run()
    assert len(tried) == LAST_TRIES


MOVES = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0, 7.0, 30.0, 61.0, 200.0])),
    st.tuples(st.just("jump"), st.sampled_from([-4_000.0, -90.0, -1.0, 3.0, 90.0, 5_000.0])),
    st.tuples(st.just("end"), st.just(0.0)),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 45.0, 1_000.0])),
    st.tuples(st.just("flaky"), st.sampled_from([0.0, 1.0, 2.0])),
)


@settings(max_examples=80, deadline=None)
@given(
    moves=st.lists(MOVES, min_size=1, max_size=40),
    every=st.sampled_from([1, 7, 60, 3_600]),
    late=st.sampled_from([0, 5, 60]),
    catch_up=st.booleans(),
)
def test_whatever_clocks_stores_and_processes_do_each_slot_is_run_once_or_told(
    moves: list[tuple[str, float]], every: int, late: int, catch_up: bool
) -> None:
    with open_store("sqlite://") as store:
        world = World(store)
        answers: list[str] = []
        under_way: list[int] = []

        def call(slot: int) -> None:
            world.calls.append(("cycle", slot, 0.0))

        def start() -> SlotRunner:
            world.begun.clear()
            under_way.clear()
            book = flaky(world.book(), lambda: answers.pop(0) if answers else "")
            return world.runner(
                world.job(every=every, late=late, catch_up=catch_up, call=call), book=book, at_once=False
            )

        runner = start()
        for move, amount in moves:
            if move == "pass":
                world.hand.pass_by(amount)
            elif move == "jump":
                world.hand.at += amount
            elif move == "end" and world.begun:
                world.begun.pop()()
            elif move == "flaky":
                answers[:] = [["gone"], ["lost"], ["", "lost", "gone"]][int(amount)]
            elif move == "restart":
                world.hand.pass_by(amount)
                answers.clear()
                runner = start()
            before = len(world.begun)
            newest = START + world.hand.at
            runner.look()
            assert len(world.begun) <= 1, "two runs of one job at once"
            if len(world.begun) > before:
                claimed = world.told(d.JobClaimed)[-1].slot
                assert claimed <= newest < claimed + every or newest - claimed <= late
                assert catch_up or newest - claimed <= late
        claimed = [one.slot for one in world.told(d.JobClaimed)]
        missed = [slot for one in world.told(d.JobMissed) for slot in range(one.first, one.last + 1, one.every or 1)]
        ran = [slot for _, slot, _ in world.calls]
        assert len(set(ran)) == len(ran)
        assert set(ran) <= set(claimed)
        assert claimed == sorted(set(claimed))
        handled = sorted(claimed + missed)
        assert all(later - earlier == every for earlier, later in pairwise(handled)), "a slot twice, or without a word"
        ended = len(world.told(d.JobFinished)) + len(world.told(d.JobInterrupted))
        assert ended in (len(claimed), len(claimed) - 1)
        assert audit(store).ok
