"""What an event is worth telling: how grave it is, whom it concerns, and one line of text."""

from __future__ import annotations

import json
import logging
from typing import Any

import attrs

from treasury_arena.events.event import Event
from treasury_arena_observers.masking import Mask

ERRORS = frozenset(
    {
        "EmergencyStopEngaged",
        "FinalityBroken",
        "FuseLocked",
        "FuseTripped",
        "IntentQuarantined",
        "LeaseLost",
        "OrderQuarantined",
        "ReconciliationFailed",
        "SlotDisplaced",
    }
)
WARNINGS = frozenset(
    {
        "AgentFailed",
        "AgentHalted",
        "FuseTriggered",
        "FuseWarned",
        "GateRefused",
        "JobInterrupted",
        "JobMissed",
        "OperatorCalled",
        "OrderFailed",
        "ReorgDetected",
    }
)
#: Many, and of interest only to who looks for something.
DETAILS = frozenset(
    {
        "AgentMarked",
        "CapitalConservationChecked",
        "FuseChecked",
        "JobClaimed",
        "JobFinished",
        "LiveMarked",
        "MarketObserved",
        "PerformanceRecorded",
        "PoolMarked",
        "SendObserved",
    }
)
_LINE_MAX = 500


def level(event: Event) -> int:
    """How grave an event is, as a level of `logging`."""
    name = event.event_type
    if name in ERRORS:
        return logging.ERROR
    if name in WARNINGS or (name in ("JobFinished", "FuseActionTaken") and _failed(event)):
        return logging.WARNING
    return logging.DEBUG if name in DETAILS else logging.INFO


def _failed(event: Event) -> bool:
    return bool(getattr(event.payload, "error", "")) or not getattr(event.payload, "done", True)


def content(event: Event) -> dict[str, Any]:
    """The payload as JSON-ready data."""
    payload: dict[str, Any] = json.loads(event.data)["payload"]
    return payload


def line(event: Event, mask: Mask) -> str:
    """The event in one line: when, what, who, the reason, and its short fields; no secrets."""
    found = content(event)
    payload = {field.name: found[field.name] for field in attrs.fields(type(event.payload)) if field.name in found}
    first = [str(payload.pop(name)) for name in ("text", "reason") if payload.get(name)]
    fields = [
        f"{name} {mask.value(value, name)}"
        for name, value in payload.items()
        if isinstance(value, str | int | float) and value != "" and name != "config_hash"
    ]
    told = mask("; ".join([*first, ", ".join(fields)] if fields else first))
    who = f" {event.agent_id}" if event.agent_id else ""
    text = f"{event.timestamp} {event.event_type}{who}: {told}"
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return text if len(text) <= _LINE_MAX else f"{text[: _LINE_MAX - 3]}..."
