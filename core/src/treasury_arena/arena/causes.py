"""Causes: which event of the same transaction brought another about, told as the log grows."""

from __future__ import annotations

from typing import Any

from treasury_arena.events import catalog

#: Event -> kinds of events that cause it, the most telling first; the newest one in the transaction that concerns the same
#: order or agent, or the arena as a whole, is the cause.
CAUSES: dict[type, tuple[type, ...]] = {
    catalog.AgentSpawned: (catalog.EvolutionCycleStarted,),
    catalog.PerformanceRecorded: (catalog.EvolutionCycleStarted,),
    catalog.AgentGraduated: (catalog.PerformanceRecorded,),
    catalog.AgentKilled: (catalog.AgentFailed, catalog.PerformanceRecorded),
    catalog.AgentRetired: (catalog.PerformanceRecorded,),
    catalog.CapitalAllocated: (catalog.AgentGraduated,),
    catalog.CapitalReturned: (catalog.AgentKilled, catalog.AgentRetired, catalog.AgentGraduated),
    catalog.OrderSettled: (catalog.OrderReserved,),
    catalog.EvolutionCycleComplete: (catalog.EvolutionCycleStarted,),
    catalog.RunCompleted: (catalog.EvolutionCycleComplete,),
}
_ARENA_WIDE = (catalog.EvolutionCycleStarted, catalog.EvolutionCycleComplete)
_REMEMBERED = frozenset(cause for causes in CAUSES.values() for cause in causes)
#: A move of capital for this reason follows the ranking of all, not a promotion that happened in the same cycle.
BY_RANK = "rank"


class Causes:
    """Remembers the events of one transaction by kind and whom they concern."""

    def __init__(self) -> None:
        self._newest: dict[tuple[type, str | None], int] = {}

    def of(self, payload: Any, agent_id: str | None) -> int | None:
        """Index of the event that caused this one, None when nothing in the transaction did."""
        if getattr(payload, "reason", None) == BY_RANK:
            return None
        for kind in CAUSES.get(type(payload), ()):
            key = None if kind in _ARENA_WIDE else _key(payload, agent_id)
            index = self._newest.get((kind, key))
            if index is not None:
                return index
        return None

    def note(self, index: int, payload: Any, agent_id: str | None) -> None:
        """Remember event number `index` of the transaction."""
        kind = type(payload)
        if kind in _REMEMBERED:
            self._newest[kind, None if kind in _ARENA_WIDE else _key(payload, agent_id)] = index

    def clear(self) -> None:
        """Begin another transaction."""
        self._newest.clear()


def _key(payload: Any, agent_id: str | None) -> str | None:
    key: str | None = getattr(payload, "intent_id", agent_id)
    return key
