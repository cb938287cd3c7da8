"""Gates in a running arena: what a rank moves and what it costs, stops, conservation, the last cycle, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.arena.causes import BY_RANK
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.contracts.protocol import ExactMarket
from treasury_arena.domain import statistics as stats
from treasury_arena.domain.stops import OFF
from treasury_arena.errors import AllocationError, CapitalConservationError, ValidationError
from treasury_arena.events import catalog
from treasury_arena.store import audit
from treasury_arena.testing.frames import synthetic_frame

USD = 10**6
Make = Callable[..., ArenaManager]


def payloads(arena: ArenaManager, kind: type, after: int = 0) -> list[Any]:
    return [event.payload for event in arena.store.read(after=after) if isinstance(event.payload, kind)]


def shallow(market: ExactMarket, most_raw: int) -> None:
    """Let a market refuse every trade that is larger."""
    trade = market.trade

    def refusing(state: Any, target_raw: int, row: int, control: tuple[float, ...] = ()) -> Any:
        if abs(target_raw - market.value(state, row)) > most_raw:
            raise ValidationError("deeper than the market")
        return trade(state, target_raw, row, control)

    market.trade = refusing  # type: ignore[method-assign]


def moved_by_rank(
    make_arena: Make, gas: float, *, stop: str = OFF, most_raw: int | None = None, **rules: Any
) -> tuple[int, int]:
    """Base units that ranking takes from a rich agent and gives to a poor one, each holding two positions.

    Both held positions are touched, so that moving costs about two actions; `gas` USD each, from the second week on. A `stop`
    is engaged, and markets take at most `most_raw` at once, when the ranking moves them.
    """
    frame = synthetic_frame(80, volatility=0.001)
    dear = np.where(np.arange(frame.rows) > 34 * 4, gas, 0.01)
    arena = make_arena(
        frame=synthetic_frame(80, volatility=0.001, columns={"gas.usd": dear}),
        simulation_age_days_min=300,
        lend_idle=False,
        agents=2,
        transfer_cost_max=0.002,
        **rules,
    )
    arena.run_evolution_cycle()
    rich, poor = (arena.spawn_agent("holder", {"share": 0.5, "band": 0.5}) for _ in range(2))
    arena.allocate_capital(rich, 4_000 * USD)
    arena.allocate_capital(poor, 1_000 * USD)
    arena.run_evolution_cycle()
    arena.run_evolution_cycle()
    if stop != OFF:
        arena.engine.emergency_stop("drill", "ann", stop)
    for market in arena.world.markets.values() if most_raw is not None else ():
        shallow(market, most_raw)
    before = arena.store.last()[0]

    def action() -> None:
        arena.funding.rebalance([rich, poor], arena.row)
        for name in (rich, poor):
            arena.funding.mark(arena.funding.accounts[name], arena.state.present_cycle, arena.row)

    arena._transact(action)
    taken = [p.amount_raw for p in payloads(arena, catalog.CapitalReturned, before) if p.reason == BY_RANK]
    given = [p.amount_raw for p in payloads(arena, catalog.CapitalAllocated, before) if p.reason == BY_RANK]
    assert audit(arena.store).ok
    return sum(taken), sum(given)


def test_m4_rank_moves_capital_when_moving_is_cheap(make_arena: Make) -> None:
    taken, given = moved_by_rank(make_arena, gas=0.01)
    assert taken == pytest.approx(2_000 * USD, rel=0.05)
    assert given == pytest.approx(1_000 * USD, rel=0.05)


def test_m4_rank_moves_nothing_when_moving_costs_too_much(make_arena: Make) -> None:
    """Two actions of 10 USD are 1% of 2,000 and 2% of 1,000; a fifth of a percent is the limit."""
    assert moved_by_rank(make_arena, gas=10.0) == (0, 0)


def test_m4_switched_off_moves_at_any_cost(make_arena: Make) -> None:
    taken, given = moved_by_rank(make_arena, gas=10.0, cost_gate=False)
    assert taken > 1_900 * USD
    assert given > 900 * USD


def test_m4_weighs_the_cost_against_the_part_that_a_thin_market_takes(make_arena: Make) -> None:
    """Two actions of 1 USD are a tenth of a percent of 2,000, and half a percent of the 400 that are sold at once."""
    whole, _ = moved_by_rank(make_arena, gas=1.0)
    assert whole == pytest.approx(2_000 * USD, rel=0.05)
    none, _ = moved_by_rank(make_arena, gas=1.0, most_raw=200 * USD)
    assert none == 0
    part, _ = moved_by_rank(make_arena, gas=0.01, most_raw=200 * USD)
    assert 0 < part < 401 * USD


@pytest.mark.parametrize("level", ["SOFT", "HARD"])
def test_under_a_stop_rank_gives_nobody_more(make_arena: Make, level: str) -> None:
    _, given = moved_by_rank(make_arena, gas=0.01, stop=level)
    assert given == 0


@pytest.mark.parametrize("drift", [0.005, -0.005])
def test_capital_moved_by_rank_is_no_return_of_those_it_leaves_and_reaches(make_arena: Make, drift: float) -> None:
    """Two hold the coin alone, so each day's live return is the coin's, also on the day on which capital moves."""
    frame = synthetic_frame(80, drift=drift, volatility=0.001, gas=0.01)
    arena = make_arena(frame=frame, simulation_age_days_min=300, lend_idle=False, agents=2)
    arena.run_evolution_cycle()
    rich, poor = (arena.spawn_agent("holder", {"share": 1.0}) for _ in range(2))
    arena.allocate_capital(rich, 4_000 * USD)
    arena.allocate_capital(poor, 1_000 * USD)
    arena.run_evolution_cycle()
    arena.run_evolution_cycle()

    def told(name: str) -> tuple[float, float, int]:
        account = arena.funding.accounts[name]
        return account.nav, 1.0 - account.nav / account.peak_nav, arena.funding.equity_raw(account, arena.row)

    def action() -> None:
        arena.funding.rebalance([rich, poor], arena.row)
        for name in (rich, poor):
            arena.funding.mark(arena.funding.accounts[name], arena.state.present_cycle, arena.row)

    before = {name: told(name) for name in (rich, poor)}
    arena._transact(action)
    assert [told(name)[:2] for name in (rich, poor)] == [before[name][:2] for name in (rich, poor)]
    moved = {name: told(name)[2] - before[name][2] for name in (rich, poor)}
    assert moved[rich] < -500 * USD
    assert moved[poor] > 500 * USD
    row, seq = arena.row, arena.store.last()[0]
    arena.run_evolution_cycle()
    price = frame["WETH.price"]
    for name, (nav, drawdown, _) in before.items():
        assert (nav - 1.0) * drift > 0.1 * abs(drift), "it has gained or lost a tenth before"
        (mark,) = [e.payload for e in arena.store.read(after=seq, agent_id=name, event_type="AgentMarked")]
        lived = np.array([nav, *mark.memory["daily_nav"]])
        assert len(lived) == 8
        days = price[row : arena.row + 1 : 4]
        # New capital waits a row for its decision, so the first day is a little off.
        assert lived[1:] / lived[:-1] == pytest.approx(days[1:] / days[:-1], abs=0.01)
        fallen = 1.0 - (1.0 - drawdown) * days[-1] / days[0] if drift < 0.0 else 0.0
        assert told(name)[1] == pytest.approx(fallen, abs=5e-3)


@pytest.fixture
def lending(make_arena: Make) -> ArenaManager:
    arena = make_arena(simulation_age_days_min=300, agents=2)
    arena.run_evolution_cycle()
    assert arena.treasury.cash_raw("arena") == 0
    return arena


def test_under_a_hard_stop_a_pool_takes_nothing_back(lending: ArenaManager) -> None:
    lending.engine.emergency_stop("drill", "ann", "HARD")
    with pytest.raises(AllocationError, match="the emergency stop is HARD"):
        lending.treasury.provide("arena", 100 * USD, lending.row)
    assert lending.journal.pending == 0
    assert lending.treasury.cash_raw("arena") == 0


def test_under_a_soft_stop_a_pool_may_take_back(lending: ArenaManager) -> None:
    lending.engine.emergency_stop("drill", "ann", "SOFT")
    lending.treasury.provide("arena", 100 * USD, lending.row)
    assert lending.treasury.cash_raw("arena") >= 100 * USD


def test_a_cycle_whose_ledger_does_not_sum_is_not_committed(make_arena: Make) -> None:
    arena = make_arena()
    arena.run_evolution_cycle()
    before = arena.store.last()
    arena.state.ledger._balances["gas", "USDC"] += 5
    with pytest.raises(CapitalConservationError, match=r"does not sum to zero: \{'USDC': 5\}"):
        arena.run_evolution_cycle()
    assert arena.store.last() == before
    report = arena.run_evolution_cycle()
    assert report is not None
    assert report.cycle == 1
    told = payloads(arena, catalog.CapitalConservationChecked)
    assert [(one.cycle, one.totals) for one in told] == [(0, {"USDC": "0"}), (1, told[1].totals)]
    assert set(told[1].totals.values()) == {"0"}


def test_on_the_last_cycle_nobody_is_promoted_born_or_given_capital(make_arena: Make, world: Any) -> None:
    """The same cycle promotes when another one follows it."""
    promoted = {}
    for days in (14, 21):
        short = attrs.evolve(world, last_row=world.first_row + days * 4)
        arena = make_arena(world=short, simulation_age_days_min=14, birth_cycles=1)
        arena.run()
        started = [e.seq for e in arena.store.read(event_type="EvolutionCycleStarted")]
        events = list(arena.store.read(after=started[2], upto=started[3] - 1 if days == 21 else None))
        promoted[days] = [e.agent_id for e in events if isinstance(e.payload, catalog.AgentGraduated)]
        if days == 14:
            assert not [e for e in events if isinstance(e.payload, catalog.AgentSpawned | catalog.CapitalAllocated)]
            assert payloads(arena, catalog.AgentGraduated) == []
    assert promoted[14] == []
    assert promoted[21]


def test_every_evaluated_genome_is_a_trial_and_births_know_their_overfitting(make_arena: Make) -> None:
    """12 genomes, then 11 children in each of two generations (the best is kept): 34 a strategy, whatever is archived."""
    arena = make_arena(generations=3, archive=5, birth_cycles=1, agents=4)
    arena.run_evolution_cycle()
    (complete,) = payloads(arena, catalog.EvolutionCycleComplete)
    assert complete.trials == arena.state.trials == 2 * (12 + 11 + 11)
    assert {name: told[0] for name, told in complete.trial_sharpes.items()} == {"holder": 34.0, "lender": 34.0}
    for strategy in ("holder", "lender"):
        born = [agent for agent in arena.state.living() if agent.strategy == strategy]
        _, pbo = arena.cycle.breeder.search(arena.world.desks[strategy], [], 0, arena.row)
        assert pbo is not None
        assert 0.0 <= pbo <= 1.0
        assert born
        assert {agent.training["pbo"] for agent in born} == {pbo}
    while not payloads(arena, catalog.AgentGraduated):
        arena.run_evolution_cycle()
    for event in arena.store.read(event_type="AgentGraduated"):
        agent = arena.agent(event.agent_id or "")
        assert event.payload.pbo == agent.training["pbo"]
        assert event.payload.trials >= 68


def test_what_was_tried_to_find_the_configured_agents_and_births_by_hand_count(make_arena: Make) -> None:
    arena = make_arena(agents=2, seeds=(("holder", {"share": 0.4}),), tried_before=70)
    plain = make_arena(agents=2, seeds=(("holder", {"share": 0.4}),))
    for one in (arena, plain):
        one.run_evolution_cycle()
    assert arena.state.trials == plain.state.trials + 70
    arena.mutate_agent(arena.spawn_agent("holder", {"share": 0.9}))
    assert arena.state.trials == plain.state.trials + 72
    for origin in ("search", "seed"):
        with pytest.raises(ValidationError, match=f"cannot have the origin '{origin}'"):
            arena.spawn_agent("holder", origin=origin)
    arena.reload()
    assert arena.state.trials == plain.state.trials + 72
    arena.run_evolution_cycle()
    plain.run_evolution_cycle()
    first, second = payloads(arena, catalog.EvolutionCycleComplete)
    assert first.trials - 70 == payloads(plain, catalog.EvolutionCycleComplete)[0].trials
    assert arena.state.trials == first.trials + 2 + second.trials


@pytest.mark.parametrize("refuse", [True, False])
def test_of_configured_agents_that_do_the_same_one_is_born(make_arena: Make, refuse: bool) -> None:
    """M8: the second has the first one's genome, the third does the same with another, the fourth is another."""
    same = {"share": 0.0, "band": 0.5}
    seeds = tuple(("holder", genes) for genes in (same, same, {**same, "band": 0.4}, {**same, "share": 0.8}))
    arena = make_arena(agents=2, seeds=seeds, refuse_clones=refuse)
    arena.run_evolution_cycle()
    born = [agent.genes for agent in arena.state.agents.values() if agent.origin == "seed"]
    wanted = [seeds[0][1], seeds[3][1]] if refuse else [genes for _, genes in seeds]
    assert [{gene: genes[gene] for gene in same} for genes in born] == wanted


def test_overfitting_is_judged_over_lending_as_the_search_is(make_arena: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against 0 it would be what each genome lends that tells them apart, on all days alike: never overfitted."""
    arena = make_arena(pbo_splits=4)
    breeder, desk = arena.cycle.breeder, arena.world.desks["holder"]
    first: list[Any] = []
    train = breeder.train
    monkeypatch.setattr(breeder, "train", lambda *given: first.append(train(*given)) or first[-1])
    _, pbo = breeder.search(desk, [], 0, arena.row)
    days = arena.settings.training_days
    lending = breeder.keeper.lending(arena.row - days * breeder.keeper.day, days)
    curves = first[0].curve[~first[0].failed]
    excess = np.unique(stats.daily_returns(curves) - stats.daily_returns(lending), axis=0)
    assert len(excess) >= 2
    floor = 0.02 / np.sqrt(365)
    assert pbo == stats.pbo_cscv(excess.T, 4, floor)
    assert pbo != stats.pbo_cscv(np.unique(stats.daily_returns(curves), axis=0).T, 4)


def test_pbo_needs_as_many_days_as_blocks(make_arena: Make) -> None:
    arena = make_arena(pbo_splits=22, birth_cycles=1, agents=2)
    arena.run_evolution_cycle()
    assert arena.state.living()
    assert all("pbo" not in agent.training for agent in arena.state.living())


def test_fresh_capital_goes_to_work_whatever_the_band(make_arena: Make) -> None:
    """A third more is inside a band of a half; it is put to work once, and also when the store is read in between."""
    digests = set()
    for reload in (False, True):
        arena = make_arena(simulation_age_days_min=300, lend_idle=False, agents=2)
        arena.run_evolution_cycle()
        name = arena.spawn_agent("lender", {"share": 1.0, "band": 0.5, "minimum_apr": 0.0})
        arena.allocate_capital(name, 1_000 * USD)
        arena.run_evolution_cycle()
        assert arena.funding.accounts[name].cash_raw == 0
        arena.allocate_capital(name, 500 * USD)
        assert arena.funding.accounts[name].cash_raw == 500 * USD
        if reload:
            arena.reload()
        arena.run_evolution_cycle()
        assert arena.funding.accounts[name].cash_raw == 0
        assert not arena.funding.accounts[name].fresh
        digests.add(arena.store.last())
    assert len(digests) == 1
