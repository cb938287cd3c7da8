"""One byte changed in a finished run's database is found and placed; an emergency stop holds, whoever gives it and when."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.cli import run
from treasury_arena.clock import WallClock
from treasury_arena.store import open_store, order_schema, schema
from treasury_arena.store import stop as emergency

EVENT_TEXTS = ("event_id", "event_type", "agent_id", "timestamp", "data", "prev_hash", "hash")


def flip(text: str, rng: random.Random) -> str:
    """Change one byte: the lowest bit of one character."""
    at = rng.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]


def spoil(folder: Path, table: str, column: str, rng: random.Random) -> tuple[Any, ...]:
    """Flip one byte of one value of a table and return its row as it was."""
    with sqlite3.connect(folder / "arena.db") as database:
        filled = f'SELECT rowid FROM "{table}" WHERE length("{column}") > 0 ORDER BY rowid'
        rows = [rowid for (rowid,) in database.execute(filled)]
        rowid = rng.choice(rows)
        row: tuple[Any, ...] = database.execute(f'SELECT * FROM "{table}" WHERE rowid = ?', (rowid,)).fetchone()
        value = row[list(schema.TABLES[table].columns).index(column)]
        changed: Any = flip(value, rng) if isinstance(value, str) else type(value)(value + 1)
        database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (changed, rowid))
    database.close()
    return row


def audited(house: Any, folder: Path) -> dict[str, Any]:
    done = house.arena("audit", folder, "--json")
    assert done.code == 1, done.out
    assert not done.json["ok"]
    report: dict[str, Any] = done.json
    return report


def test_a_whole_database_is_proven_whole(house: Any, finished: Path, finished_json: dict[str, Any]) -> None:
    report = house.arena("audit", finished, "--json").ok().json
    assert report["ok"]
    assert report["findings"] == []
    assert report["digest"] == finished_json["digest"]
    assert all(count > 0 for check, count in report["checks"].items() if check != "cause")
    assert house.arena("replay", finished, "--json").ok().json["ok"]


@pytest.mark.parametrize("column", EVENT_TEXTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_byte_of_an_event(house: Any, copy_of_finished: Any, column: str, seed: int) -> None:
    folder = copy_of_finished()
    row = spoil(folder, "events", column, random.Random(f"{column}{seed}"))
    assert audited(house, folder)["first_bad_seq"] == row[0]
    assert house.arena("audit", folder).out.splitlines()[-1] == f"first bad seq: {row[0]}"
    refused = house.arena("resume", folder)
    assert refused.code != 0
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("column", [name for name in schema.CAPITAL_LEDGER.columns if name != "entry"])
def test_a_byte_of_a_ledger_line(house: Any, copy_of_finished: Any, column: str) -> None:
    folder = copy_of_finished()
    row = spoil(folder, "capital_ledger", column, random.Random(column))
    assert audited(house, folder)["first_bad_seq"] == row[list(schema.CAPITAL_LEDGER.columns).index("seq")]


#: A replayed run fills no table of live orders, of a daemon or of a fuse; core's own tests spoil those.
DAEMON = {"leases", "lease_terms", "jobs"}
ELSEWHERE = {"events", "capital_ledger", "fuses", *DAEMON, *(table.name for table in order_schema.TABLES)}


@pytest.mark.parametrize("table", [name for name in schema.TABLES if name not in ELSEWHERE])
def test_a_byte_of_a_projection(house: Any, copy_of_finished: Any, table: str) -> None:
    folder = copy_of_finished()
    with open_store(folder / "arena.db") as store:
        emergency.engage(store, "HARD", "so that every table has a row", "ann", WallClock())
    column = next(name for name in schema.TABLES[table].columns if name not in schema.TABLES[table].key)
    spoil(folder, table, column, random.Random(table))
    report = audited(house, folder)
    assert {finding["check"] for finding in report["findings"]} == {"projection"}
    assert table in report["findings"][0]["message"]
    assert house.arena("replay", folder, "--json").code == 1


def test_a_deleted_event(house: Any, copy_of_finished: Any) -> None:
    folder = copy_of_finished()
    with sqlite3.connect(folder / "arena.db") as database:
        database.execute("DELETE FROM events WHERE seq = 100")
    database.close()
    assert audited(house, folder)["first_bad_seq"] == 100


# -- the emergency stop


def payloads(house: Any, folder: Path, kind: str, after: int = 0) -> list[dict[str, Any]]:
    found = house.arena("events", folder, "--type", kind, "--json").ok().json
    return [event["data"]["payload"] for event in found if event["seq"] > after]


def stopped_at(house: Any, folder: Path) -> int:
    (event,) = house.arena("events", folder, "--type", "EmergencyStopEngaged", "--json").ok().json
    return int(event["seq"])


def assert_stopped(house: Any, folder: Path) -> None:
    """From the stop on, orders are refused for its sake and none is executed; the books are whole."""
    seq = stopped_at(house, folder)
    assert payloads(house, folder, "OrderSettled", after=seq) == []
    refused = payloads(house, folder, "OrderRejected", after=seq)
    assert refused
    assert {payload["code"] for payload in refused} == {"emergency_stop"}
    assert house.arena("audit", folder, "--json").ok().json["ok"]
    assert house.arena("status", folder, "--json").json["completed"]


def test_a_stop_from_another_process_while_a_run_is_going(
    house: Any, small_config: Path, finished_json: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    original = run.PhaseTimer.__call__

    def told(timer: Any, phase: str, cycle: int = 0) -> None:
        original(timer, phase, cycle)
        if (phase, cycle) == ("judge", 3):  # in the middle of a cycle, whose transaction is not committed yet
            monkeypatch.undo()
            house.process("stop", folder, "--reason", "drill", "--operator", "ann", "--json").ok()

    monkeypatch.setattr(run.PhaseTimer, "__call__", told)
    done = house.arena("run", small_config, "--out", folder, "--json", "--quiet").ok()
    assert done.json["digest"] != finished_json["digest"]
    assert payloads(house, folder, "OrderSettled")
    assert_stopped(house, folder)
    assert house.arena("status", folder, "--json").json["emergency_stop"] == "HARD"
    # It ended stopped: a release would change what its results and its digest say.
    released = house.arena("release", folder, "--reason", "over", "--operator", "ann", "--json")
    assert (released.code, released.json["error"]) == (1, "the run is complete; there is nothing to release")
    status = house.arena("status", folder, "--json").json
    assert (status["emergency_stop"], status["digest"]) == ("HARD", done.json["digest"])


def test_a_stop_outlives_the_process_and_a_release_ends_it(house: Any, copy_of_interrupted: Any) -> None:
    folder = copy_of_interrupted()
    house.arena("stop", folder, "--reason", "drill", "--operator", "ann").ok()
    house.arena("resume", folder, "--quiet").ok()
    assert_stopped(house, folder)
    told = house.arena("status", folder, "--json").json["stop"]
    assert {key: told[key] for key in ("level", "operator", "reason")} == {
        "level": "HARD",
        "operator": "ann",
        "reason": "drill",
    }
    line = next(line for line in house.arena("status", folder).out.splitlines() if line.startswith("emergency_stop"))
    assert line.split(maxsplit=1)[1] == f"HARD since {told['since']} by ann (drill)"
    free = copy_of_interrupted()
    house.arena("stop", free, "--reason", "drill", "--operator", "ann").ok()
    house.arena("release", free, "--reason", "over", "--operator", "ann").ok()
    house.arena("resume", free, "--quiet").ok()
    assert payloads(house, free, "OrderSettled", after=stopped_at(house, free))
    assert house.arena("status", free, "--json").json["stop"] is None


def test_a_release_without_a_stop_and_a_stop_without_a_reason(house: Any, copy_of_interrupted: Any) -> None:
    folder = copy_of_interrupted()
    done = house.arena("release", folder, "--reason", "over", "--operator", "ann")
    assert done.code == 1
    assert "no emergency stop is engaged" in done.err
    assert house.arena("stop", folder).code == 2
    assert house.arena("stop", folder, "--reason", " ", "--operator", "ann").code == 2
    assert house.arena("status", folder, "--json").json["emergency_stop"] == "OFF"
