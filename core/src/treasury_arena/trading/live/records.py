"""What the journal says of open orders: typed rows, read inside or outside a transaction. Nothing is kept between reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.contracts.chain import PlannedStep, Step, StepKind
from treasury_arena.domain.order_states import OPEN_INTENTS, OPEN_STEPS, IntentState, StepState
from treasury_arena.store import order_schema
from treasury_arena.store.event_store import EventStore
from treasury_arena.store.table import JSON, Table
from treasury_arena.trading.intent import CLOSE

HALTED = "HALTED"


@attrs.frozen
class IntentRecord:
    """A journaled intent; `gained` is what its final steps brought in (+) or took (-), by asset."""

    intent_id: str
    agent_id: str | None
    market: str
    role: str
    purpose: str
    chain_id: int
    sender: str
    control: tuple[float, ...]
    target_raw: int
    notional_raw: int
    reserved_raw: int
    gas_raw: int
    reduces: bool
    deadline: int
    steps: tuple[PlannedStep, ...]
    next_step: int
    gained: dict[str, int]
    fees_raw: int
    state: IntentState
    failed: str
    reason: str
    reserved_at: str

    def left_raw(self, base: str) -> int:
        """Base units of the reservation (and of what came in) that are not spent."""
        return self.reserved_raw + self.gained.get(base, 0)


@attrs.frozen
class SlotRecord:
    """A journaled slot."""

    slot: str
    chain_id: int
    sender: str
    nonce: int
    intent_id: str | None
    step: int | None
    kind: str | None
    state: StepState
    attempts: int
    tx_hash: str | None
    block_number: int | None
    block_hash: str | None


@attrs.frozen
class AttemptRecord:
    """A journaled signature; `call` is the bound step that its bytes carry out."""

    tx_hash: str
    slot: str
    attempt: int
    purpose: str
    signed: str
    gas: int
    fee_cap_raw: int
    tip_raw: int
    call: dict[str, Any]
    signed_block: int
    sent_block: int | None

    def step(self) -> Step:
        """The step as it was bound."""
        return step_of(self.call)


@attrs.frozen
class Armed:
    """The confirmation in force."""

    chain_id: int
    address: str
    limit_raw: int
    genesis: str
    nonce: int


def planned_out(step: PlannedStep) -> dict[str, Any]:
    """A planned step as events hold it."""
    amount = step.amount_raw
    return {
        "kind": str(step.kind),
        "asset": step.asset,
        "amount": amount if isinstance(amount, str) else str(amount),
        "gas_max": step.gas_max,
        "details": step.details,
    }


def planned_in(values: dict[str, Any]) -> PlannedStep:
    """The inverse of `planned_out`."""
    amount = values["amount"]
    whole = int(amount) if amount.lstrip("-").isdigit() else amount
    return PlannedStep(
        StepKind(values["kind"]), values["asset"], whole, int(values["gas_max"]), _raws(dict(values["details"]))
    )


def _raws(details: dict[str, Any]) -> dict[str, Any]:
    return {
        key: int(value) if key.endswith("_raw") and isinstance(value, str) else value for key, value in details.items()
    }


def call_out(step: Step) -> dict[str, Any]:
    """A bound step as events hold it."""
    return {
        "kind": str(step.kind),
        "asset": step.asset,
        "to": step.to,
        "data": step.data,
        "value": str(step.value_raw),
        "gas_max": step.gas_max,
        "expects": [[name, str(value), isinstance(value, int)] for name, value in sorted(step.expects.items())],
        "spends": [[asset, str(amount)] for asset, amount in sorted(step.spends.items())],
    }


def step_of(call: dict[str, Any]) -> Step:
    """The inverse of `call_out`."""
    return Step(
        StepKind(call["kind"]),
        call["asset"],
        call["to"],
        call["data"],
        int(call["value"]),
        int(call["gas_max"]),
        {name: int(value) if whole else value for name, value, whole in call["expects"]},
        {asset: int(amount) for asset, amount in call["spends"]},
    )


@attrs.frozen
class Reserved:
    """What a limit counts of an intent: whose it is, how much, and since when (stored form)."""

    agent_id: str | None
    notional_raw: int
    reserved_at: str


class Records:
    """Reads the tables of live orders of one store."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction to read in."""
        return self._store.database.read()

    def _rows(
        self, table: Table, tail: str, params: Sequence[Any], connection: Connection | None
    ) -> list[dict[str, Any]]:
        database = self._store.database
        found = database.rows(connection, table, tail, params) if connection else database.ask(table, tail, params)
        names = list(table.columns.items())
        return [
            {name: json.loads(value) if kind == JSON else value for (name, kind), value in zip(names, row, strict=True)}
            for row in found
        ]

    def open_intents(self, connection: Connection | None = None) -> list[IntentRecord]:
        """Intents that hold a reservation, oldest first."""
        marks = ", ".join("?" * len(OPEN_INTENTS))
        tail = f"WHERE state IN ({marks}) ORDER BY reserved_at, seq, intent_id"
        return [_intent(row) for row in self._rows(order_schema.INTENTS, tail, list(OPEN_INTENTS), connection)]

    def since(self, reserved_at: str, connection: Connection | None = None) -> list[Reserved]:
        """Risk-adding intents reserved at or after a time (stored form) and not cancelled."""
        tail = "WHERE reserved_at >= ? AND state <> ? AND reduces = 0"
        found = self._some(
            ("agent_id", "notional_raw", "reserved_at"), tail, [reserved_at, str(IntentState.CANCELLED)], connection
        )
        return [Reserved(agent_id, int(notional), at) for agent_id, notional, at in found]

    def closings(self, agent_id: str, role: str) -> tuple[int, str]:
        """How many orders to close a position were ever reserved, however they ended, and when the newest was (stored form)."""
        tail = "WHERE agent_id = ? AND role = ? AND purpose = ?"
        count, newest = self._some(("COUNT(*)", "MAX(reserved_at)"), tail, [agent_id, role, CLOSE])[0]
        return int(count), str(newest or "")

    def open_for(self, agent_id: str, role: str, connection: Connection | None = None) -> str | None:
        """The id of an intent of an agent's role that holds a reservation, or None."""
        marks = ", ".join("?" * len(OPEN_INTENTS))
        tail = f"WHERE state IN ({marks}) AND agent_id = ? AND role = ? ORDER BY reserved_at, seq, intent_id LIMIT 1"
        found = self._some(("intent_id",), tail, [*map(str, OPEN_INTENTS), agent_id, role], connection)
        return str(found[0][0]) if found else None

    def places(self) -> list[tuple[str | None, str, str]]:
        """Every (agent, role, market) that ever had an intent, in the order in which each was last reserved.

        Late news of an old intent, as when its finality broke, does not make its market the newest one again.
        """
        tail = "GROUP BY agent_id, role, market ORDER BY max(reserved_at), max(seq)"
        return [(agent, role, market) for agent, role, market in self._some(("agent_id", "role", "market"), tail)]

    def _some(
        self, columns: Sequence[str], tail: str, params: Sequence[Any] = (), connection: Connection | None = None
    ) -> list[tuple[Any, ...]]:
        """A few columns of intents."""
        statement = f"SELECT {', '.join(columns)} FROM intents {tail}"
        if connection is not None:
            return self._store.database.fetch(connection, statement, params)
        with self.reading() as own:
            return self._store.database.fetch(own, statement, params)

    def intent(self, intent_id: str, connection: Connection | None = None) -> IntentRecord | None:
        """One intent."""
        rows = self._rows(order_schema.INTENTS, "WHERE intent_id = ?", [intent_id], connection)
        return _intent(rows[0]) if rows else None

    def intents(self, limit: int = 100) -> list[IntentRecord]:
        """The latest intents, newest first."""
        rows = self._rows(order_schema.INTENTS, f"ORDER BY reserved_at DESC, seq DESC LIMIT {int(limit)}", [], None)
        return [_intent(row) for row in rows]

    def open_slots(self, sender: str | None = None, connection: Connection | None = None) -> list[SlotRecord]:
        """Slots that wait for something, by nonce."""
        marks = ", ".join("?" * len(OPEN_STEPS))
        tail, params = f"WHERE state IN ({marks})", [str(state) for state in OPEN_STEPS]
        if sender is not None:
            tail, params = f"{tail} AND sender = ?", [*params, sender.lower()]
        return [_slot(row) for row in self._rows(order_schema.SLOTS, f"{tail} ORDER BY nonce", params, connection)]

    def open_slot(self, intent_id: str, connection: Connection | None = None) -> SlotRecord | None:
        """The slot under way of an intent; the lowest one when broken finality has opened several again."""
        marks = ", ".join("?" * len(OPEN_STEPS))
        tail = f"WHERE intent_id = ? AND state IN ({marks}) ORDER BY nonce LIMIT 1"
        rows = self._rows(order_schema.SLOTS, tail, [intent_id, *map(str, OPEN_STEPS)], connection)
        return _slot(rows[0]) if rows else None

    def slots(self, intent_id: str) -> list[SlotRecord]:
        """Every slot of an intent, by nonce."""
        return [
            _slot(row)
            for row in self._rows(order_schema.SLOTS, "WHERE intent_id = ? ORDER BY nonce", [intent_id], None)
        ]

    def used(self, chain_id: int, sender: str, connection: Connection | None = None) -> list[SlotRecord]:
        """Every slot of a sender that was not given back, by nonce."""
        tail = "WHERE chain_id = ? AND sender = ? AND state <> ? ORDER BY nonce"
        params = [chain_id, sender.lower(), str(StepState.PLANNED)]
        return [_slot(row) for row in self._rows(order_schema.SLOTS, tail, params, connection)]

    def nonces(self, chain_id: int, sender: str) -> set[int]:
        """Every nonce of a sender that was given out and not given back."""
        statement = "SELECT nonce FROM slots WHERE chain_id = ? AND sender = ? AND state <> ?"
        with self.reading() as connection:
            params = [chain_id, sender.lower(), str(StepState.PLANNED)]
            return {int(nonce) for (nonce,) in self._store.database.fetch(connection, statement, params)}

    def settled(self, chain_id: int, sender: str, lowest: int) -> list[SlotRecord]:
        """Slots of a sender whose final transaction stands in block `lowest` or a later one, by nonce."""
        tail = "WHERE chain_id = ? AND sender = ? AND state IN (?, ?) AND coalesce(block_number, 0) >= ? ORDER BY nonce"
        params = [chain_id, sender.lower(), str(StepState.FINAL), str(StepState.SUPERSEDED), lowest]
        return [_slot(row) for row in self._rows(order_schema.SLOTS, tail, params, None)]

    def highest_nonce(self, chain_id: int, sender: str, connection: Connection | None = None) -> int | None:
        """The highest nonce that the journal has given to a sender."""
        tail = "WHERE chain_id = ? AND sender = ? AND state <> ? ORDER BY nonce DESC LIMIT 1"
        params = [chain_id, sender.lower(), str(StepState.PLANNED)]
        rows = self._rows(order_schema.SLOTS, tail, params, connection)
        return int(rows[0]["nonce"]) if rows else None

    def attempts(self, slot: str, connection: Connection | None = None) -> list[AttemptRecord]:
        """Every signature of a slot, in order."""
        rows = self._rows(order_schema.ATTEMPTS, "WHERE slot = ? ORDER BY attempt", [slot], connection)
        return [_attempt(row) for row in rows]

    def halted(self, chain_id: int, sender: str, connection: Connection | None = None) -> str | None:
        """Why a sender is halted, or None."""
        key = order_schema.sender_key(chain_id, sender)
        rows = self._rows(order_schema.SENDERS, "WHERE sender = ?", [key], connection)
        return str(rows[0]["reason"]) if rows and rows[0]["state"] == HALTED else None

    def armed(self, connection: Connection | None = None) -> Armed | None:
        """The confirmation in force, or None."""
        rows = self._rows(order_schema.LIVE, "WHERE id = 1 AND armed = 1", [], connection)
        if not rows:
            return None
        row = rows[0]
        return Armed(
            int(row["chain_id"]), str(row["address"]), int(row["limit_raw"]), str(row["genesis"]), int(row["nonce"])
        )


def _intent(row: dict[str, Any]) -> IntentRecord:
    return IntentRecord(
        intent_id=row["intent_id"],
        agent_id=row["agent_id"],
        market=row["market"],
        role=row["role"],
        purpose=row["purpose"],
        chain_id=row["chain_id"],
        sender=row["sender"],
        control=tuple(row["control"]),
        target_raw=int(row["target_raw"]),
        notional_raw=int(row["notional_raw"]),
        reserved_raw=int(row["reserved_raw"]),
        gas_raw=int(row["gas_raw"]),
        reduces=bool(row["reduces"]),
        deadline=row["deadline"],
        steps=tuple(planned_in(step) for step in row["steps"]),
        next_step=row["next_step"],
        gained={asset: int(amount) for asset, amount in row["gained"].items()},
        fees_raw=int(row["fees_raw"]),
        state=IntentState(row["state"]),
        failed=row["failed"],
        reason=row["reason"],
        reserved_at=row["reserved_at"],
    )


def _slot(row: dict[str, Any]) -> SlotRecord:
    return SlotRecord(
        **{
            **{name: row[name] for name in order_schema.SLOTS.columns if name != "seq"},
            "state": StepState(row["state"]),
        }
    )


def _attempt(row: dict[str, Any]) -> AttemptRecord:
    values = {name: row[name] for name in order_schema.ATTEMPTS.columns if name != "seq"}
    return AttemptRecord(**{**values, "fee_cap_raw": int(row["fee_cap_raw"]), "tip_raw": int(row["tip_raw"])})
