"""The public objects as a Python prompt shows them: one short line, every name listed, the nearest one told."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import treasury_arena
from treasury_arena.arena.backtest import BacktestResult, SimulationEngine
from treasury_arena.arena.manager import ArenaManager
from treasury_arena.arena.results import build_result


def test_a_result_and_what_makes_it_are_one_short_line(arena: ArenaManager) -> None:
    arena.run_evolution_cycle()
    arena.run_evolution_cycle()
    result = build_result(arena, "mine")
    curves, table = pd.DataFrame({"mine-1": [1.0, 2.0]}), pd.DataFrame({"failure": [None]}, index=["mine-1"])
    backtest = BacktestResult(curves, table, 10, 0.5)
    engine = SimulationEngine(arena.settings, arena.world)
    for shown, words in (
        (repr(result), ("RunResult mine", result.digest[:12], f"{len(result.agents)} agents", result.capital["final"])),
        (repr(arena), ("ArenaManager", f"2 of {len(arena.schedule())} cycles", "alive")),
        (repr(engine), ("SimulationEngine", *arena.world.desks)),
        (repr(arena.world), ("World", *arena.world.desks)),
        (repr(backtest), ("BacktestResult", "1 agents", "1 days")),
    ):
        assert len(shown) < 200
        assert "\n" not in shown
        assert "object at 0x" not in shown
        for word in words:
            assert word in shown


def test_an_unknown_desk_tells_the_nearest(arena: ArenaManager) -> None:
    known = next(iter(arena.world.desks))
    with pytest.raises(KeyError, match=f"did you mean '{known}'"):
        arena.world.desks[known[:-1]]
    assert known[:-1] not in arena.world.desks


def test_the_public_names_are_listed_before_they_are_used() -> None:
    code = "import treasury_arena; print(*dir(treasury_arena))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(treasury_arena.__all__) <= set(done.stdout.split())
