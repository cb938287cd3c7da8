"""A stop holds all capital, the reserve is never given away, and limits are exact whatever the size of the amounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.arena.allocation import target_capital, validate_capital_change
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.domain.rules import PROFILES
from treasury_arena.errors import AllocationError, EmergencyStopError, ValidationError
from treasury_arena.events import catalog

USD = 10**6
Make = Callable[..., ArenaManager]
MOVES = (catalog.IdleCapitalMoved, catalog.CapitalAllocated, catalog.AgentGraduated, catalog.OrderSettled)


@pytest.mark.parametrize("level", ["SOFT", "HARD"])
def test_a_stop_holds_idle_capital_allocations_and_promotions(make_arena: Make, tmp_path: Path, level: str) -> None:
    for name in ("free", "held"):
        (tmp_path / name).mkdir()
    free = make_arena(tmp_path / "free", simulation_age_days_min=7)
    held = make_arena(tmp_path / "held", simulation_age_days_min=7)
    held.engine.emergency_stop("drill", "ann", level)
    before = held.store.last()[0]
    for arena in (free, held):
        for _ in range(4):
            arena.run_evolution_cycle()
    moved = [type(e.payload) for e in free.store.read() if isinstance(e.payload, MOVES)]
    assert {catalog.IdleCapitalMoved, catalog.CapitalAllocated, catalog.AgentGraduated} <= set(moved)
    assert not [e for e in held.store.read(after=before) if isinstance(e.payload, MOVES)]


def test_the_reserve_is_given_to_nobody_and_no_agent_has_two_pools(arena: ArenaManager) -> None:
    agent = arena.spawn_agent("lender")
    breakdown: dict[str, Any] = arena.get_capital_allocation_breakdown()
    with pytest.raises(AllocationError, match="never at risk"):
        arena.allocate_capital(agent, 100 * USD, "reserve")
    assert arena.get_capital_allocation_breakdown() == breakdown
    arena.allocate_capital(agent, 100 * USD, "arena")
    with pytest.raises(ValidationError, match="funded by the pool 'arena'"):
        arena.allocate_capital(agent, 100 * USD, "proving")


def test_nothing_is_allocated_by_hand_under_a_stop(arena: ArenaManager) -> None:
    agent = arena.spawn_agent("lender")
    arena.engine.emergency_stop("drill", "ann", "SOFT")
    with pytest.raises(EmergencyStopError):
        arena.allocate_capital(agent, 100 * USD)


@pytest.mark.parametrize("present", [12_220_314_271, 10**18 + 7, 10**30 + 123_456_789])
def test_what_the_ramp_allows_the_change_rule_accepts(present: int) -> None:
    """Amounts beyond 2^53 and growth factors that are no binary fraction: both sides round alike."""
    rules = PROFILES["balanced"]
    wanted = target_capital(["a"], present * 10**6, {"a": present}, rules)["a"]
    assert wanted == present * 10
    validate_capital_change(present, wanted, rules.growth_max)
    with pytest.raises(ValidationError):
        validate_capital_change(present, wanted + 1, rules.growth_max)
