"""`arena chaos` proves that nothing is lost, and would notice if something were.

ARENA_CHAOS_MINUTES makes it last longer: the environment `chaos` of tox takes two minutes on each database.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import treasury_arena.cli.chaos as command
from treasury_arena.cli.folder import RunFolder
from treasury_arena.daemon import losses
from treasury_arena.daemon.chaos import Chaos, Killed
from treasury_arena.errors import TreasuryArenaError
from treasury_arena.events.event import Event
from treasury_arena.events.live import FinalityBroken
from treasury_arena.store import open_store
from treasury_arena.testing.orders import build

pytestmark = pytest.mark.no_cover

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "chaos.toml"
MINUTES = os.environ.get("ARENA_CHAOS_MINUTES", "0.4")


def programs_of(folder: Path) -> list[int]:
    """Ids of programs that name a folder on their command line."""
    found = []
    for said in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            if str(folder).encode() in said.read_bytes():
                found.append(int(said.parent.name))
    return found


@pytest.fixture(scope="module")
def proved(house: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder that went through chaos on SQLite, and what was said of it."""
    out = tmp_path_factory.mktemp("chaos") / "run"
    done = house.arena("chaos", EXAMPLE, "--minutes", MINUTES, "--out", out, "--json").ok()
    return out, done.json


@pytest.fixture(scope="module")
def events(proved: tuple[Path, dict[str, Any]]) -> list[Event]:
    with open_store(proved[0] / "arena.db", create=False, readonly=True) as store:
        return list(store.read())


def check(said: dict[str, Any]) -> None:
    assert said["lost"] == []
    assert said["kills"] >= 1
    assert said["starts"] >= 1
    assert said["cycles"] >= 1
    assert said["decisions_compared"] > 5
    assert 0 < said["ready_seconds"]["median"] <= said["ready_seconds"]["max"]


def test_nothing_is_lost_on_sqlite(proved: tuple[Path, dict[str, Any]]) -> None:
    check(proved[1])


def test_nothing_is_lost_on_postgresql(house: Any, tmp_path: Path, fresh_postgres: Callable[[], str]) -> None:
    words = ("--minutes", MINUTES, "--seed", "2", "--out", tmp_path / "run", "--db", fresh_postgres(), "--json")
    check(house.arena("chaos", EXAMPLE, *words).ok().json)
    assert not (tmp_path / "run" / "arena.db").exists()


def test_a_store_that_was_changed_between_two_starts_is_told(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Chaos.run

    def dishonest(self: Chaos, seconds: float) -> Killed:
        killed = honest(self, seconds)
        with closing(sqlite3.connect(tmp_path / "run" / "arena.db", isolation_level=None)) as store:
            store.execute("UPDATE events SET data = replace(data, 'a', 'b') WHERE seq = 3")
        return killed

    monkeypatch.setattr(Chaos, "run", dishonest)
    done = house.arena("chaos", EXAMPLE, "--minutes", "0.02", "--out", tmp_path / "run")
    assert done.code == 1
    assert "LOST: the arena's store, event" in done.out
    assert "something was lost" in done.out


def test_a_damaged_log_of_orders_is_told_and_not_read(
    proved: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(proved[0] / "arena.db", tmp_path / "live.db")
    with closing(sqlite3.connect(tmp_path / "live.db", isolation_level=None)) as damaged:
        damaged.execute("DROP TRIGGER IF EXISTS events_no_update")
        damaged.execute("UPDATE events SET data = replace(data, 'a', 'b') WHERE seq = 3")

    @contextmanager
    def orders(*_: Any, **__: Any) -> Iterator[Any]:
        with open_store(tmp_path / "live.db", create=False, readonly=True) as store:
            yield SimpleNamespace(store=store)

    monkeypatch.setattr(command, "chain_trading", orders)
    found, states = command._lost_on_chain(RunFolder(proved[0]), None, [])
    assert found[0].startswith("the live store, event 3:")
    assert states == {}


def test_a_daemon_that_cannot_start_is_no_proof(house: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(EXAMPLE.read_text().replace('scheduler = "plain"', 'scheduler = "nobody"'))
    done = house.arena("chaos", bad, "--minutes", "0.1", "--out", tmp_path / "run")
    assert done.code != 0
    assert "ended by itself with exit code 2" in done.err or "nobody" in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ended_early_it_leaves_no_daemon_behind(house: Any, tmp_path: Path, number: int) -> None:
    out = tmp_path / "run"
    chaos = subprocess.Popen(
        house.command("chaos", EXAMPLE, "--minutes", "9", "--out", out), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        while not (out / "run.json").exists():
            assert chaos.poll() is None
            time.sleep(0.1)
        for _ in range(3):
            chaos.send_signal(number)
        told, err = chaos.communicate(timeout=120)
    finally:
        chaos.kill()
        chaos.wait()
    assert programs_of(out) == []
    assert chaos.returncode == 0, err
    assert b"nothing was lost" in told


def test_real_money_is_never_killed(house: Any, tmp_path: Path) -> None:
    live = tmp_path / "live.toml"
    live.write_text(EXAMPLE.read_text().replace('mode = "paper"', 'mode = "live"').replace("speed = 86_400.0", ""))
    done = house.arena("chaos", live, "--out", tmp_path / "run")
    assert done.code == 2
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_left_alone(house: Any, proved: tuple[Path, dict[str, Any]]) -> None:
    done = house.arena("chaos", EXAMPLE, "--out", proved[0])
    assert done.code == 2
    assert "already holds a run" in done.err


def without(events: list[Event], kind: str) -> list[Event]:
    """The events without the second one of a kind."""
    second = [index for index, event in enumerate(events) if event.event_type == kind][1]
    return events[:second] + events[second + 1 :]


def doubled(events: list[Event], kind: str) -> list[Event]:
    second = [index for index, event in enumerate(events) if event.event_type == kind][1]
    return [*events[: second + 1], *events[second:]]


def test_slots_that_run_twice_or_are_nobodys_are_noticed(events: list[Event]) -> None:
    assert losses.slots(events) == []
    assert any("never ended" in text or "under way" in text for text in losses.slots(without(events, "JobFinished")))
    assert any("after slot" in text for text in losses.slots(doubled(events, "JobClaimed")))
    assert any("was not under way" in text for text in losses.slots(doubled(events, "JobFinished")))
    assert any("nobody accounts" in text for text in losses.slots(without(events, "JobMissed")))


def test_events_that_were_there_after_a_kill_and_are_gone_are_noticed(events: list[Event]) -> None:
    seen = [(event.seq, event.hash) for event in (events[3], events[-1])]
    assert losses.tail(events, seen, "the store") == []
    (gone,) = losses.tail(events[:-1], seen, "the store")
    assert f"event {events[-1].seq} was there after a kill" in gone
    (other,) = losses.tail([attrs.evolve(events[3], hash="0"), *events[4:]], seen, "the store")
    assert f"event {events[3].seq} was there" in other


def test_decisions_that_differ_are_noticed(events: list[Event]) -> None:
    assert losses.decisions(events, events) == ([], len(losses.told(events)))
    lost, _ = losses.decisions(without(events, "PoolMarked"), events)
    assert "is another than without interruptions" in lost[0]
    more, _ = losses.decisions(events, events[: len(events) // 2])
    assert "more than without interruptions" in more[0]


def test_orders_that_are_executed_twice_are_noticed(tmp_path: Path) -> None:
    house = build(f"sqlite:///{tmp_path / 'live.db'}", "supply", 0)
    house.start()
    for row in range(3):
        house.submit(10**6 * (row + 1), row=row)
        house.finish()
    events = list(house.store.read())
    house.store.close()
    found, states = losses.orders(events)
    assert found == []
    assert states == {"SETTLED": 3}
    assert any("settled twice" in text for text in losses.orders(doubled(events, "StepFinal"))[0])
    assert any("executed 2 times" in text for text in losses.orders(doubled(events, "StepFinal"))[0])
    assert any("passed over" in text for text in losses.orders(without(events, "StepFinal"))[0])
    assert any("ended twice" in text for text in losses.orders(doubled(events, "IntentEnded"))[0])
    assert any("reserved twice" in text for text in losses.orders(doubled(events, "IntentReserved"))[0])
    # A step whose final block was replaced was not executed after all, and may be settled once more.
    twice = doubled(events, "StepFinal")
    second = [index for index, event in enumerate(twice) if event.event_type == "StepFinal"][2]
    step = twice[second].payload
    names = [field.name for field in attrs.fields(FinalityBroken)]
    undone = {name: getattr(step, name) for name in names if hasattr(step, name)} | {"block_hash": "0x", "effects": []}
    broken = FinalityBroken(**{"retaken_raw": 0, "gas_retaken_raw": 0, **undone})
    assert losses.orders(
        [*twice[:second], attrs.evolve(twice[second], event_type="FinalityBroken", payload=broken), *twice[second:]]
    ) == (
        [],
        states,
    )
    late = [attrs.evolve(event, seq=event.seq) for event in events if event.event_type != "IntentEnded"]
    assert losses.orders(late)[1] == {"EXECUTING": 3}


def test_the_moments_of_its_kills_come_from_its_seed(tmp_path: Path) -> None:
    draws = [Chaos([], tmp_path / "said", seed, lambda *_: None)._draw.random(3).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_daemon_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    work = Chaos(["nonsense"], tmp_path / "said", 1, lambda *_: None)
    with pytest.raises(TreasuryArenaError, match="ended by itself with exit code 2"):
        work.run(30)
