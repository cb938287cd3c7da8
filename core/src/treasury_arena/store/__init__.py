"""The store: the only memory. Events are the truth, everything else a projection of them."""

from treasury_arena.store.event_store import EventStore, open_store

__all__ = ["EventStore", "open_store"]
