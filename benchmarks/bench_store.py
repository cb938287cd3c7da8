"""Events per second of the store, beside the bare database in the same run.

    python benchmarks/bench_store.py [--url postgresql://...] [--events 20000] [--rounds 5]

An event is one PerformanceRecorded with a payload of about 200 bytes. `store` does everything an append does: canonical JSON,
ids and hashes, projections, one transaction of `batch` events (SQLite: WAL, synchronous=FULL). `bare` inserts the same,
ready-made rows into a table without ledger, hash or projection, through SQLAlchemy Core. The median of the rounds counts;
`best` is the store's best round and `busy` its events per second of the processor's time, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from treasury_arena.clock import Stopwatch
from treasury_arena.events.catalog import AgentSpawned, PerformanceRecorded
from treasury_arena.events.event import Draft, Event
from treasury_arena.store import EventStore, audit, open_store
from treasury_arena.store.event_store import event_row
from treasury_arena.store.schema import EVENTS, INT

WHEN = "2024-01-01T00:00:00Z"
BATCHES = (1, 50, 1_000)


def drafts(count: int) -> list[Draft]:
    """Records of 50 agents, each different."""
    return [
        Draft(
            PerformanceRecorded(
                cycle=index // 50,
                days=30 + index % 300,
                metrics={
                    "fitness": 1.25 + index * 1e-7,
                    "sharpe": 0.512312,
                    "total_return": 0.123123,
                    "max_drawdown": -0.0123,
                    "win_rate": 0.55,
                    "coin_share": 0.1,
                },
                label="",
            ),
            WHEN,
            f"agent{index % 50:02d}",
        )
        for index in range(count)
    ]


def spawn(store: EventStore) -> None:
    """The agents whose records follow, so that every record changes a row of a projection."""
    store.append(
        [
            Draft(AgentSpawned("s", 0, 0, [0.5], {"g": 0.5}, [], None, {}, "seed"), WHEN, f"agent{i:02d}")
            for i in range(50)
        ]
    )


def time_store(store: EventStore, given: list[Draft], batch: int) -> tuple[float, float, list[Event]]:
    """Seconds to append everything, seconds of the processor, and the last batch of events."""
    watch, begin, events = Stopwatch(), time.process_time(), []
    for first in range(0, len(given), batch):
        events = store.append(given[first : first + batch])
    return watch.seconds(), time.process_time() - begin, events


def time_bare(engine: sa.Engine, table: sa.Table, rows: list[dict[str, object]], batch: int) -> float:
    """Seconds to insert the rows with nothing around it."""
    watch = Stopwatch()
    for first in range(0, len(rows), batch):
        with engine.begin() as connection:
            connection.execute(table.insert(), rows[first : first + batch])
    return watch.seconds()


def bare_table(url: str) -> tuple[sa.Engine, sa.Table]:
    """A fresh table with the columns of `events`."""
    engine = sa.create_engine(url)
    columns = [
        sa.Column(name, sa.BigInteger if kind == INT else sa.Text, primary_key=name == "seq")
        for name, kind in EVENTS.columns.items()
    ]
    table = sa.Table("bare_events", sa.MetaData(), *columns)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        table.drop(connection, checkfirst=True)
        table.create(connection)
    return engine, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an empty database; a SQLite file in a temporary folder unless given")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'bench.db'}"
        bare_url = options.url or f"sqlite:///{Path(folder) / 'bare.db'}"
        with open_store(url) as store:
            if store.last()[0] == 0:
                spawn(store)
            size = len(store.append(drafts(1))[0].data)
            print(f"{store.url}: events of {size} bytes")
            print(
                f"{'batch':>6} {'store events/s':>15} {'best':>10} {'busy':>10} {'bare events/s':>15} {'bare/store':>11}"
            )
            for batch in BATCHES:
                count = min(options.events, batch * 200)
                given, seconds, busy, bare = drafts(count), [], [], []
                for _ in range(options.rounds):
                    spent, worked, events = time_store(store, given, batch)
                    seconds.append(spent)
                    busy.append(worked)
                    engine, table = bare_table(bare_url.replace("postgresql://", "postgresql+pg8000://"))
                    rows = [
                        dict(zip(EVENTS.columns, event_row(events[i % len(events)]), strict=True)) for i in range(count)
                    ]
                    rows = [{**row, "seq": index} for index, row in enumerate(rows)]
                    bare.append(time_bare(engine, table, rows, batch))
                    engine.dispose()
                mine, theirs = count / statistics.median(seconds), count / statistics.median(bare)
                best, work = count / min(seconds), count / min(busy)
                line = (
                    f"{batch:>6} {mine:>15,.0f} {best:>10,.0f} {work:>10,.0f} {theirs:>15,.0f} {theirs / mine:>11.2f}"
                )
                print(line)
            watch = Stopwatch()
            report = audit(store)
            print(f"audit: {'sound' if report.ok else 'NOT SOUND'}, {report.last_seq / watch.seconds():,.0f} events/s")


if __name__ == "__main__":
    main()
