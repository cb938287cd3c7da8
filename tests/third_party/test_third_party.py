"""An outside distribution beside the least that a run needs: it is listed, bred and funded."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

CONFIG = Path(__file__).with_name("reversion.toml")


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    try:
        distribution("arena-reversion")
    except PackageNotFoundError:
        pytest.skip("examples/third_party_strategy is not installed here; `tox run -e third-party` does it")


def arena(*arguments: str | Path) -> Any:
    done = subprocess.run(
        [Path(sys.executable).with_name("arena"), *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("third") / "run"
    arena("run", CONFIG, "--out", folder)
    return folder


def test_it_is_listed_beside_its_hook() -> None:
    (mine,) = [plugin for plugin in arena("plugins")["plugins"] if plugin["name"] == "reversion"]
    assert mine["status"] == "accepted"
    assert mine["distribution"] == "arena-reversion"
    assert mine["offers"] == {"arena_strategies": ["reversion"]}


def test_it_is_bred_by_the_search(run: Path) -> None:
    born = arena("events", run, "--type", "AgentSpawned")
    assert {event["data"]["payload"]["strategy"] for event in born} == {"reversion"}
    assert {event["data"]["payload"]["origin"] for event in born} >= {"search"}


def test_it_is_funded_in_proving_and_then_in_the_arena(run: Path) -> None:
    funded = arena("events", run, "--type", "CapitalAllocated")
    assert {event["data"]["payload"]["pool"] for event in funded} >= {"proving", "arena"}
    assert all(event["agent_id"].startswith("reversion") for event in funded)
    assert all(int(event["data"]["payload"]["amount_raw"]) > 0 for event in funded)


def test_its_books_are_whole(run: Path) -> None:
    assert arena("audit", run)["ok"]
