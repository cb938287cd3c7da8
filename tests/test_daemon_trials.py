"""Hostile plugins and strategies in a paper daemon: it lives, or the next start finds nothing lost; every tick is told.

Each runs in a process of its own, with a plugin laid beside it as a distribution. docs/explanation/isolation.md says what is kept
out and what cannot be.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.clock import VirtualClock
from treasury_arena.config.load import load_config
from treasury_arena.daemon.brain import Brain
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import audit, open_store
from treasury_arena.store.replay import replay

pytestmark = pytest.mark.no_cover

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
        failed: whether slots end with an error.
    """

    said: str = ""
    at_import: str = ""
    act: str = "pass"
    hook: str = "pass"
    claims: str = "zoo"
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


@pytest.mark.parametrize("name", ZOO)
def test_the_daemon_lives_and_misses_no_tick_unsaid(house: Any, daemons: Any, tmp_path: Path, name: str) -> None:
    beast = ZOO[name]
    if beast.at_import == "PATCH":
        beast = attrs.evolve(beast, at_import=PATCH)
    lay(tmp_path / "site", beast)
    gib = 6 if "10 GB" in name else 0
    config = daemons.configured(house, tmp_path / "config")
    daemon = daemons.start(house, config, tmp_path / "run", site=tmp_path / "site", gib=gib)
    daemon.works(4, failed=int(beast.failed))
    found = daemon.stop()
    assert found.code == 0, found.said
    assert beast.said in found.said
    counts = daemons.check(tmp_path / "run")
    assert counts["done"] + counts["failed"] >= 4, counts
    assert bool(counts["failed"]) == beast.failed, counts
    assert not counts["interrupted"]


def test_one_that_ends_the_process_costs_no_more_than_a_kill(house: Any, daemons: Any, tmp_path: Path) -> None:
    """The first start ends with it, as with `kill -9`; what a supervisor starts next goes on, and every slot is said."""
    lay(tmp_path / "site", Beast(act="Zoo.heard > 40 and os._exit(3)"))
    config, out = daemons.configured(house, tmp_path / "config"), tmp_path / "run"
    found = daemons.start(house, config, out, site=tmp_path / "site").end()
    assert found.code == 3, found.said
    with open_store(out / "arena.db", create=False) as store:
        before = store.last()
        assert audit(store).ok
    for _ in range(2):  # a supervisor does not give up
        found = daemons.start(house, config, out, site=tmp_path / "site").end()
        assert found.code == 3, found.said
    cured = daemons.start(house, config, out)  # without it
    cured.works(3)
    found = cured.stop()
    assert found.code == 0, found.said
    assert daemons.check(out)["done"] >= 3
    with open_store(out / "arena.db", create=False, readonly=True) as store:
        assert [e.hash for e in store.read(after=before[0] - 1, upto=before[0])] == [before[1]]
        assert len(list(store.read(event_type="DaemonStarted"))) == 4


def test_what_reads_the_environment_finds_no_secret_that_is_kept_in_files(
    house: Any, daemons: Any, tmp_path: Path
) -> None:
    """A plugin sees all that the daemon's process sees: so secrets are in files, keys in another process."""
    word = "canary-never-in-an-environment"
    (tmp_path / "urls").write_text(f"json://{word}@127.0.0.1:1/{word}")
    place = tmp_path / "grabbed"
    lay(tmp_path / "site", Beast(act=GRAB.format(place=str(place))))
    notify = {"urls": f"file:{tmp_path / 'urls'}", "ending_seconds": 0.1, "tries": 1}
    config = daemons.configured(house, tmp_path / "config", notify=notify)
    daemon = daemons.start(house, config, tmp_path / "run", site=tmp_path / "site")
    daemon.until(place.exists, "it grabbed")
    found = daemon.stop()
    assert found.code == 0, found.said
    assert "PATH" in json.loads(place.read_text())[0]
    assert word not in place.read_text() + found.said
    daemons.check(tmp_path / "run")


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
        brain.manager._watchdog.limit_seconds = 0.3
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
