"""Hostile plugins and faults in a paper daemon: it lives, or it ends and the next start finds nothing lost; every tick is told.

Each runs in a process of its own, with a plugin laid beside it as a distribution. docs/explanation/isolation.md says what is kept
out and what cannot be.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import create_engine, make_url

from treasury_arena.clock import PacedClock, VirtualClock
from treasury_arena.config.load import load_config
from treasury_arena.daemon.brain import Brain
from treasury_arena.daemon.opening import opened
from treasury_arena.errors import StoreError
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import audit, open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.accounting import accounted

SECONDS = 8
GIB = 1 << 30
START = datetime(2024, 1, 1, tzinfo=UTC)

OBSERVER = """
import atexit, json, os, threading, time
from pathlib import Path
from treasury_arena.contracts.runtime import Observer
from treasury_arena.markers import hookimpl

{at_import}


class Zoo(Observer):
    name = "zoo"
    heard = 0

    def observe(self, events):
        Zoo.heard += len(events)
        {act}


@hookimpl
def arena_observers():
    {hook}
    return {{"{claims}": lambda section, context: Zoo()}}
"""

GRAB = "import sys; Path({place!r}).write_text(json.dumps([dict(os.environ), sys.argv]))"
PATCH = """
from treasury_arena.daemon.brain import Brain
real, calls = Brain.mark, []
def spoiled(self):
    calls.append(1)
    if len(calls) > 1:
        raise RuntimeError("not today")
    return real(self)
Brain.mark = spoiled
"""


@attrs.frozen
class Beast:
    """A hostile plugin: what it does when imported, in its hook and when told, and what is said of it.

    Attributes:
        said: must be in what the daemon says.
        code: with which the daemon ends.
        failed: whether slots end with an error.
    """

    said: str = ""
    at_import: str = ""
    act: str = "pass"
    hook: str = "pass"
    claims: str = "zoo"
    code: int = 0
    failed: bool = False


ZOO = {
    "raises at import": Beast("ZeroDivisionError", at_import="1 / 0"),
    "exits at import": Beast("SystemExit", at_import="raise SystemExit(0)"),
    "raises in its hook": Beast("ZeroDivisionError", hook="1 / 0"),
    "raises when told": Beast("observer 'zoo' failed and is told no more: ZeroDivisionError", act="1 / 0"),
    "exits when told": Beast("observer 'zoo' failed and is told no more: SystemExit", act="raise SystemExit(0)"),
    "never returns": Beast("observers have not ended", act="[None for _ in iter(int, 1)]"),
    "sleeps for ever": Beast("observers have not ended", act="time.sleep(10**6)"),
    "raises at exit": Beast("ZeroDivisionError", at_import="atexit.register(lambda: 1 / 0)"),
    "raises in a thread": Beast("ZeroDivisionError", act="threading.Thread(target=lambda: 1 / 0).start()"),
    "allocates 10 GB": Beast("observer 'zoo' failed and is told no more: MemoryError", act="bytearray(10 << 30)"),
    "claims a taken name": Beast("more than one claim to that name", claims="log"),
    "patches the core": Beast("not today", act="pass", at_import="PATCH", failed=True),
}


def lay(site: Path, beast: Beast) -> None:
    """Lay the plugin into a folder as an installed distribution."""
    info = site / "outside_zoo-1.0.dist-info"
    info.mkdir(parents=True)
    needs = "treasury-arena-core>=0.1,<0.2"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: outside-zoo\nVersion: 1.0\nRequires-Dist: {needs}\n")
    (info / "entry_points.txt").write_text("[treasury_arena]\nzoo = zoo_of_the_tests\n")
    code = OBSERVER.format(at_import=beast.at_import, act=beast.act, hook=beast.hook, claims=beast.claims)
    (site / "zoo_of_the_tests.py").write_text(code)


@attrs.frozen
class Ended:
    """How a daemon ended."""

    code: int
    said: str


def configured(house: Any, folder: Path, **observer: Any) -> Path:
    tree = copy.deepcopy(house.small)
    tree["daemon"] = {"speed": 86_400.0, "scheduler": "plain", "lease_seconds": 3}
    if observer:
        tree["observer"] = observer
    folder.mkdir(exist_ok=True)
    path = folder / "arena.toml"
    path.write_text(house.toml(tree))
    return path


def daemon(
    house: Any,
    config: Path,
    out: Path,
    seconds: float = SECONDS,
    site: Path | None = None,
    gib: int = 0,
    db: str | None = None,
) -> subprocess.Popen[str]:
    """A daemon in a process of its own; `gib`: most memory that it may have."""

    def limited() -> None:
        if gib:
            resource.setrlimit(resource.RLIMIT_AS, (gib * GIB, gib * GIB))

    path = {"PYTHONPATH": str(site)} if site is not None else {}
    return subprocess.Popen(
        house.command(
            "daemon", config, "--out", out, "--seconds", seconds, "--workers", "1", *(("--db", db) if db else ())
        ),
        # Not under coverage, which would slow them: tests/test_daemon.py runs the same code in its own process.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")} | path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limited,
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    said, _ = process.communicate(timeout=240)
    return Ended(process.returncode, said)


def check(place: Path | str) -> Counter[str]:
    """Log and books are whole, and every tick is accounted for; `place`: a daemon's folder, or a database."""
    with open_store(place / "arena.db" if isinstance(place, Path) else place, create=False, readonly=True) as store:
        assert audit(store).ok
        assert replay(store).ok
        return accounted(store)


@pytest.mark.parametrize("name", ZOO)
def test_the_daemon_lives_and_misses_no_tick_unsaid(house: Any, tmp_path: Path, name: str) -> None:
    beast = ZOO[name]
    if beast.at_import == "PATCH":
        beast = attrs.evolve(beast, at_import=PATCH)
    lay(tmp_path / "site", beast)
    config = configured(house, tmp_path / "config")
    out = tmp_path / "run"
    gib = 6 if "10 GB" in name else 0
    seconds = 3 * SECONDS if beast.failed else SECONDS  # until the patched work is due
    found = ended(daemon(house, config, out, seconds=seconds, site=tmp_path / "site", gib=gib))
    assert found.code == beast.code, found.said
    assert beast.said in found.said
    counts = check(out)
    assert counts["done"] + counts["failed"] >= 3, counts
    assert bool(counts["failed"]) == beast.failed, counts
    assert not counts["interrupted"]


def test_one_that_ends_the_process_costs_no_more_than_a_kill(house: Any, tmp_path: Path) -> None:
    """The first start ends with it, as with `kill -9`; what a supervisor starts next goes on, and every slot is said."""
    lay(tmp_path / "site", Beast(act="Zoo.heard > 40 and os._exit(3)"))
    config = configured(house, tmp_path / "config")
    out = tmp_path / "run"
    found = ended(daemon(house, config, out, seconds=60, site=tmp_path / "site"))
    assert found.code == 3, found.said
    with open_store(out / "arena.db", create=False) as store:
        before = store.last()
        assert audit(store).ok
    for _ in range(2):  # a supervisor does not give up
        found = ended(daemon(house, config, out, seconds=60, site=tmp_path / "site"))
        assert found.code == 3, found.said
    cured = ended(daemon(house, config, out))  # without it
    assert cured.code == 0, cured.said
    counts = check(out)
    assert counts["done"] >= 3
    with open_store(out / "arena.db", create=False, readonly=True) as store:
        assert [e.hash for e in store.read(after=before[0] - 1, upto=before[0])] == [before[1]]
        assert len(list(store.read(event_type="DaemonStarted"))) == 4


def test_what_reads_the_environment_finds_no_secret_that_is_kept_in_files(house: Any, tmp_path: Path) -> None:
    """A plugin sees all that the daemon's process sees: so secrets are in files, keys in another process."""
    word = "canary-never-in-an-environment"
    (tmp_path / "urls").write_text(f"json://{word}@127.0.0.1:1/{word}")
    place = tmp_path / "grabbed"
    lay(tmp_path / "site", Beast(act=GRAB.format(place=str(place))))
    notify = {"urls": f"file:{tmp_path / 'urls'}", "ending_seconds": 0.1, "tries": 1}
    config = configured(house, tmp_path / "config", notify=notify)
    found = ended(daemon(house, config, tmp_path / "run", site=tmp_path / "site"))
    assert found.code == 0, found.said
    assert "PATH" in json.loads(place.read_text())[0]
    assert word not in place.read_text() + found.said
    check(tmp_path / "run")


# -- strategies: their code is called in the daemon's own process, under a watchdog


def looping(target: Any, state: Any) -> Any:
    while True:
        state = (*state[:1],)


def starving(target: Any, state: Any) -> Any:
    raise MemoryError("10 GB")


STRATEGIES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "loops for ever": (looping, "loop"),
    "has no memory": (starving, "raised"),
    "wants NaN": (lambda target, state: (target._replace(eth=math.nan), state), "target"),
    "wants a giant share": (lambda target, state: (target._replace(eth=1e308), state), "target"),
    "wants less than nothing": (lambda target, state: (target._replace(eth=-1e308), state), "target"),
    "exits": (lambda target, state: sys.exit(0), "raised"),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_costs_its_own_agent_and_no_cycle(house: Any, name: str) -> None:
    fault, kind = STRATEGIES[name]
    registry = load_registry()
    settings = load_config(house.toml(copy.deepcopy(house.small)), registry, {})
    clock = VirtualClock(START)
    with open_store("sqlite://") as store:
        brain = Brain(settings, registry, store, clock, workers=1)
        cycles, victim = 0, ""
        for _ in range(7 * 7 + 2):
            brain.observe()
            cycles += brain.cycles()
            brain.mark()
            if not victim:
                victim = _spoil(brain, fault)
            clock.move_to(clock.now() + timedelta(days=1))
        brain.close()
        assert victim
        failed = [event for event in store.read(event_type="AgentFailed") if event.agent_id == victim]
        assert [event.payload.kind for event in failed] == [kind]
        assert {event.agent_id for event in store.read(event_type="AgentFailed")} == {victim}
        assert cycles == 9
        assert replay(store).ok
        assert audit(store).ok


def _spoil(brain: Brain, fault: Callable[[Any, Any], Any]) -> str:
    """From now on the decisions of one funded trend follower go wrong; its id, empty while there is none."""
    funded = [a.agent_id for a in brain.mark().accounts if a.strategy == "trend" and not a.closing]
    if not funded:
        return ""
    make = brain.manager._runner

    def spoiled(engine: Any) -> Any:
        runner = make(engine)
        desk = runner.desks["trend"]
        decide, step, now = desk.strategy.decide, runner.step, [""]

        def stepping(account: Any, at: int) -> None:
            now[0] = account.agent_id
            step(account, at)

        def deciding(*given: Any) -> Any:
            decided = decide(*given)
            return fault(*decided) if now[0] == funded[0] else decided

        runner.step = stepping  # type: ignore[method-assign]
        changed = attrs.evolve(desk, strategy=attrs.evolve(desk.strategy, decide=deciding))
        runner.desks = {**runner.desks, "trend": changed}
        return runner

    brain.manager._runner = spoiled  # type: ignore[method-assign]
    return funded[0]


# -- two daemons, a full disk, a locked store, a clock that jumps


def test_of_two_daemons_the_second_is_refused_and_takes_over_when_the_first_is_killed(
    house: Any, tmp_path: Path
) -> None:
    config = configured(house, tmp_path / "config")
    out = tmp_path / "run"
    first = daemon(house, config, out, seconds=600)
    try:
        _until(out, "JobFinished", first)
        second = ended(daemon(house, config, out))
        assert second.code == 1, second.said
        told = [line for line in second.said.splitlines() if line.startswith("arena: ") or "lease" in line]
        assert len(told) == 1, second.said
        assert "Traceback" not in second.said
        assert first.poll() is None
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
    third = ended(daemon(house, config, out))
    assert third.code == 0, third.said
    assert check(out)["done"] >= 3
    with open_store(out / "arena.db", create=False, readonly=True) as store:
        assert list(store.read(event_type="LeaseLost"))
        assert [e.payload.token for e in store.read(event_type="LeaseTaken")] == [1, 2]


def _until(out: Path, kind: str, process: subprocess.Popen[str], count: int = 3) -> None:
    """Wait until the log of a running daemon holds so many events of a type."""
    for _ in range(600):
        assert process.poll() is None, process.communicate()[0]
        if (out / "arena.db").exists():
            with contextlib.suppress(StoreError), open_store(out / "arena.db", create=False, readonly=True) as store:
                if len(list(store.read(event_type=kind))) >= count:  # a store that is being made cannot be read
                    return
        time.sleep(0.2)
    raise AssertionError(f"no {kind}")


def _grown(process: subprocess.Popen[str], store_url: Any, seconds: float = 240) -> None:
    """Wait until the daemon has finished three more slots."""
    before = _finished(store_url)
    for _ in range(int(seconds * 5)):
        assert process.poll() is None, process.communicate()[0]
        if _finished(store_url) >= before + 3:
            return
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    raise AssertionError(f"it did not go on: {process.communicate()[0]}")


def _finished(store_url: Any) -> int:
    with open_store(store_url, create=False, readonly=True) as store:
        return sum(not event.payload.error for event in store.read(event_type="JobFinished"))


def _stopped(process: subprocess.Popen[str]) -> Ended:
    os.kill(process.pid, signal.SIGTERM)
    return ended(process)


def test_a_full_disk_is_said_and_the_service_goes_on_when_there_is_room(house: Any, tmp_path: Path) -> None:
    """No file of the process may grow: what SQLite sees of that is what it sees of a full disk."""
    out = tmp_path / "run"
    process = daemon(house, configured(house, tmp_path / "config"), out, seconds=600)
    _until(out, "JobFinished", process)
    hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    time.sleep(5)
    assert process.poll() is None, process.communicate()[0]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    _grown(process, out / "arena.db")
    found = _stopped(process)
    assert found.code == 0, found.said
    assert "is full" in found.said
    assert "Traceback" not in found.said
    assert check(out)["done"] >= 6


def test_a_locked_database_is_said_and_the_service_goes_on_when_it_is_free(house: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = daemon(house, configured(house, tmp_path / "config"), out, seconds=600)
    _until(out, "JobFinished", process)
    other = sqlite3.connect(out / "arena.db", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(30)  # a writer waits for ten seconds by its own count, which is longer on a busy machine
    other.execute("ROLLBACK")
    other.close()
    _grown(process, out / "arena.db")
    found = _stopped(process)
    assert found.code == 0, found.said
    assert "is locked by another process" in found.said
    assert "Traceback" not in found.said
    assert check(out)["done"] >= 6


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
    house: Any, tmp_path: Path, fresh_postgres: Callable[[], str]
) -> None:
    url = fresh_postgres()
    port = make_url(url).port
    assert port is not None
    way = Way(port)
    config, out = configured(house, tmp_path / "config"), tmp_path / "run"
    (tmp_path / "url").write_text(url.replace(f":{port}/", f":{way.port}/"))
    process = daemon(house, config, out, seconds=600, db=f"file:{tmp_path / 'url'}")
    try:
        for _ in range(300):
            assert process.poll() is None, process.communicate()[0]
            with contextlib.suppress(StoreError):
                if _finished(url) >= 3:
                    break
            time.sleep(0.2)
        way.cut(now=True)
        time.sleep(6)
        assert process.poll() is None, process.communicate()[0]
        way.cut(now=False)
        _grown(process, url)
        found = _stopped(process)
        assert found.code == 0, found.said
        assert "Traceback" not in found.said
        assert f"127.0.0.1:{way.port}" in found.said
        assert check(url)["done"] >= 6
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        way.close()


def test_a_store_that_may_only_be_read_is_refused_in_one_sentence(
    house: Any, tmp_path: Path, fresh_postgres: Callable[[], str]
) -> None:
    url = fresh_postgres()
    (tmp_path / "url").write_text(url)
    config, out = configured(house, tmp_path / "config"), tmp_path / "run"
    assert ended(daemon(house, config, out, db=f"file:{tmp_path / 'url'}")).code == 0
    before = _finished(url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    name = make_url(url).database
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refused = ended(daemon(house, config, out, db=f"file:{tmp_path / 'url'}"))
    assert refused.code == 2, refused.said
    assert "is read-only" in refused.said
    assert len(refused.said.splitlines()) == 1, refused.said
    assert _finished(url) == before
    with engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    engine.dispose()
    assert ended(daemon(house, config, out, db=f"file:{tmp_path / 'url'}")).code == 0
    assert check(url)["done"] > before


class Jumping(PacedClock):
    """A paced clock that can be put forward and back."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


def test_a_clock_that_jumps_doubles_no_tick_and_hides_none(house: Any, tmp_path: Path) -> None:
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

        def jump() -> None:
            for hours in (72, -6):
                time.sleep(8)
                clock.shift += timedelta(hours=hours)
            time.sleep(10)
            ready.scheduler.stop()

        worker = threading.Thread(target=jump)
        worker.start()
        ready.run()
        worker.join()
    counts = check(tmp_path)
    assert counts["done"] >= 6
    with open_store(tmp_path / "arena.db", readonly=True) as store:
        reasons = {event.payload.reason for event in store.read(event_type="JobMissed")}
        cycles = [event.payload.cycle for event in store.read(event_type="EvolutionCycleComplete")]
    # What was jumped over is told; a run that was under way meanwhile is as good a reason as the jump.
    assert reasons & {"the clock jumped", "the run before it was still under way"}
    assert counts["missed"] >= 60, counts
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))
    assert not said
