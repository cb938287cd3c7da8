"""SimulationEngine: deterministic, in step with plain Python, pausable, exportable."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.arena.agent import TreasuryAgent
from treasury_arena.arena.backtest import SimulationEngine
from treasury_arena.errors import DataError, ValidationError
from treasury_arena.testing.strategies import HOLDER, LENDER
from treasury_arena.testing.worlds import ExcessReturn

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
    assert len(first.curves) == 42
    assert first.agent_steps == 5 * (41 * 4 + 1)


def test_json_holds_curves_and_metrics(engine: SimulationEngine, tmp_path: Path) -> None:
    result = engine.backtest(agents(), START, END)
    result.to_json(tmp_path / "result.json")
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["dates"][0] == START
    assert told["curves"]["l0"] == result.curves["l0"].tolist()
    assert {agent["id"] for agent in told["agents"]} == {"h0", "h1", "h2", "h3", "l0"}


def test_live_simulation_ends_where_the_kernel_ends(engine: SimulationEngine) -> None:
    agent = agents()[2]
    steps = list(engine.live_simulate(agent, START, END))
    assert steps[-1]["equity"] == engine.backtest([agent], START, END).curves["h2"].iloc[-1]
    assert len(steps) == 41 * 4 + 1


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


@pytest.mark.parametrize(("start", "end"), [(END, START), (START, START), ("2023-01-01", END), (START, "2030-01-01")])
def test_impossible_dates_are_refused(engine: SimulationEngine, start: str, end: str) -> None:
    with pytest.raises(DataError):
        engine.backtest(agents(), start, end)


def test_an_unknown_strategy_is_refused(engine: SimulationEngine) -> None:
    stranger = TreasuryAgent("s0", attrs.evolve(HOLDER, name="holdr"), ExcessReturn())
    with pytest.raises(ValidationError, match="did you mean 'holder'"):
        engine.backtest([stranger], START, END)
