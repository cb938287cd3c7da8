"""Opening a store, and everything that can be in the way: one clear sentence each, nothing half-written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

import treasury_arena.store
from treasury_arena.errors import StoreError
from treasury_arena.store import EventStore, audit, open_store, schema
from treasury_arena.store.database import WRITER_LOCK


def test_migrations_lead_from_nothing_to_the_head_the_program_names(empty_url: str) -> None:
    store = open_store(empty_url)
    config = Config()
    folder = Path(treasury_arena.store.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [schema.HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == set(schema.REVISIONS)
    inspector = sa.inspect(store.database.engine)
    assert set(inspector.get_table_names()) == {*schema.TABLES, "alembic_version"}
    for name, table in schema.TABLES.items():
        assert [column["name"] for column in inspector.get_columns(name)] == list(table.columns)
        assert tuple(inspector.get_pk_constraint(name)["constrained_columns"]) == table.key
    with store.database.read() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert found == schema.HEAD
    store.close()


def test_opening_again_keeps_everything(store_url: str, make: SimpleNamespace) -> None:
    with open_store(store_url) as store:
        events = store.append(make.story())
    with open_store(store_url, create=False) as store:
        assert list(store.read()) == events
    with open_store(store_url, readonly=True) as store:
        assert list(store.read()) == events
        with pytest.raises(StoreError, match="opened read-only"):
            store.append([make.record("a1")])


def test_a_schema_newer_than_the_program_is_refused(store_url: str) -> None:
    with open_store(store_url) as store, store.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="schema 9999, newer than this program"):
        open_store(store_url)


def test_a_store_that_lost_the_number_of_its_schema_is_refused(empty_url: str) -> None:
    with open_store(empty_url) as store, store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    with pytest.raises(StoreError, match=r"does not say which schema it has: the row of alembic_version is missing"):
        open_store(empty_url)


def test_another_programs_database_is_refused(empty_url: str) -> None:
    engine = sa.create_engine(empty_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE agents (x INTEGER)")
    engine.dispose()
    with pytest.raises(StoreError, match=r"another program.*'agents'"):
        open_store(empty_url)


def test_a_store_that_is_not_there(tmp_path: Path, fresh_postgres: Callable[[], str]) -> None:
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(StoreError, match=r"there is no store at .*a\.db"):
            open_store(tmp_path / "a.db", **options)
        assert not (tmp_path / "a.db").exists()
    with pytest.raises(StoreError, match="there is no store"):
        open_store(fresh_postgres(), create=False)
    with pytest.raises(StoreError, match="needs a migration"):
        open_store(fresh_postgres(), readonly=True)


def test_folders_and_files_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the folder .*none does not exist"):
        open_store(tmp_path / "none" / "a.db")
    with pytest.raises(StoreError, match="is a folder"):
        open_store(tmp_path)
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be read as a header" * 20)
    with pytest.raises(StoreError, match="is not a database"):
        open_store(tmp_path / "text.db")


def test_a_damaged_file(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "a.db"
    with open_store(path) as store:
        store.append([make.record(f"a{i}") for i in range(500)])
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xaa" * (len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="is damaged"), open_store(path) as store:
        audit(store)


def test_a_row_that_the_database_will_never_take_is_not_another_writers(tmp_path: Path, make: SimpleNamespace) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append([make.opened(5)])
        with store.database.write() as connection:
            connection.exec_driver_sql("CREATE UNIQUE INDEX mine ON agents (strategy)")
        with pytest.raises(StoreError, match=r"refuses a row \(UNIQUE .*agents.strategy\)") as caught:
            store.append([make.spawned("a1"), make.spawned("a2")])
        assert type(caught.value) is StoreError
        assert store.last()[0] == 1


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "sqlite:secret//x://", "://secret"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(StoreError, match="the store's URL") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def lock(url: str) -> Callable[[], None]:
    engine = sa.create_engine(url)
    connection = engine.connect()
    if engine.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    def release() -> None:
        connection.rollback()
        connection.close()
        engine.dispose()

    return release


def test_a_locked_store_is_waited_for_then_told(store_url: str, make: SimpleNamespace) -> None:
    with open_store(store_url, busy_timeout_ms=60) as store:
        store.append([make.opened(5)])
        release = lock(store_url)
        with pytest.raises(StoreError, match="is locked by another process"):
            store.append([make.record("a1")])
        assert store.last()[0] == 1
        release()
        store.append([make.record("a1")], expected_seq=1)
    with open_store(store_url, busy_timeout_ms=20_000) as store:
        release = lock(store_url)
        timer = threading.Timer(0.2, release)
        timer.start()
        assert store.append([make.record("a1")])[0].seq == 3
        timer.join()


def test_a_full_database_writes_nothing(tmp_path: Path, make: SimpleNamespace) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append([make.opened(5)])
        before = store.last()
        with store.database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="full; nothing of this change was written"):
            store.append([make.record(f"a{i}") for i in range(1_000)])
        assert store.last() == before
        assert audit(store).ok
        with store.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        store.append([make.record(f"a{i}") for i in range(1_000)], expected_seq=1)
        assert audit(store).ok


def test_a_file_size_limit_writes_nothing(tmp_path: Path, make: SimpleNamespace) -> None:
    code = """
import resource, sys
from treasury_arena.errors import StoreError
from treasury_arena.events.catalog import AgentFailed
from treasury_arena.events.event import Draft
from treasury_arena.store import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    store.append([Draft(AgentFailed("raised", "x" * 500), "2024-01-01T00:00:00Z", "a1")] * 2000)
except StoreError as error:
    print(error)
"""
    path = tmp_path / "a.db"
    with open_store(path) as store:
        store.append([make.opened(5)])
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "nothing of this change was written" in done.stdout, done
    with open_store(path) as store:
        assert store.last()[0] == 1
        assert audit(store).ok


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that another user may enter; this process is that user while the test runs, if it was root."""
    folder = Path(tempfile.mkdtemp(prefix="arena-readonly-"))
    yield folder
    shutil.rmtree(folder)


class Nobody:
    """Gives up root's rights, which no file permission stops, for a while."""

    def __enter__(self) -> None:
        self.root = os.geteuid() == 0
        if self.root:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if self.root:
            os.seteuid(0)


def test_a_read_only_file_and_folder(shared_folder: Path, make: SimpleNamespace) -> None:
    path = shared_folder / "a.db"
    with open_store(path) as store:
        store.append([make.opened(5)])
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    with Nobody():
        with open_store(path, readonly=True) as store:
            assert store.balance("pool:arena", "USDC") == 5
            assert audit(store).ok
        with pytest.raises(StoreError, match=r"is read-only|cannot be opened"), open_store(path) as store:
            store.append([make.record("a1")])
        with pytest.raises(StoreError, match="cannot be opened; check that the folder exists and may be written"):
            open_store(shared_folder / "new.db")
    shared_folder.chmod(0o755)
    with open_store(path) as store:
        assert store.last()[0] == 1


def test_a_damaged_append_leaves_the_connection_usable(store: EventStore, make: SimpleNamespace) -> None:
    store.append([make.opened(5)])

    def fail() -> None:
        with store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM events")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.append([make.record("a1")])[0].seq == 2
    assert audit(store).ok


def test_what_the_server_refuses(postgres_server: str, fresh_postgres: Callable[[], str]) -> None:
    url = fresh_postgres()
    with pytest.raises(StoreError, match="refused the password") as caught:
        open_store(url.replace("correct-horse", "wrong-secret"))
    assert "wrong-secret" not in str(caught.value)
    assert "arena:***@" in str(caught.value)
    with pytest.raises(StoreError, match="does not exist on the server"):
        open_store(f"{postgres_server}/nowhere")
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store("postgresql://arena:wrong-secret@127.0.0.1:1/x")
    assert "wrong-secret" not in str(caught.value)


def test_urls_show_no_password(fresh_postgres: Callable[[], str]) -> None:
    url = fresh_postgres().replace("postgresql+pg8000", "postgresql")
    with open_store(url) as store:
        assert "correct-horse" not in store.url + repr(store)
        assert ":***@" in repr(store)
        assert store.path is None


def test_a_store_in_memory(make: SimpleNamespace) -> None:
    with open_store("sqlite://") as store:
        assert store.append([make.opened(5)])[0].seq == 1
        assert store.path is None
        assert audit(store).ok


def test_a_lost_server_connection_is_told(fresh_postgres: Callable[[], str], make: SimpleNamespace) -> None:
    url = fresh_postgres()
    with open_store(url) as store:
        store.append([make.opened(5)])
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()"
            )
        engine.dispose()
        with pytest.raises(StoreError, match=r"was shut down|lost its connection"):
            store.append([make.record("a1")])
        assert store.append([make.record("a1")], expected_seq=1)[0].seq == 2


def test_a_sqlite_file_is_readable_with_plain_sql(tmp_path: Path, make: SimpleNamespace) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.append(make.story())
    with sqlite3.connect(tmp_path / "a.db") as plain:
        sums = "SELECT sum(amount) FROM capital_ledger WHERE asset = 'USDC' GROUP BY transfer_id"
        assert {row[0] for row in plain.execute(sums)} == {0}
        amounts = {row[0] for row in plain.execute("SELECT typeof(amount) FROM capital_ledger")}
        assert amounts == {"text"}
    plain.close()


def test_a_database_set_to_give_fewer_digits_gives_them_all(
    fresh_postgres: Callable[[], str], make: SimpleNamespace
) -> None:
    url = fresh_postgres()
    name = sa.make_url(url).database
    with open_store(url) as store, store.database.write() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET extra_float_digits = -3')
    with open_store(url) as store:
        store.append([make.spawned("a"), make.record("a", 0.1234567890123456)])
        assert audit(store).ok
