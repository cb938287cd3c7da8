"""The book of slots on both databases: each (job, slot) at most once, every miss told, every interruption found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from treasury_arena.clock import VirtualClock
from treasury_arena.errors import IntegrityError, LeaseLostError, StoreError, ValidationError
from treasury_arena.events import daemon as d
from treasury_arena.events.event import Draft
from treasury_arena.store import EventStore, audit, compare_projections, open_store, schema
from treasury_arena.store.lease import Holder, Lease
from treasury_arena.store.slot_book import StoreSlotBook

T0 = datetime(2024, 5, 1, tzinfo=UTC)
NOON = "2024-01-01T12:00:00Z"


def lease_of(store: EventStore, name: str = "one", after: float = 0.0) -> Lease:
    """A lease taken by `name`, so many seconds after T0."""

    def moment(connection: Connection) -> datetime:
        return T0 + timedelta(seconds=after)

    lease = Lease(store, VirtualClock(T0), Holder(name, "box", 1), moment=moment)
    lease.acquire()
    return lease


def row(store: EventStore, job: str) -> dict[str, Any]:
    with store.database.read() as connection:
        (found,) = store.database.rows(connection, schema.JOBS, 'WHERE "job" = ?', [job])
    return dict(zip(schema.JOBS.columns, found, strict=True))


def told(store: EventStore) -> list[Any]:
    return [event.payload for event in store.read() if event.event_type.startswith("Job")]


def test_a_slot_is_claimed_once_and_finished(store: EventStore) -> None:
    book = StoreSlotBook(lease_of(store))
    assert book.last("cycle") is None
    assert book.claim("cycle", 60)
    assert not book.claim("cycle", 60)
    assert row(store, "cycle")["running"] == 60
    book.finish("cycle", 60)
    assert [book.claim("cycle", 60), book.claim("cycle", 0), book.claim("mark", 60)] == [False, False, True]
    assert book.claim("cycle", 120)
    book.finish("cycle", 120, "no price\0")
    assert book.last("cycle") == 120
    found = row(store, "cycle")
    assert (found["running"], found["done"], found["failed"], found["error"]) == (None, 1, 1, "no price?")
    assert compare_projections(store) == []


def test_two_runs_of_a_job_are_never_at_once(store: EventStore) -> None:
    book = StoreSlotBook(lease_of(store))
    assert book.claim("cycle", 60)
    assert not book.claim("cycle", 120)
    assert book.last("cycle") == 60
    with pytest.raises(IntegrityError, match="job 'cycle' still runs its slot 60"):
        store.append([Draft(d.JobClaimed("cycle", 120, 1), NOON)])


def test_a_long_absence_is_one_event(store: EventStore) -> None:
    book = StoreSlotBook(lease_of(store))
    book.miss("cycle", range(60, 60 * 1_000_001, 60), "no scheduler was running")
    assert told(store) == [d.JobMissed("cycle", 60, 60_000_000, 60, 1_000_000, "no scheduler was running")]
    assert row(store, "cycle")["missed"] == 1_000_000
    assert book.last("cycle") == 60_000_000


def test_missed_slots_are_not_missed_twice_nor_run(store: EventStore) -> None:
    book = StoreSlotBook(lease_of(store))
    book.miss("cycle", [60], "x")
    book.miss("cycle", range(60, 240, 60), "y")
    book.miss("cycle", range(60, 240, 60), "y")
    book.miss("cycle", [], "y")
    assert [(one.first, one.last, one.count, one.reason) for one in told(store)] == [
        (60, 60, 1, "x"),
        (120, 180, 2, "y"),
    ]
    assert [book.claim("cycle", slot) for slot in (60, 120, 180, 240)] == [False, False, False, True]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(-50, 300), max_size=30), st.integers(-60, 200))
def test_uneven_slots_are_told_whole_and_in_as_few_ranges_as_they_are_found(slots: set[int], before: int) -> None:
    with open_store("sqlite://") as store:
        book = StoreSlotBook(lease_of(store))
        book.miss("j", [before], "x")
        book.miss("j", sorted(slots), "y")
        ranges = [one for one in told(store) if one.reason == "y"]
        listed = [slot for one in ranges for slot in range(one.first, one.last + 1, one.every or 1)]
        assert listed == sorted(slot for slot in slots if slot > before)
        assert [one.count for one in ranges] == [len(range(one.first, one.last + 1, one.every or 1)) for one in ranges]
        assert audit(store).ok


def test_slots_that_do_not_grow_are_refused(store: EventStore) -> None:
    book = StoreSlotBook(lease_of(store))
    with pytest.raises(ValidationError, match="must grow, not 60 after 120"):
        book.miss("cycle", [60, 120, 60], "x")
    with pytest.raises(ValidationError, match="the reason of a miss must be a text"):
        book.miss("cycle", [60], "")
    with pytest.raises(ValidationError, match="a job's name must be a text"):
        book.claim(" ", 60)
    assert told(store) == []


def test_what_is_not_under_way_cannot_be_finished(store: EventStore) -> None:
    book = StoreSlotBook(lease_of(store))
    book.claim("cycle", 60)
    for job, slot in (("cycle", 120), ("mark", 60)):
        with pytest.raises(ValidationError, match=f"slot {slot} of job '{job}' is not under way"):
            book.finish(job, slot)


def test_a_dead_holders_run_is_interrupted_once_and_not_run_again(store: EventStore) -> None:
    first = StoreSlotBook(lease_of(store))
    assert first.claim("cycle", 60)
    assert first.claim("mark", 30)
    second = StoreSlotBook(lease_of(store, "two", 60.0))
    assert second.interrupted() == [("cycle", 60), ("mark", 30)]
    assert second.interrupted() == []
    assert [second.claim("cycle", 60), second.claim("cycle", 120)] == [False, True]
    assert [type(one).__name__ for one in told(store)] == ["JobClaimed"] * 2 + ["JobInterrupted"] * 2 + ["JobClaimed"]
    assert row(store, "mark")["interrupted"] == 1


@pytest.mark.parametrize("next_move", ["claim", "miss"])
def test_an_interruption_nobody_asked_for_is_told_before_the_jobs_next_slot(store: EventStore, next_move: str) -> None:
    StoreSlotBook(lease_of(store)).claim("cycle", 60)
    second = StoreSlotBook(lease_of(store, "two", 60.0))
    if next_move == "claim":
        assert second.claim("cycle", 120)
    else:
        second.miss("cycle", [120], "x")
    assert told(store)[1] == d.JobInterrupted("cycle", 60, "its process ended before it did")


def test_who_lost_the_lease_can_do_nothing_in_the_book(store: EventStore) -> None:
    first = StoreSlotBook(lease_of(store))
    first.claim("cycle", 60)
    StoreSlotBook(lease_of(store, "two", 60.0))
    before = store.last()
    for move in (
        lambda: first.claim("cycle", 120),
        lambda: first.finish("cycle", 60),
        lambda: first.miss("cycle", [120], "x"),
        first.interrupted,
    ):
        with pytest.raises(LeaseLostError, match="was lost: it is held by two"):
            move()
    assert store.last() == before


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_call_whose_answer_was_lost_may_be_made_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    """The connection breaks at the commit: nobody knows whether it happened, and asking again is right either way."""
    book = StoreSlotBook(lease_of(store))
    append = EventStore.append_decided

    def lost(self: EventStore, decide: Any, **more: Any) -> Any:
        if carried_out:
            append(self, decide, **more)
        raise StoreError("lost its connection")

    def twice(move: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(EventStore, "append_decided", lost)
            with pytest.raises(StoreError, match="lost its connection"):
                move()
        return move()

    assert twice(lambda: book.claim("cycle", 60)) is True
    assert book.claim("cycle", 60) is False
    twice(lambda: book.finish("cycle", 60, "x"))
    twice(lambda: book.miss("cycle", range(120, 300, 60), "y"))
    assert [type(one).__name__ for one in told(store)] == ["JobClaimed", "JobFinished", "JobMissed"]


def test_64_threads_claim_each_slot_once(store: EventStore) -> None:
    lease = lease_of(store)
    books = [StoreSlotBook(lease) for _ in range(4)]
    assert sorted(StoreSlotBook(lease).claim("cycle", 60) for _ in range(1)) == [True]
    books[0].miss("cycle", [120], "x")

    def claim(index: int) -> bool:
        return books[0].claim(f"job {index % 8}", 60)

    with ThreadPoolExecutor(64) as threads:
        assert sum(threads.map(claim, range(64))) == 8
    assert audit(store).ok


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (d.JobClaimed("cycle", 60, 1), "slot 60 of job 'cycle' is over: its newest one is 60"),
        (d.JobMissed("cycle", 60, 60, 0, 1, "x"), "slot 60 of job 'cycle' is over"),
        (d.JobMissed("cycle", 120, 180, 50, 2, "x"), "cannot have missed 2 slots as told"),
        (d.JobMissed("cycle", 120, 120, 60, 1, "x"), "cannot have missed 1 slots as told"),
        (d.JobMissed("cycle", 120, 120, 0, 0, "x"), "cannot have missed 0 slots as told"),
        (d.JobFinished("cycle", 60, ""), "slot 60 of job 'cycle' is not under way"),
        (d.JobInterrupted("mark", 60, "x"), "slot 60 of job 'mark' is not under way"),
    ],
)
def test_moves_that_cannot_be_are_refused_by_the_log_itself(store: EventStore, payload: Any, why: str) -> None:
    book = StoreSlotBook(lease_of(store))
    book.claim("cycle", 60)
    book.finish("cycle", 60)
    before = store.last()
    with pytest.raises(IntegrityError, match=why):
        store.append([Draft(payload, NOON)])
    assert store.last() == before
