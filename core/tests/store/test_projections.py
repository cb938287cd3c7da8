"""What the projections say after a short life of an arena, read with plain SQL."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from treasury_arena.errors import IntegrityError
from treasury_arena.store import EventStore, compare_projections, schema


def rows(store: EventStore, table: str) -> list[dict[str, Any]]:
    found = schema.TABLES[table]
    with store.database.read() as connection:
        return [dict(zip(found.columns, row, strict=True)) for row in store.database.rows(connection, found)]


def test_every_projection(store: EventStore, make: SimpleNamespace) -> None:
    store.append(make.story())
    agents = {row["agent_id"]: row for row in rows(store, "agents")}
    assert (agents["a1"]["stage"], agents["a1"]["label"], agents["a1"]["fitness"]) == ("arena", "lender", 2.5)
    assert (agents["a1"]["pool"], agents["a1"]["allocated_raw"], agents["a1"]["equity_raw"]) == ("arena", "350", "390")
    assert json.loads(agents["a1"]["genes"]) == {"x": 0.1, "y": 1e-9}
    assert (agents["ä2"]["stage"], agents["ä2"]["failures"], agents["ä2"]["ended_by"]) == ("dead", 1, "failed")
    trades = {row["intent_id"]: row for row in rows(store, "trades")}
    assert (trades["i1"]["status"], trades["i1"]["reserved_raw"], trades["i1"]["cost_raw"]) == ("FINAL", "100", "10")
    assert (trades["i2"]["status"], trades["i2"]["code"], trades["i2"]["slippage_bps"]) == (
        "REJECTED",
        "trade_size",
        None,
    )
    assert {(r["agent_id"], r["role"], r["share"]) for r in rows(store, "position_limits")} == {
        ("a1", "lend", 1.0),
        ("a1", "coin", 0.25),
    }
    (run,) = rows(store, "simulation_runs")
    assert (run["name"], run["seed"], run["status"], run["last_cycle"], run["capital_raw"]) == (
        "t",
        "7",
        "completed",
        1,
        "990",
    )
    (snapshot,) = rows(store, "simulation_snapshots")
    assert (snapshot["cycle"], snapshot["best"], snapshot["median"]) == (1, 1.0, 0.0)
    (state,) = rows(store, "arena_state")
    assert json.loads(state["pools"]) == {"pool:arena": {"USDC": "650"}}
    assert json.loads(state["available"]) == {"arena": "650"}
    assert json.loads(state["allocated"]) == {"arena": "350"}
    assert json.loads(state["agents"]) == {"arena": 1, "dead": 1}
    assert (state["last_cycle"], state["last_seq"]) == (1, 21)


@pytest.mark.parametrize(("given_back", "left"), [(399, "1"), (400, "0"), (401, "0")])
def test_an_allocation_never_falls_below_zero(
    store: EventStore, make: SimpleNamespace, given_back: int, left: str
) -> None:
    store.append([make.opened(1_000), make.spawned("a1"), make.allocated("a1", 400)])
    profit = make.record("a1")
    store.append([type(profit)(profit.payload, make.NOON, "a1", (make.move("world:m", "agent:a1:available", 5),))])
    store.append([make.returned("a1", given_back)])
    assert rows(store, "agents")[0]["allocated_raw"] == left
    assert compare_projections(store) == []


def test_projections_do_not_depend_on_how_events_were_grouped(store: EventStore, make: SimpleNamespace) -> None:
    for draft in make.story():
        if draft.caused_by is None:
            store.append([draft])
    assert compare_projections(store) == []


def test_reading_a_changed_event_raises_and_names_it(store: EventStore, make: SimpleNamespace) -> None:
    store.append(make.story())
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE events SET data = replace(data, 'farmer', 'barmer') WHERE seq = 3")
    with pytest.raises(IntegrityError, match="event 3 was changed after it was stored"):
        list(store.read())
    assert [event.seq for event in store.read(after=3, upto=4)] == [4]
