"""The fuse in a real store: restarts in every state, commits before actions, tries that are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.clock import VirtualClock
from treasury_arena.contracts.fuse import Action, FuseContext, FuseHands, FuseView, Task
from treasury_arena.domain.fuses import RISK_STATES, FuseState
from treasury_arena.errors import StoreError, ValidationError
from treasury_arena.events import catalog as c
from treasury_arena.store import EventStore, audit, compare_projections, fuses, open_store
from treasury_arena.trading.fuses import FuseKeeper
from treasury_arena_risk.actions import Reduce
from treasury_arena_risk.config import SurvivalSection
from treasury_arena_risk.machine import build

ARMED, WARNED, TRIPPED, COOLING, LOCKED = FuseState


class Clock:
    """A clock that goes wherever it is told."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


class House:
    """A store, a fuse and a treasury; `restart` closes everything but the treasury and opens it anew."""

    def __init__(self, bench: Any, path: Path, **keys: Any) -> None:
        self.bench, self.path, self.keys = bench, path, keys
        self.clock = Clock(bench.T0)
        self.treasury = bench.Treasury()
        self.open()

    def open(self) -> None:
        self.store: EventStore = open_store(self.path)
        self.keeper = FuseKeeper(self.store, self.bench.fuse(**self.keys), self.clock)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def tick(self, second: float, changes: dict[str, Any] | None = None) -> FuseState:
        self.clock.time = self.bench.at(second)
        self.keeper.tick(self.bench.readings(self.clock.time, changes), self.treasury, self.treasury)
        return self.record.state

    @property
    def record(self) -> Any:
        return fuses.records(self.store)["survival"]

    def events(self, kind: type) -> list[Any]:
        return [event.payload for event in self.store.read(event_type=kind.__name__)]

    def why_no_risk(self) -> str:
        with self.store.database.read() as connection:
            return fuses.why_no_risk(connection, ("survival",), self.clock)

    def reach(self, state: FuseState) -> None:
        """Tick until the fuse is in `state`; the last tick is at second 0."""
        start = {ARMED: 0, WARNED: 0, TRIPPED: 0, COOLING: -200, LOCKED: 0}[state]
        trouble = {ARMED: None, WARNED: {"volatility": 1.7}}.get(state, self.bench.SPOILED["drawdown_breach"])
        self.tick(start, trouble)
        for second in range(start + 20, 1, 20):
            self.tick(second)
        assert self.record.state is state


@pytest.fixture
def house(bench: Any, tmp_path: Path) -> Iterator[House]:
    made = House(bench, tmp_path / "arena.db")
    yield made
    made.store.close()


def strict(bench: Any, path: Path, state: FuseState) -> House:
    house = House(bench, path, trips_max=1 if state is LOCKED else 3)
    house.reach(state)
    return house


@pytest.mark.parametrize("state", FuseState)
def test_a_restart_in_any_state_changes_nothing(bench: Any, tmp_path: Path, state: FuseState) -> None:
    house = strict(bench, tmp_path / "arena.db", state)
    before = house.record
    house.restart()
    assert house.record == before == fuses.from_log(house.store)["survival"]
    assert compare_projections(house.store) == []
    assert audit(house.store).ok
    assert (house.why_no_risk() == "") == (state in RISK_STATES)
    house.store.close()


@pytest.mark.parametrize("state", FuseState)
def test_a_run_with_a_restart_at_every_tick_says_what_one_without_says(
    bench: Any, tmp_path: Path, state: FuseState
) -> None:
    houses = [strict(bench, tmp_path / name, state) for name in ("steady.db", "restarted.db")]
    for second in range(15, 700, 15):
        changes = {"volatility": 2.0} if second in (30, 45, 600) else None
        states = [house.tick(second, changes) for house in houses]
        assert states[0] is states[1]
        houses[1].restart()
    logs = [[(event.timestamp, event.data) for event in house.store.read()] for house in houses]
    assert logs[0] == logs[1]
    assert houses[0].treasury.calls == houses[1].treasury.calls
    for house in houses:
        house.store.close()


@pytest.mark.parametrize("state", [TRIPPED, COOLING, LOCKED])
def test_long_after_a_restart_no_new_risk_is_taken_at_once(bench: Any, tmp_path: Path, state: FuseState) -> None:
    house = strict(bench, tmp_path / "arena.db", state)
    house.restart()
    assert house.tick(1_000_000) is state
    assert house.why_no_risk().startswith(f"fuse 'survival' is {state}")
    house.store.close()


def test_the_trip_is_committed_before_any_action(house: House) -> None:
    house.tick(0)
    seen: list[Any] = []

    def watch(task: Task) -> None:
        with open_store(house.path, readonly=True) as other:
            record = fuses.records(other)["survival"]
            seen.append((task.action, record.state, record.trip))

    house.treasury.watch = watch
    house.tick(15, {"drawdown": 0.05})
    actions = ("halt_new_risk", "cancel_unmined", "notify", "delever", "reduce")
    assert seen == [(action, TRIPPED, 1) for action in actions]


def test_a_trip_does_all_its_actions_once_and_each_is_recorded(house: House) -> None:
    house.tick(0)
    house.tick(15, {"drawdown": 0.05})
    for second in range(30, 200, 15):
        house.tick(second, {"drawdown": 0.05})
    assert house.treasury.calls == ["halt_new_risk", "cancel_unmined", "notify", "delever", "reduce"]
    assert (house.treasury.waiting, house.treasury.unmined, house.treasury.lever) == (0, 0, 1.0)
    assert house.treasury.exposure == 500  # half of 1,001, rounded down
    assert [(one.action, one.attempt, one.done) for one in house.events(c.FuseActionTaken)] == [
        (name, 1, True) for name in house.treasury.calls
    ]
    assert [(one.action, one.target_raw) for one in house.events(c.FuseActionBegun)] == [("reduce", 500)]


def test_actions_whose_postcondition_holds_already_do_nothing(house: House) -> None:
    house.treasury = house.bench.Treasury(0, 0, 1.0, 0)
    house.tick(0, {"drawdown": 0.05})
    assert house.treasury.calls == ["notify"]
    assert {one.action for one in house.events(c.FuseActionTaken) if one.done} == {
        "halt_new_risk",
        "cancel_unmined",
        "notify",
        "delever",
        "reduce",
    }


def test_what_fails_is_tried_again_until_it_holds_and_the_others_are_not_kept_waiting(house: House) -> None:
    house.treasury.broken = {"halt_new_risk", "delever"}
    house.tick(0, {"drawdown": 0.05})
    assert (house.treasury.unmined, house.treasury.exposure) == (0, 500)
    house.tick(10)
    house.tick(15)
    house.treasury.broken = set()
    house.tick(30)
    house.tick(45)
    taken = [one for one in house.events(c.FuseActionTaken) if one.action == "delever"]
    assert [(one.attempt, one.done) for one in taken] == [(1, False), (2, False), (3, True)]
    assert taken[0].reason == "action 'delever' failed: OSError: delever is not possible now"
    assert house.treasury.lever == 1.0


def test_a_reduction_cut_short_goes_on_to_the_same_end(house: House) -> None:
    """Half was sold of what was to be sold; what the first try measured holds for the second."""
    house.tick(0)
    half: list[int] = []

    def reduce(task: Task, exposure_raw: int) -> None:
        half.append(exposure_raw)
        if len(half) == 1:
            house.treasury.exposure = 750
            raise TimeoutError("the node does not answer")
        house.treasury.exposure = exposure_raw

    house.treasury.reduce = reduce  # type: ignore[method-assign]
    house.tick(15, {"drawdown": 0.05})
    house.restart()
    house.tick(30, {"drawdown": 0.05})
    assert half == [500, 500]
    assert house.treasury.exposure == 500


def test_what_cannot_be_measured_is_not_sold(house: House) -> None:
    def unknown() -> int:
        raise ConnectionError("no node answers")

    house.treasury.exposure_raw = unknown  # type: ignore[method-assign]
    house.tick(0, {"drawdown": 0.05})
    assert "reduce" not in house.treasury.calls
    (taken,) = [one for one in house.events(c.FuseActionTaken) if one.action == "reduce"]
    assert (taken.done, taken.reason) == (False, "action 'reduce' failed: ConnectionError: no node answers")
    for second in range(15, 900, 15):
        house.tick(second)
    assert house.record.state is TRIPPED
    del house.treasury.exposure_raw
    for second in range(900, 1_230, 15):  # at most 300 s to the next try
        house.tick(second)
    assert house.treasury.exposure == 500


def test_a_reduction_of_what_cannot_be_is_refused_in_a_sentence(bench: Any) -> None:
    treasury, task = bench.Treasury(), Task("survival", 1, "reduce", "drawdown")
    with pytest.raises(ValidationError, match=r"^what is to be left was never measured; nothing is sold$"):
        Reduce().perform(treasury, task)
    treasury.exposure = -1
    with pytest.raises(ValidationError, match=r"^the exposure is -1; expected at least 0$"):
        Reduce().target(treasury)
    treasury.exposure = 0
    assert Reduce().target(treasury) == 0
    assert treasury.calls == []


@pytest.mark.parametrize(("share", "left"), [(0.3, 700), (0.5, 500), (0.7, 300)])
def test_the_share_that_is_sold_can_be_configured(bench: Any, tmp_path: Path, share: float, left: int) -> None:
    house = House(bench, tmp_path / "a.db", reduce_share=share)
    house.treasury.exposure = 1_000
    house.tick(0, {"drawdown": 0.05})
    assert abs(house.treasury.exposure - left) <= 1
    assert house.treasury.exposure <= left
    house.store.close()


def test_what_comes_back_while_tripped_is_done_away_with_again(house: House) -> None:
    house.tick(0, {"drawdown": 0.05})
    house.treasury.waiting, house.treasury.unmined, house.treasury.exposure = 1, 1, 900
    house.tick(15, {"drawdown": 0.05})
    assert (house.treasury.waiting, house.treasury.unmined) == (0, 0)
    assert house.treasury.exposure == 900  # sold once per trip


@attrs.frozen
class Exits(Action):
    name: str = "exits"

    def done(self, view: FuseView, task: Task) -> bool:
        return False

    def perform(self, hands: FuseHands, task: Task) -> None:
        raise SystemExit(1)


def test_an_action_of_another_plugin_that_exits_takes_nobody_with_it(bench: Any, house: House) -> None:
    section = SurvivalSection(halt_actions=("exits", "notify"))
    fuse = build(section, FuseContext(True, {}, {"exits": Exits()}))
    keeper = FuseKeeper(house.store, fuse, house.clock)
    keeper.tick(bench.readings(bench.T0, {"ledger_mismatch_raw": 1}), house.treasury, house.treasury)
    assert [(one.action, one.done) for one in house.events(c.FuseActionTaken)] == [("exits", False), ("notify", True)]


def test_a_reset_needs_a_check_before_new_risk(house: House) -> None:
    house.tick(0, {"drawdown": 0.05})
    fuses.reset(house.store, "looked into it", "ann", house.clock)
    assert house.record.state is ARMED
    assert house.why_no_risk() == "fuse 'survival' is ARMED, but has not been checked since"
    assert house.tick(15, {"drawdown": 0.05}) is TRIPPED
    fuses.reset(house.store, "the data were wrong", "ann", house.clock)
    assert house.tick(30) is ARMED
    assert house.why_no_risk() == ""
    assert house.record.operator == "ann"


def test_a_reset_leaves_locked_and_says_what_was_not_done(bench: Any, tmp_path: Path) -> None:
    house = House(bench, tmp_path / "a.db", trips_max=1)
    house.treasury.broken = {"delever"}
    house.tick(0, {"drawdown": 0.05})
    assert house.record.state is LOCKED
    for second in range(15, 2_000, 15):
        assert house.tick(second) is LOCKED
    event = fuses.reset(house.store, "repaid by hand", "ann", house.clock, "survival")
    assert (event.payload.from_state, event.payload.unfinished) == ("LOCKED", ["delever"])
    assert house.tick(2_000) is ARMED
    assert (house.record.tasks, house.record.trips) == ((), ())
    house.store.close()


def test_a_reset_by_another_process_between_check_and_action_stops_the_action(house: House) -> None:
    house.tick(0)

    def watch(task: Task) -> None:
        if task.action == "halt_new_risk":
            with open_store(house.path) as other:
                fuses.reset(other, "false alarm", "ann", VirtualClock(house.clock.now()))

    house.treasury.watch = watch
    house.tick(15, {"drawdown": 0.05})
    assert house.treasury.calls == ["halt_new_risk"]
    assert house.record.state is ARMED


def test_nothing_is_done_when_the_trip_cannot_be_committed(house: House) -> None:
    house.tick(0)
    house.store.close()
    readonly = FuseKeeper(open_store(house.path, readonly=True), house.bench.fuse(), house.clock)
    readings = house.bench.readings(house.clock.now(), {"drawdown": 0.9})
    with pytest.raises(StoreError, match="read-only"):
        readonly.tick(readings, house.treasury, house.treasury)
    readonly.store.close()
    assert house.treasury.calls == []


def test_nobody_watching_lets_no_new_risk_through(house: House) -> None:
    house.tick(0)
    house.clock.time = house.bench.at(179)
    assert house.why_no_risk() == ""
    house.clock.time = house.bench.at(180)
    assert "nobody watches" in house.why_no_risk()
    house.clock.time = house.bench.at(-61)
    assert "the clock went back" in house.why_no_risk()


def test_a_try_that_does_not_get_there_says_so(house: House) -> None:
    house.treasury.delever = lambda task, leverage: None  # type: ignore[method-assign]
    house.tick(0, {"drawdown": 0.05})
    told = {one.action: (one.done, one.reason) for one in house.events(c.FuseActionTaken)}
    assert told["delever"] == (False, "its postcondition does not hold yet")
    assert told["reduce"] == (True, "")
