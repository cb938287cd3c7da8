"""A log or a projection that was damaged is told in one sentence by whoever reads it, and nothing is built on it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from treasury_arena.clock import VirtualClock, from_epoch
from treasury_arena.errors import IntegrityError
from treasury_arena.store import EventStore, open_store, prove, rebuild_projections, stop


def damage(store: EventStore, *statements: str) -> None:
    with store.database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def log(store: EventStore, make: SimpleNamespace) -> EventStore:
    store.append(make.story())
    return store


@pytest.mark.parametrize("seq", [1, 5, 16, 17, 21])
def test_every_read_notices_a_missing_event(log: EventStore, seq: int) -> None:
    damage(log, f"DELETE FROM events WHERE seq = {seq}")
    for options in ({}, {"after": 2}, {"tail": 2}, {"event_type": "AgentKilled"}, {"agent_id": "a1"}, {"upto": 3}):
        with pytest.raises(IntegrityError, match=rf"event {seq} is missing in store .*`arena audit` tells more"):
            list(log.read(**options))


def test_a_cut_end_is_noticed_by_the_ledger_when_the_state_was_cut_too(log: EventStore) -> None:
    damage(log, "DELETE FROM events WHERE seq > 15", "UPDATE arena_state SET last_seq = 15, seq = 15")
    with pytest.raises(IntegrityError, match="event 16 is missing"):
        list(log.read())


def test_a_whole_log_may_be_read_from_anywhere(log: EventStore) -> None:
    events = list(log.read())
    assert list(log.read(after=4)) == events[4:]
    assert list(log.read(after=4, upto=9)) == events[4:9]
    assert list(log.read(tail=3)) == events[-3:]
    assert list(log.read(upto=9, tail=3)) == events[6:9]
    assert list(log.read(after=99)) == []


def test_an_event_that_does_not_follow_the_one_before_is_told(log: EventStore) -> None:
    damage(log, "UPDATE events SET prev_hash = hash WHERE seq = 6")
    with pytest.raises(IntegrityError, match="event 6"):
        list(log.read())


@pytest.mark.parametrize("last", [0, 20])
def test_nothing_is_appended_to_a_log_that_lost_its_end(log: EventStore, make: SimpleNamespace, last: int) -> None:
    damage(log, f"DELETE FROM events WHERE seq > {last}")
    with pytest.raises(IntegrityError, match=rf"ends with event {last}, its last append with 21: nothing was written"):
        log.append([make.record("a1")])
    assert log.last()[0] == last


DAMAGE = {
    "a balance": (
        "UPDATE account_balances SET amount = '1' WHERE account = 'gas' OR account = 'pool:arena'",
        "projection",
    ),
    "a ledger line": ("DELETE FROM capital_ledger WHERE entry = 3", "ledger_line"),
    "an amount": ("UPDATE capital_ledger SET amount = '7' WHERE entry = 3", "ledger_line"),
    "no agents": ("DELETE FROM agents", "projection"),
    "no trades": ("DELETE FROM trades", "projection"),
    "no run": ("DELETE FROM simulation_runs", "projection"),
    "a genome": ("UPDATE agents SET genome = '{bad'", "projection"),
    "a stop": ("UPDATE emergency_stop SET level = 'OFF'", "projection"),
    "an event": ("DELETE FROM events WHERE seq = 5", "sequence"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_a_run_builds_on_is_proven_first(log: EventStore, case: str) -> None:
    prove(log)
    statement, check = DAMAGE[case]
    damage(log, statement)
    with pytest.raises(
        IntegrityError, match=rf"is damaged, and nothing is built on it \(event \d+: {check}: .*arena audit"
    ):
        prove(log)


@pytest.mark.parametrize("amount", ["'abc'", "X'00ff'", "''"])
def test_amounts_that_are_no_numbers_are_told(tmp_path: Path, make: SimpleNamespace, amount: str) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append(make.story()[:7])
        damage(store, f"UPDATE account_balances SET amount = {amount} WHERE account = 'pool:arena'")
        for call in (
            lambda: store.balance("pool:arena", "USDC"),
            store.balances,
            lambda: store.append([make.allocated("a1", 1)]),
        ):
            with pytest.raises(
                IntegrityError, match=r"account_balances holds .* as the USDC of pool:arena, which is no"
            ):
                call()
        rebuild_projections(store)
        damage(store, f"UPDATE agents SET allocated_raw = {amount} WHERE agent_id = 'a1'")
        for draft in (make.allocated("a1", 1), make.returned("a1", 1), make.record("ä2")):
            with pytest.raises(IntegrityError, match=r"agents holds .* as allocated_raw of"):
                store.append([draft])
        assert store.last()[0] == 7


@pytest.mark.parametrize("level", ["PURPLE", "", "hard"])
def test_a_stop_level_that_nobody_knows_stops_everything(log: EventStore, level: str) -> None:
    assert stop.level(log) == "SOFT"
    damage(log, f"UPDATE emergency_stop SET level = '{level}'")
    assert stop.level(log) == "HARD"
    clock = VirtualClock(from_epoch(1_700_000_000))
    assert stop.engage(log, "SOFT", "drill", "ann", clock).event is not None
    assert stop.level(log) == "HARD"
    stop.release(log, "over", "ann", clock)
    assert stop.level(log) == "OFF"


def test_a_hard_stop_works_on_a_log_that_lost_its_end(tmp_path: Path, make: SimpleNamespace) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append(make.story())
        damage(store, "DELETE FROM events WHERE seq = 21")
        engaged = stop.engage(store, "HARD", "drill", "ann", VirtualClock(from_epoch(1_700_000_000)))
        assert engaged.event is None
        assert "its last append with 21" in engaged.note
        assert stop.level(store) == "HARD"
