"""A process that takes the lease and writes once for each line it is told: ``contender.py URL SECONDS``."""

from __future__ import annotations

import sys

from treasury_arena.clock import WallClock
from treasury_arena.errors import LeaseLostError
from treasury_arena.events.daemon import DaemonStarted
from treasury_arena.events.event import Draft
from treasury_arena.store import open_store
from treasury_arena.store.lease import Lease

with open_store(sys.argv[1]) as store:
    lease = Lease(store, WallClock(), seconds=int(sys.argv[2]))
    print("token", lease.acquire(), flush=True)
    for _ in sys.stdin:
        try:
            draft = Draft(DaemonStarted("late", lease.token, "paper", "0", {}), "2024-01-01T00:00:00Z")
            print("wrote", lease.guarded().append([draft])[0].seq, flush=True)
        except LeaseLostError as error:
            print(error, flush=True)
