"""Resampling against a slow oracle, and the property that matters most: nothing later than the grid time is used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena_history.resample import DAY, known_times, to_grid, usual_distance

RULES = ("last", "mean", "max", "min", "sum", "forward")


def slow(known: list[int], values: list[float], grid: list[int], step: int, rule: str, lead: int) -> list[float]:
    """The documented rule, one grid time at a time."""
    out = []
    for time in grid:
        if rule in ("last", "forward"):
            seen = [value for when, value in zip(known, values, strict=True) if when <= time]
            out.append(seen[-1] if seen else np.nan)
            continue
        result = np.nan
        begin = time
        while begin > grid[0] - step - -(-lead // step) * step:
            inside = [value for when, value in zip(known, values, strict=True) if begin - step < when <= begin]
            if inside:
                result = {
                    "mean": sum(inside) / len(inside),
                    "sum": sum(inside),
                    "max": max(inside),
                    "min": min(inside),
                }[rule]
            if inside or rule == "sum":
                break
            begin -= step
        out.append(float(result))
    return out


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], list[float], list[int], int, int]:
    step = draw(st.integers(1, 8))
    known = sorted(draw(st.sets(st.integers(-30, 60), min_size=1, max_size=30)))
    values = draw(st.lists(st.integers(-50, 50).map(float), min_size=len(known), max_size=len(known)))
    start = draw(st.integers(-10, 20))
    grid = [start + step * row for row in range(draw(st.integers(1, 12)))]
    return known, values, grid, step, draw(st.integers(0, 20))


@given(case=cases(), rule=st.sampled_from(RULES))
def test_resampling_is_what_the_slow_rule_says(
    case: tuple[list[int], list[float], list[int], int, int], rule: str
) -> None:
    known, values, grid, step, lead = case
    fast = to_grid(np.array(known), np.array(values), np.array(grid), step, rule, lead)
    assert fast.values == pytest.approx(slow(known, values, grid, step, rule, lead), nan_ok=True)


@given(case=cases(), rule=st.sampled_from(RULES), cut=st.integers(0, 11))
def test_rows_known_later_change_nothing_before(
    case: tuple[list[int], list[float], list[int], int, int], rule: str, cut: int
) -> None:
    known, values, grid, step, lead = case
    now = grid[min(cut, len(grid) - 1)]
    poisoned = [value if when <= now else 1e300 for when, value in zip(known, values, strict=True)]
    before = to_grid(np.array(known), np.array(values), np.array(grid), step, rule, lead).values
    after = to_grid(np.array(known), np.array(poisoned), np.array(grid), step, rule, lead).values
    seen = np.array(grid) <= now
    np.testing.assert_array_equal(before[seen], after[seen])


@given(case=cases(), rule=st.sampled_from(RULES))
def test_the_source_row_is_known_by_the_grid_time(
    case: tuple[list[int], list[float], list[int], int, int], rule: str
) -> None:
    known, values, grid, step, lead = case
    result = to_grid(np.array(known), np.array(values), np.array(grid), step, rule, lead)
    has = result.source >= 0
    assert (np.array(known)[result.source[has]] <= np.array(grid)[has]).all()
    np.testing.assert_array_equal(has, np.isfinite(result.values))


def test_a_bar_is_known_when_it_has_closed_and_a_day_when_it_has_ended() -> None:
    hour = 3600 * 10**9
    labels = np.array([0, 5 * hour, DAY - 1, DAY])
    assert known_times(labels, "known", 0, 0).tolist() == labels.tolist()
    assert known_times(labels, "open", hour, 7).tolist() == (labels + hour + 7).tolist()
    assert known_times(labels, "day_open", 0, 0).tolist() == [DAY, DAY, DAY, 2 * DAY]


def test_the_usual_distance_needs_half_of_the_rows() -> None:
    assert usual_distance(np.array([0, 10, 20, 50, 60])) == 10
    assert usual_distance(np.array([0, 10, 21, 33, 46])) is None
    assert usual_distance(np.array([5])) is None


def test_the_usual_distance_ignores_later_rows() -> None:
    hourly, daily = np.arange(20), 20 + 24 * np.arange(500)
    assert usual_distance(np.concatenate((hourly, daily)), sample=20) == 1
