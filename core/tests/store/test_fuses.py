"""Fuses in the store, on both databases: what an order may know inside its transaction, resets, and the fold's own laws."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from treasury_arena.clock import VirtualClock, iso
from treasury_arena.contracts.fuse_record import FuseRecord, from_json, to_json
from treasury_arena.domain.fuses import RISK_STATES, FuseState, known_state
from treasury_arena.errors import IntegrityError, ValidationError
from treasury_arena.events import catalog as c
from treasury_arena.events.event import Draft
from treasury_arena.store import EventStore, audit, compare_projections, fuses, rebuild_projections, replay

T0 = datetime(2024, 5, 1, tzinfo=UTC)
CLOCK = VirtualClock(T0)
TRIGGER = {"guard": "g", "reading": "r", "why": "limit", "value": "2.0", "limit": "2.0", "text": "g: r is 2.0"}


def append(store: EventStore, *payloads: Any, at: datetime = T0) -> None:
    store.append([Draft(payload, iso(at)) for payload in payloads])


def checked(fuse: str = "survival", at: datetime = T0, seconds: float = 180.0) -> c.FuseChecked:
    return c.FuseChecked(fuse, "ARMED", iso(at + timedelta(seconds=seconds)), False, [], [])


def tripped(trip: int = 1) -> c.FuseTripped:
    return c.FuseTripped("survival", trip, "g: r is 2.0", ["notify"], [iso(T0)])


def armed(store: EventStore, fuse: str = "survival") -> None:
    append(store, c.FuseArmed(fuse, ["g"]), checked(fuse))


def why(store: EventStore, *configured: str, now: datetime = T0) -> str:
    with store.database.read() as connection:
        return fuses.why_no_risk(connection, configured, VirtualClock(now))


def by_hand(store: EventStore, statement: str) -> None:
    with store.database.write() as connection:
        connection.exec_driver_sql(statement)


def test_without_a_fuse_nothing_is_in_the_way(store: EventStore) -> None:
    assert why(store) == ""
    assert fuses.records(store) == {}


def test_a_configured_fuse_that_was_never_armed_is_in_the_way(store: EventStore) -> None:
    assert why(store, "survival") == "fuse 'survival' was never armed"
    armed(store, "another")
    assert why(store, "survival") == "fuse 'survival' was never armed"
    armed(store)
    assert why(store, "survival") == ""


@pytest.mark.parametrize(
    ("state", "payloads"),
    [
        (FuseState.ARMED, []),
        (FuseState.WARNED, [c.FuseWarned("survival", [TRIGGER])]),
        (FuseState.TRIPPED, [tripped()]),
        (FuseState.COOLING, [tripped(), c.FuseCooling("survival", 1)]),
        (FuseState.LOCKED, [c.FuseLocked("survival", "finality broke")]),
    ],
)
def test_only_armed_and_warned_let_new_risk_through(store: EventStore, state: FuseState, payloads: list[Any]) -> None:
    armed(store)
    if payloads:
        append(store, *payloads)
    with store.database.read() as connection:
        (standing,) = fuses.fuse_state(connection, ("survival",), T0)
    assert standing.stored == state == fuses.records(store)["survival"].state
    assert (standing.why == "") == (state in RISK_STATES)
    assert (why(store) == "") == (state in RISK_STATES)  # a fuse that no configuration names counts all the same
    assert compare_projections(store) == []
    assert audit(store).ok


@pytest.mark.parametrize("text", ["armed", "ARMED ", "OFF", "", "DISABLED"])
def test_a_state_that_nobody_knows_stops_new_risk(store: EventStore, text: str) -> None:
    armed(store)
    by_hand(store, f"UPDATE fuses SET state = '{text}'")
    assert "which is no state of a fuse" in why(store, "survival")
    assert known_state(text) is known_state(None) is FuseState.LOCKED
    assert [finding.check for finding in audit(store).findings] == ["projection"]


@pytest.mark.parametrize("value", ["NULL", "'soon'", "''", "'2024-05-01T00:03:00'"])
@pytest.mark.parametrize("column", ["checked_at", "valid_until"])
def test_a_moment_that_cannot_be_read_stops_new_risk(store: EventStore, column: str, value: str) -> None:
    armed(store)
    by_hand(store, f"UPDATE fuses SET {column} = {value}")
    assert "has not been checked since" in why(store, "survival")


def test_a_check_is_good_until_its_moment_and_not_before_its_own(store: EventStore) -> None:
    armed(store)
    for seconds, told in (
        (-60.000001, "the clock went back"),
        (-60, ""),
        (0, ""),
        (179.999999, ""),
        (180, "nobody watches"),
        (1e9, "nobody watches"),
    ):
        found = why(store, "survival", now=T0 + timedelta(seconds=seconds))
        assert (found == "") == (told == ""), seconds
        assert told in found


def test_every_fuse_that_is_in_the_way_is_told(store: EventStore) -> None:
    armed(store)
    append(store, tripped(), c.FuseLocked("other", "closed"))
    assert why(store, "survival", "third") == (
        "fuse 'other' is LOCKED: closed; fuse 'survival' is TRIPPED: g: r is 2.0; fuse 'third' was never armed"
    )


def test_an_order_reads_the_fuse_in_the_transaction_that_signs(store: EventStore) -> None:
    """What another writer commits meanwhile comes before or after the whole transaction, never in between."""
    armed(store)

    def sign(connection: Connection) -> list[Draft]:
        assert fuses.why_no_risk(connection, ("survival",), CLOCK) == ""
        return [Draft(c.EmergencyStopEngaged("SOFT", "stands for a signature", "ann"), iso(T0))]

    store.append_decided(sign)
    append(store, tripped())

    def refused(connection: Connection) -> list[Draft]:
        if fuses.why_no_risk(connection, ("survival",), CLOCK):
            return []
        raise AssertionError("signed after the trip")

    assert store.append_decided(refused) == []


def test_a_decision_that_raises_writes_nothing(store: EventStore) -> None:
    def decide(connection: Connection) -> list[Draft]:
        raise ValidationError("no")

    with pytest.raises(ValidationError, match="no"):
        store.append_decided(decide)
    assert store.last()[0] == 0


# -- resets ------------------------------------------------------------------------------------------------------------------


def test_a_reset_arms_and_keeps_who_and_why(store: EventStore) -> None:
    armed(store)
    append(store, tripped(), c.FuseLocked("survival", "3 trips"))
    event = fuses.reset(store, "looked into it", "ann", CLOCK)
    assert event.payload == c.FuseReset("survival", "LOCKED", "looked into it", "ann", ["notify"])
    record = fuses.records(store)["survival"]
    assert (record.state, record.operator, record.reason) == (FuseState.ARMED, "ann", "looked into it")
    assert (record.trip, record.trips, record.tasks) == (1, (), ())
    assert "has not been checked since" in why(store, "survival")
    append(store, checked())
    assert why(store, "survival") == ""
    assert replay(store).ok


@pytest.mark.parametrize(("reason", "operator"), [("", "ann"), (" ", "ann"), ("r", ""), ("r", "\0")])
def test_a_reset_needs_reason_and_operator(store: EventStore, reason: str, operator: str) -> None:
    armed(store)
    append(store, tripped())
    with pytest.raises(ValidationError):
        fuses.reset(store, reason, operator, CLOCK)
    with pytest.raises(ValidationError):
        append(store, c.FuseReset("survival", "TRIPPED", reason, operator, []))
    assert fuses.records(store)["survival"].state is FuseState.TRIPPED


def test_what_cannot_be_reset_is_said(store: EventStore) -> None:
    with pytest.raises(ValidationError, match="no fuse was ever armed"):
        fuses.reset(store, "r", "o", CLOCK)
    armed(store)
    with pytest.raises(ValidationError, match="'survival' is ARMED; there is nothing to reset"):
        fuses.reset(store, "r", "o", CLOCK)
    with pytest.raises(ValidationError, match="there is no fuse 'survivl'; did you mean 'survival'"):
        fuses.reset(store, "r", "o", CLOCK, "survivl")
    armed(store, "other")
    append(store, tripped())
    with pytest.raises(ValidationError, match="several fuses; name one of other, survival"):
        fuses.reset(store, "r", "o", CLOCK)
    assert fuses.reset(store, "r", "o", CLOCK, "survival").event_type == "FuseReset"


# -- the laws of the fold ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [[tripped()], [c.FuseLocked("survival", "x")]])
def test_no_event_arms_a_fuse_that_is_tripped_or_locked(store: EventStore, before: list[Any]) -> None:
    armed(store)
    append(store, *before)
    held = fuses.records(store)["survival"]
    with pytest.raises(ValidationError, match=f"FuseRearmed of fuse 'survival', which is {held.state}"):
        append(store, c.FuseRearmed("survival", "forged"))
    with pytest.raises(ValidationError, match="cannot be armed anew"):
        append(store, c.FuseArmed("survival", []))
    append(store, c.FuseWarned("survival", [TRIGGER]), checked())
    assert fuses.records(store)["survival"].state is held.state


@pytest.mark.parametrize("before", [[], [c.FuseWarned("survival", [TRIGGER])], [c.FuseLocked("survival", "x")]])
def test_only_a_tripped_fuse_cools(store: EventStore, before: list[Any]) -> None:
    armed(store)
    if before:
        append(store, *before)
    with pytest.raises(ValidationError, match="expected TRIPPED"):
        append(store, c.FuseCooling("survival", 1))


def test_a_trip_does_not_open_a_lock(store: EventStore) -> None:
    armed(store)
    append(store, c.FuseLocked("survival", "x"), tripped())
    assert fuses.records(store)["survival"].state is FuseState.LOCKED


def test_a_fuse_of_which_only_a_lock_is_known_is_locked(store: EventStore) -> None:
    store.append([fuses.locking("survival", "finality broke at block 7", CLOCK)])
    assert fuses.records(store)["survival"].state is FuseState.LOCKED
    assert why(store) == "fuse 'survival' is LOCKED: finality broke at block 7"


def test_an_action_begins_once(store: EventStore) -> None:
    armed(store)
    append(store, tripped(), c.FuseActionBegun("survival", 1, "notify", 10**30))
    assert fuses.records(store)["survival"].tasks[0].task.target_raw == 10**30
    with pytest.raises(ValidationError, match="was begun before"):
        append(store, c.FuseActionBegun("survival", 1, "notify", 5))
    append(store, c.FuseActionTaken("survival", 9, "notify", 1, True, ""))  # of a trip that never was
    assert not fuses.records(store)["survival"].tasks[0].done


def test_the_table_is_rebuilt_from_the_log(store: EventStore) -> None:
    armed(store)
    append(store, c.FuseTriggered("survival", [TRIGGER], []), tripped())
    append(store, c.FuseActionTaken("survival", 1, "notify", 1, False, "no network"))
    before = fuses.records(store)
    by_hand(store, "DELETE FROM fuses")
    assert "was never armed" in why(store, "survival")
    rebuild_projections(store)
    assert fuses.records(store) == before == fuses.from_log(store)
    assert before["survival"].tasks[0].trouble == "no network"


def test_a_record_that_cannot_be_read_is_told(store: EventStore) -> None:
    armed(store)
    for text in ("no json", "{}", "[]", json.dumps({**to_json(fuses.records(store)["survival"]), "since": "x"})):
        by_hand(store, f"UPDATE fuses SET data = '{text}'")
        with pytest.raises(IntegrityError, match="`arena audit` tells more"):
            fuses.records(store)
        with pytest.raises(IntegrityError):
            append(store, tripped())
        rebuild_projections(store)


def test_an_unknown_state_in_a_record_is_locked() -> None:
    record = FuseRecord("survival", FuseState.ARMED, T0)
    assert from_json({**to_json(record), "state": "HAPPY"}).state is FuseState.LOCKED
    assert from_json(to_json(record)) == record


def test_a_store_of_the_first_schema_gets_the_table(store_url: str) -> None:
    from treasury_arena.store import open_store, order_schema

    with open_store(store_url) as store:
        for table in ("fuses", "leases", "lease_terms", "jobs", *(table.name for table in order_schema.TABLES)):
            by_hand(store, f"DROP TABLE {table}")
        by_hand(store, "DROP INDEX ix_events_event_type")
        by_hand(store, "UPDATE alembic_version SET version_num = '0001'")
    with open_store(store_url) as store:
        armed(store)
        assert why(store, "survival") == ""


def test_what_is_over_is_taken_off_and_what_is_not_stays(store: EventStore) -> None:
    other = {**TRIGGER, "guard": "h"}
    armed(store)
    append(store, c.FuseTriggered("survival", [TRIGGER, other], []), c.FuseWarned("survival", [TRIGGER, other]))
    append(store, c.FuseCleared("survival", [TRIGGER], [other]))
    record = fuses.records(store)["survival"]
    assert [one.guard for one in record.triggers] == ["h"]
    assert [one.guard for one in record.warnings] == ["g"]
    assert record.quiet_since is None
    append(store, c.FuseCleared("survival", [other], [TRIGGER]), at=T0 + timedelta(seconds=9))
    assert fuses.records(store)["survival"].quiet_since == T0 + timedelta(seconds=9)
