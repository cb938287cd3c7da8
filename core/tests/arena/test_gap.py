"""The gap that a report shows of a promoted agent: exact books less search model, same days, same capital, same limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.arena.gap import Gap, GapMeter
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.results import build_result
from treasury_arena.arena.state import ARENA, SIMULATION
from treasury_arena.contracts.validation import OrderFacts, Validator
from treasury_arena.testing.strategies import LENDER, LenderState, LenderTarget

Make = Callable[..., ArenaManager]
WEEK = 28


def idle(f: Any, g: Any, book: Any, s: LenderState) -> tuple[LenderTarget, LenderState]:
    return LenderTarget(0.0, 0.1), s


def lived(make_arena: Make, cycles: int = 5, **more: Any) -> ArenaManager:
    """Some weeks of one lender that is fit for everything."""
    arena = make_arena(
        agents=1,
        seeds=(("lender", {"share": 1.0, "minimum_apr": 0.0}),),
        simulation_floored_min=None,
        lend_idle=False,
        fidelity_tolerance=None,
        **more,
    )
    for _ in range(cycles):
        arena.run_evolution_cycle()
    return arena


def gap_bps(arena: ArenaManager) -> float | None:
    gap: float | None = told(arena)["gap_bps"]
    return gap


def told(arena: ArenaManager) -> dict[str, Any]:
    """What the result of the run says of its agent."""
    return next(agent for agent in build_result(arena).agents if agent["id"] == "lender-0001")


def test_what_lives_as_simulated_differs_by_the_rounding_to_base_units(make_arena: Make) -> None:
    arena = lived(make_arena, strategies=(LENDER,))
    assert arena.agent("lender-0001").stage == ARENA
    gap = gap_bps(arena)
    assert gap is not None
    assert 0.0 < abs(gap) < 1e-3


def test_a_live_decision_that_differs_shows_over_the_days_in_proving(
    make_arena: Make, live_decide: Callable[..., Any], world: Any
) -> None:
    """The model lends at 5% a year, 9.6 basis points a week, after paying some two to begin; the books keep cash."""
    arena = lived(make_arena, world=live_decide(world, "lender", idle))
    agent = arena.agent("lender-0001")
    assert agent.proving_row is not None
    assert agent.arena_row is not None
    assert arena.row > agent.arena_row
    weeks = (agent.arena_row - agent.proving_row) / WEEK
    assert gap_bps(arena) == pytest.approx(-9.6 * weeks + 2.0, abs=0.5)


def test_an_agent_that_was_never_promoted_has_none(make_arena: Make) -> None:
    arena = lived(make_arena, strategies=(LENDER,), simulation_age_days_min=300)
    assert arena.agent("lender-0001").stage == SIMULATION
    assert gap_bps(arena) is None
    assert told(arena)["gap_unmeasured"] is None


def test_an_agent_without_a_whole_day_in_proving_has_none_yet(make_arena: Make) -> None:
    arena = lived(make_arena, strategies=(LENDER,))
    agent = arena.agent("lender-0001")
    assert agent.proving_row is not None
    meter = GapMeter(arena.settings, arena.world, arena.limits)
    for rows in (0, 3):
        assert meter.gap(agent, agent.proving_row + rows) == Gap(None, "no whole day in proving yet")
    found = meter.gap(agent, agent.proving_row + 4)
    assert found.value is not None
    assert found.unmeasured == ""


def test_an_agent_whose_code_fails_live_has_none(make_arena: Make, live_decide: Callable[..., Any], world: Any) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    healthy = lived(make_arena, strategies=(LENDER,))
    agent = healthy.agent("lender-0001")
    meter = GapMeter(healthy.settings, live_decide(world, "lender", broken), healthy.limits)
    assert meter.gap(agent, healthy.row) == Gap(None, "the agent's code failed: RuntimeError: broken")


def test_the_runs_own_limits_and_validators_hold(make_arena: Make) -> None:
    """Where they refuse every order, the books earn nothing, and the gap is all that the model earned."""

    class Refuses(Validator):
        name = "never"

        def refuse(self, order: OrderFacts) -> str | None:
            return "never"

    arena = lived(make_arena, strategies=(LENDER,))
    agent = arena.agent("lender-0001")
    open_gap = GapMeter(arena.settings, arena.world, arena.limits).gap(agent, arena.row).value
    tiny = attrs.evolve(arena.limits, trade_raw_max=1.0)
    for meter in (
        GapMeter(arena.settings, arena.world, tiny),
        GapMeter(arena.settings, arena.world, arena.limits, (Refuses(),)),
    ):
        gap = meter.gap(agent, arena.row).value
        assert gap is not None
        assert open_gap is not None
        assert gap < open_gap - 1e-4


def test_nothing_is_traded_on_a_chain_for_a_figure(make_arena: Make) -> None:
    class OnChain:
        venue = "local"

    arena = lived(make_arena, strategies=(LENDER,))
    world = attrs.evolve(arena.world, markets=dict.fromkeys(arena.world.markets, OnChain()))
    gap = GapMeter(arena.settings, world, arena.limits).gap(arena.agent("lender-0001"), arena.row)
    assert gap.value is None
    assert re.fullmatch(r"market '\w+' trades on the venue 'local', where nothing can be lived again", gap.unmeasured)


def test_a_market_that_fails_costs_the_report_one_figure_and_the_result_says_why(make_arena: Make) -> None:
    class Failing:
        def __init__(self, market: Any) -> None:
            self.market = market

        def __getattr__(self, name: str) -> Any:
            return getattr(self.market, name)

        def trade(self, *_: Any) -> Any:
            raise RuntimeError("out of order")

    arena = lived(make_arena, strategies=(LENDER,))
    markets = arena.world.markets
    failing: Any = {name: Failing(market) for name, market in markets.items()}
    arena.world = attrs.evolve(arena.world, markets=failing)
    agent = told(arena)
    assert agent["gap_bps"] is None
    assert agent["gap_unmeasured"] == "RuntimeError: out of order"
    arena.world = attrs.evolve(arena.world, markets=markets)
    agent = told(arena)
    assert agent["gap_bps"] is not None
    assert agent["gap_unmeasured"] is None


def test_measuring_leaves_no_event_and_gives_the_same_again(make_arena: Make) -> None:
    arena = lived(make_arena, strategies=(LENDER,))
    before = arena.store.last(), arena.engine.get_execution_stats(), arena.get_capital_allocation_breakdown()
    first = gap_bps(arena)
    assert gap_bps(arena) == first
    assert (arena.store.last(), arena.engine.get_execution_stats(), arena.get_capital_allocation_breakdown()) == before
