"""Bringing a database to the program's schema, or saying why not."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from treasury_arena.errors import NoStoreError, StoreError
from treasury_arena.store.database import Database
from treasury_arena.store.schema import HEAD, REVISIONS, TABLES


def prepare(database: Database) -> None:
    """Check where the store is and run the migrations it lacks, in one transaction.

    Raises NoStoreError: no folder, no store (and none may be created), another program's database; StoreError: a newer
    schema, or a schema to migrate while read-only.
    """
    path = database.path
    if path is not None:
        if not path.absolute().parent.is_dir():
            raise NoStoreError(f"store {database.label} cannot be opened: the folder {path.parent} does not exist")
        if path.is_dir():
            raise NoStoreError(f"store {database.label} is a folder; give the path of a file in it")
        if not path.exists() and (database.readonly or not database.create):
            raise NoStoreError(f"there is no store at {database.label}; check the path, or start a run to create it")
    with database.read() as connection:
        revision = _revision(database, connection)
    if revision == HEAD:
        return
    if database.readonly:
        raise StoreError(f"store {database.label} needs a migration to schema {HEAD}; open it once for writing")
    if revision is None and not database.create:
        raise NoStoreError(f"there is no store at {database.label}; check the URL, or start a run to create it")
    with database.write() as connection:
        if _revision(database, connection) != HEAD:
            _upgrade(connection)


def _revision(database: Database, connection: Connection) -> str | None:
    found = set(sa.inspect(connection).get_table_names())
    if "alembic_version" not in found:
        foreign = found if database.sqlite else found & set(TABLES)
        if foreign:
            raise NoStoreError(
                f"store {database.label} is a database of another program (table {sorted(foreign)[0]!r}); give another path"
            )
        return None
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if revision is not None and revision not in REVISIONS:
        raise StoreError(
            f"store {database.label} has schema {revision}, newer than this program, which knows up to {HEAD}; "
            "use the program that wrote it, or a newer one"
        )
    if revision is None and (left := found & set(TABLES)):
        raise StoreError(
            f"store {database.label} does not say which schema it has: the row of alembic_version is missing beside "
            f"the table {sorted(left)[0]!r}; restore a copy, or put the row {HEAD!r} back"
        )
    return None if revision is None else str(revision)


def _upgrade(connection: Connection) -> None:
    # Alembic takes a fifth of a second to import, and most stores need no migration.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
