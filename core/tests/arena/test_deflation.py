"""The deflated Sharpe of a promotion: the floored Sharpe of the record against the luck of every trial, by an own formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.state import PROVING
from treasury_arena.errors import ValidationError
from treasury_arena.events import catalog
from treasury_arena.evolution.trials import TrialStats

GAUSS = NormalDist()
Make = Callable[..., ArenaManager]


def deflated(curve: Any, lending: Any, variance: float, trials: int) -> float:
    """Bailey and Lopez de Prado 2014 with the floored Sharpe in place of the plain one, written out."""
    excess = np.diff(curve) / curve[:-1] - np.diff(lending) / lending[:-1]
    days, spread = len(excess), excess.std()
    skew = ((excess - excess.mean()) ** 3).mean() / spread**3
    kurt = ((excess - excess.mean()) ** 4).mean() / spread**4
    risk = math.hypot(excess.std(ddof=1) * math.sqrt(365), 0.02)
    sharpe = excess.mean() * 365 / risk / math.sqrt(365)
    euler = 0.5772156649015329
    luck = math.sqrt(variance) * (
        (1 - euler) * GAUSS.inv_cdf(1 - 1 / trials) + euler * GAUSS.inv_cdf(1 - 1 / (trials * math.e))
    )
    deviation = math.sqrt(1 - skew * sharpe + (kurt - 1) / 4 * sharpe**2)
    return GAUSS.cdf((sharpe - luck) * math.sqrt(days - 1) / deviation)


@pytest.fixture
def waiting(make_arena: Make) -> ArenaManager:
    """An arena whose agents could be proven, but are held back by a stop that is released now."""
    arena = make_arena(coin_cap=0.6)
    arena.engine.emergency_stop("wait", "ann", "SOFT")
    for _ in range(4):
        arena.run_evolution_cycle()
    arena.engine.emergency_resume("go", "ann")
    return arena


def candidate(arena: ArenaManager, strategy: str) -> str:
    """An agent of the strategy with weeks of record."""
    return next(a.agent_id for a in arena.state.living() if a.strategy == strategy and a.metrics.get("days", 0) > 14)


def record_of(arena: ArenaManager, name: str) -> Any:
    return arena.cycle.keeper.records([arena.agent(name)], arena.row)[name]


def trials_told(arena: ArenaManager) -> tuple[int, dict[str, list[tuple[float, float, float]]]]:
    """All trials, and the told statistics of each strategy's trials, from the event log alone."""
    done = [e.payload for e in arena.store.read() if isinstance(e.payload, catalog.EvolutionCycleComplete)]
    parts: dict[str, list[tuple[float, float, float]]] = {}
    for payload in done:
        for strategy, (count, mean, m2) in payload.trial_sharpes.items():
            parts.setdefault(strategy, []).append((count, mean, m2))
    return sum(payload.trials for payload in done), parts


def pooled_variance(parts: list[tuple[float, float, float]]) -> float:
    count = sum(part[0] for part in parts)
    mean = sum(n * average for n, average, _ in parts) / count
    squares = sum(m2 + n * (average - mean) ** 2 for n, average, m2 in parts)
    return squares / (count - 1)


@pytest.mark.parametrize("strategy", ["holder", "lender"])
def test_a_promotion_tells_the_deflated_floored_sharpe(waiting: ArenaManager, strategy: str) -> None:
    name = candidate(waiting, strategy)
    curve = record_of(waiting, name).curve
    days = len(curve) - 1
    lending = waiting.world.lending[waiting.row - days * 4 : waiting.row + 1 : 4]
    trials, parts = trials_told(waiting)
    expected = deflated(curve, lending, pooled_variance(parts[strategy]), trials)
    waiting.graduate_to_proving(name)
    assert waiting.agent(name).stage == PROVING
    (told,) = [e.payload for e in waiting.store.read(agent_id=name) if isinstance(e.payload, catalog.AgentGraduated)]
    assert told.trials == trials > 50
    assert 0.0001 < expected < 0.9999
    assert told.deflated_sharpe == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("strategy", ["holder", "lender"])
def test_the_spread_of_other_strategies_trials_is_no_part_of_it(waiting: ArenaManager, strategy: str) -> None:
    """Pooled, a lender's near-zero spread would drown in how lenders differ from coin holders."""
    record, state = record_of(waiting, candidate(waiting, strategy)), waiting.state
    other = {"holder": "lender", "lender": "holder"}[strategy]
    known = dict(state.trial_stats)
    before = waiting.cycle.deflated_sharpe(strategy, record)
    state.trial_stats[other] = attrs.evolve(known[other], mean=5.0, m2=1e6)
    assert waiting.cycle.deflated_sharpe(strategy, record) == before
    state.trial_stats[strategy] = attrs.evolve(known[strategy], m2=100.0 * known[strategy].m2 + 1.0)
    assert waiting.cycle.deflated_sharpe(strategy, record) < before


def test_every_trial_of_the_run_makes_a_record_less_convincing(waiting: ArenaManager) -> None:
    record = record_of(waiting, candidate(waiting, "holder"))
    before = waiting.cycle.deflated_sharpe("holder", record)
    waiting.state.trials *= 1_000
    assert waiting.cycle.deflated_sharpe("holder", record) < before


def test_searches_count_trials_and_measure_them_by_strategy(waiting: ArenaManager) -> None:
    trials, parts = trials_told(waiting)
    assert set(parts) == {"holder", "lender"}
    assert waiting.state.trials == trials
    assert trials >= sum(count for told in parts.values() for count, _, _ in told)
    for strategy, told in parts.items():
        state: TrialStats = waiting.state.trial_stats[strategy]
        assert state.count == sum(count for count, _, _ in told)
        assert state.variance == pytest.approx(pooled_variance(told))
    assert parts["holder"] != parts["lender"]


@pytest.mark.parametrize("strategy", ["holder", "lender"])
def test_trials_are_measured_by_the_floored_sharpe_a_day(waiting: ArenaManager, strategy: str) -> None:
    """The same measure as the record's: a lender's plain Sharpe is in the hundreds."""
    genomes = np.array([agent.genome for agent in waiting.state.living() if agent.strategy == strategy])
    trained = waiting.cycle.breeder.train(waiting.world.desks[strategy], genomes, waiting.row)
    days = waiting.settings.training_days
    lending = waiting.world.lending[waiting.row - days * 4 : waiting.row + 1 : 4]
    lent = np.diff(lending) / lending[:-1]
    for curve, told in zip(trained.curve, trained.sharpes, strict=True):
        excess = np.diff(curve) / curve[:-1] - lent
        risk = math.hypot(excess.std(ddof=1) * math.sqrt(365), 0.02)
        assert told == pytest.approx(excess.mean() * 365 / risk / math.sqrt(365), rel=1e-9)


def test_before_the_first_cycle_nobody_has_a_record_to_be_judged_by(make_arena: Callable[..., ArenaManager]) -> None:
    arena = make_arena(simulation_deflated_min=0.5)
    agent = arena.spawn_agent("lender")
    with pytest.raises(ValidationError, match=f"agent {agent} cannot enter proving: .*0 days"):
        arena.graduate_to_proving(agent)
