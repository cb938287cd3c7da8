"""The lease on both databases: one writer, tokens that grow, clocks that jump, processes that are paused or killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from treasury_arena.clock import VirtualClock, WallClock
from treasury_arena.errors import IntegrityError, LeaseLostError, StoreError, ValidationError
from treasury_arena.events import daemon as d
from treasury_arena.events.event import Draft
from treasury_arena.store import EventStore, audit, compare_projections, open_store, rebuild_projections
from treasury_arena.store.lease import Holder, Lease, LeaseKeeper, database_moment

T0 = datetime(2024, 5, 1, tzinfo=UTC)
CLOCK = VirtualClock(T0)
NOON = "2024-01-01T12:00:00Z"
CONTENDER = Path(__file__).parent / "contender.py"


class Hands:
    """A database's clock that a test sets as it likes, also back."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, connection: Connection) -> datetime:
        return T0 + timedelta(seconds=self.at)


def lease_of(store: EventStore, name: str, hands: Hands, seconds: int = 60) -> Lease:
    return Lease(store, CLOCK, Holder(name, "box", 1), seconds=seconds, moment=hands)


def test_only_one_holds_it_and_the_others_are_told_who_and_until_when(store: EventStore) -> None:
    hands = Hands()
    first, second = lease_of(store, "one", hands), lease_of(store, "two", hands)
    assert first.acquire() == 1
    hands.at = 59.9
    told = r"held by one \(process 1 on box\) until 2024-05-01T00:01:00Z; stop that process, or wait"
    with pytest.raises(LeaseLostError, match=told):
        second.acquire()
    hands.at = 60.0
    assert second.acquire() == 2
    assert [(type(event.payload).__name__, event.payload.holder) for event in store.read()] == [
        ("LeaseTaken", "one"),
        ("LeaseLost", "one"),
        ("LeaseTaken", "two"),
    ]
    assert compare_projections(store) == []


def test_a_dead_process_of_this_machine_is_not_waited_for_and_a_living_one_is(store: EventStore) -> None:
    hands, host = Hands(), socket.gethostname() or "unknown"
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        Lease(store, CLOCK, Holder("one", host, sleeper.pid), moment=hands).acquire()
        sleeper.send_signal(signal.SIGSTOP)
        with pytest.raises(LeaseLostError, match="held by one"):
            lease_of(store, "two", hands).acquire()
    finally:
        sleeper.kill()
        sleeper.wait()
    assert lease_of(store, "two", hands).acquire() == 2
    lost = next(iter(store.read(event_type="LeaseLost"))).payload
    assert (lost.holder, lost.reason) == ("one", f"process {sleeper.pid} on this machine is gone")


def test_who_lost_it_writes_nothing_more(store: EventStore, make: SimpleNamespace) -> None:
    hands = Hands()
    first, second = lease_of(store, "one", hands), lease_of(store, "two", hands)
    first.acquire()
    paused = first.guarded()
    paused.append([make.opened()])
    hands.at = 60.0
    second.acquire()
    before = store.last()
    for write in (lambda: paused.append([make.spawned("a1")]), first.renew):
        with pytest.raises(LeaseLostError, match=r"with token 1 was lost: it is held by two \(process 1 on box\) now"):
            write()
    first.release()  # there is nothing left to give back
    assert store.last() == before
    second.guarded().append([make.spawned("a1")])
    assert audit(store).ok


def test_a_lease_that_ran_out_and_that_nobody_took_goes_on(store: EventStore, make: SimpleNamespace) -> None:
    hands = Hands()
    first, second = lease_of(store, "one", hands), lease_of(store, "two", hands)
    first.acquire()
    hands.at = 3_600.0
    first.guarded().append([make.opened()])
    first.renew()
    with pytest.raises(LeaseLostError, match="until 2024-05-01T01:01:00Z"):
        second.acquire()


def test_a_renewal_lengthens_it_and_is_no_event(store: EventStore) -> None:
    hands = Hands()
    first, second = lease_of(store, "one", hands), lease_of(store, "two", hands)
    first.acquire()
    before = store.last()
    hands.at = 30.0
    first.renew()
    hands.at = 89.0
    with pytest.raises(LeaseLostError, match="until 2024-05-01T00:01:30Z"):
        second.acquire()
    assert store.last() == before


def test_a_released_lease_is_free_at_once_and_its_token_is_not_given_again(store: EventStore) -> None:
    hands = Hands()
    first, second = lease_of(store, "one", hands), lease_of(store, "two", hands)
    first.acquire()
    first.release()
    with pytest.raises(LeaseLostError, match="is not held by this process"):
        _ = first.token
    with pytest.raises(LeaseLostError, match="is not held by this process"):
        first.guarded().append([Draft(d.DaemonStopped("one", 1, "late"), NOON)])
    assert second.acquire() == 2


def test_a_holder_that_takes_it_anew_ends_its_older_self(store: EventStore) -> None:
    hands = Hands()
    first = lease_of(store, "one", hands)
    assert [first.acquire(), first.acquire()] == [1, 2]
    assert [event.event_type for event in store.read()] == ["LeaseTaken", "LeaseLost", "LeaseTaken"]


@pytest.mark.parametrize(("back", "free"), [(5.0, False), (5.1, True), (86_400.0, True)])
def test_a_dead_holder_is_not_waited_for_after_the_clock_went_back(store: EventStore, back: float, free: bool) -> None:
    hands = Hands()
    lease_of(store, "one", hands).acquire()
    hands.at = -back
    second = lease_of(store, "two", hands)
    if free:
        assert second.acquire() == 2
        assert any("the clock went back" in e.payload.reason for e in store.read(event_type="LeaseLost"))
    else:
        with pytest.raises(LeaseLostError, match="is held by one"):
            second.acquire()


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM lease_terms", "UPDATE lease_terms SET expires_at = 'soon'", "UPDATE lease_terms SET token = 9"],
)
def test_a_lease_whose_end_is_unknown_can_be_taken(store: EventStore, damage: str) -> None:
    hands = Hands()
    lease_of(store, "one", hands).acquire()
    with store.database.write() as connection:
        connection.exec_driver_sql(damage)
    assert lease_of(store, "two", hands).acquire() == 2


def test_leases_of_two_names_know_nothing_of_each_other(store: EventStore) -> None:
    hands = Hands()
    one = Lease(store, CLOCK, Holder("one", "box", 1), name="a", moment=hands)
    two = Lease(store, CLOCK, Holder("two", "box", 1), name="b", moment=hands)
    assert (one.acquire(), two.acquire()) == (1, 1)


def test_a_lease_of_no_time_is_refused(store: EventStore) -> None:
    with pytest.raises(ValidationError, match="a lease of 0 seconds is none"):
        Lease(store, CLOCK, seconds=0)


def test_terms_are_kept_when_projections_are_rebuilt(store: EventStore) -> None:
    hands = Hands()
    first = lease_of(store, "one", hands)
    first.acquire()
    rebuild_projections(store)
    with pytest.raises(LeaseLostError, match="is held by one"):
        lease_of(store, "two", hands).acquire()
    first.renew()


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (d.LeaseTaken("writer", "two", "box", 1, 2), "cannot be taken with token 2: its last one is 1"),
        (d.LeaseLost("writer", "one", 2, "x"), "is not held by 'one' with token 2"),
        (d.LeaseReleased("writer", "two", 1), "is not held by 'two' with token 1"),
        (d.LeaseReleased("nobody's", "two", 1), "is not held by 'two' with token 1"),
        (d.LeaseTaken("other", "two", "box", 1, 2), "cannot be taken with token 2: its last one is 0"),
    ],
)
def test_moves_that_cannot_be_are_refused_by_the_log_itself(store: EventStore, payload: Any, told: str) -> None:
    lease_of(store, "one", Hands()).acquire()
    with pytest.raises(IntegrityError, match=told):
        store.append([Draft(payload, NOON)])
    assert store.last()[0] == 1


@settings(max_examples=25, deadline=None)
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from(["acquire", "renew", "write", "release"]),
            st.integers(0, 2),
            st.sampled_from([0.0, 1.0, 30.0, 61.0, -1.0, -400.0, 4_000.0]),
        ),
        max_size=25,
    )
)
def test_whatever_the_clock_does_only_the_newest_token_writes(moves: list[tuple[str, int, float]]) -> None:
    with open_store("sqlite://") as store:
        hands = Hands()
        leases = [lease_of(store, f"h{index}", hands) for index in range(3)]
        tokens: list[int] = []
        newest: int | None = None  # whose the newest token is, as this test counts
        for number, (move, who, jump) in enumerate(moves):
            hands.at += jump
            lease = leases[who]
            try:
                if move == "acquire":
                    tokens.append(lease.acquire())
                    newest = who
                elif move == "renew":
                    lease.renew()
                    assert newest == who
                elif move == "release":
                    held = newest == who
                    lease.release()
                    newest = None if held else newest
                else:
                    payload = d.DaemonStarted(str(number), lease.token, "paper", "0", {})
                    lease.guarded().append([Draft(payload, NOON)])
                    assert newest == who
            except LeaseLostError:
                assert newest != who or move == "acquire"
        assert tokens == list(range(1, len(tokens) + 1))
        assert audit(store).ok


def test_a_paused_transaction_keeps_everybody_else_waiting(store_url: str, make: SimpleNamespace) -> None:
    """A holder that is stopped inside its transaction holds the writer's lock: nobody takes the lease under its feet."""
    hands = Hands()
    with open_store(store_url) as store, open_store(store_url, busy_timeout_ms=200) as other:
        first, second = lease_of(store, "one", hands), lease_of(other, "two", hands)
        first.acquire()
        hands.at = 100.0
        refused: list[str] = []

        def decide(connection: Connection) -> list[Draft]:
            with pytest.raises(StoreError) as caught:
                second.acquire()
            refused.append(str(caught.value))
            return [make.opened()]

        first.guarded().append_decided(decide)
        assert "locked by another process" in refused[0]
        assert second.acquire() == 2


def test_64_threads_get_as_many_tokens_and_one_of_them_the_right_to_write(store: EventStore) -> None:
    hands = Hands()

    def contend(index: int) -> int:
        try:
            return lease_of(store, f"h{index}", hands).acquire()
        except LeaseLostError:
            return 0

    with ThreadPoolExecutor(64) as threads:
        assert sorted(threads.map(contend, range(64))) == [0] * 63 + [1]


def test_the_databases_own_time_is_near_ours(store: EventStore) -> None:
    moment = database_moment(store.database)
    with store.database.read() as connection:
        told = moment(connection)
    assert abs((told - WallClock().now()).total_seconds()) < 60
    assert told.utcoffset() == timedelta(0)


def test_a_keeper_renews_and_releases(store: EventStore) -> None:
    lost: list[LeaseLostError] = []
    renewed = threading.Event()
    lease = Lease(store, WallClock(), seconds=1)
    renew = lease.renew

    def counted() -> None:
        renew()
        renewed.set()

    lease.renew = counted  # type: ignore[method-assign]
    with LeaseKeeper(lease, lost.append):
        assert renewed.wait(30)
        lease.guarded().append([Draft(d.DaemonStarted("x", lease.token, "paper", "0", {}), NOON)])
    assert [event.event_type for event in store.read()] == ["LeaseTaken", "DaemonStarted", "LeaseReleased"]
    assert lost == []


def test_a_keeper_tells_when_the_lease_was_taken_and_goes_on_when_the_database_is_gone(store: EventStore) -> None:
    hands, told, failed = Hands(), threading.Event(), threading.Event()
    lease = lease_of(store, "one", hands, seconds=1)
    lost: list[LeaseLostError] = []
    renew = lease.renew

    def failing() -> None:
        if not failed.is_set():
            failed.set()
            raise StoreError("the database is away")
        renew()

    def on_lost(error: LeaseLostError) -> None:
        lost.append(error)
        told.set()

    lease.renew = failing  # type: ignore[method-assign]
    lease.acquire()
    with LeaseKeeper(lease, on_lost) as keeper:
        assert failed.wait(30)
        hands.at = 2.0
        lease_of(store, "two", hands).acquire()
        assert told.wait(30)
    assert "was lost: it is held by two" in str(lost[0]) == keeper.last_error
    assert len(lost) == 1


@pytest.fixture
def contender() -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(CONTENDER), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)

    return start


def test_a_process_that_was_stopped_while_another_took_over_is_refused(
    store_url: str, contender: Callable[..., subprocess.Popen[str]]
) -> None:
    first = contender(store_url, "1")
    assert first.stdout is not None
    assert first.stdin is not None
    assert first.stdout.readline() == "token 1\n"
    first.send_signal(signal.SIGSTOP)
    with open_store(store_url) as store:
        lease = Lease(store, WallClock(), seconds=60)
        ended = threading.Event()
        while True:
            try:
                assert lease.acquire() == 2
                break
            except LeaseLostError:
                ended.wait(0.2)
        before = store.last()
        first.send_signal(signal.SIGCONT)
        first.stdin.write("write\n")
        first.stdin.flush()
        assert "was lost" in first.stdout.readline()
        assert store.last() == before
        first.stdin.close()
        assert first.wait(30) == 0
        first.stdout.close()
        assert audit(store).ok


def test_a_store_of_the_third_schema_gets_the_tables(store_url: str) -> None:
    with open_store(store_url) as store, store.database.write() as connection:
        for statement in (
            "DROP INDEX ix_events_event_type",
            "DROP TABLE leases",
            "DROP TABLE lease_terms",
            "DROP TABLE jobs",
            "UPDATE alembic_version SET version_num = '0003'",
        ):
            connection.exec_driver_sql(statement)
    with open_store(store_url) as store:
        assert lease_of(store, "one", Hands()).acquire() == 1
        assert audit(store).ok
