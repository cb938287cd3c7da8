"""Simulated trades a second through the whole trading engine, every event a durable commit of its own.

    python benchmarks/bench_trades.py [--trades 2000] [--url postgresql://...]

A trade is quoted on the exact market, held against every limit, reserved, executed on the instant chain of simulation, and
settled in the ledger.
The arena stores a whole cycle's trades in one transaction; here each reservation and each settlement is one (SQLite: WAL,
synchronous=FULL), as a chain's orders are. `validated` is the time of one trade until it is reserved, without the commit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treasury_arena.clock import Stopwatch
from treasury_arena.events.catalog import CapitalAllocated, OrderReserved, OrderSettled
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.frames import USDC, reference_markets, synthetic_frame
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits

WHEN, AGENT, CASH = "2024-01-01T00:00:00Z", "a-0001", 10_000 * USDC.unit


class DurableJournal:
    """Commits each event by itself."""

    def __init__(self, store: EventStore, watch: Callable[[], None]) -> None:
        self._store, self._watch = store, watch

    def post(self, payload: Any, agent_id: str | None = None, transfers: tuple[Transfer, ...] = ()) -> None:
        self._watch()
        self._store.append([Draft(payload, WHEN, agent_id, transfers)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an empty database; a SQLite file in a temporary folder unless given")
    parser.add_argument("--trades", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_store(options.url or Path(folder) / "trades.db") as store:
        lines = (Line("world:owner", "USDC", -CASH), Line(f"agent:{AGENT}:available", "USDC", CASH))
        store.append([Draft(CapitalAllocated("arena", CASH, "bench"), WHEN, AGENT, (Transfer("capital", lines),))])
        judged: list[float] = []
        begun = Stopwatch()
        journal = DurableJournal(store, lambda: judged.append(1_000.0 * begun.seconds()))
        limits = Limits(daily_trades_max=None, trade_raw_min=None)
        engine = TradingEngine("arena", reference_markets(synthetic_frame(options.trades // 4 + 2)), journal, limits)
        account = Account(
            agent_id=AGENT,
            strategy="holder",
            stage="proving",
            genome=(),
            limits={"coin": 1.0, "usd": 1.0},
            coin_limit=1.0,
            row=-1,
            first_row=0,
            cash_raw=CASH,
            base_raw=CASH,
        )
        roles = {"coin": "coin", "usd": "usd"}
        reserved: list[float] = []
        watch = Stopwatch()
        for number in range(options.trades):
            target = (1_000 if number % 2 else 2_000) * USDC.unit
            judged.clear()
            begun = Stopwatch()
            equity = engine.equity_raw(account, number, roles)
            assert engine.trade(account, Intent(AGENT, "coin", "coin", target, number), equity) is not None
            reserved.append(judged[0])
        seconds = watch.seconds()
        kinds = [type(event.payload) for event in store.read(after=1)]
        assert kinds.count(OrderReserved) == kinds.count(OrderSettled) == options.trades
        assert replay(store).ok
        cuts = statistics.quantiles(reserved, n=100)
        print(f"{store.url}: {options.trades} trades, {len(kinds)} events, each a commit")
        print(f"{options.trades / seconds:.0f} trades/s by the clock")
        print(f"validated: median {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, longest {max(reserved):.2f} ms")


if __name__ == "__main__":
    main()
