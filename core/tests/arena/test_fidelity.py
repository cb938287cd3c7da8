"""Proving tests that live equals simulation: under the same limits, from the same day, with the same capital (M3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.state import ARENA, PROVING, SIMULATION
from treasury_arena.errors import ValidationError
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena.testing.strategies import LENDER, LenderState, LenderTarget

Make = Callable[..., ArenaManager]


def idle(f: Any, g: Any, book: Any, s: LenderState) -> tuple[LenderTarget, LenderState]:
    return LenderTarget(0.0, 0.1), s


def proving(make_arena: Make, **more: Any) -> ArenaManager:
    """Five weeks of one lender that is fit for everything but, perhaps, fidelity."""
    arena = make_arena(
        agents=1,
        seeds=(("lender", {"share": 1.0, "minimum_apr": 0.0}),),
        simulation_floored_min=None,
        lend_idle=False,
        **more,
    )
    for _ in range(5):
        arena.run_evolution_cycle()
    return arena


def test_what_lives_as_simulated_enters_the_arena(make_arena: Make) -> None:
    arena = proving(make_arena, strategies=(LENDER,), fidelity_tolerance=0.0002)
    assert arena.agent("lender-0001").stage == ARENA


@pytest.mark.parametrize("tolerance", [0.0002, None])
def test_a_live_decision_that_differs_from_the_kernel_fails_fidelity(
    make_arena: Make, live_decide: Callable[..., Any], world: Any, tolerance: float | None
) -> None:
    """Simulation lends at 5% a year, which is 10 basis points a week; the live agent keeps cash and earns nothing."""
    arena = proving(make_arena, world=live_decide(world, "lender", idle), fidelity_tolerance=tolerance)
    agent = arena.agent("lender-0001")
    if tolerance is None:
        assert agent.stage == ARENA
        return
    assert agent.stage == PROVING
    weeks = (arena.row - agent.stage_row) / 28
    assert weeks >= 2
    assert agent.metrics["fidelity_bps"] == pytest.approx(-9.6 * weeks, abs=2.0 * weeks)
    with pytest.raises(ValidationError, match=r"live differs from simulation by 0\.\d+%, tolerated 0\.0200%"):
        arena.graduate_to_arena("lender-0001")


@pytest.fixture
def patient(make_arena: Make) -> tuple[ArenaManager, str]:
    """An agent that lent while it was judged, so is limited to lending, and would hold coins, that rise, ever since."""
    arena = make_arena(
        frame=synthetic_frame(80, drift=0.002), simulation_age_days_min=7, arena_age_days_min=300, agents=2
    )
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 1.0, "patience": 32.0})
    while arena.agent(name).stage == SIMULATION:
        arena.run_evolution_cycle()
    assert arena.agent(name).limits["coin"] == 0.0
    for _ in range(2):
        arena.run_evolution_cycle()
    assert arena.agent(name).stage == PROVING
    return arena, name


def test_the_record_of_proving_is_under_the_agents_limits(patient: tuple[ArenaManager, str]) -> None:
    arena, name = patient
    agent = arena.agent(name)
    record = arena.cycle.keeper.records([agent], arena.row)[name]
    coins = arena.world.coins["WETH"]
    assert coins[arena.row] / coins[agent.stage_row] > 1.05
    lending = arena.world.lending[arena.row] / arena.world.lending[agent.stage_row] - 1.0
    assert record.proving_return == pytest.approx(lending, abs=5e-4)
    assert record.fidelity_return == pytest.approx(lending, abs=1e-3)
    assert abs(agent.metrics["fidelity_bps"]) < 1.0


def test_the_record_of_proving_begins_anew_at_its_first_day(patient: tuple[ArenaManager, str]) -> None:
    """Not the rest of the simulation since birth: an own run from the day of the promotion, at the judged capital."""
    arena, name = patient
    agent, keeper = arena.agent(name), arena.cycle.keeper
    desk = arena.world.desks["holder"]
    assert agent.proving_row is not None
    anew = keeper.run(
        desk,
        np.array([agent.genome]),
        agent.proving_row,
        arena.row,
        limits=np.array([[agent.limits[role] for role in desk.role_names]]),
    )
    record = keeper.records([agent], arena.row)[name]
    days = (arena.row - agent.proving_row) // 4
    assert anew.curve[0][0] == keeper.judge_cash
    assert record.curve[-days - 1 :] / record.curve[-days - 1] == pytest.approx(anew.curve[0] / anew.curve[0][0])
