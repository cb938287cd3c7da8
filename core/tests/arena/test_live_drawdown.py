"""A funded agent dies of what it really lost, whatever its simulation says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.arena.desk import World
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.state import DEAD, PROVING
from treasury_arena.events import catalog
from treasury_arena.store import audit
from treasury_arena.testing.frames import reference_markets, synthetic_frame
from treasury_arena.testing.strategies import LENDER

Make = Callable[..., ArenaManager]
CRASH_CYCLE = 4


def crashing(world: World, row: int, price: float) -> World:
    """The world whose exact market lets USDC fall to `price` from `row` on; simulation never sees it."""
    prices = np.where(np.arange(world.frame.rows) < row, 1.0, price)
    other = synthetic_frame(80, columns={"USDC.price": prices})
    return attrs.evolve(world, markets=reference_markets(other))


@pytest.fixture
def proven(make_arena: Make, world: World) -> Callable[..., tuple[ArenaManager, str]]:
    """``proven(price) -> (arena, agent)``: lent out in proving, then USDC falls to `price` and a cycle is over."""

    def make(price: float, **rules: Any) -> tuple[ArenaManager, str]:
        row = world.first_row + (CRASH_CYCLE - 1) * 7 * world.frame.steps_per_day + 10
        arena = make_arena(
            world=crashing(world, row, price),
            strategies=(LENDER,),
            lend_idle=False,
            agents=2,
            arena_age_days_min=300,
            seeds=(("lender", {"share": 1.0, "minimum_apr": 0.0}),),
            **rules,
        )
        for _ in range(CRASH_CYCLE):
            arena.run_evolution_cycle()
        assert arena.agent("lender-0001").stage == PROVING
        arena.run_evolution_cycle()
        return arena, "lender-0001"

    return make


def deaths(arena: ArenaManager, name: str) -> list[catalog.AgentKilled]:
    return [e.payload for e in arena.store.read(agent_id=name) if isinstance(e.payload, catalog.AgentKilled)]


def test_beyond_the_limit_it_dies_in_proving(proven: Callable[..., tuple[ArenaManager, str]]) -> None:
    arena, name = proven(0.7, death_drawdown=0.25)
    (death,) = deaths(arena, name)
    assert death.rule == "live_drawdown"
    assert "live drawdown 29.96%" in death.reason
    assert "25.00%" in death.reason
    assert death.metrics["max_drawdown"] > -0.01, "its simulation knew nothing of it"
    assert arena.agent(name).stage == DEAD
    assert name not in arena.funding.accounts
    assert audit(arena.store).ok


def test_within_the_limit_or_without_one_it_lives(proven: Callable[..., tuple[ArenaManager, str]]) -> None:
    for price, limit in ((0.7, 0.35), (0.7, None), (1.0, 0.25)):
        arena, name = proven(price, death_drawdown=limit)
        assert deaths(arena, name) == []
        assert arena.agent(name).stage == PROVING


def test_underperformers_are_those_who_really_lost_too(proven: Callable[..., tuple[ArenaManager, str]]) -> None:
    """By hand as in a cycle: the agent lived through the fall, and the rule is applied afterwards."""
    arena, name = proven(0.7, death_drawdown=0.35)
    assert name not in arena.kill_underperformers()
    arena.settings = attrs.evolve(arena.settings, rules=attrs.evolve(arena.settings.rules, death_drawdown=0.25))
    arena.reload()
    assert name in arena.kill_underperformers()
    assert [death.rule for death in deaths(arena, name)] == ["live_drawdown"]
    assert name not in arena.funding.accounts
