"""What every reporter must do: say the verdict, write the same files twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.results import RunResult
from treasury_arena.contracts.runtime import Reporter
from treasury_arena.randomness import stream


def sample_result(days: int = 30) -> RunResult:
    """A small run's result, complete and self-consistent enough to be drawn."""
    rng = stream(11, 0, "conformance/result")
    dates = [str(np.datetime64("2024-01-01") + np.timedelta64(day, "D")) for day in range(days)]
    closed = [str(np.datetime64(moment) - np.timedelta64(1, "D")) for moment in dates]
    lent = 10_000.0 * 1.0001 ** np.arange(days)
    eth = 10_000.0 * np.exp(np.cumsum(0.02 * rng.standard_normal(days)))
    eth *= 10_000.0 / eth[0]
    treasury = 0.9 * lent + 0.1 * eth
    curves = {
        "lend_everything": lent,
        "hold_eth": eth,
        "sixty_forty": 0.6 * eth + 0.4 * lent,
        "passive_mean_weight": treasury * 0.999,
        "weekly_weights_index": treasury * 1.001,
    }
    row = dict.fromkeys(
        ("return", "annual_return", "sharpe", "excess_sharpe", "sortino", "volatility", "max_drawdown", "win_rate"),
        0.05,
    )
    agent: dict[str, Any] = {
        "id": "holder-0001",
        "strategy": "holder",
        "stage": "arena",
        "born": dates[0],
        "ended": None,
        "reason": "",
        "parents": [],
        "genome": {"share": 0.5},
        "fitness": 1.5,
        "sharpe": 1.2,
        "total_return": 0.04,
        "max_drawdown": -0.03,
        "coin_share": 0.5,
        "capital": "4000.000000",
        "deflated_sharpe": 0.6,
        "pbo": 0.4,
        "trials": 400,
        "fidelity_bps": 0.1,
        "gap_bps": -3.2e-7,
        "gap_unmeasured": None,
        "promoted": True,
        "label": "",
    }
    child = agent | {"id": "holder-0002", "parents": ["holder-0001"], "stage": "simulation", "promoted": False}
    child |= {"capital": None, "deflated_sharpe": None, "pbo": None, "trials": None}
    child |= {"fidelity_bps": None, "gap_bps": None}
    return RunResult(
        run_id="small-7-0000",
        name="small",
        profile="balanced",
        seed=7,
        digest="0f" * 32,
        start=dates[0],
        end=closed[-1],
        capital=dict.fromkeys(
            (*("initial", "final", "reserve", "proving", "arena"), *("available", "allocated", "costs", "idle_cost")),
            "10000.000000",
        ),
        treasury=dict(row),
        managed=dict(row),
        benchmarks={
            name: {"label": name.replace("_", " "), "final": f"{curve[-1]:.6f}", **row}
            for name, curve in curves.items()
        },
        verdict={
            "text": "No skill is shown.",
            "skill": False,
            "difference": 0.01,
            "low": -0.02,
            "high": 0.04,
            "significant": False,
        },
        agents=[agent, child],
        counts=dict.fromkeys(
            (
                *("births", "deaths", "retirements", "graduations_proving", "graduations_arena"),
                *("failures", "orders", "rejected"),
            ),
            2,
        ),
        trials=400,
        series={
            "dates": closed,
            "treasury": treasury.tolist(),
            **{name: curve.tolist() for name, curve in curves.items()},
            "allocation": {
                "reserve": (0.4 * treasury).tolist(),
                "pool_cash": (0.1 * treasury).tolist(),
                "pool_lent": (0.2 * treasury).tolist(),
                "holder": (0.3 * treasury).tolist(),
            },
        },
        generations=[
            {
                "cycle": cycle,
                "date": dates[7 * cycle],
                "strategy": "holder",
                "generation": generation,
                "best": 1.0 + generation,
                "median": 0.5,
                "diversity": 0.3,
                "restarts": 0,
            }
            for cycle in range(4)
            for generation in range(2)
        ],
        cycles=[
            {
                "cycle": cycle,
                "date": dates[7 * cycle],
                "alive": 8,
                "simulation": 4,
                "proving": 2,
                "arena": 2,
                "dead": cycle,
                "graduated": cycle,
                "best": 1.5,
                "median": 0.5,
                "capital": float(treasury[7 * cycle]),
                "trials": 100 * (cycle + 1),
            }
            for cycle in range(4)
        ],
        data={"source": "synthetic"},
        timings=dict.fromkeys(
            (
                *("seconds", "setup_seconds", "agent_steps", "agent_steps_per_second", "search_seconds"),
                *("live_seconds", "store_seconds", "events", "peak_memory_mib"),
            ),
            1.0,
        ),
    )


class ReporterConformance:
    """Laws of a reporter. Subclasses define the fixture ``reporter``."""

    @pytest.fixture
    def reporter(self) -> Reporter:
        """What to test."""
        raise NotImplementedError("define the fixture `reporter` in your subclass")

    def test_it_is_named(self, reporter: Reporter) -> None:
        assert reporter.name

    def test_the_table_tells_treasury_benchmarks_and_verdict(self, reporter: Reporter) -> None:
        result = sample_result()
        text = " ".join(reporter.table(result).lower().split())
        assert "lend everything" in text
        assert "hold eth" in text
        assert "no skill" in text

    def test_files_lie_in_the_folder_and_stay_the_same(self, reporter: Reporter, tmp_path: Path) -> None:
        first = reporter.write(sample_result(), tmp_path / "first")
        second = reporter.write(sample_result(), tmp_path / "second")
        assert [path.name for path in first] == [path.name for path in second]
        for path, other in zip(first, second, strict=True):
            assert path.parent == tmp_path / "first"
            assert path.stat().st_size > 0
            assert path.read_bytes() == other.read_bytes()

    def test_json_files_are_json(self, reporter: Reporter, tmp_path: Path) -> None:
        for path in reporter.write(sample_result(), tmp_path):
            if path.suffix == ".json":
                assert json.loads(path.read_text())["run_id"] == "small-7-0000"

    def test_a_run_without_promotions_can_be_told(self, reporter: Reporter, tmp_path: Path) -> None:
        bare = attrs.evolve(sample_result(), agents=[], generations=[])
        assert reporter.table(bare)
        assert all(path.exists() for path in reporter.write(bare, tmp_path))
