"""One empty store per test on each database; the server is the root conftest's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from treasury_arena.store import open_store, schema


@pytest.fixture(scope="session")
def postgres_database(fresh_postgres: Callable[[], str]) -> Iterator[sa.Engine]:
    """One database with every table, emptied before each test that uses it: faster than one database per test."""
    url = fresh_postgres()
    open_store(url).close()
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a store without events, once on each database; the tables are there on PostgreSQL, to come on SQLite."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'arena.db'}"
    engine: sa.Engine = request.getfixturevalue("postgres_database")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(schema.TABLES)}")
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{schema.HEAD}'")
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database with nothing in it, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'arena.db'}"
    make: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return make()
