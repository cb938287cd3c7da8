"""Laws of the state machine, over random histories of readings, clocks, resets and locks.

The oracle is a plain observer of the same history: it knows when a spoiled reading was last seen, when a check last
happened, and what a person did, and nothing of how the machine is written.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.fuse_record import fold_all, from_json, to_json
from treasury_arena.domain.fuses import RISK_STATES, FuseState
from treasury_arena.events import catalog as c
from treasury_arena.events.codec import canonical_json, encode
from treasury_arena_risk.config import CONDITIONS

ARMED, WARNED, TRIPPED, COOLING, LOCKED = FuseState
BAD = [math.nan, math.inf, None, -1e9, 1e9]

#: Seconds to the next look: usually a tick, now and then a gap, a jump ahead, or a clock that goes back.
ADVANCE = st.one_of(st.sampled_from([5.0, 15.0, 60.0]), st.floats(-5_000.0, 5_000.0))
LOOK = st.tuples(
    ADVANCE,
    st.one_of(
        st.just(frozenset[str]()),
        st.frozensets(st.sampled_from(CONDITIONS), min_size=1),
    ),
    st.sampled_from([None, "warn", *BAD[:3]]),
    st.sampled_from(["", "", "", "reset", "lock", "done"]),
)
RELAXED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Walk:
    """One history, looked at step by step."""

    def __init__(self, bench: Any, looks: list[Any]) -> None:
        self.bench, self.looks = bench, looks
        self.fuse = bench.fuse(trips_max=4)
        self.second = 0.0

    def steps(self) -> Any:
        """(record before, step, now, readings, act) of each look."""
        record = None
        for advance, spoiled, other, act in self.looks:
            self.second += advance
            now = self.bench.at(self.second)
            if record is not None:
                record = self.person(record, act, now)
            readings = self.bench.spoiled(now, spoiled)
            if other == "warn":
                readings |= {"peg_deviation": attrs.evolve(readings["peg_deviation"], value=0.018)}
            elif other is not None:
                readings |= {"peg_deviation": attrs.evolve(readings["peg_deviation"], value=other)}
            before = record
            step = self.fuse.step(record, readings, now)
            yield before, step, now, readings, act
            record = step.record

    def person(self, record: Any, act: str, now: Any) -> Any:
        if act == "reset" and record.state not in RISK_STATES:
            payload = c.FuseReset("survival", record.state.value, "looked into it", "ann", [])
            return fold_all(record, [payload], now)
        if act == "lock":
            return fold_all(record, [c.FuseLocked("survival", "finality broke")], now)
        return self.bench.settled(record) if act == "done" else record


def repeated(looks: list[tuple[Any, int]]) -> list[Any]:
    return [look for look, times in looks for _ in range(times)]


#: Looks come in rows of equal ones, so that waits are waited through and not only begun.
walks = given(looks=st.lists(st.tuples(LOOK, st.sampled_from([1, 1, 3, 12])), min_size=1, max_size=12).map(repeated))


@walks
@RELAXED
def test_the_record_is_what_its_events_fold_to_and_survives_being_stored(bench: Any, looks: list[Any]) -> None:
    for before, step, now, _, _ in Walk(bench, looks).steps():
        assert fold_all(before, step.events, now) == step.record or (before == step.record and not step.events)
        for event in step.events:
            encode(event)
        assert from_json(to_json(step.record)) == step.record
        canonical_json(to_json(step.record))


@walks
@RELAXED
def test_a_locked_fuse_stays_locked_without_a_reset(bench: Any, looks: list[Any]) -> None:
    for before, step, _, _, _ in Walk(bench, looks).steps():
        if before is not None and before.state is LOCKED:
            assert step.record.state is LOCKED


@walks
@RELAXED
def test_only_the_neighbours_of_a_state_follow_it(bench: Any, looks: list[Any]) -> None:
    allowed = {
        ARMED: {ARMED, WARNED, TRIPPED, LOCKED},
        WARNED: {ARMED, WARNED, TRIPPED, LOCKED},
        TRIPPED: {TRIPPED, COOLING, LOCKED},
        COOLING: {COOLING, ARMED, TRIPPED, LOCKED},
        LOCKED: {LOCKED},
    }
    for before, step, _, _, _ in Walk(bench, looks).steps():
        if before is not None:
            assert step.record.state in allowed[before.state]


@walks
@RELAXED
def test_no_transition_loses_a_trigger(bench: Any, looks: list[Any]) -> None:
    for before, step, now, readings, _ in Walk(bench, looks).steps():
        judged = [guard.judge(readings, now) for guard in bench.fuse().guards]
        found = {one.key for part in judged for one in part.triggers}
        assert {one.key for one in step.record.triggers} == found
        known = {one.key for one in before.triggers} if before is not None else set()
        told = [one for event in step.events if isinstance(event, c.FuseTriggered) for one in event.triggers]
        assert {(one["guard"], one["reading"], one["why"]) for one in told} == found - known
        if found:
            assert step.record.state in (TRIPPED, LOCKED)
        if before is None or before.state in (*RISK_STATES, COOLING):
            assert any(isinstance(event, c.FuseTripped) for event in step.events) == bool(found)


@walks
@RELAXED
def test_new_risk_needs_distance_that_was_watched_all_the_while(bench: Any, looks: list[Any]) -> None:
    """From a trip to ARMED: 180 s without a trigger, then 300 s without a warning, no gap of 180 s, no clock set back."""
    untroubled = None  # since when each look followed the one before in time, found nothing, and the fuse was tripped
    last = None
    for before, step, now, readings, act in Walk(bench, looks).steps():
        judged = [guard.judge(readings, now) for guard in bench.fuse().guards]
        nothing = not any(part.triggers for part in judged)
        continuous = last is not None and 0.0 <= (now - last).total_seconds() < 180.0
        if not (nothing and continuous) or act in ("reset", "lock"):
            untroubled = None
        if nothing and untroubled is None:
            untroubled = now
        if before is not None and before.state is COOLING and step.record.state is ARMED:
            assert untroubled is not None
            assert (now - untroubled).total_seconds() >= 180.0 + 300.0
        last = now


@given(gaps=st.lists(st.floats(-1e6, 0.0), min_size=1, max_size=30), state=st.sampled_from([TRIPPED, COOLING, LOCKED]))
@RELAXED
def test_a_clock_that_only_goes_back_never_re_arms(bench: Any, gaps: list[float], state: FuseState) -> None:
    fuse = bench.fuse()
    record, second = bench.settled(bench.state(state, fuse)), 0.0
    for gap in gaps:
        second += gap
        record = bench.run(fuse, record, [second]).record
        assert record.state is state


@walks
@RELAXED
def test_steps_are_pure(bench: Any, looks: list[Any]) -> None:
    for before, step, now, readings, _ in Walk(bench, looks).steps():
        again = bench.fuse(trips_max=4).step(before, dict(readings), now)
        assert (again.record, again.events, again.actions) == (step.record, step.events, step.actions)


@given(
    values=st.dictionaries(
        st.sampled_from(["volatility", "liquidity_score", "trend_alignment", "health_factor", "magnet_secondary"]),
        st.one_of(st.floats(), st.integers(), st.none(), st.text(max_size=3), st.booleans()),
    )
)
@RELAXED
def test_no_reading_makes_it_raise_or_arms_it_by_mistake(bench: Any, values: dict[str, Any]) -> None:
    record = bench.fuse().step(None, bench.readings(bench.T0, values), bench.T0).record
    safe = {
        "volatility": lambda v: 0 <= v < 2.0,
        "liquidity_score": lambda v: 30 < v <= 100,
        "trend_alignment": lambda v: 0 < v <= 1,
        "health_factor": lambda v: v > 1.25,
        "magnet_secondary": lambda v: 0 <= v < 60,
    }

    def sound(name: str, value: Any) -> bool:
        number = type(value) in (int, float) and not (isinstance(value, float) and not math.isfinite(value))
        return number and safe[name](value)

    assert (record.state in RISK_STATES) == all(sound(name, value) for name, value in values.items())


def test_the_oracle_sees_fuses_that_re_arm(bench: Any) -> None:
    """The property about distance is not empty: histories that it accepts do lead back to ARMED."""
    quiet = (15.0, frozenset(), None, "done")
    looks = [(5.0, frozenset({"trend_flip"}), None, ""), *[quiet] * 40]
    states = [step.record.state for _, step, _, _, _ in Walk(bench, looks).steps()]
    assert states[0] is TRIPPED
    assert states[-1] is ARMED
    assert COOLING in states


@pytest.mark.parametrize("value", BAD)
def test_every_bad_value_of_the_walks_trips(bench: Any, value: Any) -> None:
    readings = bench.readings(bench.T0)
    readings["peg_deviation"] = attrs.evolve(readings["peg_deviation"], value=value)
    assert bench.fuse().step(None, readings, bench.T0).record.state is TRIPPED
