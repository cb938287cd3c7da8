"""A real PostgreSQL for the tests of the store, and one empty store per test on each database."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

PASSWORD = "correct-horse"


def _binary(name: str) -> str:
    listed = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]), reverse=True
    )
    found = str(listed[0]) if listed else shutil.which(name)
    if found is None:
        pytest.fail(
            f"{name} was found neither under /usr/lib/postgresql nor in PATH; the store's tests need PostgreSQL 15"
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _identity() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        pytest.fail(
            "PostgreSQL refuses to run as root and there is no user `postgres`; create it or run the tests as a user"
        )
    return entry.pw_uid, entry.pw_gid


def _run(command: list[str], folder: Path) -> None:
    who = _identity()
    kwargs = {} if who is None else {"user": who[0], "group": who[1], "extra_groups": []}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL (without database) of a cluster of this session's own on a free loopback port; fails when there is no PostgreSQL."""
    initdb, control = _binary("initdb"), _binary("pg_ctl")
    # Not pytest's own temporary folder: the server's user may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="arena-postgres-"))
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    who = _identity()
    if who is not None:
        os.chown(folder, *who)
        os.chown(secret, *who)
    data, port = folder / "data", _free_port()
    _run(
        [initdb, "-D", str(data), "-U", "arena", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "-N"],
        folder,
    )
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c shared_buffers=32MB"
    )
    try:
        _run([control, "-D", str(data), "-l", str(folder / "log"), "-w", "-o", options, "start"], folder)
        yield f"postgresql+pg8000://arena:{PASSWORD}@127.0.0.1:{port}"
    finally:
        _run([control, "-D", str(data), "-m", "immediate", "-w", "stop"], folder)
        shutil.rmtree(folder)


@pytest.fixture
def fresh_postgres(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database and returns its URL."""
    engine = sa.create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def make() -> str:
        name = f"arena_{os.urandom(6).hex()}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        made.append(name)
        return f"{postgres_server}/{name}"

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, once on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'arena.db'}"
    make: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return make()
