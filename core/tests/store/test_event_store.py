"""Append and read, on both databases."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from treasury_arena.errors import (
    AllocationError,
    CapitalConservationError,
    ConcurrencyError,
    StoreError,
    ValidationError,
)
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.events.hashing import GENESIS
from treasury_arena.store import EventStore, audit, open_store


def test_an_empty_store(store: EventStore) -> None:
    assert store.last() == (0, GENESIS)
    assert list(store.read()) == []
    assert store.balances() == {}
    assert audit(store).ok


def test_what_is_read_is_what_was_appended(store: EventStore, make: SimpleNamespace) -> None:
    events = store.append(make.story())
    again = list(store.read())
    assert again == events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.prev_hash for event in events] == [GENESIS, *(event.hash for event in events[:-1])]
    assert len({event.event_id for event in events}) == len(events)
    assert store.last() == (events[-1].seq, events[-1].hash)
    assert events[7].caused_by == events[6].event_id
    assert again[0].payload.config == {"a": {"b_raw": 2**70}}
    assert '"b_raw":"1180591620717411303424"' in again[0].data


def test_both_databases_and_any_split_into_appends_give_one_digest(store: EventStore, make: SimpleNamespace) -> None:
    drafts = [d for d in make.story() if d.caused_by is None]
    with open_store("sqlite://") as other:
        other.append(drafts)
        for draft in drafts:
            store.append([draft])
        assert store.last() == other.last()


def test_no_drafts_do_nothing(store: EventStore) -> None:
    assert store.append([], expected_seq=99) == []
    assert store.last()[0] == 0


def test_a_late_writer_is_told_and_writes_nothing(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.opened()], expected_seq=0)
    with pytest.raises(ConcurrencyError, match="is at event 1, not 0"):
        store.append([make.spawned("a1")], expected_seq=0)
    assert store.last()[0] == 1
    assert store.append([make.spawned("a1")], expected_seq=1)[0].seq == 2


def test_filters(store: EventStore, make: SimpleNamespace) -> None:
    events = store.append(make.story())
    assert list(store.read(after=3, upto=5)) == events[3:5]
    assert list(store.read(tail=2)) == events[-2:]
    assert list(store.read(tail=0)) == []
    assert [e.seq for e in store.read(agent_id="ä2")] == [4, 11, 12]
    assert [e.seq for e in store.read(agent_id="a1", tail=2, upto=10)] == [9, 10]
    assert [e.event_type for e in store.read(event_type="AgentSpawned")] == ["AgentSpawned"] * 2
    assert list(store.read(agent_id="nobody")) == []
    with pytest.raises(StoreError, match="did you mean 'AgentSpawned'"):
        store.read(event_type="AgentSpawnd")


def test_reading_goes_over_pages_and_sees_later_appends(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.record(f"a{i}") for i in range(1_500)])
    reader = store.read()
    first = [next(reader) for _ in range(10)]
    store.append([make.record("late")])
    rest = list(reader)
    assert [e.seq for e in first + rest] == list(range(1, 1_502))


def test_balances_are_exact_beyond_64_bits(store: EventStore, make: SimpleNamespace) -> None:
    big = 10**77
    store.append([Draft(make.opened().payload, make.NOON, None, (make.move("world:mint", "pool:a", big, "WEI"),))])
    store.append([Draft(make.record("x").payload, make.NOON, None, (make.move("pool:a", "pool:ab", 1, "WEI"),))])
    assert store.balance("pool:a", "WEI") == big - 1
    assert store.balances("pool:a") == {("pool:a", "WEI"): big - 1, ("pool:ab", "WEI"): 1}
    assert store.balances("pool:ab") == {("pool:ab", "WEI"): 1}
    assert store.balance("world:mint", "WEI") == -big
    assert store.balance("pool:none", "WEI") == 0


def refusals(make: SimpleNamespace) -> dict[str, tuple[Draft, type[Exception], str]]:
    def moving(*transfers: Transfer, **kwargs: object) -> Draft:
        return Draft(make.record("a1").payload, make.NOON, "a1", transfers, **kwargs)  # type: ignore[arg-type]

    broken = Transfer("broken", (Line("pool:arena", "USDC", -5), Line("gas", "USDC", 4)))
    crossed = Transfer("crossed", (Line("pool:arena", "USDC", -5), Line("gas", "ETH", 5)))
    return {
        "sum": (moving(broken), CapitalConservationError, "does not conserve USDC: its lines sum to -1"),
        "asset": (moving(crossed), CapitalConservationError, "does not conserve"),
        "pool": (
            make.allocated("a1", 1_001),
            AllocationError,
            "pool:arena holds 1000 base units of USDC and cannot give 1001",
        ),
        "treasury": (moving(make.move("treasury:reserve", "gas", 1)), AllocationError, "treasury:reserve holds 0"),
        "agent": (make.returned("a1", 1), CapitalConservationError, "agent:a1:available holds 0"),
        "account": (moving(make.move("poool:arena", "gas", 1)), ValidationError, "poool:arena"),
        "digits": (moving(make.move("world:a", "gas", 10**78)), CapitalConservationError, "78 digits"),
        "timestamp": (Draft(make.record("a").payload, "2024-01-01 00:00"), ValidationError, "draft 1: timestamp"),
        "agent id": (Draft(make.record("a").payload, make.NOON, ""), ValidationError, "agent id is empty"),
        "cause": (
            Draft(make.record("a").payload, make.NOON, caused_by=1),
            ValidationError,
            "not the index of an earlier",
        ),
        "cause id": (Draft(make.record("a").payload, make.NOON, caused_by="00"), ValidationError, "no stored event"),
        "nan": (make.record("a", float("nan")), ValidationError, r"PerformanceRecorded.metrics.fitness .*nan"),
        "payload": (Draft(object(), make.NOON), ValidationError, "not an event of the catalog"),
        "second arena": (make.opened(), StoreError, "already holds the arena 't'"),
    }


KINDS = ["sum", "asset", "pool", "treasury", "agent", "account", "digits", "timestamp", "agent id"]
KINDS += ["cause", "cause id", "nan", "payload", "second arena"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_draft_leaves_nothing_behind(store: EventStore, make: SimpleNamespace, kind: str) -> None:
    store.append([make.opened(1_000)])
    before = (store.last(), store.balances())
    draft, error, message = refusals(make)[kind]
    with pytest.raises(error, match=message):
        store.append([make.spawned("b1"), draft])
    assert (store.last(), store.balances()) == before
    report = audit(store)
    assert report.ok, report.findings
    assert report.checks["sequence"] == 1


def test_every_case_of_refusal_is_run(make: SimpleNamespace) -> None:
    assert set(KINDS) == set(refusals(make))


def test_a_pool_may_be_emptied_to_zero_and_no_further(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.opened(1_000)])
    store.append([make.spawned("a1"), make.allocated("a1", 1_000)])
    assert store.balance("pool:arena", "USDC") == 0
    with pytest.raises(AllocationError):
        store.append([make.allocated("a1", 1)])


def test_an_account_may_dip_within_an_event_but_not_between_events(store: EventStore, make: SimpleNamespace) -> None:
    out, back = make.move("pool:arena", "pool:proving", 5), make.move("world:owner", "pool:arena", 5)
    payload = make.record("a").payload
    store.append([Draft(payload, make.NOON, None, (out, back))])
    assert store.balance("pool:proving", "USDC") == 5
    with pytest.raises(AllocationError):
        store.append([Draft(payload, make.NOON, None, (out,)), Draft(payload, make.NOON, None, (back,))])
    assert store.last()[0] == 1


def test_the_database_file_is_wal_with_full_sync(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db") as store, store.database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_the_hash_is_the_documented_formula(store: EventStore, make: SimpleNamespace) -> None:
    event = store.append([make.record("a1")])[0]

    def netstring(text: str) -> str:
        return f"{len(text)}:{text}"

    content = f"{netstring('PerformanceRecorded')},1,{netstring('a1')},{netstring(make.NOON)},{netstring(event.data)},~"
    seed = hashlib.sha256(b"treasury-arena events 1").hexdigest()
    identity = "0000000001" + hashlib.sha256(f"id,{seed},{content}".encode()).hexdigest()[:22]
    assert event.event_id == identity
    assert event.hash == hashlib.sha256(f"event,1,{identity},{seed},{content}".encode()).hexdigest()
