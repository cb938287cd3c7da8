"""The part of a promoted agent's return that its promotion did not know of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.records import RecordKeeper
from treasury_arena.arena.results import build_result
from treasury_arena.arena.state import ARENA, DEAD, PROVING, SIMULATION

Make = Callable[..., ArenaManager]
LENDER = (("lender", {"share": 1.0, "minimum_apr": 0.0}),)


def lived(make_arena: Make, cycles: int, **more: Any) -> ArenaManager:
    arena = make_arena(seeds=LENDER, agents=1, simulation_floored_min=None, fidelity_tolerance=None, **more)
    for _ in range(cycles):
        arena.run_evolution_cycle()
    return arena


def told(arena: ArenaManager) -> dict[str, Any]:
    return next(agent for agent in build_result(arena).agents if agent["id"] == "lender-0001")


def test_it_is_the_record_from_the_day_of_the_promotion_on(make_arena: Make) -> None:
    seen = set()
    for cycles in range(1, 7):
        arena = lived(make_arena, cycles)
        agent = arena.agent("lender-0001")
        found = told(arena)["return_since_promotion"]
        seen.add(agent.stage)
        if agent.proving_row is None:
            assert found is None
            continue
        curve = RecordKeeper(arena.settings, arena.world).records([agent], arena.row)[agent.agent_id].curve
        days = (agent.proving_row - agent.born_row) // arena.world.frame.steps_per_day
        assert found == pytest.approx(curve[-1] / curve[days] - 1.0, abs=1e-9)
        assert (found == 0.0) == (arena.row == agent.proving_row)
        assert np.log1p(found) < np.log1p(told(arena)["total_return"])
    assert seen == {SIMULATION, PROVING, ARENA}


def test_an_agent_whose_code_failed_has_none(make_arena: Make, live_decide: Callable[..., Any], world: Any) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    arena = lived(make_arena, 6, world=live_decide(world, "lender", broken))
    agent = arena.agent("lender-0001")
    assert (agent.stage, agent.reason) == (DEAD, "RuntimeError: broken")
    assert told(arena)["promoted"]
    assert told(arena)["return_since_promotion"] is None
