"""Faults around a paper daemon: a second one, a full disk, a locked store, a server that is gone, a clock that jumps."""

from __future__ import annotations

import contextlib
import copy
import resource
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

from treasury_arena.clock import PacedClock
from treasury_arena.config.load import load_config
from treasury_arena.daemon.opening import opened
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store

pytestmark = pytest.mark.no_cover

START = datetime(2024, 1, 1, tzinfo=UTC)


def test_of_two_daemons_the_second_is_refused_and_takes_over_when_the_first_is_killed(
    house: Any, daemons: Any, tmp_path: Path
) -> None:
    config, out = daemons.configured(house, tmp_path / "config"), tmp_path / "run"
    first = daemons.start(house, config, out)
    first.works(3)
    second = daemons.start(house, config, out).end()
    assert second.code == 1, second.said
    told = [line for line in second.said.splitlines() if line.startswith("arena: ") or "lease" in line]
    assert len(told) == 1, second.said
    assert "Traceback" not in second.said
    assert first.process.poll() is None
    assert first.stop(signal.SIGKILL).code == -signal.SIGKILL
    third = daemons.start(house, config, out)
    third.works(3)
    found = third.stop()
    assert found.code == 0, found.said
    assert daemons.check(out)["done"] >= 6
    with open_store(out / "arena.db", create=False, readonly=True) as store:
        assert list(store.read(event_type="LeaseLost"))
        assert [e.payload.token for e in store.read(event_type="LeaseTaken")] == [1, 2]


def test_a_full_disk_is_said_and_the_service_goes_on_when_there_is_room(
    house: Any, daemons: Any, tmp_path: Path
) -> None:
    """No file of the process may grow: what SQLite sees of that is what it sees of a full disk."""
    daemon = daemons.start(house, daemons.configured(house, tmp_path / "config"), tmp_path / "run")
    daemon.works(3)
    hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    daemon.hears("is full")
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    daemon.works(3)
    found = daemon.stop()
    assert found.code == 0, found.said
    assert "Traceback" not in found.said
    assert daemons.check(tmp_path / "run")["done"] >= 6


def test_a_locked_database_is_said_and_the_service_goes_on_when_it_is_free(
    house: Any, daemons: Any, tmp_path: Path
) -> None:
    daemon = daemons.start(house, daemons.configured(house, tmp_path / "config"), tmp_path / "run")
    daemon.works(3)
    other = sqlite3.connect(tmp_path / "run" / "arena.db", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    daemon.hears("is locked by another process")  # after ten seconds by a writer's own count
    other.execute("ROLLBACK")
    other.close()
    daemon.works(3)
    found = daemon.stop()
    assert found.code == 0, found.said
    assert "Traceback" not in found.said
    assert daemons.check(tmp_path / "run")["done"] >= 6


class Way:
    """The way to a server: it can be cut, and opened again."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut, self._ended = False, False
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._cut:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self, *, now: bool) -> None:
        """Cut every connection, and refuse new ones, or stop refusing them."""
        self._cut = now
        while now and self._open:
            end = self._open.pop()
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._ended = True
        self.cut(now=True)
        self._listener.close()
        self._thread.join(5)


def test_a_server_that_is_gone_for_a_while_is_waited_for(
    house: Any, daemons: Any, tmp_path: Path, fresh_postgres: Callable[[], str]
) -> None:
    url = fresh_postgres()
    port = make_url(url).port
    assert port is not None
    way = Way(port)
    config = daemons.configured(house, tmp_path / "config")
    (tmp_path / "url").write_text(url.replace(f":{port}/", f":{way.port}/"))
    daemon = daemons.start(house, config, tmp_path / "run", db=f"file:{tmp_path / 'url'}", place=url)
    try:
        daemon.works(3)
        way.cut(now=True)
        daemon.hears(f"127.0.0.1:{way.port}")
        way.cut(now=False)
        daemon.works(3)
        found = daemon.stop()
        assert found.code == 0, found.said
        assert "Traceback" not in found.said
        assert daemons.check(url)["done"] >= 6
    finally:
        if daemon.process.poll() is None:
            daemon.stop(signal.SIGKILL)
        way.close()


def test_a_store_that_may_only_be_read_is_refused_in_one_sentence(
    house: Any, daemons: Any, tmp_path: Path, fresh_postgres: Callable[[], str]
) -> None:
    url = fresh_postgres()
    (tmp_path / "url").write_text(url)
    config, out = daemons.configured(house, tmp_path / "config"), tmp_path / "run"

    def start() -> Any:
        return daemons.start(house, config, out, db=f"file:{tmp_path / 'url'}", place=url)

    first = start()
    first.works(3)
    assert first.stop().code == 0
    before = first.counts()
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    name = make_url(url).database
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refused = start().end()
    assert refused.code == 2, refused.said
    assert "is read-only" in refused.said
    assert len(refused.said.splitlines()) == 1, refused.said
    assert first.counts() == before
    with engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    engine.dispose()
    again = start()
    again.works(3)
    assert again.stop().code == 0
    assert daemons.check(url)["done"] > before["done"]


class Jumping(PacedClock):
    """A paced clock that can be put forward and back."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


def test_a_clock_that_jumps_doubles_no_tick_and_hides_none(house: Any, daemons: Any, tmp_path: Path) -> None:
    registry = load_registry()
    tree = copy.deepcopy(house.small)
    tree["daemon"] = {"speed": 10_000.0, "scheduler": "plain"}
    settings = load_config(house.toml(tree), registry, {})
    clock, said = Jumping(START, 10_000.0), list[str]()
    with (
        open_store(tmp_path / "arena.db") as store,
        opened(
            settings,
            registry,
            store,
            tmp_path,
            None,
            clock,
            data=None,
            workers=1,
            tell=said.append,
            progress=lambda report: None,
        ) as ready,
    ):

        def finished() -> int:
            with open_store(tmp_path / "arena.db", create=False, readonly=True) as log:
                return len(list(log.read(event_type="JobFinished")))

        def more(slots: int) -> None:
            wanted, end = finished() + slots, time.monotonic() + daemons.PATIENCE
            while finished() < wanted and time.monotonic() < end:
                time.sleep(0.05)

        def jump() -> None:
            for hours in (72, -6, 0):
                more(3)
                clock.shift += timedelta(hours=hours)
            ready.scheduler.stop()

        worker = threading.Thread(target=jump)
        worker.start()
        ready.run()
        worker.join()
    counts = daemons.check(tmp_path)
    assert counts["done"] >= 6
    with open_store(tmp_path / "arena.db", readonly=True) as store:
        reasons = {event.payload.reason for event in store.read(event_type="JobMissed")}
        cycles = [event.payload.cycle for event in store.read(event_type="EvolutionCycleComplete")]
    # What was jumped over is told; a run that was under way meanwhile is as good a reason as the jump.
    assert reasons & {"the clock jumped", "the run before it was still under way"}
    assert counts["missed"] >= 60, counts
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))
    assert not said
