"""The mechanics M1 to M9 and the corner cases of the specification, each with its test.

| case | test |
|---|---|
| M1 unallocated pools are lent, the reserve stays idle unless it is told to lend | test_m1_* |
| M2 a record covers only what it held; a lender stays a lender | test_m2_*, test_judging |
| M3 records are judged at arena scale, fidelity at the slot's capital | test_m3_* |
| M4 capital moves only when the cost allows it | test_m4_*, test_allocation |
| M5 one agent at most a quarter of the pool | test_m5_*, test_allocation |
| M6 growth from proving to the arena ramps | test_m6_*, test_allocation |
| M7 at most so many days in proving | test_m7_*, test_judging |
| M8 no clones, in genome or behaviour | test_m8_* |
| M9 births are staggered | test_m9_* |
| an agent that never trades; a farmer's minimum above every rate | test_a_minimum_above_every_rate_never_trades |
| zero variance; one tiny cost then nothing | test_zero_variance_is_finite, the fitness plugin's tests |
| proving slots all taken | test_proving_slots_all_taken |
| "top 50%" of one agent; ties; equal fitness everywhere | test_judging, test_equal_fitness_everywhere |
| 0 -> 1,000 against the tenfold rule | test_allocation, test_a_first_allocation_is_exempt |
| arena of one, of two, empty | test_an_arena_of * |
| tier rounding | test_allocation |
| an entrant into a fully allocated pool; returns first, free cash never negative | test_an_entrant_into_a_full_pool |
| many retirements at once | test_many_retirements_at_once |
| every agent dead | test_every_agent_dead |
| leap year | test_a_leap_day_is_a_day |
| "at age 60" at every judgement from then on | test_judging |
| mutation never moves a zero or a choice gene | the genetics plugin's tests |
| live against record on different start days | test_m3_fidelity_is_of_the_same_days |
| a WETH lender in USD accounts | test_a_coin_lender_in_usd_accounts |
| 0.5% coins and 99.5% lending | test_diluted_lender_is_a_lender |
| all training scores below zero | test_all_training_scores_below_zero |
| quotas per strategy | test_quotas_* |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.arena import judging
from treasury_arena.arena.births import same_behaviour
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.metrics import batch_metrics
from treasury_arena.arena.results import build_result
from treasury_arena.arena.state import ARENA, PROVING, RETIRED, SIMULATION
from treasury_arena.config.settings import Population
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.contracts.strategy import Role
from treasury_arena.domain.rules import Rules
from treasury_arena.errors import AllocationError, ValidationError
from treasury_arena.events import catalog
from treasury_arena.store import audit
from treasury_arena.testing.frames import START, synthetic_frame
from treasury_arena.testing.strategies import HOLDER, LENDER
from treasury_arena.testing.worlds import MILLION, small_world

USD = MILLION
Make = Callable[..., ArenaManager]


def run(arena: ArenaManager, cycles: int) -> ArenaManager:
    for _ in range(cycles):
        arena.run_evolution_cycle()
    return arena


def sound(arena: ArenaManager) -> None:
    """Sums are zero, no pool is over-allocated, the store tells the same."""
    assert not any(arena.verify_capital_conservation().values())
    breakdown = arena.get_capital_allocation_breakdown()
    assert all(breakdown[pool]["cash"] >= 0 for pool in ("reserve", "proving", "arena"))
    assert audit(arena.store).ok


def payloads(arena: ArenaManager, kind: type) -> list[Any]:
    return [event.payload for event in arena.store.read() if isinstance(event.payload, kind)]


def test_m1_idle_pools_are_lent_and_earn(make_arena: Make) -> None:
    arena = run(make_arena(simulation_age_days_min=300), 3)
    breakdown = arena.get_capital_allocation_breakdown()
    assert breakdown["arena"]["lent"] > 8_000 * USD
    assert breakdown["proving"]["lent"] > 1_000 * USD
    assert breakdown["reserve"] == {"cash": 1_000 * USD, "lent": 0, "allocated": 0, "total": 1_000 * USD}
    sound(arena)


def test_m1_the_reserve_lends_when_told_to_and_nothing_does_when_switched_off(make_arena: Make) -> None:
    lending = run(make_arena(simulation_age_days_min=300, reserve_lend=True), 3)
    assert lending.get_capital_allocation_breakdown()["reserve"]["lent"] > 1_000 * USD
    idle = run(make_arena(simulation_age_days_min=300, lend_idle=False), 3)
    assert idle.get_capital_allocation_breakdown()["total"] == 10_000 * USD
    assert payloads(idle, catalog.IdleCapitalMoved) == []


def test_pools_that_lend_a_coin_are_coin_exposure(make_arena: Make) -> None:
    """Configuration refuses such an idle market; were one used, the report's control must hold the same coins."""
    arena = run(
        make_arena(frame=synthetic_frame(80, drift=0.004), simulation_age_days_min=300, idle_market="coin_lending"), 5
    )
    result = build_result(arena)
    assert float(result.benchmarks["passive_mean_weight"]["label"].split()[1].rstrip("%")) > 80.0
    assert not result.verdict["skill"]
    stable = build_result(run(make_arena(simulation_age_days_min=300), 3))
    assert stable.benchmarks["passive_mean_weight"]["label"].startswith("control: 0.0%")


def test_m2_the_arena_never_widens_a_limit(make_arena: Make) -> None:
    """What the simulation would have held after the promotion to proving is no part of the record."""
    arena = run(make_arena(exposure_min=0.0), 8)
    graduations = [agent.graduations for agent in arena.state.agents.values() if len(agent.graduations) == 2]
    assert graduations
    for proving, entered in graduations:
        assert all(entered.limits[role] <= proving.limits[role] for role in proving.limits)


def test_m2_a_patient_holder_is_judged_by_what_it_held(make_arena: Make) -> None:
    """Flat while judged, all coins afterwards: labelled a lender, and held to lending once funded."""
    frame = synthetic_frame(80, drift=0.002)
    arena = make_arena(frame=frame, simulation_age_days_min=7, agents=2)
    arena.run_evolution_cycle()
    name = arena.spawn_agent("holder", {"share": 1.0, "patience": 32.0})
    while arena.agent(name).stage == SIMULATION and arena.run_evolution_cycle() is not None:
        continue
    agent = arena.agent(name)
    assert agent.label == "lender"
    assert agent.limits["coin"] == 0.0
    run(arena, 2)
    assert "coin" not in arena.funding.accounts[name].positions
    said = {event.payload.label for event in arena.store.read(event_type="PerformanceRecorded", agent_id=name)}
    assert said == {"lender"}, "the label that it was promoted with stays"


def test_m2_no_funded_agent_drifts_beyond_its_limits(make_arena: Make) -> None:
    """A rising coin and a band that never lets go: still nobody holds more than the cap, a record's share, and 1%."""
    arena = make_arena(
        frame=synthetic_frame(80, drift=0.005),
        coin_cap=0.3,
        agents=2,
        seeds=tuple(("holder", {"share": share, "band": 0.5, "patience": 0.0}) for share in (0.3, 0.6, 0.9)),
    )
    largest = 0.0
    while arena.run_evolution_cycle() is not None:
        for name, account in arena.funding.accounts.items():
            if "coin" in account.positions:
                values = arena.funding._values(account, arena.row)
                share = values["coin"] / arena.funding.equity_raw(account, arena.row)
                limit = min(0.3, arena.agent(name).limits.get("coin", 1.0))
                assert share < limit + 0.01 + 0.02  # the tolerance, and what a row or two move before the trade
                largest = max(largest, share)
    assert largest > 0.25


def test_m3_judging_scale_and_slot_scale_differ(make_arena: Make) -> None:
    arena = make_arena()
    keeper = arena.cycle.keeper
    assert keeper.judge_cash == 8_000.0 / 4
    assert make_arena(judge_at_arena_scale=False).cycle.keeper.judge_cash == 250.0


def test_m3_fidelity_is_of_the_same_days(make_arena: Make) -> None:
    """Live in exact integers against a simulation begun the same day with the same capital: within a basis point."""
    arena = run(make_arena(), 4)
    proving = arena.state.living(PROVING)
    assert proving
    assert len({agent.proving_row for agent in proving}) >= 1
    assert all(abs(agent.metrics["fidelity_bps"]) < 1.0 for agent in proving if "fidelity_bps" in agent.metrics)


@pytest.mark.parametrize("gate", ["simulation_deflated_min", "simulation_pbo_max", "simulation_psr_zero_min"])
def test_statistical_gates_hold_agents_back(make_arena: Make, gate: str) -> None:
    """The loosest value lets through what is promoted without the gate; a strict one holds back."""
    loosest, strict = (1.0, 0.0) if gate.endswith("max") else (0.0, 1.0)
    free, loose, closed = (run(make_arena(**more), 4) for more in ({}, {gate: loosest}, {gate: strict}))
    promoted = [
        [e.agent_id for e in one.store.read() if isinstance(e.payload, catalog.AgentGraduated)]
        for one in (free, loose, closed)
    ]
    assert promoted[0] == promoted[1] != []
    if gate == "simulation_pbo_max":
        assert all(closed.agent(name).training["pbo"] == 0.0 for name in promoted[2])
    assert len(promoted[2]) < len(promoted[0])


def test_m4_no_capital_moves_when_moving_costs_too_much(make_arena: Make) -> None:
    dear = run(make_arena(frame=synthetic_frame(80, gas=40.0), transfer_cost_max=0.001), 5)
    assert payloads(dear, catalog.IdleCapitalMoved) == []
    cheap = run(make_arena(frame=synthetic_frame(80, gas=40.0), cost_gate=False), 2)
    assert payloads(cheap, catalog.IdleCapitalMoved) != []


@pytest.mark.parametrize(("gas", "grows"), [(17.0, True), (19.0, False)])
def test_m4_counts_what_taking_back_lent_capital_costs(make_arena: Make, gas: float, grows: bool) -> None:
    """An agent all in cash is to grow from 200 to about 2,000 USD: 1% of what moves is 18 USD."""
    arena = run(make_arena(frame=synthetic_frame(80, gas=gas), simulation_age_days_min=300), 2)
    agent = arena.spawn_agent("lender")
    arena.allocate_capital(agent, 200 * USD, "arena")
    assert arena.treasury.cash_raw("arena") < 40 * USD
    arena.funding.rebalance([agent], arena.row)
    assert (arena.funding.accounts[agent].cash_raw > 1_500 * USD) == grows


def test_m4_cash_of_the_pool_moves_where_taking_back_is_too_dear(make_arena: Make) -> None:
    arena = run(make_arena(frame=synthetic_frame(80, gas=19.0), simulation_age_days_min=300), 2)
    first, second = arena.spawn_agent("lender"), arena.spawn_agent("lender")
    arena.allocate_capital(first, 500 * USD, "arena")
    arena.allocate_capital(second, 200 * USD, "arena")
    arena.funding.give_back(arena.funding.accounts[first], "arena", 300 * USD, arena.row, "test")
    cash = arena.treasury.cash_raw("arena")
    arena.funding.rebalance([second], arena.row)
    assert arena.funding.accounts[second].cash_raw == 200 * USD + cash
    assert arena.treasury.cash_raw("arena") == 0


def test_m4_lent_capital_is_taken_back_once_for_all_who_grow(make_arena: Make) -> None:
    arena = run(make_arena(simulation_age_days_min=300), 2)
    agents = [arena.spawn_agent("lender") for _ in range(3)]
    for agent in agents:
        arena.allocate_capital(agent, 100 * USD, "arena")
    arena.funding.rebalance(agents, arena.row)
    arena.journal.commit()
    grown = [event for event in arena.store.read() if getattr(event.payload, "reason", "") == "rank"]
    assert len(grown) == 3
    moved = [event.seq for event in arena.store.read() if isinstance(event.payload, catalog.IdleCapitalMoved)]
    assert moved[-1] == grown[0].seq - 1
    assert [event.seq for event in grown] == list(range(grown[0].seq, grown[0].seq + 3))
    assert all(arena.funding.accounts[agent].cash_raw > 200 * USD for agent in agents)


def test_lent_capital_is_taken_back_once_for_all_who_enter_proving(make_arena: Make) -> None:
    arena = make_arena(simulation_age_days_min=7, birth_cycles=1)
    while arena.run_evolution_cycle() is not None:
        by_cycle: list[tuple[int, int]] = []
        taken = entered = 0
        for event in arena.store.read():
            if isinstance(event.payload, catalog.EvolutionCycleComplete):
                by_cycle.append((entered, taken))
                taken = entered = 0
            elif isinstance(event.payload, catalog.CapitalAllocated) and event.payload.reason == "proving slot":
                entered += 1
            elif isinstance(event.payload, catalog.IdleCapitalMoved) and event.payload.pool == "proving":
                taken += event.payload.amount_raw < 0
    assert max(entered for entered, _ in by_cycle) > 1
    assert all(taken <= 1 for _, taken in by_cycle)


def test_m5_and_m6_grow_within_ten_times_to_a_quarter(make_arena: Make) -> None:
    arena = make_arena(proving_slot_raw=20 * USD, simulation_age_days_min=7, arena_age_days_min=7)
    before: dict[str, int] = {}
    largest = 0
    while arena.run_evolution_cycle() is not None:
        now = {
            agent.agent_id: arena.get_capital_allocation_breakdown()["agents"][agent.agent_id]
            for agent in arena.state.living(ARENA)
        }
        pool = arena.get_capital_allocation_breakdown()["arena"]["total"]
        for name, equity in now.items():
            assert equity <= 0.2505 * pool
            if name in before:
                assert equity <= before[name] * 10.05
            largest = max(largest, equity)
        before = now
    assert largest > 1_000 * USD
    sound(arena)


def test_m6_switched_off_grows_at_once(make_arena: Make) -> None:
    arena = make_arena(proving_slot_raw=20 * USD, ramp=False, share_cap=False)
    while not arena.state.living(ARENA):
        arena.run_evolution_cycle()
    arena.run_evolution_cycle()
    richest = max(arena.get_capital_allocation_breakdown()["agents"].values())
    assert richest > 20 * USD * 100
    sound(arena)


def test_m7_proving_ends_after_its_days(make_arena: Make) -> None:
    arena = run(make_arena(proving_days_max=14, arena_floored_min=1e9), 6)
    retired = [agent for agent in arena.state.agents.values() if agent.stage == RETIRED]
    assert retired
    assert {payload.rule for payload in payloads(arena, catalog.AgentRetired)} == {"proving_limit"}
    assert all(agent.ended_row - agent.stage_row == 14 * 4 for agent in retired if agent.ended_row)
    assert not arena.state.living(ARENA)
    sound(arena)


def test_m8_no_living_agent_equals_another(make_arena: Make) -> None:
    arena = run(make_arena(agents=12, birth_cycles=3), 4)
    for strategy in ("holder", "lender"):
        genomes = [agent.genome for agent in arena.state.living() if agent.strategy == strategy]
        assert len(genomes) == len(set(genomes)) > 1


def test_m8_clones_by_behaviour_are_refused(make_arena: Make) -> None:
    """Lenders whose minimum is below every rate behave alike whatever the minimum: only one is born."""
    arena = make_arena(strategies=(LENDER,), agents=6, birth_cycles=1, population=8)
    arena.run_evolution_cycle()
    lenders = arena.state.living()
    curves = arena.cycle.breeder.train(
        arena.world.desks["lender"], np.array([agent.genome for agent in lenders]), arena.row
    ).curve
    pairs = [(i, j) for i in range(len(lenders)) for j in range(i)]
    assert not any(same_behaviour(curves[i], curves[j]) for i, j in pairs)
    assert same_behaviour(curves[0], curves[0] * (1.0 + 1e-12))


def test_m8_clones_of_another_strategy_are_refused(make_arena: Make) -> None:
    """Two strategies that differ in name alone: what one has bred the other may not repeat."""
    twin = attrs.evolve(LENDER, name="twin")
    world = small_world(synthetic_frame(80), strategies=(LENDER, twin))
    strategies = {"world": world, "strategies": (LENDER, twin), "agents": 12, "birth_cycles": 1, "population": 8}
    arena = make_arena(**strategies)
    arena.run_evolution_cycle()
    curves = [
        arena.cycle.breeder.train(world.desks[agent.strategy], np.array([agent.genome]), arena.row).curve[0]
        for agent in arena.state.living()
    ]
    assert not any(same_behaviour(curves[i], curves[j]) for i in range(len(curves)) for j in range(i))
    free = make_arena(**strategies, refuse_clones=False)
    free.run_evolution_cycle()
    assert len(free.state.living()) == 12 > len(curves)


def test_m9_births_are_staggered_over_the_first_cycles(make_arena: Make) -> None:
    arena = make_arena(agents=8, birth_cycles=4, refuse_clones=False)
    assert [arena.cycle.breeder.quotas(cycle) for cycle in range(5)] == [
        {"holder": n, "lender": n} for n in (1, 2, 3, 4, 4)
    ]
    run(arena, 4)
    assert Counter(agent.born_cycle for agent in arena.state.agents.values()) == {0: 2, 1: 2, 2: 2, 3: 2}
    at_once = make_arena(agents=8, birth_cycles=4, stagger_births=False)
    assert at_once.cycle.breeder.quotas(0) == {"holder": 4, "lender": 4}


def test_quotas_share_places_equally_and_use_every_place(make_arena: Make) -> None:
    assert make_arena(agents=7, birth_cycles=1).cycle.breeder.quotas(0) == {"holder": 4, "lender": 3}


def test_the_quota_counts_the_living_of_all_stages(make_arena: Make) -> None:
    arena = make_arena(refuse_clones=False)
    stages = set()
    while arena.run_evolution_cycle() is not None:
        stages |= {agent.stage for agent in arena.state.living()}
        assert len(arena.state.living()) <= 8
    assert stages == {SIMULATION, PROVING, ARENA}
    assert "all stages" in attrs.fields(Population).agents.metadata["help"]


def test_a_minimum_above_every_rate_never_trades(make_arena: Make) -> None:
    arena = make_arena(
        strategies=(LENDER,), agents=1, simulation_age_days_min=7, seeds=(("lender", {"minimum_apr": 0.5}),)
    )
    run(arena, 5)
    agent = arena.agent("lender-0001")
    assert agent.metrics["total_return"] == 0.0
    assert agent.metrics["sharpe"] == 0.0
    assert all(np.isfinite(value) for value in agent.metrics.values())
    assert arena.state.counts["orders"] == 0
    assert agent.funded
    sound(arena)


def test_zero_variance_is_finite() -> None:
    flat = np.ones((3, 31))
    flat[1, 1:] -= 1e-9  # one tiny cost, then nothing
    flat[2] = 1.0001 ** np.arange(31)
    zero = np.zeros(3)
    records = RecordBatch(flat, 1.0001 ** np.arange(31), zero, zero, zero, np.zeros(3, dtype=np.bool_))
    metrics = batch_metrics(records, {})
    assert all(np.isfinite(values).all() for values in metrics.values())
    assert metrics["sharpe"][0] == 0.0
    assert metrics["floored_sharpe"][0] < 0.0


def test_proving_slots_all_taken(make_arena: Make) -> None:
    arena = run(make_arena(proving_agents=1, arena_floored_min=1e9), 4)
    assert len(arena.state.living(PROVING)) == 1
    waiting = arena.state.living(SIMULATION)[0].agent_id
    with pytest.raises(AllocationError, match="all 1 places in proving are taken"):
        arena.graduate_to_proving(waiting)
    sound(arena)


def test_equal_fitness_everywhere(make_arena: Make) -> None:
    class Constant(type(make_arena().settings.judge_fitness)):  # type: ignore[misc]
        def score(self, records: RecordBatch) -> Any:
            return np.zeros(records.agents)

    arena = run(make_arena(judge_fitness=Constant(), search_fitness=Constant(), arena_top_share=0.5), 3)
    promoted = [agent.agent_id for agent in arena.state.agents.values() if agent.stage == ARENA]
    proving = [agent.agent_id for agent in arena.state.living(PROVING)]
    assert promoted != []
    assert not proving or max(promoted) < min(proving)  # of equals the first by name
    assert judging.best_share([("b", 0.0), ("a", 0.0)], 0.5) == ["a"]
    sound(arena)


def test_a_first_allocation_is_exempt(arena: ArenaManager) -> None:
    name = arena.spawn_agent("lender")
    arena.allocate_capital(name, 1_000 * USD)
    with pytest.raises(ValidationError, match="more than 10 times"):
        arena.allocate_capital(name, 9_000 * USD + 1)


def test_an_arena_of_none_runs(make_arena: Make) -> None:
    arena = run(make_arena(simulation_floored_min=1e9), 4)
    assert arena.state.living(PROVING, ARENA) == []
    assert arena.get_capital_allocation_breakdown()["agents"] == {}
    sound(arena)


@pytest.mark.parametrize("places", [1, 2])
def test_an_arena_of_one_and_of_two(make_arena: Make, places: int) -> None:
    arena = run(make_arena(arena_agents_max=places), 7)
    members = arena.state.living(ARENA)
    breakdown = arena.get_capital_allocation_breakdown()
    assert len(members) == places
    assert all(breakdown["agents"][agent.agent_id] <= 0.2505 * breakdown["arena"]["total"] for agent in members)
    sound(arena)


def test_an_entrant_into_a_full_pool(make_arena: Make) -> None:
    """Four agents hold the whole pool; one dies, another enters: returns first, and cash is never negative."""
    arena = make_arena(share_cap=False, tier_elite_capital=0.5, tier_active_capital=0.3, tier_challenger_capital=0.2)
    while arena.run_evolution_cycle() is not None:
        assert all(arena.get_capital_allocation_breakdown()[pool]["cash"] >= 0 for pool in ("proving", "arena"))
    assert arena.state.counts["graduations_arena"] > 0
    sound(arena)


def test_many_retirements_at_once(make_arena: Make) -> None:
    arena = make_arena(retirement_age_days=21, birth_cycles=1, simulation_age_days_min=7)
    run(arena, 5)
    retired = payloads(arena, catalog.AgentRetired)
    assert len(retired) >= 6
    assert {payload.rule for payload in retired} == {"age"}
    assert arena.get_capital_allocation_breakdown()["agents"].keys() <= {a.agent_id for a in arena.state.living()}
    sound(arena)


def test_every_agent_dead(make_arena: Make) -> None:
    """All die at every judgement; the arena goes on with births, and all capital is back in its pools."""
    arena = make_arena(death_floored_below=1e9, death_sharpe_age_days=7, simulation_age_days_min=300, birth_cycles=1)
    run(arena, 4)
    assert arena.state.counts["deaths"] >= 6
    assert {agent.born_cycle for agent in arena.state.living()} == {3}
    assert arena.get_capital_allocation_breakdown()["agents"] == {}
    sound(arena)


def test_a_leap_day_is_a_day(make_arena: Make) -> None:
    """The run passes 29 February 2024: a cycle stays seven days long."""
    arena = make_arena()
    frame = arena.world.frame
    days = [frame.time(row).strftime("%m-%d") for row in arena.schedule()]
    assert "02-25" in days
    assert "03-03" in days
    run(arena, 7)
    assert all(b - a == 7 * 4 for a, b in zip(arena.schedule()[:-2], arena.schedule()[1:-1], strict=True))
    born = [agent for agent in arena.state.living() if agent.born_cycle == 0]
    assert {agent.metrics["days"] for agent in born} == {42.0}
    assert START == 1_704_067_200


def test_a_coin_lender_in_usd_accounts(make_arena: Make, world: Any) -> None:
    """Lending WETH is coin exposure: worth, returns and limits are told in USD."""
    lender = attrs.evolve(LENDER, name="weth-lender", roles={"usd": Role("lending", "coin_lending")})
    frame = synthetic_frame(80, drift=0.004)
    weth = small_world(frame, strategies=(lender,))
    assert weth.desks["weth-lender"].coin_roles == frozenset({"usd"})
    arena = make_arena(world=weth, strategies=(lender,), agents=2, seeds=(("weth-lender", {"share": 1.0}),))
    run(arena, 4)
    agent = arena.agent("weth-lender-0001")
    assert agent.metrics["coin_share"] > 0.5
    assert agent.label == ""
    account = arena.funding.accounts["weth-lender-0001"]
    held = arena.world.markets["coin_lending"].holdings(account.positions["usd"])
    worth = arena.funding.equity_raw(account, arena.row) / USD
    price = frame["WETH.price"][arena.row]
    assert worth == pytest.approx(held["WETH"] / 10**18 * price + account.cash_raw / USD, rel=1e-9)
    sound(arena)


def test_diluted_lender_is_a_lender() -> None:
    """0.5% coins and 99.5% lending buys the owner's formula; the record's label says what it is."""
    rules = Rules()
    assert judging.record_label(0.005, rules) == "lender"
    assert judging.record_limits({"coin": 0.005, "usd": 1.0}, frozenset({"coin"}), "lender", rules) == {
        "coin": 0.0,
        "usd": 1.0,
    }


def test_all_training_scores_below_zero(make_arena: Make) -> None:
    arena = make_arena(frame=synthetic_frame(80, gas=30.0), strategies=(HOLDER,), agents=2, birth_cycles=1)
    arena.run_evolution_cycle()
    born = arena.state.living()
    assert born
    assert all(agent.training["score"] < 0.0 for agent in born)


def test_lineage_is_of_known_agents_only(make_arena: Make) -> None:
    arena = run(make_arena(retirement_age_days=14, birth_cycles=1), 6)
    known = set(arena.state.agents)
    parents = [parent for agent in arena.state.agents.values() for parent in agent.parents]
    assert parents
    assert set(parents) <= known
    for agent in arena.state.agents.values():
        assert all(arena.state.agents[parent].born_row < agent.born_row for parent in agent.parents)


def test_segments_of_a_record_chain(make_arena: Make) -> None:
    """Simulation, proving and live parts join into one curve of one value a day since birth."""
    arena = run(make_arena(), 6)
    members = arena.state.living(ARENA)
    assert members
    records = arena.cycle.keeper.records(members, arena.row)
    for agent in members:
        curve = records[agent.agent_id].curve
        assert len(curve) == (arena.row - agent.born_row) // 4 + 1
        assert curve[0] == 1.0
        assert curve[-1] / curve[-len(agent.arena_nav)] == pytest.approx(agent.arena_nav[-1] / agent.arena_nav[0])


def test_fitness_is_calculated_before_it_is_recorded(make_arena: Make) -> None:
    """Historic defect, the arena's side: a judgement covers every day up to now, the newest days of live trading too."""
    arena = make_arena()
    while arena.run_evolution_cycle() is not None:
        for agent in arena.state.living():
            assert agent.metrics.get("days", 0.0) in (0.0, (arena.row - agent.born_row) // 4)
    members = arena.state.living(ARENA)
    assert members
    for agent in members:
        lived = agent.arena_nav[-1] / agent.arena_nav[0]
        record = arena.cycle.keeper.records([agent], arena.row)[agent.agent_id]
        assert agent.metrics["total_return"] == pytest.approx(record.curve[-1] - 1.0)
        assert lived != 1.0


def test_capital_changes_are_validated(arena: ArenaManager) -> None:
    """Historic defect, the arena's side: an unvalidated change of capital is refused before anything moved."""
    name = arena.spawn_agent("lender")
    arena.allocate_capital(name, 100 * USD)
    before = arena.store.last()
    for amount in (901 * USD, 8_000 * USD, -5, 0):
        with pytest.raises((ValidationError, AllocationError)):
            arena.allocate_capital(name, amount)
    assert arena.store.last() == before
    arena.allocate_capital(name, 900 * USD)


def test_capital_of_the_dead_returns_to_the_pool_it_came_from(make_arena: Make) -> None:
    arena = make_arena(retirement_age_days=7, simulation_age_days_min=300, lend_idle=False, agents=2)
    arena.run_evolution_cycle()
    name = arena.state.living()[0].agent_id
    arena.allocate_capital(name, 500 * USD, "arena")
    assert arena.get_capital_allocation_breakdown()["arena"]["allocated"] == 500 * USD
    run(arena, 2)
    breakdown = arena.get_capital_allocation_breakdown()
    assert name not in breakdown["agents"]
    assert breakdown["proving"]["cash"] == 1_000 * USD
    assert breakdown["arena"]["cash"] == pytest.approx(8_000 * USD, abs=10 * USD)
    sound(arena)
