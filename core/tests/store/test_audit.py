"""The audit finds every change of every stored value, and names the first event concerned."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.errors import IntegrityError, StoreError
from treasury_arena.store import (
    EventStore,
    audit,
    compare_projections,
    open_store,
    prove_while,
    rebuild_projections,
    replay,
    schema,
)
from treasury_arena.store.audit import CHECKS


def changed(value: Any) -> Any:
    """`value` with one bit of one byte turned."""
    if value is None:
        return "\x01"
    if isinstance(value, int):
        return value ^ 1 if value ^ 1 else value ^ 2
    if isinstance(value, float):
        return value + 2**-40
    raw = bytearray(str(value).encode() or b"\0")
    raw[len(raw) // 2] ^= 1
    return raw.decode()


@pytest.fixture
def log(tmp_path: Path, make: SimpleNamespace) -> Path:
    path = tmp_path / "log.db"
    with open_store(path) as store:
        store.append(make.story()[:9])
        store.append([draft for draft in make.story()[9:] if draft.caused_by is None])
        store.append(make.live_story())
        store.append(make.daemon_story())
    return path


@pytest.mark.parametrize(
    "table", [table for name, table in schema.TABLES.items() if name not in schema.TERMS], ids=lambda table: table.name
)
def test_one_changed_byte_in_any_row_and_column_names_the_first_bad_event(log: Path, table: schema.Table) -> None:
    names = list(table.columns)
    direct = sqlite3.connect(log, isolation_level=None)
    rows = direct.execute(f"SELECT rowid, {', '.join(names)} FROM {table.name}").fetchall()
    assert rows, table.name
    with open_store(log, readonly=True) as store:
        for rowid, *values in rows:
            seq = values[names.index("seq")]
            for name, value in zip(names, values, strict=True):
                other = changed(value)
                if (
                    name in ("seq", "entry")
                    and (other,) in direct.execute(f"SELECT {name} FROM {table.name}").fetchall()
                ):
                    other = value + 1_000
                moved = other if table.columns[table.key[0]] == schema.INT and name == table.key[0] else rowid
                direct.execute(f"UPDATE {table.name} SET {name} = ? WHERE rowid = ?", (other, rowid))
                report = audit(store)
                assert report.first_bad_seq == seq, (name, value, other, report.findings)
                direct.execute(f"UPDATE {table.name} SET {name} = ? WHERE rowid = ?", (value, moved))
        assert audit(store).ok
    direct.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bit_of_any_event_column_even_when_it_is_no_utf8_any_more(log: Path, data: st.DataObject) -> None:
    direct = sqlite3.connect(log, isolation_level=None)
    columns = [name for name, kind in schema.EVENTS.columns.items() if kind == schema.TEXT]
    column = data.draw(st.sampled_from(columns))
    seqs = [row[0] for row in direct.execute(f"SELECT seq FROM events WHERE {column} IS NOT NULL ORDER BY seq")]
    seq = data.draw(st.sampled_from(seqs))
    value = direct.execute(f"SELECT CAST({column} AS BLOB) FROM events WHERE seq = ?", (seq,)).fetchone()[0]
    place, bit = data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(0, 7))
    other = bytearray(value)
    other[place] ^= 1 << bit
    direct.execute(f"UPDATE events SET {column} = CAST(? AS TEXT) WHERE seq = ?", (bytes(other), seq))
    with open_store(log, readonly=True) as store:
        report = audit(store)
    direct.execute(f"UPDATE events SET {column} = CAST(? AS TEXT) WHERE seq = ?", (value, seq))
    direct.close()
    assert report.first_bad_seq == seq


STATEMENTS = {
    "an event removed": ("DELETE FROM events WHERE seq = 5", 5, "sequence"),
    "the first event removed": ("DELETE FROM events WHERE seq = 1", 1, "sequence"),
    "a number below one": ("UPDATE events SET seq = 0 WHERE seq = 5", 5, "sequence"),
    "None becomes empty text": ("UPDATE events SET agent_id = '' WHERE seq = 2", 2, "event_id"),
    "a ledger line removed": ("DELETE FROM capital_ledger WHERE entry = 3", 7, "ledger_line"),
    "a ledger line too many": (
        "INSERT INTO capital_ledger SELECT 1000, seq, event_id, transfer_id, account, asset, amount, reason, timestamp "
        "FROM capital_ledger WHERE entry = 1",
        1,
        "ledger_line",
    ),
    "a balance": (
        "UPDATE account_balances SET amount = amount + 1 WHERE account = 'gas' OR account = 'pool:arena'",
        15,
        "projection",
    ),
    "an agent nobody bore": ("UPDATE agents SET agent_id = 'zz' WHERE agent_id = 'a1'", 15, "projection"),
    "the projection's row removed": ("DELETE FROM arena_state", 20, "projection"),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_changes_by_hand_on_both_databases(store: EventStore, make: SimpleNamespace, case: str) -> None:
    store.append(make.story()[:9])
    store.append([draft for draft in make.story()[9:] if draft.caused_by is None])
    statement, seq, check = STATEMENTS[case]
    with store.database.write() as connection:
        assert connection.exec_driver_sql(statement).rowcount >= 1
    report = audit(store)
    assert not report.ok
    assert (report.first_bad_seq, report.findings[0].check) == (seq, check), report.findings


def test_a_number_below_one_is_told_as_the_event_that_it_was_born_as(store: EventStore, make: SimpleNamespace) -> None:
    """Also of an event that another one caused: its cause then has a later number than it has."""
    events = store.append(make.story())
    assert any(event.caused_by for event in events)
    for event in events:
        with store.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE events SET seq = {-event.seq - 1} WHERE seq = {event.seq}")
        report = audit(store)
        assert (report.first_bad_seq, report.findings[0].check) == (event.seq, "sequence"), report.findings
        with store.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE events SET seq = {event.seq} WHERE seq = {-event.seq - 1}")
    assert audit(store).ok


@pytest.mark.parametrize(
    ("statement", "skipped"),
    [
        ("UPDATE capital_ledger SET amount = '1' WHERE entry = 1", ("transfer_sum", "never_negative", "projection")),
        ("UPDATE events SET agent_id = 'zz' WHERE seq = 2", ("projection",)),
        (
            "UPDATE events SET agent_id = 'zz' WHERE seq = 1",
            ("canonical", "meaning", "ledger_line", "projection"),
        ),
        ("UPDATE account_balances SET amount = amount + 1", ()),
    ],
)
def test_what_rests_on_something_wrong_is_told_as_not_checked(
    store: EventStore, make: SimpleNamespace, statement: str, skipped: tuple[str, ...]
) -> None:
    store.append(make.story())
    with store.database.write() as connection:
        connection.exec_driver_sql(statement)
    report = audit(store)
    assert not report.ok
    assert report.skipped == skipped
    assert all(not report.checks[name] for name in skipped)


def test_a_log_sealed_anew_by_someone_who_knows_the_formula_still_has_to_balance(
    store: EventStore, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([make.opened(10)])
    monkeypatch.setattr("treasury_arena.store.event_store.settle", lambda balances, transfers: {})
    store.append([make.allocated("a1", 11)])
    monkeypatch.undo()
    report = audit(store)
    assert report.first_bad_seq == 2
    assert {finding.check for finding in report.findings} == {"meaning", "never_negative"}


def test_a_sound_store_says_how_much_was_proven(store: EventStore, make: SimpleNamespace) -> None:
    events = store.append(make.story())
    report = audit(store)
    assert report.ok, report.findings
    assert set(report.checks) == set(CHECKS)
    assert (report.last_seq, report.digest) == store.last()
    lines = sum(len(transfer.lines) for event in events for transfer in event.transfers)
    assert report.checks["ledger_line"] == lines
    assert report.checks["sequence"] == report.checks["canonical"] == len(events)
    assert report.checks["cause"] == 3


def dropped(store: EventStore) -> None:
    with store.database.write() as connection:
        for name in (*schema.PROJECTIONS, "capital_ledger"):
            connection.exec_driver_sql(f"DELETE FROM {name}")


@pytest.mark.parametrize("damage", [dropped, lambda store: None], ids=["dropped", "intact"])
def test_projections_are_rebuilt_as_they_were(
    store: EventStore, make: SimpleNamespace, damage: Callable[[EventStore], None]
) -> None:
    def everything() -> dict[str, list[tuple[Any, ...]]]:
        with store.database.read() as connection:
            return {n: sorted(store.database.rows(connection, t), key=repr) for n, t in schema.TABLES.items()}

    events = store.append(make.story())
    before = everything()
    damage(store)
    assert rebuild_projections(store) == len(events)
    assert everything() == before
    assert compare_projections(store) == []
    assert audit(store).ok


def test_replay_tells_what_differs(store: EventStore, make: SimpleNamespace) -> None:
    events = store.append(make.story())
    assert replay(store).ok
    assert (replay(store).events, replay(store).digest) == (len(events), events[-1].hash)
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE agents SET stage = 'arena' WHERE agent_id = 'ä2'")
        connection.exec_driver_sql("DELETE FROM trades WHERE intent_id = 'i2'")
    report = replay(store)
    assert not report.ok
    assert [str(difference) for difference in report.differences] == [
        "trades i2 is missing",
        "agents ä2: stage is 'arena', the events say 'dead'",
    ]


def bytes_of_pages(path: Path, name: str) -> list[int]:
    """The first bytes of the pages that hold an index or table."""
    with sqlite3.connect(path) as direct:
        ((size,),) = direct.execute("PRAGMA page_size").fetchall()
        pages = [page for (page,) in direct.execute("SELECT pageno FROM dbstat WHERE name = ?", (name,))]
    direct.close()
    return [(page - 1) * size for page in pages]


@pytest.mark.parametrize("index", ["ix_events_event_type", "ix_events_agent_id"])
def test_an_index_that_says_another_thing_than_its_table(log: Path, index: str) -> None:
    """Questions go by the index: what it misses is missing from an answer, though every row is there."""
    with sqlite3.connect(log) as direct:
        direct.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        direct.execute("PRAGMA journal_mode=DELETE")
        column = index.removeprefix("ix_events_")
        ((word,),) = direct.execute(f"SELECT {column} FROM events WHERE {column} IS NOT NULL LIMIT 1").fetchall()
    direct.close()
    raw = bytearray(log.read_bytes())
    start = bytes_of_pages(log, index)[0]
    at = raw.index(word.encode(), start)
    raw[at] ^= 1
    log.write_bytes(raw)
    with open_store(log, readonly=True) as store:
        report = audit(store)
        assert not report.ok
        assert {finding.check for finding in report.findings} == {"file"}
        assert report.first_bad_seq is None
        assert index in str(report.findings[0])
    with open_store(log) as store, pytest.raises(IntegrityError, match=f"nothing is built on it .*{index}"):
        prove_while(store, lambda: lambda event: None)
    with sqlite3.connect(log) as direct:
        direct.execute("REINDEX")
    direct.close()
    with open_store(log, readonly=True) as store:
        assert audit(store).ok


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DROP INDEX ix_events_event_type", "the index ix_events_event_type is missing"),
        (
            "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM trades; END",
            "a trigger 't' changes the table events",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON capital_ledger BEGIN SELECT RAISE(IGNORE); END",
            "a trigger 't' changes the table capital_ledger",
        ),
        (
            "CREATE UNIQUE INDEX evil ON events (event_type) WHERE seq > 60",
            "an index 'evil' refuses rows of the table events",
        ),
        ("DROP TABLE trades", "trades"),
    ],
)
def test_what_the_program_defined_and_is_no_longer_so(log: Path, statement: str, found: str) -> None:
    with sqlite3.connect(log) as direct:
        direct.execute(statement)
    direct.close()
    with open_store(log) as store, pytest.raises((StoreError, IntegrityError)) as refused:
        prove_while(store, lambda: lambda event: None)
    assert found in str(refused.value)
    with open_store(log, readonly=True) as store:
        try:
            told = " ".join(map(str, audit(store).findings))
        except StoreError as error:
            told = str(error)
    assert found in told


def test_what_others_keep_beside_it_is_no_finding(log: Path) -> None:
    with sqlite3.connect(log) as direct:
        direct.execute("CREATE TABLE mine (a)")
        direct.execute("CREATE INDEX my_own ON events (timestamp)")
    direct.close()
    with open_store(log, readonly=True) as store:
        assert audit(store).ok


def test_a_changed_event_is_named_before_the_file(log: Path) -> None:
    with sqlite3.connect(log) as direct:
        direct.execute("UPDATE events SET data = '{}' WHERE seq = 3")
        direct.execute("DROP INDEX ix_events_event_type")
    direct.close()
    with open_store(log, readonly=True) as store:
        report = audit(store)
    assert report.first_bad_seq == 3
    assert report.findings[-1].check == "file"
