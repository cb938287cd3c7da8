"""Projections: pure folds of events into rows. The store keeps them in the append transaction; replay folds them afresh.

A rule says which rows an event touches and what each becomes. `arena_state` is drawn from the folded tables (`draw_state`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from treasury_arena.domain.stops import OFF, check_level, higher, known_level
from treasury_arena.errors import IntegrityError, StoreError
from treasury_arena.events import catalog as c
from treasury_arena.events.codec import canonical_json
from treasury_arena.events.event import Event
from treasury_arena.store.fuse_projection import FUSE_EVENTS, data_of, fold_fuse, fuse_keys
from treasury_arena.store.lease_projection import DAEMON_RULES
from treasury_arena.store.order_projections import ORDER_RULES
from treasury_arena.store.rules import Key, Row, Rule
from treasury_arena.store.schema import PROJECTIONS
from treasury_arena.store.table import JSON, Table


def _real(value: float) -> float:
    """A float as both databases give it back: SQLite knows no negative zero."""
    return float(value) + 0.0


def _agent_key(event: Event) -> Iterable[Key]:
    return () if event.agent_id is None else ((event.agent_id,),)


def _agent(change: Callable[[Row, Event], Row]) -> Rule:
    def fold(row: Row | None, event: Event, key: Key) -> Row | None:
        return None if row is None else {**row, **change(row, event), "seq": event.seq}

    return Rule("agents", _agent_key, fold)


def _born(row: Row | None, event: Event, key: Key) -> Row:
    born: c.AgentSpawned = event.payload
    return {
        "agent_id": key[0],
        "strategy": born.strategy,
        "stage": "simulation",
        "label": "",
        "origin": born.origin,
        "replaces": born.replaces,
        "parents": born.parents,
        "genome": born.genome,
        "genes": born.genes,
        "training": born.training,
        "born_cycle": born.cycle,
        "born_at": event.timestamp,
        "stage_since": event.timestamp,
        "ended_at": None,
        "ended_by": None,
        "ended_reason": None,
        "failures": 0,
        "days": 0,
        "fitness": None,
        "metrics": {},
        "pool": None,
        "allocated_raw": "0",
        "equity_raw": None,
        "seq": event.seq,
    }


def _performed(row: Row, event: Event) -> Row:
    record: c.PerformanceRecorded = event.payload
    fitness = record.metrics.get("fitness")
    return {
        "days": record.days,
        "fitness": None if fitness is None else _real(fitness),
        "metrics": record.metrics,
        "label": record.label,
    }


def _graduated(row: Row, event: Event) -> Row:
    return {"stage": event.payload.to_stage, "stage_since": event.timestamp, "label": event.payload.label}


def _ended(stage: str) -> Callable[[Row, Event], Row]:
    def change(row: Row, event: Event) -> Row:
        return {
            "stage": stage,
            "stage_since": event.timestamp,
            "ended_at": event.timestamp,
            "ended_by": event.payload.rule,
            "ended_reason": event.payload.reason,
            "allocated_raw": "0",
        }

    return change


def _funded(row: Row, event: Event) -> Row:
    return {"pool": event.payload.pool, "allocated_raw": str(_held(row) + event.payload.amount_raw)}


def _returned(row: Row, event: Event) -> Row:
    return {"allocated_raw": str(max(0, _held(row) - event.payload.amount_raw))}


def _held(row: Row) -> int:
    return _raw(row["allocated_raw"], f"agents holds {row['allocated_raw']!r} as allocated_raw of {row['agent_id']}")


def _raw(text: Any, told: str) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        raise IntegrityError(f"{told}, which is no number; `arena audit` tells more") from None


def _limit(row: Row | None, event: Event, key: Key) -> Row:
    return {"agent_id": key[0], "role": key[1], "share": _real(event.payload.limits[key[1]]), "seq": event.seq}


def _limit_keys(event: Event) -> Iterable[Key]:
    return () if event.agent_id is None else tuple((event.agent_id, role) for role in sorted(event.payload.limits))


_NO_TRADE: Row = dict.fromkeys(
    (
        "code",
        "reason",
        "path",
        "value_raw",
        "target_raw",
        "reserved_raw",
        "notional_raw",
        "cost_raw",
        "cash_raw",
        "slippage_bps",
    )
)


def _trade(row: Row | None, event: Event, key: Key) -> Row:
    order: c.OrderReserved | c.OrderSettled | c.OrderFailed | c.OrderQuarantined | c.OrderRejected = event.payload
    trade: Row = {
        **(row or _NO_TRADE),
        "intent_id": key[0],
        "agent_id": event.agent_id,
        "market": order.market,
        "role": order.role,
        "market_row": order.row,
        "timestamp": event.timestamp,
        "seq": event.seq,
    }
    if isinstance(order, c.OrderReserved):
        trade.update(status="RESERVED", value_raw=str(order.value_raw), target_raw=str(order.target_raw))
        trade.update(reserved_raw=str(order.reserved_raw))
    elif isinstance(order, c.OrderSettled):
        trade.update(status=order.status, path=order.path, slippage_bps=_real(order.slippage_bps))
        trade.update(notional_raw=str(order.notional_raw), cost_raw=str(order.cost_raw), cash_raw=str(order.cash_raw))
    elif isinstance(order, c.OrderQuarantined):
        trade.update(status="QUARANTINED", reason=order.reason)
    elif isinstance(order, c.OrderFailed):
        trade.update(status="FAILED", reason=order.reason, cost_raw=str(order.cost_raw))
    else:
        trade.update(status="REJECTED", code=order.code, reason=order.reason, notional_raw=str(order.notional_raw))
    return trade


def _opened(row: Row | None, event: Event, key: Key) -> Row:
    arena: c.ArenaOpened = event.payload
    if row is not None:
        raise StoreError(f"the store already holds the arena {row['name']!r}; open another store for {arena.name!r}")
    return {
        "id": 1,
        "run_id": event.event_id,
        "name": arena.name,
        "seed": str(arena.seed),
        "profile": arena.profile,
        "config": arena.config,
        "config_hash": arena.config_hash,
        "base_asset": arena.base_asset,
        "assets": arena.assets,
        "plugins": arena.plugins,
        "data_fingerprint": arena.data_fingerprint,
        "start_date": arena.start,
        "end_date": arena.end,
        "status": "running",
        "last_cycle": None,
        "capital_raw": None,
        "seq": event.seq,
    }


def _run(change: Callable[[Event], Row]) -> Rule:
    def fold(row: Row | None, event: Event, key: Key) -> Row | None:
        return None if row is None else {**row, **change(event), "seq": event.seq}

    return Rule("simulation_runs", lambda _: ((1,),), fold)


def _snapshot(row: Row | None, event: Event, key: Key) -> Row:
    cycle: c.EvolutionCycleComplete = event.payload
    return {
        "cycle": cycle.cycle,
        "market_row": cycle.row,
        "timestamp": event.timestamp,
        "trials": cycle.trials,
        "best": _real(cycle.best),
        "median": _real(cycle.median),
        "population": cycle.population,
        "capital_raw": str(cycle.capital_raw),
        "agent_steps": cycle.agent_steps,
        "seq": event.seq,
    }


def _stop(row: Row | None, event: Event, key: Key) -> Row:
    order: c.EmergencyStopEngaged | c.EmergencyStopReleased = event.payload
    level = OFF
    if isinstance(order, c.EmergencyStopEngaged):
        check_level(order.level)
        level = higher(known_level(row["level"]) if row else OFF, order.level)
    return {
        "id": 1,
        "level": level,
        "reason": order.reason,
        "operator": order.operator,
        "timestamp": event.timestamp,
        "seq": event.seq,
    }


_STOP = Rule("emergency_stop", lambda _: ((1,),), _stop)
_TRADE = Rule("trades", lambda event: ((event.payload.intent_id,),), _trade)
_FUSE = Rule("fuses", fuse_keys, fold_fuse)

RULES: dict[str, tuple[Rule, ...]] = {
    "ArenaOpened": (Rule("simulation_runs", lambda _: ((1,),), _opened),),
    "AgentSpawned": (Rule("agents", _agent_key, _born, fresh=True),),
    "PerformanceRecorded": (_agent(_performed),),
    "AgentGraduated": (_agent(_graduated), Rule("position_limits", _limit_keys, _limit, fresh=True)),
    "AgentKilled": (_agent(_ended("dead")),),
    "AgentRetired": (_agent(_ended("retired")),),
    "AgentFailed": (_agent(lambda row, event: {"failures": row["failures"] + 1}),),
    "CapitalAllocated": (_agent(_funded),),
    "CapitalReturned": (_agent(_returned),),
    "OrderReserved": (_TRADE,),
    "OrderSettled": (_TRADE,),
    "OrderRejected": (_TRADE,),
    "OrderFailed": (_TRADE,),
    "OrderQuarantined": (_TRADE,),
    "AgentMarked": (_agent(lambda row, event: {"equity_raw": str(event.payload.equity_raw)}),),
    "EvolutionCycleComplete": (
        Rule("simulation_snapshots", lambda event: ((event.payload.cycle,),), _snapshot, fresh=True),
        _run(lambda event: {"last_cycle": event.payload.cycle, "capital_raw": str(event.payload.capital_raw)}),
    ),
    "RunCompleted": (_run(lambda event: {"status": "completed", "capital_raw": str(event.payload.capital_raw)}),),
    "EmergencyStopEngaged": (_STOP,),
    "EmergencyStopReleased": (_STOP,),
    **ORDER_RULES,
    **dict.fromkeys(FUSE_EVENTS, (_FUSE,)),
    **DAEMON_RULES,
}
"""Event name -> the rows it touches. An event without an entry touches balances and `arena_state` only."""


Touch = tuple[Rule, Event, Iterable[Key]]


def touched(events: Iterable[Event]) -> list[Touch]:
    """Every (rule, event, keys of the rows concerned), in order."""
    return [(rule, event, rule.keys(event)) for event in events for rule in RULES.get(event.event_type, ())]


def needed(touches: Iterable[Touch]) -> dict[str, set[Any]]:
    """First key column's values of the stored rows that folding `touches` reads, by table."""
    wanted: dict[str, set[Any]] = {}
    for rule, _, keys in touches:
        if not rule.fresh:
            inside = wanted.setdefault(rule.table, set())
            for key in keys:
                inside.add(key[0])
    return wanted


def fold_rules(rows: dict[str, dict[Key, Row]], touches: Iterable[Touch], dirty: dict[str, set[Key]]) -> None:
    """Fold `touches` into `rows` (table -> key -> row) in place; keys written are added to `dirty`.

    Every row that is stored and that the events touch must be in `rows`.
    """
    for rule, event, keys in touches:
        table = rows[rule.table]
        for key in keys:
            row = rule.fold(table.get(key), event, key)
            if row is not None:
                table[key] = row
                dirty[rule.table].add(key)


_values = {table.name: itemgetter(*table.columns) for table in PROJECTIONS.values()}
_json = {
    table.name: [index for index, kind in enumerate(table.columns.values()) if kind == JSON]
    for table in PROJECTIONS.values()
}


def stored(table: Table, row: Row) -> tuple[Any, ...]:
    """The row's values as the database holds them, in the order of the table's columns."""
    values = list(_values[table.name](row))
    for index in _json[table.name]:
        value = values[index]
        if value is not None and type(value) is not str:
            values[index] = canonical_json(data_of(value))
    return tuple(values)


def draw_state(
    last_seq: int,
    run: Row | None,
    balances: Mapping[tuple[str, str], int],
    stages: Mapping[str, int],
    funded: Iterable[tuple[str, str]],
) -> Row:
    """The one row of `arena_state`.

    `balances`: at least every account of pools and treasury. `stages`: stage -> number of agents.
    `funded`: (pool, allocated_raw) of each agent whose allocation is not 0.
    """
    base = run["base_asset"] if run else ""
    pools: dict[str, dict[str, str]] = {}
    available: dict[str, str] = {}
    for (account, asset), amount in balances.items():
        kind, _, name = account.partition(":")
        if kind not in ("pool", "treasury"):
            continue
        pools.setdefault(account, {})[asset] = str(amount)
        if kind == "pool" and ":" not in name and asset == base:
            available[name] = str(amount)
    allocated = dict.fromkeys(available, 0)
    for pool, amount_raw in funded:
        told = f"agents holds {amount_raw!r} as allocated_raw of an agent of the pool {pool!r}"
        allocated[pool] = allocated.get(pool, 0) + _raw(amount_raw, told)
    return {
        "id": 1,
        "pools": pools,
        "allocated": {pool: str(amount) for pool, amount in allocated.items()},
        "available": available,
        "agents": dict(stages),
        "last_cycle": run["last_cycle"] if run else None,
        "last_seq": last_seq,
        "seq": last_seq,
    }
