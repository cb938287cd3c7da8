"""A process that appends batches for ever: ``writer.py URL``; prints the seq after each commit, to be killed at any moment."""

from __future__ import annotations

import sys

from treasury_arena.events.catalog import CapitalAllocated
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import open_store

lines = (Line("pool:arena", "USDC", -1), Line("agent:a1:available", "USDC", 1))
draft = Draft(CapitalAllocated("arena", 1, "x"), "2024-01-01T00:00:00Z", "a1", (Transfer("x", lines),))
with open_store(sys.argv[1]) as store:
    while True:
        print(store.append([draft] * 300)[-1].seq, flush=True)
