"""One price, from a line of a file to the report, asserted at every door it passes (docs/explanation/life-of-a-datum.md)."""

from __future__ import annotations

import json
import math
import sqlite3
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from treasury_arena import assembly
from treasury_arena.cli.folder import RunFolder
from treasury_arena.config.load import load_config
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import open_store

FIRST = datetime(2023, 12, 1, tzinfo=UTC)
HOURS = 24 * 60


def line(hour: int) -> str:
    """A bar that opens at `hour`: its close is known one hour later. ETH climbs in waves, BTC sleeps."""
    eth = 2000.0 * math.exp(0.0006 * hour + 0.02 * math.sin(hour / 40.0))
    return f"{(FIRST + timedelta(hours=hour)).isoformat()},{eth:.2f},{40000 + hour % 5},0.03"


@attrs.frozen
class Walk:
    """A run on a hand-made file, and everything it left behind."""

    folder: Path
    lines: list[str]
    world: Any
    decisions: dict[tuple[str, int], Any]
    settled: Any
    reserved: Any
    results: dict[str, Any]
    page: str

    @property
    def row(self) -> int:
        """The market row at which the order was executed."""
        return int(self.settled.payload.row)

    @property
    def price(self) -> float:
        """What the file says about that row."""
        return self.known_at(self.row)

    def known_at(self, row: int) -> float:
        opened = self.world.frame.time(row) - timedelta(hours=1)
        (found,) = [text for text in self.lines if text.startswith(opened.isoformat())]
        return float(found.split(",")[1])


@pytest.fixture(scope="module")
def walk(house: Any, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    lines = [line(hour) for hour in range(HOURS)]
    (folder / "bars.csv").write_text("\n".join(["timestamp,eth,btc,rate", *lines]) + "\n")

    def series(column: str, value: str, unit: str) -> dict[str, Any]:
        bar = {"label": "open", "bar": "1h"}
        return {"column": column, "file": "bars.csv", "value": value, "unit": unit, **bar}

    columns = [
        series("WETH.price", "eth", "usd"),
        series("WBTC.price", "btc", "usd"),
        series("USDC.lending_rate", "rate", "apr"),
        {"column": "gas.usd", "constant": 0.05, "unit": "usd"},
    ]
    changes = {
        "start": "2024-01-01",
        "end": "2024-01-27",
        "population": {"agents": 2, "training_days": 14, "warmup_days": 10, "birth_cycles": 1},
        "strategies.enabled": ["trend"],
        "rules.death_drawdown": "off",
        "source": {"name": "history", "history": {"series": columns}},
    }
    config = house.write(folder / "walk.toml", changes)
    notes = {"run_id": "walk", "data": str(folder), "db": None, "seed": 5, "workers": 1}
    run = RunFolder(folder / "run")
    run.begin(config.read_text(), notes)
    registry = load_registry()
    assembled = assembly.assemble(load_config(config, registry, {}), registry, data=folder)
    decisions: dict[tuple[str, int], Any] = {}
    with open_store(run.store_url()) as store:
        manager = assembled.manager(store)
        runner = manager.cycle.runner
        desk, step = runner.desks["trend"], runner.step
        now: list[tuple[str, int]] = []

        def stepping(account: Any, row: int) -> None:
            now[:] = [(account.agent_id, row)]
            step(account, row)

        def deciding(features: Any, genes: Any, book: Any, state: Any) -> Any:
            target, after = desk.strategy.decide(features, genes, book, state)
            decisions[now[0]] = (features, genes, target)
            return target, after

        runner.step = stepping
        runner.desks["trend"] = attrs.evolve(desk, strategy=attrs.evolve(desk.strategy, decide=deciding))
        manager.run()
        manager.close()
        events = list(store.read())
    assembled.close()
    done = house.arena("resume", run.path, "--json", "--quiet").ok()
    # The first purchase of ETH out of cash alone.
    settled = next(
        e for e in events if e.event_type == "OrderSettled" and e.payload.role == "eth" and e.payload.cash_raw < 0
    )
    reserved = next(
        e for e in events if e.event_type == "OrderReserved" and e.payload.intent_id == settled.payload.intent_id
    )
    page = (run.path / "report.html").read_text()
    return Walk(run.path, lines, assembled.world, decisions, settled, reserved, done.json, page)


def test_source_and_frame(walk: Walk) -> None:
    """The close of the bar that opened an hour before: known now, not earlier."""
    frame = walk.world.frame
    assert frame["WETH.price"][walk.row] == walk.price
    assert walk.price != walk.known_at(walk.row - 1)
    with pytest.raises(ValueError, match="read-only"):
        frame["WETH.price"][walk.row] = 1.0


def test_tables(walk: Walk) -> None:
    tables = walk.world.desks["trend"].tables
    assert walk.price in tables.market[walk.row]
    genome = tuple(walk.decisions[walk.settled.agent_id, walk.row - 1][1])
    assert list(walk.world.desks["trend"].feature_row(genome, walk.row - 1)) == list(
        walk.decisions[walk.settled.agent_id, walk.row - 1][0]
    )


def test_decision(walk: Walk) -> None:
    """The step before: log of the price over its average, of rows up to then only, worked out by hand from the file."""
    features, genes, target = walk.decisions[walk.settled.agent_id, walk.row - 1]
    desk = walk.world.desks["trend"]
    window = int(desk.space.values(np.array(genes))["window"])
    prices = [walk.known_at(row) for row in range(max(0, walk.row - window), walk.row)]
    assert features.eth == pytest.approx(math.log(prices[-1] / (math.fsum(prices) / len(prices))), abs=1e-9)
    assert target.eth > 0.0


def test_order(walk: Walk) -> None:
    """Whole base units: the decided share of the equity, cut to what the agent's record allows."""
    _, _, target = walk.decisions[walk.settled.agent_id, walk.row - 1]
    order = walk.reserved.payload
    assert order.row == walk.row
    assert order.value_raw == 0
    equity = 1_000_000_000  # the proving slot, in base units of USDC
    assert 0 < order.target_raw <= math.ceil(target.eth * equity)
    assert walk.settled.payload.notional_raw == order.target_raw


def test_ledger(walk: Walk) -> None:
    """What is left after costs, at the file's price, in 10^-18 ETH; every transfer sums to zero per asset."""
    order = walk.settled.payload
    held = [
        line
        for transfer in walk.settled.transfers
        for line in transfer.lines
        if line.asset == "WETH" and ":position:eth" in line.account
    ]
    bought = sum(line.amount_raw for line in held)
    spent = Fraction(order.notional_raw - order.cost_raw, 10**6)
    assert bought == pytest.approx(spent / Fraction(walk.price) * 10**18, rel=1e-9)
    assert order.cash_raw == -order.notional_raw
    sums: dict[tuple[int, str], int] = {}
    for number, transfer in enumerate(walk.settled.transfers):
        for entry in transfer.lines:
            sums[number, entry.asset] = sums.get((number, entry.asset), 0) + entry.amount_raw
    assert set(sums.values()) == {0}
    with sqlite3.connect(walk.folder / "arena.db") as database:
        stored = database.execute(
            "SELECT amount FROM capital_ledger WHERE seq = ? AND asset = 'WETH' AND account LIKE 'agent:%'",
            (walk.settled.seq,),
        ).fetchall()
    database.close()
    assert sum(int(amount) for (amount,) in stored) == bought


def test_event(walk: Walk) -> None:
    assert walk.reserved.seq < walk.settled.seq
    assert walk.settled.payload.status == "FINAL"
    with open_store(walk.folder / "arena.db", readonly=True) as store:
        stored = [event for event in store.read(agent_id=walk.settled.agent_id) if event.seq == walk.settled.seq]
    assert stored == [walk.settled]


def test_projection(walk: Walk) -> None:
    order = walk.settled.payload
    with sqlite3.connect(walk.folder / "arena.db") as database:
        row = database.execute(
            "SELECT status, market_row, notional_raw, cost_raw, cash_raw FROM trades WHERE intent_id = ?",
            (order.intent_id,),
        ).fetchone()
    database.close()
    assert row == ("FINAL", walk.row, str(order.notional_raw), str(order.cost_raw), str(order.cash_raw))


def test_report(walk: Walk) -> None:
    """Holding ETH over the run is the file's last price over its first; the run's own numbers carry its digest."""
    world = walk.world
    held = walk.known_at(world.last_row) / walk.known_at(world.first_row)
    assert walk.results["benchmarks"]["hold_eth"]["return"] == pytest.approx(held - 1.0, rel=1e-9)
    assert walk.results["counts"]["orders"] > 0
    with open_store(walk.folder / "arena.db", readonly=True) as store:
        assert walk.results["digest"] == store.last()[1]
    assert json.loads((walk.folder / "results.json").read_text())["digest"] == walk.results["digest"]
    assert walk.results["digest"][:12] in walk.page
