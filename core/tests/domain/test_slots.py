"""The arithmetic of slots against a count one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.domain.slots import ABSENCES, MissReason, due, newest_slot, next_slot

GAPS = st.sampled_from(list(MissReason))


@given(st.floats(-1e6, 4e9), st.integers(1, 10**6))
def test_slots_are_the_whole_multiples_of_the_period(now: float, every: int) -> None:
    newest, following = newest_slot(now, every), next_slot(now, every)
    assert newest % every == following % every == 0
    assert newest <= now < following == newest + every


@given(
    now=st.integers(0, 2_000),
    every=st.integers(1, 50),
    late=st.integers(0, 60),
    catch_up=st.booleans(),
    last=st.integers(0, 60),
    under_way=st.booleans(),
    gap=GAPS,
)
def test_every_slot_is_run_missed_or_waits_as_a_count_one_by_one_says(
    now: int, every: int, late: int, catch_up: bool, last: int, under_way: bool, gap: MissReason
) -> None:
    found = due(now, every, late, catch_up, last, under_way=under_way, gap=gap)
    open_slots = [slot for slot in range(now + 1) if slot % every == 0 and slot > last]
    handled = list(found.missed) + ([] if found.run is None else [found.run])
    assert handled == open_slots[: len(handled)]
    waiting = open_slots[len(handled) :]
    if under_way:
        assert found.run is None
        assert waiting == [slot for slot in open_slots[-1:] if now - slot <= late]
        assert found.reason == MissReason.RUNNING or not found.missed
        return
    assert waiting == []
    begins = bool(open_slots) and (now - open_slots[-1] <= late or (catch_up and gap in ABSENCES))
    assert found.run == (open_slots[-1] if begins else None)
    assert found.reason == gap


@pytest.mark.parametrize(
    ("now", "late", "run", "missed"),
    [(119.5, 59, None, [60]), (119.0, 59, 60, []), (60.0, 0, 60, []), (60.1, 0, None, [60])],
)
def test_at_the_very_first_look_only_the_newest_slot_is_due_and_nothing_is_caught_up(
    now: float, late: int, run: int | None, missed: list[int]
) -> None:
    found = due(now, 60, late, True, None, under_way=False, gap=MissReason.ABSENT)
    assert (found.run, list(found.missed), found.reason) == (run, missed, MissReason.FIRST)


def test_a_clock_before_the_newest_slot_has_nothing_due() -> None:
    found = due(600.0, 60, 10, True, 660, under_way=False, gap=MissReason.JUMPED)
    assert (list(found.missed), found.run) == ([], None)


def test_a_period_that_changed_goes_on_with_its_own_next_slot() -> None:
    found = due(3_700.0, 3_600, 200, True, 1_260, under_way=False, gap=MissReason.ABSENT)
    assert (list(found.missed), found.run) == ([], 3_600)
