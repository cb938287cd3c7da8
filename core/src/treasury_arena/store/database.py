"""Connections: an engine for a URL, one way to write and one to read, and the few statements both databases need in bulk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import StaticPool

from treasury_arena.errors import StoreError, nearest
from treasury_arena.store.failures import describe, is_lost
from treasury_arena.store.table import AMOUNT, INT, JSON, REAL, TEXT, Table
from treasury_arena.veiled import Veiled

CHUNK_ROWS = 5_000
CHECKPOINT_PAGES = 4_000  # 16 MiB of log before pages are written back: each page is then written back less often
CACHE_KIB = 16_384
_POOL_LOG = "treasury_arena"
_PATH_BYTES = 504  # SQLite's 512 without the ending of its log
WRITER_LOCK = 0x7472656173757279  # the key of PostgreSQL's advisory lock: one writer at a time


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise ValueError(text)
    return seconds


_SWITCH = {"true": True, "1": True, "false": False, "0": False}
#: Options behind the ``?`` of a server's URL: what is expected, and how it is read for the driver.
_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("application_name", "database", "host", "password", "unix_sock", "user"), ("a text", str)),
    "port": ("a whole number", int),
    "ssl_context": ("true or false", lambda text: _SWITCH[text.lower()]),
    "tcp_keepalive": ("true or false", lambda text: _SWITCH[text.lower()]),
    "timeout": ("seconds, more than 0", _seconds),
}


def parse_url(url: str | Path) -> URL:
    """A path or URL as an SQLAlchemy URL of a supported database; raises StoreError (never showing a password)."""
    if isinstance(url, Path) or "://" not in url:
        return URL.create("sqlite", database=str(url))
    url = Veiled(url)
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise StoreError("the store's URL cannot be read; expected a path or postgresql://USER@HOST/NAME") from None
    hidden = parsed.query.get("password")
    if hidden is not None:  # where it would be shown with the rest of the URL
        hidden = Veiled(hidden if isinstance(hidden, str) else hidden[-1])
        parsed = parsed.difference_update_query(["password"]).set(password=parsed.password or hidden)
    if parsed.password is not None:
        parsed = parsed.set(password=Veiled(parsed.password))
    kind = parsed.get_backend_name()
    if kind == "postgresql" or parsed.drivername == "postgres":
        return parsed.set(drivername="postgresql+pg8000")
    if kind == "sqlite":
        if parsed.query:
            raise StoreError(
                f"the store's URL has the option {next(iter(parsed.query))!r}; a SQLite file takes none, expected "
                f"sqlite:///{parsed.database}"
            )
        return parsed.set(drivername="sqlite")
    raise StoreError(f"the store's URL names the database {kind!r}; expected sqlite or postgresql")


class _Kept:
    """A connection that lives as long as the thread that asks with it, or until the database is closed.

    SQLite takes the process down when a connection is closed while it is in use, so closing waits for the question under way.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._lock = threading.Lock()

    def ask(self, statement: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]] | None:
        """What a SELECT finds; None once it is closed."""
        with self._lock:
            return None if self._connection is None else self._connection.execute(statement, params).fetchall()

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    __del__ = close  # from Python 3.13 on, a connection that nobody closed is a ResourceWarning


class Database:
    """An engine with the house's settings. Thread-safe; errors leave as StoreError."""

    def __init__(self, url: URL, *, create: bool, readonly: bool, busy_timeout_ms: int) -> None:
        self.url = url
        self.sqlite = url.get_backend_name() == "sqlite"
        self.label = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
        self.path = Path(url.database) if self.sqlite and url.database and url.database != ":memory:" else None
        if self.path is not None:
            self.label = str(self.path)
        self.create = create
        self.readonly = readonly
        self.busy_timeout_ms = busy_timeout_ms
        self.engine = self._engine()
        self._closed = False
        self._own = threading.local()
        self._kept: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def _engine(self) -> Engine:
        if not self.sqlite:
            if not (self.url.username or "user" in self.url.query):
                raise StoreError(f"store {self.label} names no user; expected postgresql://USER@HOST/NAME")
            options = self._options()
            try:
                engine = sa.create_engine(self.url, pool_timeout=60, pool_logging_name=_POOL_LOG, connect_args=options)
                # A broken connection is told once, as a StoreError; the pool would print a traceback as well.
                logging.getLogger(f"sqlalchemy.pool.impl.QueuePool.{_POOL_LOG}").setLevel(logging.CRITICAL)
            except ImportError as error:
                raise StoreError(
                    f"store {self.label} needs the driver pg8000: pip install 'treasury-arena-core[postgresql]'"
                ) from error
            sa.event.listen(engine, "connect", self._setup_postgres)
            return engine
        if self.path is None:
            engine = sa.create_engine("sqlite://", creator=self._memory, poolclass=StaticPool)
        else:
            engine = sa.create_engine("sqlite://", creator=self._file, poolclass=sa.QueuePool, pool_timeout=60)
        sa.event.listen(engine, "begin", self._begin_sqlite)
        return engine

    def _options(self) -> dict[str, Any]:
        """What stands behind the ``?`` of a server's URL, as its driver takes it, which would not say whose mistake it is."""
        options: dict[str, Any] = {}
        for option, value in self.url.query.items():
            if option not in _OPTIONS:
                raise StoreError(f"store {self.label}: there is no option {option!r}; {nearest(option, _OPTIONS)}")
            if not isinstance(value, str):
                raise StoreError(f"store {self.label}: the option {option!r} is given more than once")
            expected, read = _OPTIONS[option]
            try:
                options[option] = read(value)
            except (KeyError, ValueError):
                raise StoreError(
                    f"store {self.label}: the option {option!r} is {value!r}; expected {expected}"
                ) from None
        return options

    def _memory(self) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    def _file(self, *, create: bool | None = None) -> sqlite3.Connection:
        path = Path(str(self.path)).absolute()
        mode = "ro" if self.readonly else "rwc" if (self.create if create is None else create) else "rw"
        if self.readonly and _needs_immutable(path):
            mode = "ro&immutable=1"
        address = f"{path.as_uri()}?mode={mode}"
        try:
            connection = sqlite3.connect(
                address, uri=True, isolation_level=None, check_same_thread=False, timeout=self.busy_timeout_ms / 1000
            )
        except sqlite3.OperationalError as error:
            if (length := len(os.fsencode(path))) > _PATH_BYTES:
                raise StoreError(
                    f"store {self.label:.80}… cannot be opened: its path has {length} bytes, and SQLite takes {_PATH_BYTES}"
                ) from error
            raise
        try:
            if not self.readonly:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _begin_sqlite(self, connection: Connection) -> None:
        immediate = connection.get_execution_options().get("house_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    def _setup_postgres(self, connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {int(self.busy_timeout_ms)}")
        cursor.execute("SET TIME ZONE 'UTC'")
        # A database may be set to give numbers with fewer digits than they have.
        cursor.execute("SET extra_float_digits = 1")
        if self.readonly:
            cursor.execute("SET default_transaction_read_only = on")
        connection.commit()
        cursor.close()

    @contextlib.contextmanager
    def failing_as_store_error(self) -> Iterator[None]:
        """Turn errors of the database or its driver into one StoreError."""
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
            if not self.sqlite and is_lost(error):
                self.engine.dispose()
            raise describe(error, self.label) from error

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that no other writer shares: committed at the end, rolled back on any error."""
        self._check_open()
        with self.failing_as_store_error(), self.engine.connect() as raw:
            connection = raw.execution_options(house_write=True)
            with connection.begin():
                if not self.sqlite:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
                yield connection

    @contextlib.contextmanager
    def read(self, *, snapshot: bool = False, lenient: bool = False) -> Iterator[Connection]:
        """A transaction to read in; several statements see one state with `snapshot`.

        `lenient`: text that is not UTF-8 is read with escapes instead of raising.
        """
        self._check_open()
        with self.failing_as_store_error(), self.engine.connect() as connection:
            if snapshot and not self.sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            driver = connection.connection.dbapi_connection
            if lenient and isinstance(driver, sqlite3.Connection):
                driver.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            try:
                with connection.begin():
                    yield connection
            finally:
                if isinstance(driver, sqlite3.Connection):
                    driver.text_factory = str

    @contextlib.contextmanager
    def watched(self) -> Iterator[Callable[[], bool]]:
        """In a file of SQLite: whether nobody, no other connection of this process either, has committed since."""
        with self.failing_as_store_error(), contextlib.closing(self._file(create=False)) as watch:

            def version() -> Any:
                return watch.execute("PRAGMA data_version").fetchone()

            begun = version()
            yield lambda: version() == begun

    def close(self) -> None:
        """Close every connection, after the questions that are under way; nothing can be asked or written afterwards."""
        self._closed = True
        for kept in list(self._kept):
            kept.close()
        self.engine.dispose()

    # -- statements in bulk ------------------------------------------------------------------------------------------

    def select_list(self, table: Table) -> str:
        """Columns of `table` for a SELECT; amounts come as decimal text from both databases."""
        return table.listed if self.sqlite else table.listed_as_text

    def rows(
        self, connection: Connection, table: Table, tail: str = "", params: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Rows of `table`; `tail` is what follows FROM, with ``?`` for each of `params`."""
        return self.fetch(connection, self._select(table, tail), params)

    def _select(self, table: Table, tail: str = "") -> str:
        return f'SELECT {self.select_list(table)} FROM "{table.name}" {tail}'

    def pages(self, connection: Connection, table: Table, order: str = "") -> Iterator[list[tuple[Any, ...]]]:
        """Every row of `table` as `rows` gives it, so many at a time, ordered by a column if one is given.

        PostgreSQL's driver reads value after value in Python, so that it is given each row as one text.
        """
        sorting = f'ORDER BY "{order}"' if order else ""
        if self.sqlite:
            cursor = _driver(connection).execute(self._select(table, sorting))
            while page := cursor.fetchmany(CHUNK_ROWS):
                yield page
            return
        plain = (INT, TEXT, JSON)
        values = ", ".join(
            f'"{name}"' if kind in plain else f'CAST("{name}" AS TEXT)' for name, kind in table.columns.items()
        )
        reals = [place for place, kind in enumerate(table.columns.values()) if kind == REAL]
        name = f'"pages of {table.name}"'
        connection.exec_driver_sql(
            f"DECLARE {name} NO SCROLL CURSOR FOR "
            f'SELECT CAST(json_build_array({values}) AS TEXT) FROM "{table.name}" {sorting}'
        )
        while texts := connection.exec_driver_sql(f"FETCH {CHUNK_ROWS} FROM {name}").scalars().all():
            page = json.loads(f"[{','.join(texts)}]")
            for row in page if reals else ():
                for place in reals:
                    row[place] = None if row[place] is None else float(row[place])
            yield [tuple(row) for row in page]
        connection.exec_driver_sql(f"CLOSE {name}")

    def ask(self, table: Table, tail: str = "", params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """`rows` as a transaction of its own. In a file of SQLite one statement is one, without BEGIN and COMMIT, on a connection
        that the thread keeps for that: taking one from the pool and giving it back takes longer than most questions.

        In memory all connections are one, whose end would take back what another transaction has begun.
        """
        if not self.sqlite or self.path is None:
            with self.read() as connection:
                return self.rows(connection, table, tail, params)
        statement = self._select(table, tail)
        with self.failing_as_store_error():
            found = self._asking().ask(statement, tuple(params))
        if found is None:
            raise self._is_closed()
        return found

    def _asking(self) -> _Kept:
        """The thread's own connection."""
        self._check_open()
        kept: _Kept | None = getattr(self._own, "kept", None)
        if kept is None:
            kept = self._own.kept = _Kept(self._file(create=False))
            self._kept.add(kept)
            if self._closed:  # meanwhile, and this one may not have been among those that were closed
                kept.close()
        return kept

    def _check_open(self) -> None:
        if self._closed:
            raise self._is_closed()

    def _is_closed(self) -> StoreError:
        return StoreError(f"store {self.label} is closed")

    def fetch(self, connection: Connection, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT finds, with ``?`` for each of `params`. SQLite is asked directly, which is three times as fast."""
        if self.sqlite:
            return _driver(connection).execute(statement, tuple(params)).fetchall()
        return [tuple(row) for row in connection.exec_driver_sql(statement.replace("?", "%s"), tuple(params))]

    def rows_of(self, connection: Connection, table: Table, keys: Collection[Any]) -> list[tuple[Any, ...]]:
        """Rows of `table` whose first key column is in `keys`."""
        listed = json.dumps(sorted(keys))
        if self.sqlite:
            inside = "(SELECT value FROM json_each(?))"
        else:
            kind = "text" if table.columns[table.key[0]] == TEXT else "bigint"
            inside = f"(SELECT CAST(value AS {kind}) FROM json_array_elements_text(CAST(? AS json)))"
        return self.rows(connection, table, f'WHERE "{table.key[0]}" IN {inside}', [listed])

    def put(
        self, connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]], *, replace: bool = False
    ) -> None:
        """Insert `rows` (values in the order of the table's columns); `replace` overwrites rows of the same key."""
        values = list(rows)
        if not values:
            return
        names, conflict = list(table.columns), table.overwriting if replace else ""
        if self.sqlite:
            marks = ", ".join("?" * len(names))
            statement = f'INSERT INTO "{table.name}" ({table.listed}) VALUES ({marks}){conflict}'
            _driver(connection).executemany(statement, values)
            return
        kinds = ", ".join(f'"{name}" {_postgres_type(kind)}' for name, kind in table.columns.items())
        statement = (
            f'INSERT INTO "{table.name}" ({table.listed}) SELECT {table.listed} '
            f"FROM json_to_recordset(CAST(%s AS json)) AS given({kinds}){conflict}"
        )
        for first in range(0, len(values), CHUNK_ROWS):
            part = [dict(zip(names, row, strict=True)) for row in values[first : first + CHUNK_ROWS]]
            connection.exec_driver_sql(statement, (json.dumps(part),))


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _postgres_type(kind: str) -> str:
    if kind == AMOUNT:
        return "numeric(78,0)"
    return {REAL: "double precision", INT: "bigint"}.get(kind, "text")


def _needs_immutable(path: Path) -> bool:
    """Whether a WAL database can only be read as immutable: SQLite cannot make its shared-memory file in the folder."""
    wal = path.with_name(path.name + "-wal")
    effective = os.access in os.supports_effective_ids
    writable = os.access(path.parent, os.W_OK, effective_ids=effective)
    return not writable and not (wal.exists() and wal.stat().st_size)
