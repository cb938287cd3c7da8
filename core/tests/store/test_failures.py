"""Sentences for errors that are hard to bring about on purpose."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import exc

from treasury_arena.errors import ConcurrencyError, StoreAwayError, StoreError
from treasury_arena.store import audit, open_store
from treasury_arena.store.failures import describe, is_lost


def driver(code: str, table: str = "events") -> exc.DBAPIError:
    return exc.DBAPIError("SELECT 1", (), Exception({"C": code, "M": "said the server", "t": table}))


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            exc.TimeoutError("QueuePool limit"),
            StoreAwayError,
            "store S has no connection free; too many threads use it at once",
        ),
        (
            driver("53100"),
            StoreAwayError,
            "store S cannot grow: the server's disk is full; nothing of this change was written",
        ),
        (driver("25006"), StoreError, "store S is read-only"),
        (driver("23505"), ConcurrencyError, "store S: another writer was first; read again and retry"),
        (driver("23505", "agents"), StoreError, "store S refuses a row (said the server); `arena audit` tells"),
        (driver("23502"), StoreError, "store S refuses a row (said the server); `arena audit` tells"),
        (driver("40001"), ConcurrencyError, "store S: another writer was first; read again and retry"),
        (driver("XX000"), StoreError, "store S failed: said the server (SQLSTATE XX000)"),
        (sqlite3.Error("odd"), StoreError, "store S failed: odd"),
        (ConnectionResetError(104, "reset"), StoreAwayError, "store S lost its connection"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), StoreError, "store S is damaged (text that is not UTF-8)"),
        (OSError(113, "No route to host"), StoreAwayError, "store S cannot be reached: [Errno 113] No route to host"),
    ],
)
def test_each_failure_has_its_sentence(error: Exception, kind: type[StoreError], sentence: str) -> None:
    told = describe(error, "S")
    assert type(told) is kind
    assert str(told).startswith(sentence)


def test_a_server_that_does_not_answer_is_named_with_its_port() -> None:
    error = exc.InterfaceError("connect", (), Exception())
    error.orig = Exception(
        "Can't create a connection to host db.house and port 5433 (timeout is None and source_address is None)."
    )
    error.orig.__cause__ = ConnectionRefusedError(111, "Connection refused")
    told = str(describe(error, "postgresql://ann:***@db.house:5433/arena"))
    assert told == (
        "store postgresql://ann:***@db.house:5433/arena cannot be reached: expected a PostgreSQL server at db.house, "
        "port 5433 (Connection refused)"
    )


@pytest.mark.parametrize(("table", "kind"), [("events", ConcurrencyError), ("agents", StoreError)])
def test_only_an_events_number_that_is_taken_is_another_writers(table: str, kind: type[StoreError]) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY, x INTEGER NOT NULL)")
        connection.execute(f"INSERT INTO {table} VALUES (1, 1)")
        with pytest.raises(sqlite3.IntegrityError) as caught:
            connection.execute(f"INSERT INTO {table} VALUES (1, 1)")
        with pytest.raises(sqlite3.IntegrityError) as nothing:
            connection.execute(f"INSERT INTO {table} VALUES (2, NULL)")
    connection.close()
    assert type(describe(caught.value, "S")) is kind
    assert type(describe(nothing.value, "S")) is StoreError


def test_only_broken_connections_count_as_lost() -> None:
    assert is_lost(BrokenPipeError())
    assert not is_lost(ConnectionRefusedError())
    assert not is_lost(driver("53100"))


def test_a_text_that_cannot_be_stored_is_no_damage(tmp_path: Path, make: SimpleNamespace) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append(make.story()[:7])
        with pytest.raises(StoreError, match=r"holds UTF-8 only; a text to be stored has '\\ud800'"):
            store.read(agent_id="a\ud800").__next__()
        assert audit(store).ok
