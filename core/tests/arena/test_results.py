"""The figures of a report, worked out by hand for a run of two weeks in which one agent buys coins once.

10,000 USD: 1,000 in reserve, 1,000 for proving, 8,000 for the arena, nothing lent. On the first day an agent is given 2,000 by
hand; it buys coins for 1,000 at a fee of a thousandth (999 USD of coins), and holds. The coin costs 1,000 in the first week and
2,000 in the second, so the treasury is worth 9,999 and then 10,998. Lending, at 10% a year, is only the yardstick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest

from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.results import build_result
from treasury_arena.contracts.protocol import Leg
from treasury_arena.contracts.results import RunResult
from treasury_arena.contracts.strategy import FORCE, HOLD
from treasury_arena.errors import ExecutionError
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena.testing.strategies import HOLDER, HolderState, HolderTarget
from treasury_arena.testing.worlds import small_world

USD = 10**6
FIRST, DAYS = 27 * 4, 14
ROWS = (27 + DAYS) * 4 + 1
WEEK = 28
Make = Callable[..., ArenaManager]

#: Whole base units are rounded against the holder, by a millionth of a dollar or two.
CENT = 1e-5
#: Value of one dollar lent for one day, and for a week: four steps of six hours a day.
LENT_DAY = (1.0 + 0.10 * 21_600 / 31_536_000) ** 4
#: Shares of the agent's equity in coins while it holds them, and their mean in the first week, which has one row more.
HELD = 999 / 1_999
MEAN_1, MEAN_2 = HELD * WEEK / (WEEK + 1), 1_998 / 2_998
#: Coin share of the managed capital, which is all but the reserve.
WEIGHT_1, WEIGHT_2 = 1_999 * MEAN_1 / 8_999, 2_998 * MEAN_2 / 9_998
MEAN_WEIGHT = (WEIGHT_1 + WEIGHT_2) / 2


def once(f: Any, g: Any, book: Any, s: HolderState) -> tuple[HolderTarget, HolderState]:
    return HolderTarget(0.5, 0.0, FORCE if book.step == 0.0 else HOLD), s


@pytest.fixture(scope="module")
def market() -> Any:
    prices = np.where(np.arange(ROWS) <= FIRST + WEEK, 1_000.0, 2_000.0)
    return synthetic_frame(27 + DAYS, gas=0.0, columns={"WETH.price": prices, "USDC.lending_rate": 0.10})


@pytest.fixture
def finished(make_arena: Make, live_decide: Callable[..., Any], market: Any) -> ArenaManager:
    world = live_decide(small_world(market, strategies=(HOLDER,)), "holder", once)
    arena = make_arena(world=world, agents=1, birth_cycles=1, simulation_age_days_min=300, lend_idle=False)
    arena.run_evolution_cycle()
    arena.allocate_capital(arena.spawn_agent("holder"), 2_000 * USD, "arena")
    arena.run()
    assert arena.state.completed
    assert arena.schedule() == [FIRST, FIRST + WEEK, FIRST + 2 * WEEK]
    return arena


@pytest.fixture
def result(finished: ArenaManager) -> RunResult:
    return build_result(finished)


def test_capital(result: RunResult) -> None:
    told = {name: float(value) for name, value in result.capital.items()}
    expected = {
        "initial": 10_000.0,
        "final": 10_998.0,
        "reserve": 1_000.0,
        "proving": 1_000.0,
        "arena": 8_998.0,
        "available": 7_000.0,
        "allocated": 2_998.0,
        "costs": 1.0,
        "idle_cost": 1_000.0 * (LENT_DAY**DAYS - 1.0),
    }
    assert told == pytest.approx(expected, abs=CENT)
    assert 3.8 < told["idle_cost"] < 3.9


def test_costs_are_those_of_failed_orders_too(
    make_arena: Make, live_decide: Callable[..., Any], market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that reverts has paid its gas: a dollar each, and nothing else happens."""
    world = live_decide(small_world(market, strategies=(HOLDER,)), "holder", once)
    arena = make_arena(world=world, agents=1, birth_cycles=1, simulation_age_days_min=300, lend_idle=False)
    arena.run_evolution_cycle()
    arena.allocate_capital(arena.spawn_agent("holder"), 2_000 * USD, "arena")

    def reverts(*arguments: Any) -> Any:
        raise ExecutionError("reverted", (Leg("cash", "USDC", -USD), Leg("gas", "USDC", USD)), USD)

    monkeypatch.setattr(arena.engine.market("coin"), "settle", reverts)
    arena.run()
    failed = list(arena.store.read(event_type="OrderFailed"))
    told = build_result(arena).capital
    assert len(failed) > 0
    assert float(told["costs"]) == len(failed)
    assert float(told["final"]) == 10_000.0 - len(failed)


def test_series_of_the_treasury_and_where_it_was(result: RunResult) -> None:
    assert result.series["treasury"] == pytest.approx([10_000.0] + [9_999.0] * 7 + [10_998.0] * 7)
    places = result.series["allocation"]
    assert places["holder"] == pytest.approx([0.0] + [1_999.0] * 7 + [2_998.0] * 7)
    assert places["reserve"] == [1_000.0] * 15
    assert places["pool_cash"] == pytest.approx([9_000.0] + [7_000.0] * 14)
    assert places["pool_lent"] == [0.0] * 15
    # The run begins at the midnight that begins 28 January, which is the close of the 27th, and ends with that of `end`.
    assert (result.start, result.end) == ("2024-01-28", "2024-02-10")
    assert result.series["dates"] == [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-27", "2024-02-10")]
    assert [str(day.date()) for day in result.curves.index] == result.series["dates"]
    assert result.curves["hold_eth"]["2024-02-04"].item() == pytest.approx(
        20_000.0
    )  # the coin doubles in the second week
    assert [cycle["date"] for cycle in result.cycles] == ["2024-01-28", "2024-02-04", "2024-02-11"]


def test_metrics_of_the_whole_and_of_the_managed_capital(result: RunResult) -> None:
    assert result.treasury["return"] == pytest.approx(0.0998)
    assert result.treasury["max_drawdown"] == pytest.approx(-1 / 10_000, abs=1e-9)
    assert result.managed["return"] == pytest.approx(998 / 9_000)
    assert result.managed["max_drawdown"] == pytest.approx(-1 / 9_000, abs=1e-9)
    assert result.managed["win_rate"] == pytest.approx(1 / 14)
    days = np.array([-1 / 9_000] + [0.0] * 6 + [999 / 8_999] + [0.0] * 6)
    assert result.managed["volatility"] == pytest.approx(days.std(ddof=1) * 365**0.5)
    assert result.managed["sharpe"] == pytest.approx(days.mean() / days.std(ddof=1) * 365**0.5)
    excess = days - (LENT_DAY - 1.0)
    assert result.managed["excess_sharpe"] == pytest.approx(excess.mean() / excess.std(ddof=1) * 365**0.5)


def control(first: float, second: float) -> float:
    """10,000 USD with these shares in coins in the first and the second week, the rest lent; the coin doubles on day 8."""
    week = LENT_DAY**7
    return 10_000.0 * (first + (1.0 - first) * week) * (2.0 * second + (1.0 - second) * week)


def test_benchmarks_and_controls(result: RunResult) -> None:
    final = {name: float(row["final"]) for name, row in result.benchmarks.items()}
    assert final["lend_everything"] == pytest.approx(10_000.0 * LENT_DAY**DAYS, abs=1e-5)
    assert final["hold_eth"] == pytest.approx(20_000.0)
    assert final["sixty_forty"] == pytest.approx(control(0.6, 0.6), abs=1e-5)
    assert final["passive_mean_weight"] == pytest.approx(control(MEAN_WEIGHT, MEAN_WEIGHT), abs=1e-5)
    assert final["weekly_weights_index"] == pytest.approx(control(WEIGHT_1, WEIGHT_2), abs=1e-5)
    assert result.benchmarks["passive_mean_weight"]["label"] == f"control: {MEAN_WEIGHT:.1%} coins held passively"
    assert 0.15 < MEAN_WEIGHT < 0.16


def test_a_notebook_shows_what_it_came_to_beside_the_benchmarks(result: RunResult) -> None:
    table = result.comparison()
    assert list(table.index) == ["treasury", "managed", *result.benchmarks]
    assert list(table.columns) == ["final", "return", "annual_return", "sharpe", "sortino", "max_drawdown"]
    assert table.loc["treasury", "final"] == pytest.approx(10_998.0, abs=1e-5)
    assert table.loc["managed", "final"] == pytest.approx(9_998.0, abs=1e-5)
    assert not table.isna().any().any()
    assert table.loc["treasury", "return"] == result.treasury["return"]
    assert table.loc["managed", "max_drawdown"] == result.managed["max_drawdown"]
    assert table.loc["hold_eth", "sharpe"] == result.benchmarks["hold_eth"]["sharpe"]
    shown = attrs.evolve(result, name="a <b>")._repr_html_()
    assert "a &lt;b&gt;" in shown
    assert "<td>10,998.00</td>" in shown
    assert "<th>sixty_forty</th>" in shown
    assert "nan" not in shown.lower()


def test_the_verdict_is_on_the_managed_capital_against_the_mean_weight(result: RunResult) -> None:
    managed = np.array([9_000.0] + [8_999.0] * 7 + [9_998.0] * 7)
    lent = LENT_DAY ** np.arange(8)
    first = MEAN_WEIGHT + (1.0 - MEAN_WEIGHT) * lent
    coins = np.where(np.arange(8) > 0, 2.0, 1.0)
    second = MEAN_WEIGHT * coins + (1.0 - MEAN_WEIGHT) * lent
    passive = np.concatenate([first, first[-1] * second[1:]])
    difference = (np.diff(managed) / managed[:-1] - np.diff(passive) / passive[:-1]).mean() * 365
    assert result.verdict["difference"] == pytest.approx(difference, rel=1e-7)
    assert "too short" in result.verdict["text"]


def test_counts_and_agents(result: RunResult, finished: ArenaManager) -> None:
    assert result.counts == {
        "births": 2,
        "deaths": 0,
        "retirements": 0,
        "graduations_proving": 0,
        "graduations_arena": 0,
        "failures": 0,
        "orders": 1,
        "rejected": 0,
    }
    assert result.trials == 24, "12 genomes and, the best being kept, 11 children, and the one born by hand"
    by_hand = result.agents[1]
    assert by_hand["id"] == "holder-0002"
    assert float(by_hand["capital"]) == pytest.approx(2_998.0, abs=CENT)
    assert result.digest == finished.store.last()[1]
    assert [cycle["date"] for cycle in result.cycles] == ["2024-01-28", "2024-02-04", "2024-02-11"]
    assert [cycle["capital"] for cycle in result.cycles] == pytest.approx([10_000.0, 9_999.0, 10_998.0])


def test_a_reserve_that_lends_costs_nothing_by_idleness(make_arena: Make, world: Any) -> None:
    short = attrs.evolve(world, last_row=world.first_row + 28)
    for lends in (True, False):
        arena = make_arena(world=short, reserve_lend=lends, agents=2, simulation_age_days_min=300)
        arena.run()
        told = build_result(arena).capital
        assert (float(told["idle_cost"]) == 0.0) is lends
        moved = [e.payload.cost_raw for e in arena.store.read(event_type="IdleCapitalMoved")]
        assert float(told["costs"]) == pytest.approx(sum(moved) / USD)
        assert sum(moved) > 0


def test_the_last_day_ends_with_the_capital_that_is_left_when_its_endings_are_paid(
    make_arena: Make, world: Any
) -> None:
    short = attrs.evolve(world, last_row=world.first_row + 2 * 7 * world.frame.steps_per_day)
    arena = make_arena(world=short, agents=2, simulation_age_days_min=300, retirement_age_days=13)
    arena.run_evolution_cycle()
    arena.allocate_capital(arena.spawn_agent("holder", {"share": 0.9, "band": 0.5}), 3_000 * USD, "arena")
    arena.run()
    sold = [
        event.payload for event in arena.store.read(event_type="OrderSettled") if event.payload.row == short.last_row
    ]
    assert sum(order.cost_raw for order in sold) > 0
    told = build_result(arena)
    assert told.series["treasury"][-1] == pytest.approx(float(told.capital["final"]), abs=CENT)
    places = {name: np.array(values) for name, values in told.series["allocation"].items()}
    assert sum(places.values()) == pytest.approx(np.array(told.series["treasury"]), abs=CENT)
    assert places["holder"][-2] > 2_000.0
    assert places["holder"][-1] == float(told.capital["allocated"]) == 0.0
    (agent,) = [one for one in told.agents if one["earned"] is not None]
    moved = [
        (e.event_type, e.payload.amount_raw)
        for e in arena.store.read(agent_id=agent["id"])
        if hasattr(e.payload, "pool")
    ]
    assert [kind for kind, _ in moved] == ["CapitalAllocated", "CapitalReturned"]
    assert float(agent["earned"]) == (moved[1][1] - moved[0][1]) / USD != 0.0
    assert (places["pool_cash"] + places["pool_lent"])[-1] == pytest.approx(float(told.capital["available"]), abs=CENT)


def test_what_a_pool_held_on_past_days_is_what_it_held_then(make_arena: Make, world: Any) -> None:
    """Capital that comes home within a cycle was not there, and not lent, on the days before."""
    day = world.frame.steps_per_day
    short = attrs.evolve(world, last_row=world.first_row + 4 * 7 * day)
    arena = make_arena(world=short, agents=2, simulation_age_days_min=300, retirement_age_days=14)
    arena.run_evolution_cycle()
    arena.allocate_capital(arena.spawn_agent("holder", {"share": 0.9, "band": 0.5}), 3_000 * USD, "arena")
    cash, rows = [0.0], [arena.row]
    while not arena.state.completed:
        cash.append(sum(arena.store.balance(f"pool:{pool}", "USDC") for pool in ("proving", "arena")) / USD)
        arena.run_evolution_cycle()
        rows.append(arena.row)
    home = [event.payload.amount_raw for event in arena.store.read(event_type="CapitalReturned")]
    assert sum(home) > 2_000 * USD
    held = build_result(arena).series["allocation"]["pool_cash"]
    for before, row, kept in zip(rows, rows[1:], cash[1:], strict=False):
        assert held[(before - rows[0]) // day + 1 : (row - rows[0]) // day] == pytest.approx([kept] * 6)
