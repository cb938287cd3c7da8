"""A run whose store was damaged: every command says so in one sentence, and `resume` builds nothing on it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest


def damage(folder: Path, *statements: str) -> bytes:
    """Change the store by hand; returns what it holds then."""
    database = sqlite3.connect(folder / "arena.db", isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return content(folder)


def content(folder: Path) -> bytes:
    database = sqlite3.connect(folder / "arena.db")
    database.text_factory = bytes
    tables = [name.decode() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in sorted(tables)}
    database.close()
    return repr(rows).encode()


def refused(done: Any, *needles: str) -> None:
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.err
    assert "failed with" not in done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("arena: ")]
    for needle in (*needles, "`arena audit` tells more"):
        assert needle in sentence


EVENTS = {
    "one within": "DELETE FROM events WHERE seq = 20",
    "the last one": "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
    "a record": "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events WHERE event_type = 'PerformanceRecorded')",
    "a mark": "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events WHERE event_type = 'AgentMarked')",
    "all": "DELETE FROM events",
}


@pytest.mark.parametrize("case", EVENTS)
def test_missing_events_are_noticed_by_every_command(house: Any, copy_of_interrupted: Any, case: str) -> None:
    folder = copy_of_interrupted()
    before = damage(folder, EVENTS[case])
    for command in (["status"], ["agents"], ["events"], ["events", "--type", "AgentKilled"], ["events", "--tail", "3"]):
        refused(house.arena(command[0], folder, *command[1:]), "is missing in store")
    refused(house.arena("resume", folder, "--quiet"), "is missing in store")
    assert content(folder) == before
    assert house.arena("audit", folder).code == 1


BOOKS = {
    "a balance": "UPDATE account_balances SET amount = amount + 1000 WHERE account = 'pool:arena'",
    "a balance that is none": "UPDATE account_balances SET amount = 'abc'",
    "a balance of bytes": "UPDATE account_balances SET amount = X'00ff' WHERE account = 'pool:arena'",
    "a ledger line changed": "UPDATE capital_ledger SET amount = amount + 1 WHERE entry = 5",
    "a ledger line removed": "DELETE FROM capital_ledger WHERE entry = 7",
    "the last ledger line": "DELETE FROM capital_ledger WHERE entry = (SELECT max(entry) FROM capital_ledger)",
    "no agents": "DELETE FROM agents",
    "no trades": "DELETE FROM trades",
    "no run": "DELETE FROM simulation_runs",
    "a genome": "UPDATE agents SET genome = '{bad'",
    "an allocation": "UPDATE agents SET allocated_raw = 'x'",
    "no state": "DELETE FROM arena_state",
    "a stop nobody knows": "INSERT INTO emergency_stop VALUES (1, 'PURPLE', 'r', 'o', '2024', 5)",
    "bytes that are no text": "UPDATE events SET data = CAST(X'fffe' AS TEXT) WHERE seq = 30",
    "bytes for text": "UPDATE events SET data = X'fffe' WHERE seq = 30",
}


@pytest.mark.parametrize("case", BOOKS)
def test_nothing_is_built_on_damaged_books(house: Any, copy_of_interrupted: Any, case: str) -> None:
    folder = copy_of_interrupted()
    before = damage(folder, BOOKS[case])
    refused(house.arena("resume", folder, "--quiet"), "is damaged, and nothing is built on it")
    assert content(folder) == before
    assert house.arena("audit", folder).code == 1


def test_a_stop_level_nobody_knows_is_shown_as_hard(house: Any, copy_of_interrupted: Any) -> None:
    folder = copy_of_interrupted()
    damage(folder, BOOKS["a stop nobody knows"])
    assert house.arena("status", folder, "--json").ok().json["emergency_stop"] == "HARD"
