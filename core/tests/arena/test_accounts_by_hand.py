"""Capital given by hand, and deaths by hand: the same rules as in a cycle, and nothing that a reload would change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.state import DEAD, PROVING, SIMULATION
from treasury_arena.errors import AllocationError, ValidationError
from treasury_arena.events import catalog
from treasury_arena.store import audit
from treasury_arena.testing.frames import reference_markets

USD = 10**6
Make = Callable[..., ArenaManager]


class Shut:
    """A market that refuses every trade while it is shut."""

    def __init__(self, market: Any) -> None:
        self.shut = False
        self._trade = market.trade
        market.trade = self

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        if self.shut:
            raise ValidationError("the market is shut")
        return self._trade(*arguments, **more)


def told(arena: ArenaManager, kind: type, name: str | None = None, after: int = 0) -> list[Any]:
    return [e.payload for e in arena.store.read(after=after, agent_id=name) if isinstance(e.payload, kind)]


def sound(arena: ArenaManager) -> None:
    assert not any(arena.verify_capital_conservation().values())
    report = audit(arena.store)
    assert report.ok, report.findings


def with_rules(arena: ArenaManager, **rules: Any) -> None:
    arena.settings = attrs.evolve(arena.settings, rules=attrs.evolve(arena.settings.rules, **rules))
    arena.reload()


@pytest.fixture
def holding(make_arena: Make, world: Any) -> tuple[ArenaManager, str, Shut]:
    """After four cycles: an agent, funded by hand, that holds coins and lends; and the lending market's door."""
    markets = reference_markets(world.frame)
    door = Shut(markets["usd"])
    arena = make_arena(
        world=attrs.evolve(world, markets=markets), simulation_age_days_min=300, lend_idle=False, agents=2
    )
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 0.5, "band": 0.5})
    arena.allocate_capital(name, 2_000 * USD, "arena")
    for _ in range(3):
        arena.run_evolution_cycle()
    assert set(arena.funding.accounts[name].positions) == {"coin", "usd"}
    return arena, name, door


def test_a_death_by_hand_with_one_position_unsold_survives_a_reload(holding: tuple[ArenaManager, str, Shut]) -> None:
    arena, name, door = holding
    with_rules(arena, death_floored_below=1e9, death_sharpe_age_days=1)
    door.shut = True
    assert name in arena.kill_underperformers()
    account = arena.funding.accounts[name]
    assert account.positions["coin"] == (0,)
    assert account.cash_raw > 500 * USD
    before = arena.get_capital_allocation_breakdown()
    arena.reload()
    assert arena.get_capital_allocation_breakdown() == before
    with_rules(arena, death_floored_below=None)
    arena.run_evolution_cycle()
    assert name in arena.funding.accounts
    door.shut = False
    arena.run_evolution_cycle()
    assert name not in arena.funding.accounts
    assert arena.get_capital_allocation_breakdown()["arena"]["allocated"] == 0
    sound(arena)


def test_marks_and_births_by_hand_carry_the_present_cycle(holding: tuple[ArenaManager, str, Shut]) -> None:
    arena, name, _ = holding
    assert arena.state.cycle == 3
    before = arena.store.last()[0]
    arena.allocate_capital(name, 100 * USD, "arena")
    assert arena.agent(arena.spawn_agent("lender")).born_cycle == 3
    with_rules(arena, death_floored_below=1e9, death_sharpe_age_days=1)
    arena.kill_underperformers()
    marks = told(arena, catalog.AgentMarked, name, before)
    assert len(marks) == 2
    assert {mark.cycle for mark in marks} == {3}


def test_a_failure_in_simulation_is_a_death_by_hand_too(
    holding: tuple[ArenaManager, str, Shut], monkeypatch: pytest.MonkeyPatch
) -> None:
    arena, name, _ = holding
    keeper = arena.cycle.keeper
    known = keeper.records(arena.state.living(), arena.row)
    failed = {agent: attrs.evolve(record, failed=agent == name) for agent, record in known.items()}
    monkeypatch.setattr(keeper, "records", lambda *_: failed)
    assert arena.kill_underperformers() == [name]
    assert [death.rule for death in told(arena, catalog.AgentKilled, name)] == ["failed"]
    assert [failure.kind for failure in told(arena, catalog.AgentFailed, name)] == ["target"]
    assert arena.agent(name).stage == DEAD
    assert name not in arena.funding.accounts
    sound(arena)


def test_a_failure_of_its_code_is_a_death_by_hand_too(holding: tuple[ArenaManager, str, Shut]) -> None:
    arena, name, _ = holding
    arena.funding.accounts[name].failed = ("raised", "ValueError: author's mistake")
    assert arena.kill_underperformers() == [name]
    assert [(d.rule, d.reason) for d in told(arena, catalog.AgentKilled, name)] == [
        ("failed", "ValueError: author's mistake")
    ]


SEEDS = (("holder", {"share": 0.4, "band": 0.5}), ("lender", {"minimum_apr": 0.0}))


def funded_before_proving(make_arena: Make, *, reload: bool, amount: int, pool: str, **more: Any) -> ArenaManager:
    """Two agents that are given capital while in simulation, and are promoted to proving a week later."""
    arena = make_arena(agents=2, birth_cycles=1, seeds=SEEDS, arena_age_days_min=14, **more)
    arena.run_evolution_cycle()
    for name in ("holder-0001", "lender-0001"):
        arena.allocate_capital(name, amount, pool)
        if reload:
            arena.reload()
    for _ in range(4):
        arena.run_evolution_cycle()
        if reload:
            arena.reload()
    return arena


@pytest.mark.parametrize(("amount", "pool"), [(10 * USD, "arena"), (400 * USD, "arena"), (200 * USD, "proving")])
def test_capital_given_in_simulation_goes_back_at_the_promotion(make_arena: Make, amount: int, pool: str) -> None:
    """Proving begins with the slot, its own limits and an empty account, whether or not the store was read anew."""
    rules = {"simulation_floored_min": None}
    arena = funded_before_proving(make_arena, reload=False, amount=amount, pool=pool, **rules)
    again = funded_before_proving(make_arena, reload=True, amount=amount, pool=pool, **rules)
    assert again.store.last() == arena.store.last()
    for name in ("holder-0001", "lender-0001"):
        agent = arena.agent(name)
        assert agent.proving_row is not None
        promoted = next(e for e in arena.store.read(agent_id=name) if isinstance(e.payload, catalog.AgentGraduated))
        given = told(arena, catalog.CapitalAllocated, name)
        assert [(one.pool, one.amount_raw) for one in given[:2]] == [(pool, amount), ("proving", 250 * USD)]
        entered = told(arena, catalog.AgentMarked, name, promoted.seq)[0]
        assert (entered.equity_raw, entered.positions) == (250 * USD, {})
        assert (entered.memory["nav"], entered.memory["first_row"]) == (1.0, agent.proving_row)
        returned = [p for p in told(arena, catalog.CapitalReturned, name) if p.reason == "promotion"]
        assert returned[0].pool == pool
        assert 0.97 * amount < returned[0].amount_raw <= 1.03 * amount
        if name in arena.funding.accounts:
            assert arena.funding.accounts[name].limits == dict(agent.limits)
    fidelity = [a.metrics["fidelity_bps"] for a in arena.state.agents.values() if "fidelity_bps" in a.metrics]
    assert fidelity
    assert max(abs(gap) for gap in fidelity) < 1.0
    assert sum(pool["total"] for pool in parts(arena)) == arena.get_capital_allocation_breakdown()["total"]
    sound(arena)


def parts(arena: ArenaManager) -> list[dict[str, int]]:
    breakdown = arena.get_capital_allocation_breakdown()
    return [breakdown[pool] for pool in ("reserve", "proving", "arena")]


def test_an_account_that_cannot_be_sold_keeps_its_agent_in_simulation(
    holding: tuple[ArenaManager, str, Shut],
) -> None:
    arena, name, door = holding
    with_rules(arena, simulation_age_days_min=7, simulation_floored_min=None)
    door.shut = True
    with pytest.raises(AllocationError, match="cannot be sold now"):
        arena.graduate_to_proving(name)
    assert not arena.funding.accounts[name].closing, "a refusal by hand changes nothing"
    arena.run_evolution_cycle()
    assert arena.agent(name).stage == SIMULATION
    assert arena.funding.accounts[name].closing
    sound(arena)
    door.shut = False
    arena.reload()
    arena.run_evolution_cycle()
    assert arena.agent(name).stage == PROVING
    assert arena.funding.pool_of(arena.funding.accounts[name]) == "proving"
    assert arena.get_capital_allocation_breakdown()["agents"][name] == 250 * USD
    sound(arena)


def test_an_account_once_being_closed_is_closed_whatever_becomes_of_the_promotion(
    holding: tuple[ArenaManager, str, Shut],
) -> None:
    arena, name, door = holding
    with_rules(arena, simulation_age_days_min=7, simulation_floored_min=None)
    door.shut = True
    arena.run_evolution_cycle()
    with_rules(arena, simulation_age_days_min=300)
    door.shut = False
    arena.run_evolution_cycle()
    assert arena.agent(name).stage == SIMULATION
    assert name not in arena.funding.accounts
    sound(arena)
