"""Whoever writes to a store by hand, and seals the events again as the program would: the quick proof vouches for a store if,
and only if, the slow audit finds nothing in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena.events.codec import canonical_json
from treasury_arena.events.hashing import GENESIS, digests
from treasury_arena.store import audit, open_store, schema
from treasury_arena.store.audit import examine
from treasury_arena.store.proof import books_of, proven
from treasury_arena.store.second import packed, unpacked

EVENTS = list(schema.EVENTS.columns)
COPIES = itertools.count()
PROVEN = [table for name, table in schema.TABLES.items() if name not in schema.TERMS]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, make: SimpleNamespace) -> Path:
    """A store of SQLite in which every table has rows."""
    path = tmp_path_factory.mktemp("sound") / "sound.db"
    with open_store(path) as store:
        for drafts in (make.story(), make.live_story(), make.daemon_story()):
            store.append(drafts)
    return path


def forged(sound: Path, change: Callable[[sqlite3.Connection], None]) -> Path:
    """A copy of the store after `change`, and no trace of earlier ones: a log left beside it would be taken for its own."""
    for old in sound.parent.glob("forged*"):
        old.unlink()
    path = sound.with_name(f"forged-{next(COPIES)}.db")
    shutil.copy(sound, path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as direct:
        change(direct)
    return path


def agree(path: Path) -> bool:
    """Whether the store is sound, by both."""
    with open_store(path) as store:
        with store.database.read(snapshot=True) as connection:
            proof = proven(store, connection)
        with store.database.read(snapshot=True) as one, store.database.read(snapshot=True) as other:
            # In two shares, as two processes make it.
            shared = proven(store, one, books=lambda: unpacked(packed(books_of(store.database, other))))
        assert shared == proof
        vouched = proof is not None
        report = examine(store)
        # The quick proof is of rows: a table that has lost its laws and no row is the file's matter.
        assert vouched == all(finding.check == "file" for finding in report.findings), report.findings
        assert audit(store) == report
    return vouched


def seal_again(direct: sqlite3.Connection) -> None:
    """Give every event the id and hash that its content and place ask for, and put new ids where the old ones were."""
    before, ids, sealed = GENESIS, {}, []
    for seq, event_id, *content, caused_by, _, _ in direct.execute("SELECT * FROM events ORDER BY seq").fetchall():
        caused_by = ids.get(caused_by, caused_by)
        ids[event_id], own = digests(seq, *content, caused_by, before)
        sealed.append((ids[event_id], caused_by, before, own, seq))
        before = own
    direct.executemany("UPDATE events SET event_id = ?, caused_by = ?, prev_hash = ?, hash = ? WHERE seq = ?", sealed)
    for old, new in ids.items():
        lines = "UPDATE capital_ledger SET event_id = :new, transfer_id = replace(transfer_id, :old, :new)"
        direct.execute(f"{lines} WHERE event_id = :old", {"old": old, "new": new})
        direct.execute("UPDATE simulation_runs SET run_id = ? WHERE run_id = ?", (new, old))


def without_laws(direct: sqlite3.Connection, name: str) -> None:
    """The table as another program would bring it back: no key, no NOT NULL."""
    columns = ", ".join(f'"{column}"' for column in schema.TABLES[name].columns)
    direct.execute(f"ALTER TABLE {name} RENAME TO before")
    direct.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM before")
    direct.execute("DROP TABLE before")


def event_with(column: str, value: Any, seq: int) -> Callable[[sqlite3.Connection], None]:
    def change(direct: sqlite3.Connection) -> None:
        assert direct.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (value, seq)).rowcount == 1
        seal_again(direct)

    return change


def event_saying(seq: int, old: str, new: str) -> Callable[[sqlite3.Connection], None]:
    def change(direct: sqlite3.Connection) -> None:
        (text,) = direct.execute("SELECT data FROM events WHERE seq = ?", (seq,)).fetchone()
        assert old in text
        direct.execute("UPDATE events SET data = ? WHERE seq = ?", (text.replace(old, new, 1), seq))
        seal_again(direct)

    return change


def rows_of(name: str, *statements: str) -> Callable[[sqlite3.Connection], None]:
    def change(direct: sqlite3.Connection) -> None:
        without_laws(direct, name)
        for statement in statements:
            assert direct.execute(statement).rowcount > 0

    return change


def only_rows_of_no_event(direct: sqlite3.Connection) -> None:
    """A store without events, and a trade that names none."""
    row = direct.execute("SELECT * FROM trades").fetchone()
    for table in PROVEN:
        direct.execute(f"DELETE FROM {table.name}")
    without_laws(direct, "trades")
    direct.execute(f"INSERT INTO trades VALUES ({', '.join('?' * len(row))})", (*row[:-1], None))


FORGED = {
    "an agent in bytes": event_with("agent_id", b"a1", 2),
    "a time in bytes": event_with("timestamp", b"2024-01-01T12:00:00Z", 2),
    "an amount without end": event_saying(1, '"-1000"', "Infinity"),
    "fields as a list": event_saying(2, '{"cycle":1,"row":24}', '["cycle","row"]'),
    "metrics that are none": event_saying(5, '{"fitness":2.5,"sharpe":0.1}', "null"),
    "no transfers as a dict": event_saying(2, '"transfers":[]', '"transfers":{}'),
    "something beside the transfers": event_saying(2, '"transfers":[]', '"transfers":[],"x":1'),
    "a transfer without lines or a word": event_saying(2, '"transfers":[]', '"transfers":[{"lines":[],"reason":5}]'),
    "a transfer that says more": event_saying(1, '"reason":"move"', '"reason":"move","x":1'),
    "a stage that is none": event_saying(6, '"to_stage":"arena"', '"to_stage":null'),
    "an account that is a list": event_saying(1, '"pool:arena"', '["pool:arena"]'),
    "data without a bottom": event_saying(2, '"cycle":1', f'"cycle":{"[" * 100_000}{"]" * 100_000}'),
    "a row twice": rows_of("position_limits", "INSERT INTO position_limits SELECT * FROM position_limits LIMIT 1"),
    "a row in the place of another": rows_of(
        "position_limits",
        "DELETE FROM position_limits WHERE role = 'coin'",
        "INSERT INTO position_limits SELECT * FROM position_limits",
    ),
    "an order twice": rows_of("intents", "INSERT INTO intents SELECT * FROM intents"),
    "an order of no event": rows_of("intents", "UPDATE intents SET seq = NULL"),
    "rows of no event": only_rows_of_no_event,
}


@pytest.mark.parametrize("case", FORGED)
def test_what_was_forged_is_not_vouched_for(sound: Path, case: str) -> None:
    assert not agree(forged(sound, FORGED[case]))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(
        [0, 1, 2, -1, "", "x", "0", "1", "-0", "a1", "USDC", "{}", "[]", "null", b"", b"a1", b"x", 0.0, -0.0, 1.0]
    ),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=4),
    st.binary(max_size=3),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["", "0", "7", "-0", "+7", " 7", "1_0", "٣", "a1", "i9", "USDC", "pool:arena", "world:x", "SETTLED"]
    ),
    st.text(max_size=3),
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b_raw", "lines", "é"]), inner, max_size=2)
    ),
    max_leaves=4,
)
LIGHT = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside a JSON value, itself included."""
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += places(item, (*path, key))
    return found


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = with_value(value[path[0]], path[1:], new)
    return copied


@LIGHT
@given(st.data())
def test_a_value_changed_anywhere(sound: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(PROVEN))
    column, value = data.draw(st.sampled_from(list(table.columns))), data.draw(VALUES)
    place = data.draw(st.integers(0, 50))

    def change(direct: sqlite3.Connection) -> None:
        rowids = [rowid for (rowid,) in direct.execute(f"SELECT rowid FROM {table.name} ORDER BY rowid")]
        with contextlib.suppress(sqlite3.IntegrityError):  # the table itself refuses: nothing has changed
            direct.execute(
                f"UPDATE {table.name} SET {column} = ? WHERE rowid = ?", (value, rowids[place % len(rowids)])
            )

    agree(forged(sound, change))


@LIGHT
@given(st.data())
def test_an_event_that_says_something_else_and_is_sealed_again(sound: Path, data: st.DataObject) -> None:
    seq, raw = data.draw(st.integers(1, 30)), data.draw(st.booleans())

    def change(direct: sqlite3.Connection) -> None:
        (text,) = direct.execute("SELECT data FROM events WHERE seq = ?", (seq,)).fetchone()
        content = json.loads(text)
        content = with_value(content, data.draw(st.sampled_from(places(content))), data.draw(NESTED))
        spaced = json.dumps(content, sort_keys=data.draw(st.booleans()), ensure_ascii=data.draw(st.booleans()))
        try:
            new = spaced if raw else canonical_json(content)
            new.encode()
        except (ValueError, ValidationError):  # no number, or half a character: nothing that a database can hold
            new = json.dumps(content)
        direct.execute("UPDATE events SET data = ? WHERE seq = ?", (new, seq))
        seal_again(direct)

    agree(forged(sound, change))


@LIGHT
@given(st.data())
def test_an_event_with_another_column_that_is_sealed_again(sound: Path, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(["event_type", "version", "agent_id", "timestamp", "caused_by"]))
    seq, value = data.draw(st.integers(1, 30)), data.draw(VALUES)

    def change(direct: sqlite3.Connection) -> None:
        before = direct.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()
        try:
            direct.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (value, seq))
            seal_again(direct)
        except (sqlite3.IntegrityError, TypeError, ValueError):  # what the table refuses or no hash can seal stays
            direct.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (*before, seq))

    agree(forged(sound, change))


@LIGHT
@given(st.data())
def test_rows_of_tables_that_have_lost_their_laws(sound: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from([table for table in PROVEN if table.name in schema.PROJECTIONS]))
    changes = data.draw(
        st.lists(st.tuples(st.sampled_from(["twice", "gone", "unnumbered"]), st.integers(0, 5)), min_size=1, max_size=3)
    )

    def change(direct: sqlite3.Connection) -> None:
        without_laws(direct, table.name)
        for kind, place in changes:
            rowids = [rowid for (rowid,) in direct.execute(f"SELECT rowid FROM {table.name} ORDER BY rowid")]
            if not rowids:
                return
            where = f"WHERE rowid = {rowids[place % len(rowids)]}"
            direct.execute(
                {
                    "twice": f"INSERT INTO {table.name} SELECT * FROM {table.name} {where}",
                    "gone": f"DELETE FROM {table.name} {where}",
                    "unnumbered": f"UPDATE {table.name} SET seq = NULL {where}",
                }[kind]
            )

    agree(forged(sound, change))
