"""What is alive from earlier cycles counts when others are born."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.arena.births import same_behaviour
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena.testing.strategies import LENDER
from treasury_arena.testing.worlds import small_world

Make = Callable[..., ArenaManager]


@pytest.mark.parametrize("strategy", ["lender", "twin"])
def test_m8_refuses_what_an_agent_of_an_earlier_cycle_does_already(make_arena: Make, strategy: str) -> None:
    """Lenders whose minimum is below every rate behave alike; one lives since the cycle before, of this strategy or another."""
    twin = attrs.evolve(LENDER, name="twin")
    world = small_world(synthetic_frame(80), strategies=(LENDER, twin))
    lives = {"share": 1.0, "minimum_apr": 0.0}
    arena = make_arena(world=world, strategies=(LENDER, twin), agents=2, seeds=(("lender", lives),), population=8)
    arena.run_evolution_cycle()
    arena.run_evolution_cycle()
    breeder, desk = arena.cycle.breeder, world.desks[strategy]
    living = [agent for agent in arena.state.living() if agent.agent_id == "lender-0001"]
    assert [agent.born_cycle for agent in living] == [0]
    known = breeder.behaviours(living, arena.row)
    (curve,) = breeder.train(world.desks["lender"], np.array([living[0].genome]), arena.row).curve
    assert len(known) == 1
    assert same_behaviour(known[0], curve)
    result, pbo = breeder.search(desk, [], arena.state.cycle + 1, arena.row)
    genomes = np.array([desk.space.genome({**lives, "minimum_apr": 0.001}), desk.space.genome({**lives, "share": 0.5})])
    found = attrs.evolve(result, genomes=genomes, scores=result.scores[:2], founders=np.full((2, 2), -1))
    born = breeder.spawn(desk, found, [], known, 2, arena.state.cycle + 1, arena.row, pbo)
    assert [one.genes["share"] for one in born] == [0.5]


def test_genomes_that_failed_do_not_enter_the_probability_of_overfitting(
    make_arena: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their curves are flat for want of anything true: a column that the others are easily told from."""
    arena = make_arena(pbo_splits=4)
    breeder, desk, judged = arena.cycle.breeder, arena.world.desks["holder"], list[Any]()
    train, overfitting = breeder.train, breeder._pbo

    def failing(*given: Any) -> Any:
        trained = train(*given)
        failed = np.arange(len(trained.failed)) % 3 == 0
        excess = np.where(failed[:, None], 0.25, trained.excess)
        return attrs.evolve(trained, failed=failed, excess=excess)

    monkeypatch.setattr(breeder, "train", failing)
    monkeypatch.setattr(breeder, "_pbo", lambda excess: judged.append(excess) or overfitting(excess))
    breeder.search(desk, [], 0, arena.row)
    (excess,) = judged
    assert 0 < len(excess) == arena.settings.search.population - -(-arena.settings.search.population // 3)
    assert not (excess == 0.25).any()
