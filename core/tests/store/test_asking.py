"""One question, one transaction: what `Database.ask` sees, and the connection that each thread keeps for it."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from types import SimpleNamespace

import pytest

from treasury_arena.errors import StoreError
from treasury_arena.store import EventStore, open_store, schema
from treasury_arena.store.table import INT, Table

EVENTS = schema.EVENTS


def handles(path: Path) -> int:
    """How often this process has the file open."""
    return sum(os.path.realpath(f"/proc/self/fd/{number}") == str(path) for number in os.listdir("/proc/self/fd"))


def test_a_question_sees_what_was_committed_and_nothing_that_is_not(store: EventStore, make: SimpleNamespace) -> None:
    assert store.database.ask(EVENTS) == []
    store.append([make.opened(500)])
    assert [row[0] for row in store.database.ask(EVENTS, "WHERE seq >= ?", [1])] == [1]
    with store.database.write() as connection:
        store.database.put(connection, schema.ACCOUNT_BALANCES, [("pool:x", "USDC", "1", 1)])
        assert store.database.ask(schema.ACCOUNT_BALANCES, "WHERE account = ?", ["pool:x"]) == []
    assert len(store.database.ask(schema.ACCOUNT_BALANCES, "WHERE account = ?", ["pool:x"])) == 1


def test_a_store_in_memory_is_asked_as_any_other(
    make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite://") as store:
        store.append([make.opened(500)])
        assert [row[0] for row in store.database.ask(EVENTS)] == [1]
    assert list(tmp_path.iterdir()) == []


def test_many_threads_ask_while_one_writes(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.opened(500)])

    def ask(index: int) -> int:
        if index % 10 == 0:
            store.append([make.allocated(f"a{index}", 1)])
        rows = store.database.ask(EVENTS, "ORDER BY seq")
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        return len(rows)

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(ask, range(200))) <= 21
    assert len(store.database.ask(EVENTS)) == 21


def test_a_question_that_cannot_be_answered_is_a_store_error_and_the_next_one_is_answered(store: EventStore) -> None:
    with pytest.raises(StoreError):
        store.database.ask(Table("nowhere", {"seq": INT}))
    assert store.database.ask(EVENTS) == []


def test_threads_that_ask_at_once_have_a_connection_each(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        found: set[int] = set()
        together = Barrier(4, timeout=60)

        def ask() -> None:
            assert store.database.ask(EVENTS) == []
            found.add(id(store.database._asking()))
            together.wait()

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(ask) for _ in range(4)]:
                done.result()
        assert len(found) == 4


def test_closing_waits_for_the_question_under_way(tmp_path: Path, make: SimpleNamespace) -> None:
    slow = "WHERE (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000) SELECT max(n) FROM c) > ?"
    found: list[int] = []
    with open_store(tmp_path / "store.db") as store:
        store.append([make.opened(500)])
        began = Event()

        def ask() -> None:
            store.database._asking()._connection.set_progress_handler(began.set, 1_000)  # type: ignore[union-attr]
            found.append(len(store.database.ask(EVENTS, slow, [0])))

        thread = Thread(target=ask)
        thread.start()
        assert began.wait(60)  # SQLite is at work
        store.close()
        thread.join(60)
    assert found == [1]


def test_nothing_is_asked_or_written_once_it_is_closed(store: EventStore, make: SimpleNamespace) -> None:
    assert store.database.ask(EVENTS) == []
    store.close()
    for what in (
        lambda: store.database.ask(EVENTS),
        lambda: list(store.read()),
        lambda: store.append([make.opened(5)]),
    ):
        with pytest.raises(StoreError, match=r"^store .* is closed$"):
            what()


def test_a_question_of_another_thread_makes_no_file_where_the_store_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path) as store, ThreadPoolExecutor(1) as threads:
        for left in tmp_path.iterdir():
            left.unlink()
        with pytest.raises(StoreError, match="cannot be opened"):
            threads.submit(store.database.ask, EVENTS).result()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list a process's open files")
def test_a_connection_ends_with_its_thread_and_with_the_store(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "store.db"
    with open_store(path) as store:
        before = handles(path)
        store.database.ask(EVENTS)
        store.database.ask(EVENTS)
        assert handles(path) == before + 1
        for _ in range(20):  # what a connection leaves open while others hold the file, SQLite gives to the next
            thread = Thread(target=lambda: store.database.ask(EVENTS))
            thread.start()
            thread.join()
            gc.collect()
        assert handles(path) <= before + 2
    assert handles(path) == 0
