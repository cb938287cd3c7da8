"""SimulationEngine: deterministic, in step with plain Python, pausable, exportable."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import pandas as pd
import pytest

from treasury_arena.arena.agent import TreasuryAgent
from treasury_arena.arena.backtest import EXPLAINED_MAX, SimulationEngine
from treasury_arena.clock import iso
from treasury_arena.errors import DataError, ValidationError
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena.testing.strategies import HOLDER, LENDER, LenderState, LenderTarget
from treasury_arena.testing.worlds import ExcessReturn, small_world

START, END = "2024-01-10", "2024-02-20"


@pytest.fixture
def engine(make_arena: Callable[..., Any]) -> SimulationEngine:
    arena = make_arena()
    return SimulationEngine(arena.settings, arena.world)


def agents() -> list[TreasuryAgent]:
    made = [TreasuryAgent(f"h{i}", HOLDER, ExcessReturn(), {"share": 0.2 * i}) for i in range(4)]
    return [*made, TreasuryAgent("l0", LENDER, ExcessReturn())]


def test_the_same_inputs_give_the_same_result(engine: SimulationEngine) -> None:
    first, second = engine.backtest(agents(), START, END), engine.backtest(agents()[::-1], START, END)
    assert first.table.equals(second.table.loc[first.table.index])
    assert first.curves["h3"].equals(second.curves["h3"])
    assert list(first.curves.columns) == ["h0", "h1", "h2", "h3", "l0", "lend_everything"]
    assert len(first.curves) == 43
    assert first.agent_steps == 5 * (42 * 4 + 1)


def test_the_last_day_belongs_to_a_backtest(engine: SimulationEngine) -> None:
    """As to a configuration: February of 2024 has 29 days, each labelled with its own date, and so has a single one."""
    february = engine.backtest(agents(), date(2024, 2, 1), date(2024, 2, 29))
    assert february.days == 29
    assert "29 days" in repr(february)
    assert [str(day.date()) for day in february.curves.index[[0, 1, -1]]] == ["2024-01-31", "2024-02-01", "2024-02-29"]
    assert engine.backtest(agents(), START, START).days == 1


def test_json_holds_curves_and_metrics(engine: SimulationEngine, tmp_path: Path) -> None:
    result = engine.backtest(agents(), START, END)
    result.to_json(tmp_path / "result.json")
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["dates"] == [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-09", END)]
    assert told["curves"]["l0"] == result.curves["l0"].tolist()
    assert {agent["id"] for agent in told["agents"]} == {"h0", "h1", "h2", "h3", "l0"}


def test_a_notebook_shows_the_table(engine: SimulationEngine) -> None:
    tested = engine.backtest(agents(), START, END)
    shown = tested._repr_html_()
    assert f"&lt;BacktestResult {len(tested.table)} agents" in shown
    assert all(f"<th>{name}</th>" in shown for name in (*tested.table.index, *tested.table.columns))


def test_live_simulation_ends_where_the_kernel_ends(engine: SimulationEngine) -> None:
    agent = agents()[2]
    steps = list(engine.live_simulate(agent, START, END))
    assert steps[-1]["equity"] == engine.backtest([agent], START, END).curves["h2"].iloc[-1]
    assert len(steps) == 42 * 4 + 1


def test_a_paused_engine_waits_and_goes_on(engine: SimulationEngine) -> None:
    stepping = engine.live_simulate(agents()[1], START, END)
    next(stepping)
    engine.pause()
    assert engine.paused
    met: list[float] = []
    thread = threading.Thread(target=lambda: met.append(next(stepping)["row"]))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert met == []
    engine.resume()
    thread.join()
    assert len(met) == 1
    assert not engine.paused


def test_a_backtest_paused_between_strategies_gives_the_same(engine: SimulationEngine) -> None:
    whole = engine.backtest(agents(), START, END)

    def pause_once(done: int, of: int) -> None:
        engine.pause()
        threading.Timer(0.02, engine.resume).start()

    paused = engine.backtest(agents(), START, END, pause_once)
    assert paused.to_dict() == whole.to_dict()


def shaky(f: Any, g: Any, book: Any, s: Any) -> Any:
    """Lends its share while the rate is below its minimum, and wants twice as much from then on."""
    wanted = g.share if f.rate < g.minimum_apr else 2.0 * g.share
    return LenderTarget(wanted, g.band), LenderState(f.rate)


SHAKY = attrs.evolve(LENDER, name="shaky", decide=shaky)


@pytest.fixture
def failing(make_arena: Callable[..., Any]) -> SimulationEngine:
    """Backtests lenders that want twice their equity as soon as the rate reaches their minimum, and healthy ones."""
    arena = make_arena(world=small_world(synthetic_frame(80), strategies=(LENDER, SHAKY)))
    return SimulationEngine(arena.settings, arena.world)


def test_a_failing_agent_is_told_with_its_reason(failing: SimulationEngine, tmp_path: Path) -> None:
    rates = failing.world.frame["USDC.lending_rate"]
    low = failing.world.frame.row(datetime(2024, 1, 10, tzinfo=UTC))
    late = float(rates[low : low + 100].max())
    population = [
        TreasuryAgent("well", LENDER, ExcessReturn()),
        TreasuryAgent("at-once", SHAKY, ExcessReturn(), {"minimum_apr": 0.0, "share": 1.0}),
        TreasuryAgent("later", SHAKY, ExcessReturn(), {"minimum_apr": late, "share": 0.7}),
        TreasuryAgent("never", SHAKY, ExcessReturn(), {"minimum_apr": 0.5, "share": 0.7}),
    ]
    result = failing.backtest(population, START, END)
    assert result.table["failed"].tolist() == [False, True, True, False]
    row = next(row for row in range(low, failing.world.frame.rows) if rates[row] >= late)
    assert row > low
    assert result.failures == [
        "agent at-once failed at 2024-01-10T00:00:00Z and traded no more: the target's shares sum to 2.0, more than 1",
        f"agent later failed at {iso(failing.world.frame.time(row))} and traded no more: "
        "the target's shares sum to 1.4, more than 1",
    ]
    result.to_json(tmp_path / "result.json")
    told = {agent["id"]: agent["failure"] for agent in json.loads((tmp_path / "result.json").read_text())["agents"]}
    assert [told[name] for name in ("at-once", "later")] == result.failures
    assert told["well"] is told["never"] is None


def test_many_failures_are_told_without_living_through_each(
    failing: SimulationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    known = SimulationEngine._reason
    monkeypatch.setattr(
        SimulationEngine,
        "_reason",
        lambda self, agent, *rows: asked.append(agent.agent_id) or known(self, agent, *rows),
    )
    crowd = [TreasuryAgent(f"s{i}", SHAKY, ExcessReturn(), {"minimum_apr": 0.0, "share": 1.0}) for i in range(30)]
    told = failing.backtest(crowd, START, END).failures
    assert len(told) == 30
    assert len(asked) == EXPLAINED_MAX
    assert "impossible target" in told[-1]


@pytest.mark.parametrize(("start", "end"), [(END, START), ("2023-01-01", END), (START, "2030-01-01")])
def test_impossible_dates_are_refused(engine: SimulationEngine, start: str, end: str) -> None:
    with pytest.raises(DataError):
        engine.backtest(agents(), start, end)


def test_an_unknown_strategy_is_refused(engine: SimulationEngine) -> None:
    stranger = TreasuryAgent("s0", attrs.evolve(HOLDER, name="holdr"), ExcessReturn())
    with pytest.raises(ValidationError, match="did you mean 'holder'"):
        engine.backtest([stranger], START, END)
