"""What went wrong in a run, read back from its events: emergency stops and what they refused, agents whose code failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from treasury_arena.events import catalog
from treasury_arena.events.event import Event

STOP_CODE = "emergency_stop"
FAILED_RULE = "failed"


def emergency_stops(events: Iterable[Event], date: Callable[[int], str], first_row: int) -> list[dict[str, Any]]:
    """Every stop that held during the run, in order.

    Each is ``{level, start, end, operator, reason, released_by, release_reason, refused}``: `start` and `end` are the market's
    dates at which it took effect, `end` and what follows from a release are None for a stop that held to the end, and
    `refused` counts the orders it refused. Stops engaged one on another are one, with the words of the first. A stop by its
    file alone left no event: it is known by the orders it refused, and has neither operator nor reason. What happened after
    the run was complete is left out.

    Args:
        events: of the whole run, in order.
        date: a market row's date.
        first_row: the run's first row.
    """
    stops: list[dict[str, Any]] = []
    standing: dict[str, Any] | None = None
    row = first_row

    def begin(level: str, operator: str | None, reason: str | None) -> dict[str, Any]:
        stop = {"level": level, "start": date(row), "end": None, "operator": operator, "reason": reason}
        stops.append({**stop, "released_by": None, "release_reason": None, "refused": 0})
        return stops[-1]

    for event in events:
        payload = event.payload
        if isinstance(payload, catalog.EmergencyStopEngaged):
            standing = standing or begin(payload.level, payload.operator, payload.reason)
            standing["level"] = "HARD" if "HARD" in (payload.level, standing["level"]) else "SOFT"
            if standing["operator"] is None:
                standing |= {"operator": payload.operator, "reason": payload.reason}
        elif isinstance(payload, catalog.OrderRejected) and payload.code == STOP_CODE:
            standing = standing or begin("HARD", None, None)
            standing["refused"] += 1
        elif isinstance(payload, catalog.EmergencyStopReleased):
            standing = standing or begin("HARD", None, None)
            standing |= {"end": date(row), "released_by": payload.operator, "release_reason": payload.reason}
            standing = None
        elif isinstance(payload, catalog.EvolutionCycleComplete):
            row = payload.row
        elif isinstance(payload, catalog.RunCompleted):
            break
    return stops


def failed_agents(events: Iterable[Event]) -> set[str]:
    """Ids of the agents whose own code failed: they have no record."""
    return {
        str(event.agent_id)
        for event in events
        if isinstance(event.payload, catalog.AgentKilled) and event.payload.rule == FAILED_RULE
    }


def failures(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Why agents' own code failed: ``{reason, deaths}``, the most frequent first."""
    reasons = Counter(
        event.payload.reason
        for event in events
        if isinstance(event.payload, catalog.AgentKilled) and event.payload.rule == FAILED_RULE
    )
    return [
        {"reason": reason, "deaths": deaths}
        for reason, deaths in sorted(reasons.items(), key=lambda found: (-found[1], found[0]))
    ]
