"""A process killed (SIGKILL) before and after the commit of a trip, and between and within its actions."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from treasury_arena.clock import VirtualClock
from treasury_arena.domain.fuses import FuseState
from treasury_arena.store import audit, fuses, open_store
from treasury_arena.trading.fuses import FuseKeeper

SCRIPT = Path(__file__).with_name("killed.py")
ACTIONS = ["halt_new_risk", "cancel_unmined", "notify", "delever", "reduce"]

#: Where it is killed -> the state that a restart finds, and the deeds done by then.
FOUND = {
    "decided": (FuseState.ARMED, []),
    "committed": (FuseState.TRIPPED, []),
    "acting": (FuseState.TRIPPED, ACTIONS[:1]),
    "acted": (FuseState.TRIPPED, ACTIONS[:2]),
    "finished": (FuseState.TRIPPED, ACTIONS),
}


@pytest.fixture(scope="module")
def killed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("risk_killed", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_point_of_the_script_is_killed_at(killed: ModuleType) -> None:
    assert tuple(FOUND) == killed.POINTS


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("point", FOUND)
def test_a_kill_loses_neither_the_trip_nor_an_action_and_doubles_none(
    bench: Any,
    killed: ModuleType,
    tmp_path: Path,
    fresh_postgres: Callable[[], str],
    database: str,
    point: str,
) -> None:
    url = f"sqlite:///{tmp_path / 'arena.db'}" if database == "sqlite" else fresh_postgres()
    diary = tmp_path / "diary"
    with open_store(url) as store:
        FuseKeeper(store, bench.fuse(), VirtualClock(bench.at(-30))).check(killed.readings(0.01, bench.at(-30)))
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), url, str(diary), point], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    reached = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    _, trouble = process.communicate()
    assert (reached, process.returncode) == (point, -signal.SIGKILL), trouble

    state, deeds = FOUND[point]
    outside = killed.Outside(diary, "")
    assert outside.deeds() == deeds
    with open_store(url) as store:
        assert fuses.records(store)["survival"].state is state
        assert fuses.from_log(store) == fuses.records(store)
        clock = VirtualClock(bench.at(15))
        with store.database.read() as connection:
            assert bool(fuses.why_no_risk(connection, ("survival",), clock)) == (state is not FuseState.ARMED)
        keeper = FuseKeeper(store, bench.fuse(), clock)
        keeper.tick(killed.readings(0.06, clock.now()), outside, outside)
        record = fuses.records(store)["survival"]
        assert (record.state, record.trip) == (FuseState.TRIPPED, 1)
        assert all(one.done for one in record.tasks)
        assert outside.deeds() == ACTIONS
        keeper.tick(killed.readings(0.06, clock.now()), outside, outside)
        assert outside.deeds() == ACTIONS
        assert audit(store).ok
