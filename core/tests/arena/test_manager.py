"""ArenaManager: every public name of the specification does what it says, in one transaction each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import treasury_arena
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.state import ARENA, DEAD, PROVING, SIMULATION
from treasury_arena.contracts.operators import Mutation
from treasury_arena.contracts.strategy import FORCE
from treasury_arena.errors import (
    AllocationError,
    CapitalConservationError,
    DataError,
    IntegrityError,
    PluginError,
    ValidationError,
)
from treasury_arena.events import catalog
from treasury_arena.events.event import Line, Transfer
from treasury_arena.store import audit, open_store
from treasury_arena.testing.strategies import LENDER, HolderState, HolderTarget
from treasury_arena.trading.limits import Limits

USD = 10**6
Make = Callable[..., ArenaManager]

PUBLIC = {
    "ArenaManager": """spawn_agent mutate_agent rank_agents allocate_capital kill_underperformers graduate_to_proving
        graduate_to_arena run_evolution_cycle safe_run_evolution emit_event replay_events verify_capital_conservation
        get_capital_allocation_breakdown""",
    "TreasuryAgent": "execute_strategy safe_execute calculate_fitness validate_capital_change record_performance",
    "SimulationEngine": "backtest live_simulate pause resume",
    "TradingEngine": "submit_trade execute_trade validate_trade get_execution_stats emergency_stop emergency_resume",
}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_public_names_of_the_specification_exist(name: str) -> None:
    for method in PUBLIC[name].split():
        assert callable(getattr(getattr(treasury_arena, name), method))


def test_a_new_arena_holds_its_first_capital(arena: ArenaManager) -> None:
    breakdown = arena.get_capital_allocation_breakdown()
    assert breakdown["total"] == 10_000 * USD
    assert [breakdown[pool]["cash"] for pool in ("reserve", "proving", "arena")] == [
        1_000 * USD,
        1_000 * USD,
        8_000 * USD,
    ]
    assert arena.verify_capital_conservation() == {"USDC": 0}


def test_a_spawned_agent_is_in_simulation_with_its_genome(arena: ArenaManager) -> None:
    first = arena.spawn_agent("holder", {"share": 0.3, "window": 24.0})
    agent = arena.agent(first)
    assert (first, agent.stage, agent.origin) == ("holder-0001", SIMULATION, "manual")
    assert (agent.genes["share"], agent.genes["window"]) == (0.3, 24.0)
    assert arena.spawn_agent("holder") == "holder-0002"
    with pytest.raises(ValidationError, match="did you mean 'holder'"):
        arena.spawn_agent("holders")
    with pytest.raises(ValidationError, match="unknown agent"):
        arena.spawn_agent("holder", parents=("nobody",))


def test_a_mutated_child_knows_its_parent_and_the_parent_stays(arena: ArenaManager) -> None:
    parent = arena.spawn_agent("holder", {"share": 0.3})
    before = arena.agent(parent).genome
    child = arena.agent(arena.mutate_agent(parent))
    assert (child.parents, child.origin) == ((parent,), "mutation")
    assert child.genome != before == arena.agent(parent).genome


def test_a_mutation_that_returns_no_genome_is_named(arena: ArenaManager) -> None:
    class Astray(Mutation):
        name = "astray"

        def mutate(self, genomes: Any, space: Any, rng: Any) -> Any:
            return genomes + 1e9

    parent = arena.spawn_agent("holder", {"share": 0.3})
    operators = attrs.evolve(arena.settings.operators, mutation=Astray())
    arena.settings = attrs.evolve(arena.settings, operators=operators)
    with pytest.raises(PluginError, match=r"mutation 'astray' returned .* for gene 'share'"):
        arena.mutate_agent(parent)


def test_ranking_is_by_fitness_then_id(arena: ArenaManager) -> None:
    assert list(arena.rank_agents().index) == []
    for share in (0.0, 0.0, 1.0):
        arena.spawn_agent("holder", {"share": share})
    for name, fitness in (("holder-0001", 1.0), ("holder-0002", 1.0), ("holder-0003", 2.0)):
        arena.emit_event(catalog.PerformanceRecorded(0, 7, {"fitness": fitness}, ""), name)
    assert list(arena.rank_agents().index) == ["holder-0003", "holder-0001", "holder-0002"]
    assert list(arena.rank_agents(PROVING).index) == []


def test_capital_is_allocated_from_a_pool_and_never_beyond_it(arena: ArenaManager) -> None:
    agent = arena.spawn_agent("lender")
    arena.allocate_capital(agent, 2_000 * USD)
    assert arena.get_capital_allocation_breakdown()["arena"]["cash"] == 6_000 * USD
    before = arena.store.last()
    with pytest.raises(AllocationError, match="over-allocation refused"):
        arena.allocate_capital(agent, 6_000 * USD + 1)
    with pytest.raises(ValidationError, match="more than 10 times"):
        arena.allocate_capital(agent, 18_000 * USD + 1)
    with pytest.raises(AllocationError, match="unknown pool"):
        arena.allocate_capital(agent, 1, "arenas")
    with pytest.raises(ValidationError, match="unknown agent"):
        arena.allocate_capital("lender-9999", 1)
    assert arena.store.last() == before
    arena.allocate_capital(agent, 6_000 * USD)
    assert arena.get_capital_allocation_breakdown()["arena"]["cash"] == 0
    assert arena.verify_capital_conservation() == {"USDC": 0}


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, None])
def test_an_allocation_is_a_positive_whole_number(arena: ArenaManager, amount: Any) -> None:
    with pytest.raises(ValidationError, match="positive whole number"):
        arena.allocate_capital(arena.spawn_agent("lender"), amount)


@pytest.mark.parametrize("wrong", [None, 5, "", " ", "a\0b", "a\ud800"])
@pytest.mark.parametrize("what", ["agent_id", "pool", "reason"])
def test_an_allocation_names_agent_pool_and_reason(arena: ArenaManager, what: str, wrong: Any) -> None:
    given = {"agent_id": arena.spawn_agent("lender"), "amount_raw": 1, what: wrong}
    before = arena.store.last()
    with pytest.raises(ValidationError, match=r"must be a text that is not empty, not|holds a character that is none"):
        arena.allocate_capital(**given)
    assert arena.store.last() == before


def test_a_damaged_store_is_not_built_on(make_arena: Make, arena: ArenaManager) -> None:
    arena.run_evolution_cycle()
    with arena.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM agents")
    before = arena.store.last()
    with pytest.raises(IntegrityError, match=r"is damaged, and nothing is built on it \(event \d+: projection: agents"):
        ArenaManager(arena.settings, arena.world, arena.store)
    assert arena.store.last() == before


def test_graduation_by_hand_obeys_the_rules(arena: ArenaManager) -> None:
    agent = arena.spawn_agent("lender")
    with pytest.raises(ValidationError, match="0 days of record, needs 7"):
        arena.graduate_to_proving(agent)
    with pytest.raises(ValidationError, match="is in simulation, not in proving"):
        arena.graduate_to_arena(agent)
    assert arena.agent(agent).stage == SIMULATION


def test_graduation_to_the_arena_by_hand_is_for_the_best_half_of_those_in_proving(make_arena: Make) -> None:
    """Of four that pass every other rule the second best enters, and the third only once that one has left."""
    shares = (1.0, 0.9, 0.8, 0.7)
    open_to_all: dict[str, Any] = {"simulation_floored_min": None, "fidelity_tolerance": None}
    seeds = tuple(("lender", {"share": share}) for share in shares)
    arena = make_arena(strategies=(LENDER,), agents=4, seeds=seeds, arena_age_days_min=300, **open_to_all)
    for _ in range(3):
        arena.run_evolution_cycle()
    arena.settings = attrs.evolve(arena.settings, rules=attrs.evolve(arena.settings.rules, arena_age_days_min=7))
    arena.reload()
    first, second, third, fourth = arena.rank_agents(PROVING).index
    assert [arena.agent(name).genes["share"] for name in (first, second, third, fourth)] == list(shares)
    records = arena.cycle.keeper.records(arena.state.living(PROVING), arena.row)
    for name, record in records.items():
        assert arena.cycle.held_back_from_arena(arena.agent(name), record, arena.row) is None
    before = arena.store.last()
    for name in (third, fourth):
        with pytest.raises(
            ValidationError, match=f"agent {name} cannot enter arena: it is not among the best 50% in proving"
        ):
            arena.graduate_to_arena(name)
    assert arena.store.last() == before
    arena.graduate_to_arena(second)
    arena.graduate_to_arena(third)  # by now the second best of three
    assert [arena.agent(name).stage for name in (first, second, third, fourth)] == [PROVING, ARENA, ARENA, PROVING]


def test_underperformers_are_killed_and_their_capital_returns(make_arena: Make) -> None:
    arena = make_arena(death_floored_below=1e9, death_sharpe_age_days=3, simulation_age_days_min=300)
    agent = arena.spawn_agent("lender")
    arena.allocate_capital(agent, 500 * USD, "proving")
    assert arena.kill_underperformers() == []
    arena.emit_event(catalog.EvolutionCycleStarted(0, arena.row + 16))
    arena.emit_event(catalog.EvolutionCycleComplete(0, arena.row + 16, 0, {}, [], {}, 0.0, 0.0, 0, 0))
    assert arena.kill_underperformers() == [agent]
    assert arena.agent(agent).stage == DEAD
    assert arena.get_capital_allocation_breakdown()["proving"]["cash"] == 1_000 * USD


def test_replay_gives_the_state_again(arena: ArenaManager) -> None:
    for _ in range(3):
        arena.run_evolution_cycle()
    again, now = arena.replay_events(), arena.state
    assert again.agents == now.agents
    assert again.ledger.balances() == now.ledger.balances()
    assert (again.cycle, again.row, again.trials, again.counts) == (now.cycle, now.row, now.trials, now.counts)


def test_a_ledger_that_does_not_sum_is_told(arena: ArenaManager) -> None:
    arena.state.ledger._balances["gas", "USDC"] = 5
    with pytest.raises(CapitalConservationError, match="does not sum to zero"):
        arena.verify_capital_conservation()


def test_an_event_that_breaks_the_ledger_changes_nothing(arena: ArenaManager) -> None:
    before = arena.store.last()
    lines = (Line("pool:arena", "USDC", -(10**15)), Line("gas", "USDC", 10**15))
    with pytest.raises(AllocationError):
        arena._transact(lambda: arena.journal.post(catalog.AgentFailed("x", "y"), None, (Transfer("theft", lines),)))
    assert arena.store.last() == before
    assert arena.get_capital_allocation_breakdown()["total"] == 10_000 * USD


def test_safe_run_returns_the_error_and_the_state_before(arena: ArenaManager, monkeypatch: pytest.MonkeyPatch) -> None:
    report, error = arena.safe_run_evolution()
    assert report is not None
    assert (report.cycle, error) == (0, None)
    before = arena.store.last()

    def broken(*_: Any, **__: Any) -> Any:
        raise DataError("the market data have a gap")

    monkeypatch.setattr(type(arena.cycle.breeder), "search", broken)
    monkeypatch.setattr(type(arena.cycle.keeper), "records", broken)
    report, error = arena.safe_run_evolution()
    assert report is None
    assert str(error) == "the market data have a gap"
    assert (arena.store.last(), arena.state.cycle) == (before, 0)


def test_a_run_ends_and_stays_ended(make_arena: Make, world: Any) -> None:
    short = attrs.evolve(world, last_row=world.first_row + 4 * 16)
    arena = make_arena(world=short)
    seen: list[int] = []
    arena.run(lambda report: seen.append(report.cycle))
    assert seen == [0, 1, 2, 3][: len(seen)] == list(range(len(arena.schedule())))
    assert arena.state.completed
    assert arena.run_evolution_cycle() is None
    assert arena.safe_run_evolution() == (None, None)


def test_resumed_after_every_cycle_the_run_is_the_same(make_arena: Make, tmp_path: Path, world: Any) -> None:
    """A new manager for every cycle gives the digest of one manager for all."""
    short = attrs.evolve(world, last_row=world.first_row + 4 * 40)
    whole = make_arena(world=short)
    whole.run()
    store = open_store(f"sqlite:///{tmp_path / 'resumed.db'}")
    for _ in whole.schedule():
        make_arena(world=short, store=store).run_evolution_cycle()
    assert store.last() == whole.store.last()
    assert audit(store).ok
    store.close()


@pytest.mark.parametrize("reload", [False, True])
def test_a_day_in_which_the_store_is_read_again_has_room_for_no_more_orders(
    make_arena: Make, live_decide: Callable[..., Any], world: Any, reload: bool
) -> None:
    """A cycle ends with a day's first row: that row's order is one of the day's two in the cycle that follows."""

    def flip(f: Any, g: Any, book: Any, s: Any) -> Any:
        share = 0.5 * (book.step % 2.0)
        return HolderTarget(share, 0.0, FORCE), HolderState()

    arena = make_arena(world=live_decide(world, "holder", flip), simulation_age_days_min=300, agents=2)
    arena.limits = Limits(daily_trades_max=2)
    arena.reload()
    name = arena.spawn_agent("holder")
    arena.allocate_capital(name, 1_000 * USD)
    for _ in range(3):
        arena.run_evolution_cycle()
        if reload:
            arena.reload()
    made = [e.payload.row for e in arena.store.read(agent_id=name, event_type="OrderReserved")]
    last = arena.row
    assert made[-1] == last == world.first_row + 14 * 4
    days = [[row for row in made if row // 4 == day] for day in range(world.first_row // 4 + 1, last // 4)]
    assert days == [[day * 4, day * 4 + 1] for day in range(world.first_row // 4 + 1, last // 4)]
    refused = [e.payload for e in arena.store.read(agent_id=name, event_type="OrderRejected")]
    assert {(order.code, order.row % 4) for order in refused} == {("daily_trades", 2)}


def test_a_stop_is_stored_at_once_and_survives_a_restart(make_arena: Make, tmp_path: Path) -> None:
    arena = make_arena(tmp_path)
    agent = arena.spawn_agent("lender")
    arena.allocate_capital(agent, 500 * USD)
    arena.engine.emergency_stop("rates look wrong", "ann")
    assert arena.engine.stop_level == "HARD"
    again = make_arena(tmp_path)
    assert again.engine.stop_level == "HARD"
    for _ in range(2):
        again.run_evolution_cycle()
    assert again.state.counts["orders"] == 0
    assert again.state.counts["rejected"] > 0
    again.engine.emergency_resume("checked", "ann")
    assert make_arena(tmp_path).engine.stop_level == "OFF"
    again.run_evolution_cycle()
    assert again.state.counts["orders"] > 0


def test_a_dead_arena_agent_that_could_not_be_sold_returns_to_the_arena_pool(make_arena: Make, tmp_path: Path) -> None:
    """Its capital goes back to the pool it came from, also when the program was restarted in between."""
    arena = make_arena(tmp_path, retirement_age_days=14, simulation_age_days_min=7, arena_age_days_min=1)
    while not arena.state.living(ARENA):
        arena.run_evolution_cycle()
    doomed = arena.state.living(ARENA)[0].agent_id
    assert arena.funding.accounts[doomed].positions
    arena.engine.emergency_stop("nothing may be sold", "ann")
    while arena.agent(doomed).alive:
        arena.run_evolution_cycle()
    again = make_arena(tmp_path, retirement_age_days=14, simulation_age_days_min=7, arena_age_days_min=1)
    assert again.funding.accounts[doomed].stage == arena.funding.accounts[doomed].stage == ARENA
    assert again.get_capital_allocation_breakdown() == arena.get_capital_allocation_breakdown()
    again.engine.emergency_resume("over", "ann")
    again.run_evolution_cycle()
    assert doomed not in again.funding.accounts
    returned = [
        e.payload.pool
        for e in again.store.read()
        if isinstance(e.payload, catalog.CapitalReturned)
        and e.agent_id == doomed
        and e.payload.amount_raw
        and e.payload.reason != "promotion"
    ]
    assert returned[-1] == "arena"
