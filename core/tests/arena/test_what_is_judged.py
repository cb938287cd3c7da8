"""What judging and funding are given: the lending of a record's own days, the coin cap everywhere, the best half alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treasury_arena.arena import records
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.state import ARENA, PROVING
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.events import catalog
from treasury_arena.testing.worlds import MILLION

USD = MILLION
CAP = 0.25
Make = Callable[..., ArenaManager]


def test_a_record_is_held_against_the_lending_of_its_own_days(
    make_arena: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = make_arena(agents=3, birth_cycles=2)
    for _ in range(3):
        arena.run_evolution_cycle()
    seen: list[RecordBatch] = []
    judged = records.batch_metrics

    def watch(batch: RecordBatch, fitness: Any) -> Any:
        seen.append(batch)
        return judged(batch, fitness)

    monkeypatch.setattr(records, "batch_metrics", watch)
    arena.cycle.keeper.records(arena.state.living(), arena.row)
    lending, day = arena.world.lending, arena.world.frame.steps_per_day
    lengths = sorted(batch.curve.shape[1] for batch in seen)
    assert lengths[-1] > lengths[0]  # agents of different ages, each with days of its own
    for batch in seen:
        days = batch.curve.shape[1] - 1
        own = [lending[arena.row - (days - k) * day] / lending[arena.row - days * day] for k in range(days + 1)]
        np.testing.assert_allclose(batch.lending, own, rtol=1e-12)
    assert np.ptp(np.diff(np.log(lending))) > 1e-9  # a day's shift would be another series


@pytest.fixture
def capped(make_arena: Make) -> tuple[ArenaManager, str]:
    """An arena whose agents hold a quarter in coins at most, and an agent that wants coins alone, funded for three cycles."""
    arena = make_arena(agents=2, simulation_age_days_min=300, lend_idle=False, coin_cap=CAP)
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 1.0, "band": 0.01})
    arena.allocate_capital(name, 2_000 * USD, "arena")
    for _ in range(3):
        arena.run_evolution_cycle()
    return arena, name


def test_the_coin_cap_holds_in_every_record(capped: tuple[ArenaManager, str]) -> None:
    arena, name = capped
    record = arena.cycle.keeper.records([arena.agent(name)], arena.row)[name]
    assert len(record.curve) > 14
    assert CAP - 0.02 < record.coin_share < CAP + 0.02


def test_the_coin_cap_holds_for_capital(capped: tuple[ArenaManager, str]) -> None:
    arena, name = capped
    marks = [
        event.payload for event in arena.store.read(agent_id=name) if isinstance(event.payload, catalog.AgentMarked)
    ]
    shares = [mark.shares["coin"] for mark in marks if mark.shares.get("coin")]
    assert len(shares) >= 2
    assert all(CAP - 0.02 < share < CAP + 0.02 for share in shares)


def test_only_the_best_half_of_the_proven_enters_the_arena(make_arena: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    arena = make_arena(agents=8, birth_cycles=1, proving_agents=4, arena_top_share=0.5)
    while not arena.state.living(PROVING):
        arena.run_evolution_cycle()
    proving = arena.state.living(PROVING)
    known = arena.cycle.keeper.records(proving, arena.row)
    entered: list[str] = []
    monkeypatch.setattr(arena.cycle, "held_back_from_arena", lambda *_: None)
    monkeypatch.setattr(arena.cycle, "enter_arena", lambda agent, *_: entered.append(agent.agent_id))
    arena.cycle._to_arena(known, arena.row)
    by_fitness = sorted(known, key=lambda name: (-known[name].metrics["fitness"], name))
    assert len(by_fitness) >= 4
    assert entered == by_fitness[: len(by_fitness) // 2]
    assert not arena.state.living(ARENA)
