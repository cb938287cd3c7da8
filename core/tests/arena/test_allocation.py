"""Allocation by rank: tiers, caps, ramp, rounding, and the refusal of impossible capital."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.arena.allocation import target_capital, tiers, validate_capital_change, worth_moving
from treasury_arena.domain.rules import PROFILES
from treasury_arena.errors import AllocationError, ValidationError

RULES = PROFILES["owner"]
PLAIN = attrs.evolve(RULES, share_cap=False, ramp=False)
POOL = 200_000_000_000


def test_unvalidated_capital_is_refused() -> None:
    """Historic defect: capital was changed without validation."""
    with pytest.raises(ValidationError, match="negative"):
        validate_capital_change(10, -1)
    with pytest.raises(ValidationError, match="more than 10 times"):
        validate_capital_change(10, 101)
    with pytest.raises(ValidationError, match="whole base units"):
        validate_capital_change(10, 11.5)  # type: ignore[arg-type]
    validate_capital_change(10, 100)
    validate_capital_change(0, 1_000_000_000)
    validate_capital_change(10, 0)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (5, (1, 2, 2)), (10, (2, 3, 5)), (15, (3, 5, 7))],
)
def test_tier_sizes_round_up_from_the_top(count: int, sizes: tuple[int, int, int]) -> None:
    split = tiers([f"a{i:02d}" for i in range(count)], RULES)
    assert tuple(len(split[tier]) for tier in ("elite", "active", "challenger")) == sizes


def test_ten_agents_share_60_30_10() -> None:
    ids = [f"a{i}" for i in range(10)]
    wanted = target_capital(ids, POOL, {}, PLAIN)
    assert [wanted[i] for i in ids[:2]] == [POOL * 60 // 100 // 2] * 2
    assert [wanted[i] for i in ids[2:5]] == [POOL * 30 // 100 // 3] * 3
    assert [wanted[i] for i in ids[5:]] == [POOL * 10 // 100 // 5] * 5


def test_an_empty_tier_leaves_its_share_unallocated() -> None:
    assert target_capital([], POOL, {}, PLAIN) == {}
    assert target_capital(["a"], POOL, {}, PLAIN) == {"a": POOL * 60 // 100}
    assert target_capital(["a", "b"], POOL, {}, PLAIN) == {"a": POOL * 60 // 100, "b": POOL * 30 // 100}


def test_one_agent_gets_at_most_a_quarter_of_the_pool() -> None:
    rules = attrs.evolve(RULES, ramp=False)
    assert target_capital(["a"], POOL, {}, rules) == {"a": POOL // 4}
    assert target_capital(["a"], POOL, {}, attrs.evolve(rules, share_cap=False)) == {"a": POOL * 60 // 100}


def test_growth_is_ramped_to_ten_times_a_cycle() -> None:
    rules = attrs.evolve(RULES, share_cap=False)
    assert target_capital(["a"], POOL, {"a": 1_000}, rules) == {"a": 10_000}
    assert target_capital(["a"], POOL, {"a": 10**12}, rules) == {"a": POOL * 60 // 100}


@given(
    count=st.integers(0, 40),
    pool=st.integers(0, 60) | st.integers(0, 10**24),
    present=st.integers(0, 10**20),
    cap=st.booleans(),
    ramp=st.booleans(),
)
def test_allocations_never_exceed_the_pool(count: int, pool: int, present: int, cap: bool, ramp: bool) -> None:
    ids = [f"a{i}" for i in range(count)]
    rules = attrs.evolve(RULES, share_cap=cap, ramp=ramp)
    wanted = target_capital(ids, pool, dict.fromkeys(ids, present), rules)
    assert sum(wanted.values()) <= pool
    assert all(amount >= 0 for amount in wanted.values())


def test_a_negative_pool_is_refused() -> None:
    with pytest.raises(AllocationError):
        target_capital(["a"], -1, {}, RULES)


def test_capital_moves_only_for_a_fifth_of_a_percent() -> None:
    assert worth_moving(1_000_000, 2_000, RULES)
    assert not worth_moving(1_000_000, 2_001, RULES)
    assert not worth_moving(0, 0, RULES)
    assert worth_moving(1_000_000, 999_999, attrs.evolve(RULES, cost_gate=False))
