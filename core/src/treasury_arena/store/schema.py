"""The stored tables. Names and columns are public: audits read them with plain SQL.

Amounts of `capital_ledger` and `account_balances` are exact beyond 64 bits: decimal text in SQLite, NUMERIC(78,0) in
PostgreSQL. Every other base-unit figure is decimal text in both. Nested values are canonical JSON text. `seq` on a
projection's row is the event that wrote the row last.
"""

from __future__ import annotations

from treasury_arena.store import order_schema
from treasury_arena.store.table import AMOUNT, INT, JSON, REAL, TEXT, Table

HEAD = "0005"
"""The Alembic revision this program writes."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every revision this program can bring to HEAD, oldest first."""

EVENTS = Table(
    "events",
    {
        "seq": INT,
        "event_id": TEXT,
        "event_type": TEXT,
        "version": INT,
        "agent_id": TEXT,
        "timestamp": TEXT,
        "data": TEXT,
        "caused_by": TEXT,
        "prev_hash": TEXT,
        "hash": TEXT,
    },
)
CAPITAL_LEDGER = Table(
    "capital_ledger",
    {
        "entry": INT,  # gap-free from 1, in the order of events, transfers and lines
        "seq": INT,
        "event_id": TEXT,
        "transfer_id": TEXT,
        "account": TEXT,
        "asset": TEXT,
        "amount": AMOUNT,
        "reason": TEXT,
        "timestamp": TEXT,
    },
)
ACCOUNT_BALANCES = Table("account_balances", {"account": TEXT, "asset": TEXT, "amount": AMOUNT, "seq": INT}, 2)
AGENTS = Table(
    "agents",
    {
        "agent_id": TEXT,
        "strategy": TEXT,
        "stage": TEXT,  # simulation, proving, arena, retired, dead
        "label": TEXT,
        "origin": TEXT,
        "replaces": TEXT,
        "parents": JSON,
        "genome": JSON,
        "genes": JSON,
        "training": JSON,
        "born_cycle": INT,
        "born_at": TEXT,
        "stage_since": TEXT,
        "ended_at": TEXT,
        "ended_by": TEXT,  # the rule that ended it
        "ended_reason": TEXT,
        "failures": INT,
        "days": INT,
        "fitness": REAL,
        "metrics": JSON,
        "pool": TEXT,  # the pool that funded it last
        "allocated_raw": TEXT,  # given less returned, never below 0; 0 once it has ended
        "equity_raw": TEXT,  # at its last mark
        "seq": INT,
    },
)
TRADES = Table(
    "trades",
    {
        "intent_id": TEXT,
        "agent_id": TEXT,
        "market": TEXT,
        "role": TEXT,
        "market_row": INT,
        "status": TEXT,  # RESERVED, FINAL, REJECTED
        "code": TEXT,
        "reason": TEXT,
        "path": JSON,
        "value_raw": TEXT,
        "target_raw": TEXT,
        "reserved_raw": TEXT,
        "notional_raw": TEXT,
        "cost_raw": TEXT,
        "cash_raw": TEXT,
        "slippage_bps": REAL,
        "timestamp": TEXT,
        "seq": INT,
    },
)
POSITION_LIMITS = Table("position_limits", {"agent_id": TEXT, "role": TEXT, "share": REAL, "seq": INT}, 2)
SIMULATION_RUNS = Table(
    "simulation_runs",
    {
        "id": INT,  # always 1: a store holds one run
        "run_id": TEXT,  # event_id of ArenaOpened
        "name": TEXT,
        "seed": TEXT,
        "profile": TEXT,
        "config": JSON,
        "config_hash": TEXT,
        "base_asset": TEXT,
        "assets": JSON,
        "plugins": JSON,
        "data_fingerprint": TEXT,
        "start_date": TEXT,
        "end_date": TEXT,
        "status": TEXT,  # running, completed
        "last_cycle": INT,
        "capital_raw": TEXT,
        "seq": INT,
    },
)
SIMULATION_SNAPSHOTS = Table(
    "simulation_snapshots",
    {
        "cycle": INT,
        "market_row": INT,
        "timestamp": TEXT,
        "trials": INT,
        "best": REAL,
        "median": REAL,
        "population": JSON,
        "capital_raw": TEXT,
        "agent_steps": INT,
        "seq": INT,
    },
)
EMERGENCY_STOP = Table(
    "emergency_stop",
    {
        "id": INT,  # always 1
        "level": TEXT,  # OFF, SOFT, HARD: the highest engaged since the last release
        "reason": TEXT,
        "operator": TEXT,
        "timestamp": TEXT,
        "seq": INT,
    },
)
FUSES = Table(
    "fuses",
    {
        "fuse": TEXT,
        "state": TEXT,  # ARMED, WARNED, TRIPPED, COOLING, LOCKED; anything else counts as LOCKED
        "since": TEXT,
        "reason": TEXT,
        "operator": TEXT,  # who reset it last
        "checked_at": TEXT,  # its last recorded check
        "valid_until": TEXT,  # from then on nobody watches, and no new risk is taken
        "data": JSON,  # everything else it remembers: triggers, warnings, trips, actions
        "seq": INT,
    },
)
LEASES = Table(
    "leases",
    {
        "lease": TEXT,
        "state": TEXT,  # HELD, RELEASED, LOST
        "holder": TEXT,  # a name of its own for each process
        "host": TEXT,
        "pid": INT,
        "token": INT,  # grows by one with every acquisition; only the newest may write
        "reason": TEXT,  # why it was lost
        "since": TEXT,
        "seq": INT,
    },
)
LEASE_TERMS = Table(
    "lease_terms",
    {
        "lease": TEXT,
        "token": INT,
        "renewed_at": TEXT,  # by the database's clock, SQLite by the machine's
        "expires_at": TEXT,  # from then on another process may take the lease
    },
)
JOBS = Table(
    "jobs",
    {
        "job": TEXT,
        "last": INT,  # its newest slot that began or was missed: none up to it begins again
        "running": INT,  # the slot under way, None between runs
        "token": INT,  # of the lease that it runs under
        "began_at": TEXT,
        "done": INT,
        "failed": INT,
        "interrupted": INT,  # slots whose process ended before they did
        "missed": INT,
        "error": TEXT,  # how its newest finished run failed, empty when it did not
        "seq": INT,
    },
)
ARENA_STATE = Table(
    "arena_state",
    {
        "id": INT,  # always 1
        "pools": JSON,  # account of pool or treasury -> asset -> balance
        "allocated": JSON,  # pool -> allocated_raw of its living agents, summed: what they were given, not what it is worth
        "available": JSON,  # pool -> free cash, base asset
        "agents": JSON,  # stage -> number of agents
        "last_cycle": INT,
        "last_seq": INT,
        "seq": INT,
    },
)

FOLDED = {
    table.name: table
    for table in (
        ACCOUNT_BALANCES,
        AGENTS,
        TRADES,
        POSITION_LIMITS,
        SIMULATION_RUNS,
        SIMULATION_SNAPSHOTS,
        EMERGENCY_STOP,
        *order_schema.TABLES,
        FUSES,
        LEASES,
        JOBS,
    )
}
"""Projections folded event by event; `arena_state` is drawn from them."""

PROJECTIONS = {**FOLDED, ARENA_STATE.name: ARENA_STATE}
TERMS = {LEASE_TERMS.name: LEASE_TERMS}
"""What only matters at the moment and is written in place: no part of the history, so no replay makes it."""

TABLES = {EVENTS.name: EVENTS, CAPITAL_LEDGER.name: CAPITAL_LEDGER, **PROJECTIONS, **TERMS}
