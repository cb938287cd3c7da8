"""Takes capital from one pool until nothing fits any more, ``racer.py URL AGENT AMOUNT``, and prints how often it got it."""

from __future__ import annotations

import sys

from treasury_arena.errors import ConcurrencyError
from treasury_arena.events.catalog import CapitalAllocated
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import EventStore, open_store


def take(store: EventStore, agent: str, amount: int) -> int:
    """Allocate `amount` again and again, reading the balance first and retrying when another writer was faster."""
    lines = (Line("pool:arena", "USDC", -amount), Line(f"agent:{agent}:available", "USDC", amount))
    draft = Draft(CapitalAllocated("arena", amount, "race"), "2024-01-01T00:00:00Z", agent, (Transfer("race", lines),))
    got = 0
    while True:
        seq, _ = store.last()
        if store.balance("pool:arena", "USDC") < amount:
            return got
        try:
            store.append([draft], expected_seq=seq)
            got += 1
        except ConcurrencyError:
            continue


if __name__ == "__main__":
    with open_store(sys.argv[1]) as opened:
        print(take(opened, sys.argv[2], int(sys.argv[3])))
