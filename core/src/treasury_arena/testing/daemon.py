"""A small daemon to be stopped and killed by tests.

    python -m treasury_arena.testing.daemon URL SCHEDULER LEASE_SECONDS LOG [GATE]

It takes the lease, waiting while another holds it, and runs one job every second. The job writes ``<slot> <pid>`` to LOG and,
where GATE is given, lasts until that file is there. SIGTERM stops it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from treasury_arena.clock import WallClock
from treasury_arena.contracts.runtime import Job, SchedulerContext
from treasury_arena.errors import LeaseLostError, TreasuryArenaError
from treasury_arena.registry import load_registry
from treasury_arena.store import open_store
from treasury_arena.store.lease import Lease, LeaseKeeper
from treasury_arena.store.slot_book import StoreSlotBook


def main(url: str, name: str, seconds: int, log: Path, gate: Path | None) -> None:
    """Run until SIGTERM; raises LeaseLostError when another process took the lease."""
    clock, pause = WallClock(), threading.Event()
    scheduler = load_registry(only=("core", name)).schedulers[name](None, SchedulerContext(clock, url))
    signal.signal(signal.SIGTERM, lambda *_: scheduler.stop())

    def call(slot: int) -> None:
        with log.open("a") as file:
            file.write(f"{slot} {os.getpid()}\n")
        while gate is not None and not gate.exists():
            pause.wait(0.02)

    with open_store(url) as store:
        lease = Lease(store, clock, seconds=seconds)
        while not acquired(lease):
            pause.wait(0.1)
        with LeaseKeeper(lease, lambda _: scheduler.stop()):
            print("token", lease.token, flush=True)
            book = StoreSlotBook(lease)
            for job, slot in book.interrupted():
                print("interrupted", job, slot, flush=True)
            scheduler.run([Job("tick", 1, call, 1)], book)


def acquired(lease: Lease) -> bool:
    """Whether the lease could be taken."""
    try:
        lease.acquire()
    except LeaseLostError:
        return False
    return True


if __name__ == "__main__":
    try:
        given = sys.argv[1:]
        main(given[0], given[1], int(given[2]), Path(given[3]), Path(given[4]) if len(given) > 4 else None)
    except TreasuryArenaError as error:
        sys.exit(f"{type(error).__name__}: {error}")
