"""One agent's failure in a running arena: it dies by rule, its capital returns, the others never notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from treasury_arena.events import catalog
from treasury_arena.store import audit
from treasury_arena.testing.strategies import LenderState, LenderTarget


def endless(*_: Any) -> Any:
    turns = 0
    while True:
        turns += 1


def raising(*_: Any) -> Any:
    raise RuntimeError("author's mistake")


CASES: dict[str, tuple[Callable[..., Any], str]] = {
    "raise": (raising, "raised"),
    "loop": (endless, "loop"),
    "nan": (lambda *_: (LenderTarget(math.nan, 0.1), LenderState()), "target"),
    "infinity": (lambda *_: (LenderTarget(math.inf, 0.1), LenderState()), "target"),
    "over-sized": (lambda *_: (LenderTarget(1.5, 0.1), LenderState()), "target"),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_one_agents_error_does_not_reach_the_others(
    make_arena: Callable[..., Any], live_decide: Callable[..., Any], world: Any, case: str
) -> None:
    decide, kind = CASES[case]
    arena = make_arena(world=live_decide(world, "lender", decide), decision_seconds_max=0.05, agents=4)
    healthy = make_arena(agents=4)
    for _ in range(4):
        arena.run_evolution_cycle()
        healthy.run_evolution_cycle()
    failed = [(e.agent_id, e.payload.kind) for e in arena.store.read() if isinstance(e.payload, catalog.AgentFailed)]
    assert failed
    assert {told for _, told in failed} == {kind}
    assert all(agent.startswith("lender") for agent, _ in failed)
    assert len(failed) == len({agent for agent, _ in failed})
    for agent, _ in failed:
        assert (arena.agent(agent).stage, agent in arena.funding.accounts) == ("dead", False)
    for name, agent in healthy.state.agents.items():
        if name.startswith("holder"):
            other = arena.agent(name)
            assert (other.genome, other.born_row) == (agent.genome, agent.born_row)
            if agent.funded and other.stage == agent.stage == "proving":
                assert other.mark.daily_raw == agent.mark.daily_raw
    assert audit(arena.store).ok
