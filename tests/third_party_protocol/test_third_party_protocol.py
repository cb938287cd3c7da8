"""An outside protocol beside the least that a run needs: listed, equal to its contract, and agents lend in it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

CONFIG = Path(__file__).with_name("savings.toml")


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    try:
        distribution("example-savings")
    except PackageNotFoundError:
        pytest.skip("examples/third_party_protocol is not installed here; `tox run -e third-party-protocol` does it")


def arena(*arguments: str | Path) -> Any:
    done = subprocess.run(
        [Path(sys.executable).with_name("arena"), *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("savings") / "run"
    arena("run", CONFIG, "--out", folder)
    return folder


def test_it_is_listed_beside_its_hook() -> None:
    (mine,) = [plugin for plugin in arena("plugins")["plugins"] if plugin["name"] == "savings"]
    assert mine["status"] == "accepted"
    assert mine["distribution"] == "example-savings"
    assert mine["offers"] == {"arena_protocols": ["savings"]}


def test_its_parity_is_run_by_the_command() -> None:
    found = arena("parity", "--protocol", "savings", "--operations", "200")
    assert found["ok"]
    (bytecode,), (model,) = found["bytecode"], found["models"]
    assert bytecode["differences"] == {}
    assert bytecode["compared"]["balance"] == 200
    assert model["largest"] <= model["bound"]


def test_funded_agents_lend_in_it(run: Path) -> None:
    funded = arena("events", run, "--type", "CapitalAllocated")
    assert {event["data"]["payload"]["pool"] for event in funded} == {"proving", "arena"}
    settled = arena("events", run, "--type", "OrderSettled")
    lent = [event for event in settled if event["data"]["payload"]["market"] == "usdc_lending"]
    assert {event["agent_id"] for event in lent} <= {event["agent_id"] for event in funded}
    indexes = [event["data"]["payload"]["state"][1] for event in lent]
    assert len(indexes) > 10
    assert max(map(int, indexes)) > 10**27, "the index never grew"


def test_its_interest_is_in_the_books_and_the_books_are_whole(run: Path) -> None:
    posted = [transfer for event in arena("events", run) for transfer in event["data"].get("transfers", [])]
    assert "interest" in {transfer["reason"] for transfer in posted}
    assert arena("audit", run)["ok"]
