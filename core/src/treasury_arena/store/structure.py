"""What the database itself is made of: pages, indexes and definitions, below the rows that the audit reads."""

from __future__ import annotations

import functools

from sqlalchemy.engine import URL, Connection

from treasury_arena.store.database import Database
from treasury_arena.store.migrate import prepare

_NAMED = "type IN ('table', 'index') AND substr(name, 1, 7) <> 'sqlite_'"


def broken(database: Database, connection: Connection, most: int) -> list[str]:
    """What SQLite itself finds wrong with its file, `most` sentences of it at most; nothing is known of a server's files.

    Every index is compared with its table, every page with the tree it belongs to. An index that lost a row makes a question
    miss it, though every row is there.
    """
    if not database.sqlite:
        return []
    told = connection.exec_driver_sql(f"PRAGMA integrity_check({int(most)})").scalars()
    return [f"SQLite finds {' '.join(text.split())}" for text in told if text != "ok"]


def faults(database: Database, connection: Connection, most: int, known: list[str] | None = None) -> list[str]:
    """`broken`, and where the file says of what the program defined that it is something else.

    `known`: what `broken` has found already, if somebody has asked.
    """
    if not database.sqlite:
        return []
    found = broken(database, connection, most) if known is None else [*known]
    held, own = _definitions(connection), _own_definitions()
    for (kind, name), wanted in own.items():
        if (kind, name) not in held:
            found.append(f"the {kind} {name} is missing")
        elif held[kind, name] != wanted:
            found.append(f"the {kind} {name} is not what this program defines, but {held[kind, name]!r:.300}")
    unique = f"type = 'index' AND {_NAMED} AND upper(sql) LIKE 'CREATE UNIQUE%'"
    for name, table in connection.exec_driver_sql(
        f"SELECT name, tbl_name FROM sqlite_master WHERE {unique} ORDER BY 1"
    ):
        if ("index", name) not in own and ("table", table) in own:
            found.append(f"an index {name!r} refuses rows of the table {table}; this program makes none of that name")
    triggers = connection.exec_driver_sql("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1")
    found += [f"a trigger {name!r} changes the table {table}; this program makes none" for name, table in triggers]
    return found[:most]


def counted(database: Database, connection: Connection) -> int:
    """How many tables and indexes `faults` looks at."""
    return len(_definitions(connection)) if database.sqlite else 0


def _definitions(connection: Connection) -> dict[tuple[str, str], str]:
    """What the file says, without what SQLite itself writes otherwise when a table was renamed: quotes and spaces."""
    rows = connection.exec_driver_sql(f"SELECT type, name, sql FROM sqlite_master WHERE {_NAMED}")
    return {(kind, name): " ".join(sql.replace('"', "").split()) for kind, name, sql in rows}


@functools.cache
def _own_definitions() -> dict[tuple[str, str], str]:
    """What the program's migrations define."""
    fresh = Database(URL.create("sqlite", database=":memory:"), create=True, readonly=False, busy_timeout_ms=1_000)
    try:
        prepare(fresh)
        with fresh.read() as connection:
            return _definitions(connection)
    finally:
        fresh.close()
