"""A real PostgreSQL for every test that wants one, one cluster a session; and what coverage leaves out."""

from __future__ import annotations

import importlib.util
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

if importlib.util.find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    # A busy machine is no finding: no property fails for the time it takes.
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


@pytest.fixture(scope="module", autouse=True)
def unmeasured_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes of a module marked `no_cover` do not run under coverage either."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("no_cover"):
            for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
                patch.delenv(name)
        yield


def _installed(name: str) -> str | None:
    """A program of an installed PostgreSQL, the newest first."""
    listed = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]), reverse=True
    )
    return str(listed[0]) if listed else shutil.which(name)


def _programs(folder: Path) -> tuple[str, str]:
    """initdb and pg_ctl: the machine's own, else those of the wheel `pgserver`, copied to where their user may read."""
    initdb, control = _installed("initdb"), _installed("pg_ctl")
    if initdb is not None and control is not None:
        return initdb, control
    wheel = importlib.util.find_spec("pgserver")
    if wheel is None or wheel.origin is None:
        pytest.fail("no PostgreSQL: neither /usr/lib/postgresql, nor initdb and pg_ctl in PATH, nor the wheel pgserver")
    home = Path(wheel.origin).parent
    shutil.copytree(home / "pginstall", folder / "pgserver" / "pginstall")
    if (home.parent / "pgserver.libs").exists():
        shutil.copytree(home.parent / "pgserver.libs", folder / "pgserver.libs")
    programs = folder / "pgserver" / "pginstall" / "bin"
    return str(programs / "initdb"), str(programs / "pg_ctl")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _identity() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")  # PostgreSQL refuses to run as root
    return entry.pw_uid, entry.pw_gid


def _run(command: list[str], folder: Path) -> None:
    who = _identity()
    kwargs = {} if who is None else {"user": who[0], "group": who[1], "extra_groups": []}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL (without database) of a cluster of this session's own on a free loopback port; fails when there is no PostgreSQL."""
    # Not pytest's own temporary folder: the server's user may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="arena-postgres-"))
    initdb, control = _programs(folder)
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    who = _identity()
    if who is not None:
        os.chown(folder, *who)
        os.chown(secret, *who)
    data, port = folder / "data", _free_port()
    _run(
        [initdb, "-D", str(data), "-U", "arena", "-A", "password", f"--pwfile={secret}", "-E", "UTF8", "-N"],
        folder,
    )
    settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=''", "fsync=off", "password_encryption=md5")
    options = " ".join([f"-p {port}", *(f"-c {setting}" for setting in settings)])
    try:
        _run([control, "-D", str(data), "-l", str(folder / "log"), "-w", "-o", options, "start"], folder)
        yield f"postgresql+pg8000://arena:{PASSWORD}@127.0.0.1:{port}"
    finally:
        _run([control, "-D", str(data), "-m", "immediate", "-w", "stop"], folder)
        shutil.rmtree(folder)


def _create(server: str, name: str) -> str:
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{server}/{name}"


@pytest.fixture(scope="session")
def fresh_postgres(postgres_server: str) -> Callable[[], str]:
    """Makes an empty database and returns its URL."""
    return lambda: _create(postgres_server, f"arena_{os.urandom(6).hex()}")
