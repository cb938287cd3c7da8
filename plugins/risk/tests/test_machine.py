"""The state machine by hand: every transition, its waits to the second, and what is recorded on the way."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import attrs
import pytest

from treasury_arena.clock import iso
from treasury_arena.contracts.fuse import Guard, Judgement, Readings, Trigger
from treasury_arena.contracts.fuse_record import fold_all
from treasury_arena.domain.fuses import FuseState
from treasury_arena.errors import ConfigError
from treasury_arena.events import catalog as c
from treasury_arena_risk.machine import SurvivalFuse

ARMED, WARNED, TRIPPED, COOLING, LOCKED = FuseState


def kinds(step: Any) -> list[str]:
    return [type(event).__name__ for event in step.events]


def test_the_whole_way_round(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(ARMED, fuse)
    step = bench.run(fuse, record, [15], {"volatility": 1.8})
    assert (step.record.state, kinds(step)) == (WARNED, ["FuseWarned", "FuseChecked"])
    step = bench.run(fuse, step.record, [30], {"volatility": 2.0})
    assert kinds(step) == ["FuseCleared", "FuseTriggered", "FuseTripped", "FuseChecked"]
    assert (step.record.state, step.record.trip, step.record.reason) == (
        TRIPPED,
        1,
        "volatility_spike: volatility is 2.0, at or beyond the limit 2.0",
    )
    assert [task.key for task in step.actions] == [
        f"survival:1:{name}" for name in ("halt_new_risk", "cancel_unmined", "notify", "delever", "reduce")
    ]
    record = bench.settled(step.record)
    step = bench.run(fuse, record, [45])
    assert (step.record.state, kinds(step)) == (TRIPPED, ["FuseCleared", "FuseChecked"])
    step = bench.run(fuse, step.record, [105, 165, 224])
    assert step.record.state is TRIPPED
    step = bench.run(fuse, step.record, [225])  # 180 s after the trigger was over
    assert (step.record.state, kinds(step)) == (COOLING, ["FuseCooling", "FuseChecked"])
    assert step.events[0] == c.FuseCooling("survival", 1)
    step = bench.run(fuse, step.record, [285, 345, 405, 465, 524])
    assert step.record.state is COOLING
    step = bench.run(fuse, step.record, [525])  # 300 s of cooling
    assert (step.record.state, kinds(step)) == (ARMED, ["FuseRearmed", "FuseChecked"])
    assert step.events[0] == c.FuseRearmed("survival", "every reading kept its distance for 300 s")
    assert step.record.trips == (bench.at(30),)


def test_a_quiet_fuse_records_a_check_a_minute_and_nothing_else(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(ARMED, fuse)
    for second, expected in ((15, []), (59, []), (60, ["FuseChecked"])):
        step = bench.run(fuse, record, [second])
        assert kinds(step) == expected
    assert step.record.valid_until == bench.at(240)


def test_a_warning_ends_after_a_minute_of_distance(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(WARNED, fuse)
    step = bench.run(fuse, record, [10, 69])
    assert step.record.state is WARNED
    over = bench.run(fuse, step.record, [70])
    assert over.record.state is ARMED
    assert over.events[0] == c.FuseRearmed("survival", "the warnings are over")
    again = bench.run(fuse, step.record, [69.5], {"volatility": 1.7}).record
    assert bench.run(fuse, again, [80, 139]).record.state is WARNED


def test_a_halt_lasts_while_its_trigger_does_and_180_s_more(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.settled(bench.state(TRIPPED, fuse))
    record = bench.run(fuse, record, range(15, 3601, 15), bench.SPOILED["drawdown_breach"]).record
    assert record.state is TRIPPED
    record = bench.run(fuse, record, range(3615, 3795, 15)).record
    assert record.state is TRIPPED
    assert bench.run(fuse, record, [3795]).record.state is COOLING


def test_re_arming_needs_a_margin(bench: Any) -> None:
    """Below the limit is not enough: within the margin the cooling goes on for ever."""
    fuse = bench.fuse()
    record = bench.state(COOLING, fuse)
    record = bench.run(fuse, record, range(15, 7200, 15), {"drawdown": 0.045}).record
    assert record.state is COOLING
    record = bench.run(fuse, record, range(7200, 7500, 15), {"drawdown": 0.039}).record
    assert record.state is COOLING
    assert bench.run(fuse, record, [7500], {"drawdown": 0.039}).record.state is ARMED


def test_a_warning_while_cooling_begins_the_wait_anew(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.run(fuse, bench.state(COOLING, fuse), range(15, 150, 15)).record
    record = bench.run(fuse, record, [150], {"volatility": 1.9}).record
    record = bench.run(fuse, record, range(165, 465, 15)).record
    assert record.state is COOLING
    assert bench.run(fuse, record, [465]).record.state is ARMED


def test_every_trigger_is_recorded_while_tripped(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(TRIPPED, fuse)
    both = {**bench.SPOILED["drawdown_breach"], "volatility": 3.0}
    step = bench.run(fuse, record, [15], both)
    (told,) = [event for event in step.events if isinstance(event, c.FuseTriggered)]
    assert [one["guard"] for one in told.triggers] == ["volatility_spike"]
    assert "FuseTripped" not in kinds(step)
    assert step.record.trip == 1
    assert bench.run(fuse, step.record, [30], both).events == ()
    (checked,) = bench.run(fuse, step.record, [75], {**both, "drawdown": 0.2}).events
    assert [(one["guard"], one["value"]) for one in checked.triggers] == [
        ("volatility_spike", "3.0"),
        ("drawdown_breach", "0.2"),
    ]
    gone = bench.run(fuse, step.record, [80], {"volatility": 3.0})
    assert kinds(gone) == ["FuseCleared", "FuseChecked"]
    back = bench.run(fuse, gone.record, [81], both)
    assert kinds(back) == ["FuseTriggered", "FuseChecked"]


def test_a_trigger_that_turns_into_nan_is_another_one(bench: Any) -> None:
    fuse = bench.fuse()
    step = bench.run(fuse, bench.state(TRIPPED, fuse), [15], {"drawdown": math.nan})
    assert {(one.guard, one.why) for one in step.record.triggers} == {
        ("drawdown_breach", "not_a_number"),
        ("data_stale", "not_a_number"),
    }
    assert kinds(step) == ["FuseCleared", "FuseTriggered", "FuseChecked"]


def test_a_danger_that_comes_later_asks_for_its_own_actions(bench: Any) -> None:
    fuse = bench.fuse()
    step = bench.run(fuse, bench.state(ARMED, fuse), [15], {"ledger_mismatch_raw": 5})
    assert [task.action for task in step.actions] == ["halt_new_risk", "cancel_unmined", "notify"]
    record = bench.settled(step.record)
    step = bench.run(fuse, record, [30], {"ledger_mismatch_raw": 5, "health_factor": 1.1})
    (told,) = [event for event in step.events if isinstance(event, c.FuseTriggered)]
    assert told.actions == ["delever", "reduce"]
    assert {"delever", "reduce"} <= {task.action for task in step.actions}


def test_a_trigger_while_cooling_is_another_trip(bench: Any) -> None:
    fuse = bench.fuse()
    step = bench.run(fuse, bench.state(COOLING, fuse), [15], {"volatility": 2.0})
    assert (step.record.state, step.record.trip, len(step.record.trips)) == (TRIPPED, 2, 2)
    assert {one.task.trip for one in step.record.tasks} == {2}


def trips(bench: Any, fuse: SurvivalFuse, record: Any, moments: list[float]) -> Any:
    for moment in moments:
        record = bench.run(fuse, record, [moment], {"volatility": 2.0}).record
        record = bench.settled(record)
        if record.state is not LOCKED:
            record = bench.run(fuse, record, [moment + 15 * n for n in range(1, 40)]).record
            assert record.state is ARMED
    return record


def test_the_third_trip_within_a_day_locks(bench: Any) -> None:
    fuse = bench.fuse()
    record = trips(bench, fuse, bench.state(ARMED, fuse), [100, 10_000, 86_499])
    assert (record.state, record.trip) == (LOCKED, 3)
    assert record.reason.startswith("3 trips within 86400 s: volatility_spike")
    calm = bench.run(fuse, record, range(86_500, 90_000, 30)).record
    assert calm.state is LOCKED


def test_a_trip_a_day_ago_no_longer_counts(bench: Any) -> None:
    fuse = bench.fuse()
    record = trips(bench, fuse, bench.state(ARMED, fuse), [100, 10_000, 86_500])
    assert (record.state, record.trip, len(record.trips)) == (ARMED, 3, 2)


def test_a_locked_fuse_still_records_and_acts(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(LOCKED, fuse)
    step = bench.run(fuse, record, [15], {"volatility": 5.0})
    assert step.record.state is LOCKED
    assert "FuseTriggered" in kinds(step)
    assert [task.action for task in step.actions][:2] == ["halt_new_risk", "cancel_unmined"]


def test_a_fuse_that_somebody_else_locked_asks_for_its_actions_once(bench: Any) -> None:
    fuse = bench.fuse()
    locked = fold_all(bench.state(ARMED, fuse), [c.FuseLocked("survival", "finality broke")], bench.at(5))
    locked = attrs.evolve(locked, trips=(bench.at(-90), bench.at(-30)))
    step = bench.run(fuse, locked, [10])
    (tripped,) = [event for event in step.events if isinstance(event, c.FuseTripped)]
    assert (tripped.fuse, tripped.trip, tripped.reason) == ("survival", 1, "finality broke")
    assert tripped.trips == [iso(bench.at(-90)), iso(bench.at(-30))]
    assert (step.record.state, step.record.reason, step.record.trip) == (LOCKED, "finality broke", 1)
    assert [task.action for task in step.actions] == ["halt_new_risk", "cancel_unmined", "notify"]
    assert "FuseTripped" not in kinds(bench.run(fuse, step.record, [20]))


def test_the_halt_does_not_end_before_its_actions_are_done(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(TRIPPED, fuse)
    record = bench.run(fuse, record, range(15, 1000, 15)).record
    assert record.state is TRIPPED
    only = [attrs.evolve(one, done=one.task.action != "notify") for one in record.tasks]
    assert bench.run(fuse, attrs.evolve(record, tasks=tuple(only)), [1000]).record.state is COOLING
    unknown = attrs.evolve(only[0], task=attrs.evolve(only[0].task, action="of_a_plugin_that_is_gone"), done=False)
    held = attrs.evolve(record, tasks=(unknown, *only))
    step = bench.run(fuse, held, [1000])
    assert step.record.state is TRIPPED
    assert unknown.task not in step.actions  # nobody could try it


def test_actions_are_tried_again_with_growing_waits(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(TRIPPED, fuse)

    def due(attempts: int, since: float) -> bool:
        tasks = [attrs.evolve(one, attempts=attempts, tried_at=bench.T0) for one in record.tasks]
        now = bench.at(since)
        step = fuse.step(attrs.evolve(record, tasks=tuple(tasks)), bench.readings(now), now)
        return len(step.actions) == len(tasks)

    for attempts, wait in ((1, 15), (2, 30), (3, 60), (5, 240), (6, 300), (10_000, 300)):
        assert not due(attempts, wait - 0.001)
        assert due(attempts, wait)
    assert due(6, -1)  # the clock went back


# -- time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [TRIPPED, COOLING, WARNED])
def test_a_gap_without_checks_is_no_time_of_distance(bench: Any, state: FuseState) -> None:
    fuse = bench.fuse()
    record = bench.settled(bench.state(state, fuse))
    record = bench.run(fuse, record, [20]).record
    step = bench.run(fuse, record, [20_000])
    assert step.record.state is state
    assert step.record.quiet_since == bench.at(20_000)
    assert [event.restarted for event in step.events if isinstance(event, c.FuseChecked)] == [True]


@pytest.mark.parametrize("state", [TRIPPED, COOLING, WARNED])
def test_a_clock_that_goes_back_re_arms_nothing(bench: Any, state: FuseState) -> None:
    fuse = bench.fuse()
    record = bench.run(fuse, bench.settled(bench.state(state, fuse)), [15, 30]).record
    step = bench.run(fuse, record, [-5_000])
    assert step.record.state is state
    assert step.record.quiet_since == bench.at(-5_000)
    step = bench.run(fuse, step.record, [31])  # and forward again, over a gap
    assert step.record.state is state
    assert step.record.quiet_since == bench.at(31)


def test_a_trip_that_lies_ahead_counts_towards_the_lock(bench: Any) -> None:
    fuse = bench.fuse()
    record = trips(bench, fuse, bench.state(ARMED, fuse), [100, 10_000])
    assert bench.run(fuse, record, [-500_000], {"volatility": 2.0}).record.state is LOCKED


# -- guards of others ------------------------------------------------------------------------------------------------------


@attrs.frozen
class Odd(Guard):
    """A guard of another plugin that answers whatever it is made with."""

    answer: Any
    name: str = "odd"
    readings: tuple[str, ...] = ()
    locks: bool = False

    def judge(self, readings: Readings, now: datetime) -> Judgement:
        if isinstance(self.answer, type):
            raise self.answer("broken\0")
        return self.answer  # type: ignore[no-any-return]


def told(guard: str) -> Judgement:
    return Judgement((Trigger(guard, "", "limit", "1", "0", "too odd \ud800"),))


@pytest.mark.parametrize(
    "answer",
    [ValueError, SystemExit, MemoryError, None, 7, Judgement(("x",)), told("heartbeat")],  # type: ignore[arg-type]
    ids=str,
)
def test_a_guard_that_breaks_trips_the_fuse(bench: Any, answer: Any) -> None:
    fuse = bench.fuse()
    fuse = SurvivalFuse(fuse.section, (*fuse.guards, Odd(answer)), fuse.actions)
    record = fuse.step(None, bench.readings(bench.T0), bench.T0).record
    assert record.state is TRIPPED
    assert [(one.guard, one.why) for one in record.triggers] == [("odd", "failed")]
    assert "\0" not in record.reason


def test_readings_that_cannot_even_be_asked_trip_every_guard(bench: Any) -> None:
    record = bench.fuse().step(None, None, bench.T0).record
    assert record.state is TRIPPED
    assert {one.guard for one in record.triggers} == {guard.name for guard in bench.fuse().guards}


@pytest.mark.parametrize("state", FuseState)
def test_a_guard_that_locks_locks_from_every_state(bench: Any, state: FuseState) -> None:
    fuse = bench.fuse()
    strict = SurvivalFuse(fuse.section, (*fuse.guards, Odd(told("odd"), locks=True)), fuse.actions)
    step = strict.step(bench.state(state, fuse), bench.readings(bench.at(10)), bench.at(10))
    assert step.record.state is LOCKED
    if state is not LOCKED:
        (locked,) = [event for event in step.events if isinstance(event, c.FuseLocked)]
        assert locked.fuse == fuse.name
        assert "too odd ?" in locked.reason
    assert "too odd ?" in step.record.triggers[-1].text


# -- the configuration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"conditions": ("drawdwn_breach",)}, "fuse.survival.conditions: unknown name .*'drawdown_breach'"),
        ({"guards": ("heart",)}, "fuse.survival.guards: unknown name 'heart'"),
        ({"more_guards": ("odd",)}, "fuse.survival.more_guards: unknown name 'odd'; there are none"),
        ({"halt_actions": ("halt",)}, "fuse.survival.halt_actions: unknown action 'halt'"),
        ({"exit_actions": ("reduces",)}, "fuse.survival.exit_actions: unknown action .* did you mean 'reduce'"),
        ({"guards": ("heartbeat",)}, "data_stale, execution_failures, .* cannot be switched off in live mode"),
    ],
)
def test_what_cannot_be_is_refused(bench: Any, keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        bench.fuse(**keys)


def test_guards_may_be_left_out_where_no_money_is(bench: Any) -> None:
    fuse = bench.fuse(live=False, guards=(), conditions=("trend_flip",))
    assert fuse.needs == ("trend_alignment",)
    assert fuse.step(None, bench.readings(bench.T0, {"volatility": math.nan}), bench.T0).record.state is ARMED


def test_conditions_may_be_left_out_in_live_mode(bench: Any) -> None:
    fuse = bench.fuse(conditions=("drawdown_breach",))
    assert "magnet_primary" not in fuse.needs


@pytest.mark.parametrize(("seconds", "restarted"), [(0, []), (179.999, [False]), (180, [True]), (-0.001, [True])])
def test_watching_ends_after_exactly_180_s(bench: Any, seconds: float, restarted: list[bool]) -> None:
    fuse = bench.fuse()
    step = bench.run(fuse, bench.state(COOLING, fuse), [seconds])
    assert [event.restarted for event in step.events if isinstance(event, c.FuseChecked)] == restarted


def test_an_action_is_not_tried_twice_in_one_moment(bench: Any) -> None:
    fuse = bench.fuse()
    record = bench.state(TRIPPED, fuse)
    tasks = tuple(attrs.evolve(one, attempts=1, tried_at=bench.T0) for one in record.tasks)
    step = fuse.step(attrs.evolve(record, tasks=tasks), bench.readings(bench.T0), bench.T0)
    assert step.actions == ()


@pytest.mark.parametrize(
    ("action", "holds"),
    [("halt_new_risk", True), ("cancel_unmined", True), ("delever", True), ("reduce", True), ("notify", False)],
)
def test_which_actions_hold_the_fuse(bench: Any, action: str, holds: bool) -> None:
    fuse = bench.fuse()
    record = bench.state(TRIPPED, fuse)
    tasks = tuple(attrs.evolve(one, done=one.task.action != action) for one in record.tasks)
    record = bench.run(fuse, attrs.evolve(record, tasks=tasks), range(15, 300, 15)).record
    assert (record.state is TRIPPED) == holds
