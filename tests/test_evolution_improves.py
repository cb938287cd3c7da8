"""Breeding finds what is there, and the report does not claim what is not.

The full measurement is benchmarks/evolution_against_random.py; this is its cheap version, on fixed seeds.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

from treasury_arena.registry.loader import load_registry

pytestmark = pytest.mark.no_cover


@pytest.fixture(scope="module")
def benchmark(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("comparison", root / "benchmarks" / "evolution_against_random.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_with_a_planted_edge_the_bred_beat_the_drawn_out_of_sample(benchmark: Any) -> None:
    registry = load_registry()
    rows = [benchmark.compare(seed, registry, edge=8.0) for seed in range(1, 9)]
    for row in rows:
        assert row["trials"] == row["random_trials"]
    found = benchmark.summary(rows)
    assert found["bred_training"] > found["random_training"]
    assert found["mean_difference"] > 2.0 * found["standard_error"] > 0.0
    assert found["wins"] >= 6
    # Both found the edge, and some of what was seen in training was luck.
    assert found["random"] > 1.0


def test_without_an_edge_the_report_says_so(house: Any, tmp_path: Path) -> None:
    for seed in range(1, 6):
        changes = {
            "seed": seed,
            "end": "2024-03-31",
            "rules.death_drawdown": "off",
            "source.simulated": {"edge": 0.0, "drift": 0.0, "gas_usd": 0.05},
        }
        config = house.write(tmp_path / f"{seed}.toml", changes)
        document = house.arena("run", config, "--out", tmp_path / str(seed), "--json", "--quiet").ok().json
        assert not document["verdict"]["skill"], seed
        assert "evidence of skill beyond" not in document["verdict"]["text"]
        promoted = [agent for agent in document["agents"] if agent["promoted"]]
        assert promoted
        for agent in promoted:
            assert 0.0 <= agent["deflated_sharpe"] < 0.95, agent["id"]
            assert agent["trials"] > 0
        report = (tmp_path / str(seed) / "report.html").read_text()
        assert document["verdict"]["text"].split(",")[0][:60] in report


def test_the_trials_behind_a_promotion_are_those_of_the_event_log(house: Any, finished: Path) -> None:
    trials = 0
    deflated = 0
    for event in house.arena("events", finished, "--json").json:
        payload = event["data"]["payload"]
        if event["type"] == "EvolutionCycleComplete":
            trials += payload["trials"]
        if event["type"] == "AgentGraduated":
            deflated += 1
            assert payload["trials"] == trials
            assert math.isfinite(payload["deflated_sharpe"])
    assert deflated > 0
    assert house.arena("status", finished, "--json").json["trials"] == trials
