"""The quick proof vouches for a sound store and for no other; where it does, it says what the slow audit says."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from treasury_arena.errors import IntegrityError, StoreError
from treasury_arena.events import codec, upcasters
from treasury_arena.events import live as o
from treasury_arena.events.codec import VERSIONS
from treasury_arena.events.event import Draft, Event
from treasury_arena.store import EventStore, audit, open_store, prove, prove_while, schema
from treasury_arena.store.audit import CHECKS, _Auditor, examine
from treasury_arena.store.proof import GROWING, Proof, books_of, proven
from treasury_arena.store.replay import Replay
from treasury_arena.store.second import packed, unpacked
from treasury_arena.store.table import AMOUNT, INT, JSON, REAL, TEXT


def quick(store: EventStore) -> Proof | None:
    with store.database.read(snapshot=True) as connection:
        return proven(store, connection)


def shared(store: EventStore) -> Proof | None:
    """The proof in two shares, as two processes make it, by one."""
    with store.database.read(snapshot=True) as one, store.database.read(snapshot=True) as other:
        return proven(store, one, books=lambda: unpacked(packed(books_of(store.database, other))))


def damage(store: EventStore, *statements: str) -> None:
    with store.database.write() as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount != 0, statement


def broken(make: SimpleNamespace) -> list[Draft]:
    """Finality that broke: an event that writes rows of an order that was over."""
    slot = (31337, "0xaa", 7)
    effect = {"log_index": 4, "asset": "USDC", "amount_raw": -9}
    gone = o.FinalityBroken("i9", 0, *slot, "0x01", 5, "0xb5", 21, [effect], 0, 0)
    return [Draft(gone, make.NOON, "a1"), Draft(o.IntentQuarantined("i9", "its block was replaced"), make.NOON, "a1")]


@pytest.fixture
def log(store: EventStore, make: SimpleNamespace) -> EventStore:
    """Both databases, every table, a row that is written again after its order was over."""
    store.append(make.story())
    store.append(make.live_story())
    store.append(broken(make))
    store.append(make.daemon_story())
    return store


@pytest.fixture
def postgres_log(postgres_database: sa.Engine, make: SimpleNamespace) -> Iterator[EventStore]:
    """The same on PostgreSQL alone."""
    with postgres_database.connect() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(schema.TABLES)}")
    with open_store(postgres_database.url.render_as_string(hide_password=False)) as store:
        for drafts in grown(make):
            store.append(drafts)
        yield store


def test_a_sound_store_is_vouched_for_with_the_same_report(log: EventStore) -> None:
    assert quick(log) is not None
    assert shared(log) == quick(log)
    report = examine(log)
    assert report.ok
    assert audit(log) == report
    assert all(report.checks[name] for name in CHECKS if name != "file")
    assert bool(report.checks["file"]) == log.database.sqlite
    assert list(audit(log).checks) == list(CHECKS)


def test_an_empty_store_is_sound(store: EventStore) -> None:
    assert quick(store) is not None
    assert audit(store) == examine(store)
    assert audit(store).last_seq == 0


def grown(make: SimpleNamespace) -> Iterator[list[Draft]]:
    yield make.story()
    yield make.live_story()
    yield broken(make)
    yield make.daemon_story()


def test_every_prefix_of_a_log_is_vouched_for_with_the_same_report(tmp_path: Path, make: SimpleNamespace) -> None:
    with open_store(tmp_path / "a.db") as store:
        for drafts in grown(make):
            for draft in drafts:
                store.append([draft if not isinstance(draft.caused_by, int) else without_cause(draft)])
                assert shared(store) == quick(store) is not None
                assert audit(store) == examine(store)


def without_cause(draft: Draft) -> Draft:
    return Draft(draft.payload, draft.timestamp, draft.agent_id, draft.transfers)


def _copied(name: str) -> str:
    """A statement that adds a row which is like another one but for its key."""
    first, *rest = schema.PROJECTIONS[name].columns
    values = ", ".join(f'"{column}" + 1000' if column in ("nonce", "attempt") else f'"{column}"' for column in rest)
    return (
        f"INSERT INTO {name} SELECT 'another', {values} FROM {name} WHERE {first} = (SELECT min({first}) FROM {name})"
    )


TAMPERED = {
    "an event removed": "DELETE FROM events WHERE seq = 5",
    "the first event removed": "DELETE FROM events WHERE seq = 1",
    "the last event removed": "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
    "a number below one": "UPDATE events SET seq = 0 WHERE seq = 5",
    "an event twice": (
        "INSERT INTO events SELECT 1000, event_id || 'x', event_type, version, agent_id, timestamp, data, caused_by, "
        "prev_hash, hash FROM events WHERE seq = 5"
    ),
    "an id": "UPDATE events SET event_id = 'x' || event_id WHERE seq = 9",
    "a type": "UPDATE events SET event_type = 'OrderRejected' WHERE seq = 9",
    "a version": "UPDATE events SET version = 2 WHERE seq = 9",
    "None becomes empty text": "UPDATE events SET agent_id = '' WHERE seq = 2",
    "another agent": "UPDATE events SET agent_id = 'a2' WHERE seq = 5",
    "a time": "UPDATE events SET timestamp = '2024-01-01T12:00:01Z' WHERE seq = 5",
    "a cause": "UPDATE events SET caused_by = NULL WHERE caused_by IS NOT NULL",
    "a space in the data": "UPDATE events SET data = replace(data, ',\"transfers\"', ', \"transfers\"') WHERE seq = 5",
    "an amount in the data": "UPDATE events SET data = replace(data, '\"400\"', '\"401\"') WHERE seq = 7",
    "a link": "UPDATE events SET prev_hash = hash WHERE seq = 6",
    "a hash": "UPDATE events SET hash = prev_hash WHERE seq = 6",
    "a ledger line removed": "DELETE FROM capital_ledger WHERE entry = 3",
    "the last ledger line removed": "DELETE FROM capital_ledger WHERE entry = (SELECT max(entry) FROM capital_ledger)",
    "all ledger lines removed": "DELETE FROM capital_ledger",
    "a ledger line too many": (
        "INSERT INTO capital_ledger SELECT 1000, seq, event_id, transfer_id, account, asset, amount, reason, timestamp "
        "FROM capital_ledger WHERE entry = 1"
    ),
    "an amount": "UPDATE capital_ledger SET amount = '7' WHERE entry = 3",
    "an account": "UPDATE capital_ledger SET account = 'gas' WHERE entry = 3",
    "a balance": "UPDATE account_balances SET amount = '1' WHERE account = 'pool:arena'",
    "a balance too many": "INSERT INTO account_balances VALUES ('gas', 'DAI', '0', 3)",
    "an agent nobody bore": "UPDATE agents SET agent_id = 'zz' WHERE agent_id = 'a1'",
    "no agents": "DELETE FROM agents",
    "a genome": "UPDATE agents SET genome = '{bad'",
    "a fitness by the last bit": "UPDATE agents SET fitness = 2.5000000000000004 WHERE agent_id = 'a1'",
    "a limit": "UPDATE position_limits SET share = 0.5 WHERE role = 'coin'",
    "no run": "DELETE FROM simulation_runs",
    "a stop": "UPDATE emergency_stop SET level = 'OFF'",
    "no stop": "DELETE FROM emergency_stop",
    "a fuse armed": "UPDATE fuses SET state = 'ARMED'",
    "a fuse's memory": "UPDATE fuses SET data = replace(data, '\"trip\":1', '\"trip\":2')",
    "a lease": "UPDATE leases SET token = token + 1",
    "a slot of a job": "UPDATE jobs SET last = 0",
    "a state": "UPDATE arena_state SET last_seq = 1",
    "no state": "DELETE FROM arena_state",
    "live disarmed": "UPDATE live SET armed = 0",
    "a limit of live orders": "UPDATE live SET limit_raw = '2000000000'",
    "a sender that is halted no more": "UPDATE senders SET state = 'ACTIVE'",
    "a nonce of a slot": "UPDATE slots SET nonce = 99 WHERE nonce = 7",
    "bytes that were signed": "UPDATE attempts SET signed = '0x03'",
    "an order that is over": "UPDATE intents SET state = 'SETTLED'",
    "what an order gained": "UPDATE intents SET gained = '{}'",
    "what a log posted": "UPDATE postings SET amount_raw = '-9'",
    **{f"a row of {name} removed": f"DELETE FROM {name}" for name in GROWING},
    **{f"a row of {name} as of the event before": f"UPDATE {name} SET seq = seq - 1" for name in GROWING},
    **{f"a row of {name} as of the event after": f"UPDATE {name} SET seq = seq + 1" for name in GROWING},
    **{f"a row of {name} as of no event": f"UPDATE {name} SET seq = 0" for name in GROWING},
    **{f"a row of {name} as of an event to come": f"UPDATE {name} SET seq = 100000" for name in GROWING},
    **{f"a row of {name} too many": _copied(name) for name in GROWING},
}


@pytest.mark.parametrize("case", TAMPERED)
def test_whatever_is_tampered_with_stops_a_restart_and_both_audits_agree(log: EventStore, case: str) -> None:
    damage(log, TAMPERED[case])
    assert quick(log) is None
    assert shared(log) is None
    report = audit(log)
    assert not report.ok
    assert report == examine(log)
    for restart in (prove, lambda store: prove_while(store, list_of)):
        with pytest.raises(IntegrityError, match="is damaged, and nothing is built on it"):
            restart(log)


def list_of() -> Any:
    return lambda event: None


def test_a_row_put_back_to_an_earlier_moment_of_its_life_is_noticed(log: EventStore, make: SimpleNamespace) -> None:
    """The row as it was when its order was over, with the number of that event: the order was opened again later."""
    with log.database.read() as connection:
        before = log.database.fetch(connection, "SELECT seq FROM events WHERE event_type = 'StepFinal'")
    damage(
        log,
        f"UPDATE slots SET state = 'FINAL', tx_hash = '0x01', block_number = 5, block_hash = '0xb5', seq = {before[0][0]} "
        "WHERE nonce = 7",
    )
    assert quick(log) is None
    assert [finding.check for finding in audit(log).findings] == ["projection"]


@pytest.mark.no_cover  # of code that others measure
@pytest.mark.parametrize(
    "table", [table for name, table in schema.TABLES.items() if name not in schema.TERMS], ids=lambda table: table.name
)
def test_one_changed_value_anywhere_is_not_vouched_for(
    tmp_path: Path, make: SimpleNamespace, table: schema.Table
) -> None:
    path = tmp_path / "log.db"
    with open_store(path) as store:
        for drafts in grown(make):
            store.append(drafts)
    names = list(table.columns)
    direct = sqlite3.connect(path, isolation_level=None)
    rows = direct.execute(f"SELECT rowid, {', '.join(names)} FROM {table.name}").fetchall()
    assert rows, table.name
    tried = 0
    with open_store(path, readonly=True) as store:
        assert quick(store) is not None
        for rowid, *values in rows:
            for name, value in zip(names, values, strict=True):
                key_is_rowid = table.columns[table.key[0]] == schema.INT and name == table.key[0]
                for other in (None, "", "x", -1, 10**6, 0.5, b"\xff", True):
                    if other == value and type(other) is type(value):
                        continue
                    try:
                        direct.execute(f"UPDATE {table.name} SET {name} = ? WHERE rowid = ?", (other, rowid))
                    except sqlite3.IntegrityError:  # the table itself refuses
                        continue
                    moved = direct.execute(
                        f"SELECT rowid FROM {table.name} WHERE rowid = ?", (other if key_is_rowid else rowid,)
                    )
                    now = moved.fetchone()[0]
                    stored = direct.execute(f"SELECT {name} FROM {table.name} WHERE rowid = ?", (now,)).fetchone()[0]
                    if stored != value or type(stored) is not type(value):
                        tried += 1
                        assert quick(store) is None, (name, value, other)
                        assert shared(store) is None, (name, value, other)
                    direct.execute(f"UPDATE {table.name} SET {name} = ? WHERE rowid = ?", (value, now))
        assert quick(store) is not None
    direct.close()
    assert tried >= len(names)


def test_pages_hold_what_rows_hold(log: EventStore) -> None:
    with log.database.write() as connection:
        connection.exec_driver_sql("UPDATE agents SET fitness = 1e300 WHERE agent_id = 'a1'")
    with log.database.read(snapshot=True) as connection:
        for table in schema.TABLES.values():
            paged = [row for page in log.database.pages(connection, table) for row in page]
            assert sorted(map(repr, paged)) == sorted(map(repr, log.database.rows(connection, table))), table.name
            for order in ("seq", table.key[0]):
                if order in table.columns:
                    ordered = [row for page in log.database.pages(connection, table, order) for row in page]
                    place = list(table.columns).index(order)
                    numbers = [row[place] for row in ordered if isinstance(row[place], int)]
                    assert numbers == sorted(numbers)
                    assert sorted(map(repr, ordered)) == sorted(map(repr, paged))
    assert any(REAL in table.columns.values() for table in schema.TABLES.values())


def test_a_listener_hears_every_event_once_and_in_order(log: EventStore) -> None:
    heard: list[Event] = []

    def hearing() -> Any:
        heard.clear()
        return heard.append

    prove_while(log, hearing)
    assert heard == list(log.read())


def test_what_a_writer_adds_meanwhile_is_not_part_of_the_proof(
    log: EventStore, store_url: str, make: SimpleNamespace
) -> None:
    """Every table is read as it was when the proof began, though its rows change while it goes on."""
    before = log.last()[0]
    heard: list[int] = []

    def hearing() -> Any:
        def hear(event: Event) -> None:
            heard.append(event.seq)
            if event.seq in (1, before):  # when hardly a row was read, and before the tables that are read at the end
                slot = o.NonceAllocated("i9", 0, "supply", 31337, "0xaa", 20 + event.seq)
                drafts = [make.spawned(f"late-{event.seq}"), make.record("a1", 9.0), make.allocated("a1", 1)]
                writer.append([*drafts, Draft(o.IntentQuarantined("i9", "why not"), make.NOON, "a1")])
                writer.append([Draft(slot, make.NOON, "a1")])

        return hear

    with open_store(store_url) as writer:
        prove_while(log, hearing)
    assert heard == list(range(1, before + 1))
    assert log.last()[0] == before + 10
    assert quick(log) is not None
    assert audit(log) == examine(log)


def test_a_table_that_is_gone_is_told_as_such_and_the_store_goes_on(log: EventStore) -> None:
    report = audit(log)
    damage(log, "ALTER TABLE slots RENAME TO elsewhere")
    try:
        with pytest.raises(StoreError, match="slots"):
            audit(log)
    finally:
        damage(log, "ALTER TABLE elsewhere RENAME TO slots")
    assert audit(log) == report


OTHER = {
    INT: ("-1",),
    REAL: ("CAST('-0' AS double precision)", "1e-300", "CAST('NaN' AS double precision)"),
    AMOUNT: ("-1", "CAST('NaN' AS numeric)"),
    TEXT: ("'\u2028\"\\'",),
    JSON: ("'{}'",),
}


class UndoneError(Exception):
    """Takes a transaction back."""


@contextlib.contextmanager
def undone(store: EventStore) -> Iterator[sa.Connection]:
    """A transaction that leaves nothing behind."""
    with contextlib.suppress(UndoneError), store.database.write() as connection:
        yield connection
        raise UndoneError


@pytest.mark.parametrize("name", schema.PROJECTIONS)
def test_one_changed_value_of_postgresql_is_judged_alike(postgres_log: EventStore, name: str) -> None:
    """Its rows come to the quick proof as one text each, to the slow audit value by value."""
    tried = 0
    table = schema.PROJECTIONS[name]
    for column, kind in list(table.columns.items())[table.key_columns :]:
        for other in OTHER[kind]:
            with undone(postgres_log) as connection:
                one = f'WHERE seq = (SELECT max(seq) FROM "{name}")'
                connection.exec_driver_sql(f'UPDATE "{name}" SET "{column}" = {other} {one}')
                vouched = proven(postgres_log, connection) is not None
                assert vouched == _Auditor(postgres_log, connection).report().ok, (column, other)
                tried += not vouched
    assert tried > 0


def test_events_of_an_earlier_version_are_left_to_the_slow_audit(
    log: EventStore, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program has moved on and reads them by an upcaster: sound, though not at once."""
    plan = codec.plan_named("AgentFailed")
    assert plan is not None
    monkeypatch.setitem(codec._by_name, "AgentFailed", attrs.evolve(plan, version=VERSIONS["AgentFailed"] + 1))
    upcasters.register("AgentFailed", 1, lambda payload: payload)
    heard: list[int] = []

    def hearing() -> Any:
        heard.clear()
        return lambda event: heard.append(event.seq)

    try:
        assert quick(log) is None
        assert audit(log).ok
        prove_while(log, hearing)
        assert heard == [event.seq for event in log.read()]
    finally:
        upcasters.unregister("AgentFailed", 1)


def test_a_database_that_cannot_be_read_is_told_as_such(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "a.db"
    with open_store(path) as store:
        store.append(make.story())
        store.append(make.live_story())
    direct = sqlite3.connect(path)
    direct.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    direct.execute("DROP TABLE slots")
    direct.commit()
    direct.close()
    with open_store(path) as store, pytest.raises(StoreError):
        audit(store)


def test_the_collector_is_left_as_it_was(log: EventStore) -> None:
    assert gc.isenabled()
    quick(log)
    assert gc.isenabled()
    gc.disable()
    try:
        quick(log)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_rows_of_orders_that_are_over_are_forgotten(log: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Replay] = []

    def remembered() -> Replay:
        kept.append(Replay())
        return kept[-1]

    monkeypatch.setattr("treasury_arena.store.proof.Replay", remembered)
    assert quick(log) is not None
    assert [len(kept[-1].table(name)) for name in GROWING] == [0] * len(GROWING)
    assert set(GROWING) <= set(schema.FOLDED)
