"""Every guard at its limit, one unit in the last place on either side, and on readings that cannot be relied on."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from typing import Any

import pytest

from treasury_arena.contracts.fuse import Reading
from treasury_arena.domain.fuses import FuseState
from treasury_arena.events import catalog as c
from treasury_arena_risk.config import CONDITIONS, GUARDS

SUBSETS = [names for size in range(1, 7) for names in itertools.combinations(CONDITIONS, size)]

#: Guard, reading, limit, and the direction in which it is beyond.
LIMITS = [
    ("volatility_spike", "volatility", 2.0, math.inf),
    ("drawdown_breach", "drawdown", 0.05, math.inf),
    ("drawdown_breach", "daily_drawdown", 0.025, math.inf),
    ("magnet_conflict", "magnet_conflict", 0.8, math.inf),
    ("magnet_inversion", "magnet_secondary", 60.0, math.inf),
    ("trend_flip", "trend_alignment", 0.0, -math.inf),
    ("liquidity_dry", "liquidity_score", 30.0, -math.inf),
    ("health_factor", "health_factor", 1.25, -math.inf),
    ("stablecoin_peg", "peg_deviation", 0.02, math.inf),
    ("heartbeat", "heartbeat_age_s", 180.0, math.inf),
    ("execution_failures", "execution_failures", 3.0, math.inf),
    ("ledger_mismatch", "ledger_mismatch_raw", 1.0, math.inf),
]
READINGS = sorted({reading for _, reading, _, _ in LIMITS} | {"magnet_primary"})
OWNER = {reading: guard for guard, reading, _, _ in LIMITS} | {"magnet_primary": "magnet_inversion"}


def first(bench: Any, changes: dict[str, Any]) -> Any:
    """The record after the first look at readings with `changes`."""
    return bench.fuse().step(None, bench.readings(bench.T0, changes), bench.T0).record


def names(record: Any) -> set[str]:
    return {one.guard for one in record.triggers}


def test_calm_readings_arm_the_fuse(bench: Any) -> None:
    record = first(bench, {})
    assert (record.state, record.triggers, record.warnings) == (FuseState.ARMED, (), ())
    assert set(bench.fuse().needs) == set(READINGS) == set(bench.CALM)


def test_there_are_63_subsets() -> None:
    assert len(SUBSETS) == 63


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_every_subset_of_the_six_conditions_trips_and_all_are_reported(bench: Any, subset: tuple[str, ...]) -> None:
    fuse = bench.fuse()
    record = bench.state(FuseState.ARMED, fuse)
    now = bench.at(15)
    step = fuse.step(record, bench.spoiled(now, subset), now)
    assert step.record.state is FuseState.TRIPPED
    assert names(step.record) == set(subset)
    (told,) = [event for event in step.events if isinstance(event, c.FuseTriggered)]
    assert [one["guard"] for one in told.triggers] == [name for name in CONDITIONS if name in subset]
    (tripped,) = [event for event in step.events if isinstance(event, c.FuseTripped)]
    assert all(name in tripped.reason for name in subset)
    assert tripped.actions == ["halt_new_risk", "cancel_unmined", "notify", "delever", "reduce"]


@pytest.mark.parametrize(("guard", "reading", "limit", "beyond"), LIMITS, ids=lambda value: str(value))
def test_a_guard_trips_at_its_limit_and_beyond_and_not_one_ulp_before(
    bench: Any, guard: str, reading: str, limit: float, beyond: float
) -> None:
    for value in (limit, math.nextafter(limit, beyond)):
        record = first(bench, {reading: value})
        assert (record.state, names(record)) == (FuseState.TRIPPED, {guard}), value
        assert [(one.reading, one.why) for one in record.triggers] == [(reading, "limit")]
    before = first(bench, {reading: math.nextafter(limit, -beyond)})
    assert before.triggers == ()
    assert before.state in (FuseState.ARMED, FuseState.WARNED)


def test_equal_magnets_invert_whatever_their_strength(bench: Any) -> None:
    for strength in (0.0, 1e-300, 60.0, 100.0):
        assert names(first(bench, {"magnet_primary": strength, "magnet_secondary": strength})) == {"magnet_inversion"}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "not_a_number"),
        (math.inf, "not_a_number"),
        (-math.inf, "not_a_number"),
        ("1.0", "not_a_number"),
        (True, "not_a_number"),
        (None, "missing"),
    ],
    ids=repr,
)
def test_what_is_no_number_trips_its_guard_and_is_reported_by_data_stale(
    bench: Any, reading: str, value: Any, why: str
) -> None:
    record = first(bench, {reading: Reading(value, bench.T0)})
    assert record.state is FuseState.TRIPPED
    assert {(one.guard, one.reading, one.why) for one in record.triggers} == {
        (OWNER[reading], reading, why),
        ("data_stale", reading, why),
    }


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_that_is_not_there_at_all_trips(bench: Any, reading: str) -> None:
    fuse = bench.fuse()
    gone = {name: one for name, one in bench.readings(bench.T0).items() if name != reading}
    for readings in (gone, {**gone, reading: None}, {**gone, reading: 0.5}):
        record = fuse.step(None, readings, bench.T0).record
        assert record.state is FuseState.TRIPPED
        assert names(record) == {OWNER[reading], "data_stale"}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("value", [-5e-324, -1.5, -1e300])
def test_negative_readings_trip(bench: Any, reading: str, value: float) -> None:
    record = first(bench, {reading: value})
    assert (record.state, names(record)) == (FuseState.TRIPPED, {OWNER[reading]})
    in_range = reading == "trend_alignment" and value >= -1.0
    assert {one.why for one in record.triggers} == {"limit" if in_range else "impossible"}


@pytest.mark.parametrize(
    ("reading", "value"),
    [("liquidity_score", 100.5), ("magnet_primary", 101.0), ("magnet_secondary", 101), ("trend_alignment", 1.5)],
)
def test_impossible_readings_trip_though_they_look_safe(bench: Any, reading: str, value: float) -> None:
    record = first(bench, {reading: value})
    assert [(one.guard, one.why) for one in record.triggers] == [(OWNER[reading], "impossible")]


@pytest.mark.parametrize("reading", READINGS)
def test_an_old_reading_is_old_whatever_it_says(bench: Any, reading: str) -> None:
    record = first(bench, {reading: Reading(-7.0, bench.at(-300))})
    assert {(one.guard, one.why) for one in record.triggers} == {(OWNER[reading], "stale"), ("data_stale", "stale")}


@pytest.mark.parametrize("reading", READINGS)
def test_stale_readings_trip_at_their_age(bench: Any, reading: str) -> None:
    value = bench.CALM[reading]
    old, older = (bench.T0 - timedelta(seconds=300, microseconds=-off) for off in (1, 0))
    assert first(bench, {reading: Reading(value, old)}).state is FuseState.ARMED
    for at, why in ((older, "stale"), (None, "stale"), (bench.T0 + timedelta(seconds=61), "future")):
        record = first(bench, {reading: Reading(value, at)})
        assert names(record) == {OWNER[reading], "data_stale"}
        assert {one.why for one in record.triggers} == {why}
    naive = bench.T0.replace(tzinfo=None)
    assert first(bench, {reading: Reading(value, naive)}).state is FuseState.TRIPPED


def test_numbers_beyond_a_float_are_judged_exactly(bench: Any) -> None:
    assert names(first(bench, {"ledger_mismatch_raw": 10**400})) == {"ledger_mismatch"}
    assert first(bench, {"health_factor": 2**256 - 1}).state is FuseState.ARMED


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        ("volatility", 1.6),
        ("drawdown", 0.05 * 0.8),
        ("daily_drawdown", 0.025 * 0.8),
        ("magnet_conflict", 0.8 * 0.8),
        ("magnet_secondary", 48.0),
        ("trend_alignment", 0.19),
        ("liquidity_score", 37.5),
        ("health_factor", 1.5625),
        ("peg_deviation", 0.016),
        ("heartbeat_age_s", 144.0),
    ],
)
def test_near_a_limit_is_a_warning(bench: Any, reading: str, value: float) -> None:
    record = first(bench, {reading: value})
    assert record.state is FuseState.WARNED
    assert [(one.guard, one.reading) for one in record.warnings] == [(OWNER[reading], reading)]


def test_a_limit_near_the_top_of_its_scale_leaves_room_without_a_warning(bench: Any) -> None:
    fuse = bench.fuse(liquidity_min=90.0)
    assert fuse.step(None, bench.readings(bench.T0, {"liquidity_score": 99.0}), bench.T0).record.warnings == ()


@pytest.mark.parametrize("guard", ["data_stale", "execution_failures", "ledger_mismatch", "heartbeat"])
def test_trouble_of_the_arena_itself_halts_and_sells_nothing(bench: Any, guard: str) -> None:
    changes = {
        "data_stale": {"volatility": math.nan, "drawdown": None},
        "execution_failures": {"execution_failures": 3},
        "ledger_mismatch": {"ledger_mismatch_raw": 1},
        "heartbeat": {"heartbeat_age_s": 200.0},
    }[guard]
    step = bench.fuse().step(None, bench.readings(bench.T0, changes), bench.T0)
    assert guard in names(step.record)
    assert [task.action for task in step.actions] == ["halt_new_risk", "cancel_unmined", "notify"]


def test_the_guards_are_those_that_cannot_be_switched_off(bench: Any) -> None:
    assert {guard.name for guard in bench.fuse().guards if guard.always_on} == set(GUARDS)
    assert not {guard.name for guard in bench.fuse().guards if guard.always_on} & set(CONDITIONS)


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        ("volatility", 0.0),
        ("liquidity_score", 100.0),
        ("magnet_primary", 100.0),
        ("trend_alignment", 1.0),
        ("drawdown", 0),
        ("magnet_secondary", 0.0),
    ],
)
def test_the_ends_of_a_scale_are_possible(bench: Any, reading: str, value: float) -> None:
    assert first(bench, {reading: value}).state is FuseState.ARMED


def test_the_lowest_alignment_is_possible_and_a_flip(bench: Any) -> None:
    assert [one.why for one in first(bench, {"trend_alignment": -1.0}).triggers] == ["limit"]


def test_a_reading_may_be_a_minute_ahead(bench: Any) -> None:
    ahead = bench.T0 + timedelta(seconds=60)
    assert first(bench, {"volatility": Reading(0.5, ahead)}).state is FuseState.ARMED
    beyond = ahead + timedelta(microseconds=1)
    assert first(bench, {"volatility": Reading(0.5, beyond)}).state is FuseState.TRIPPED


def test_the_warning_of_a_high_lower_limit_lies_in_the_middle_of_what_is_left(bench: Any) -> None:
    fuse = bench.fuse(liquidity_min=90.0)
    states = [
        fuse.step(None, bench.readings(bench.T0, {"liquidity_score": value}), bench.T0).record.state
        for value in (95.0, math.nextafter(95.0, 100.0))
    ]
    assert states == [FuseState.WARNED, FuseState.ARMED]
