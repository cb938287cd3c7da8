"""The store: the only memory. Events are the truth, everything else a projection of them."""

from treasury_arena.store.audit import AuditReport, Finding, audit, prove, prove_while
from treasury_arena.store.event_store import EventStore, open_store
from treasury_arena.store.replay import ReplayReport, compare_projections, rebuild_projections, replay

__all__ = [
    "AuditReport",
    "EventStore",
    "Finding",
    "ReplayReport",
    "audit",
    "compare_projections",
    "open_store",
    "prove",
    "prove_while",
    "rebuild_projections",
    "replay",
]
