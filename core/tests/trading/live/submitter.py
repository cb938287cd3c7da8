"""Submits orders against one limit.

Each line ``[url, kind, most, name, count]`` that it reads is answered by ``ready``; after the next line it submits, and
prints what it was granted, as JSON.
"""

from __future__ import annotations

import json
import sys

from treasury_arena.domain.stops import OFF
from treasury_arena.store import EventStore, open_store
from treasury_arena.testing.chain import SimulatedClient, SimulatedPlanner, SimulatedSigner, World
from treasury_arena.testing.orders import USDC, ChainClock
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live import LiveLimits, OrderEngine

AMOUNT = 1_000_000
LIMITS = ("hourly", "daily", "agent_daily", "arena")
KINDS = (*LIMITS, "capital", "gas")


def engine(store: EventStore, kind: str, most: int, world: World | None = None) -> OrderEngine:
    """An engine whose limit of a kind is `most`; ``capital`` and ``gas`` are limited by what the store holds."""
    found = world or World()
    limits = LiveLimits(**({f"{kind}_raw": most} if kind in LIMITS else {}))
    planners = {"market": SimulatedPlanner(found, "market", USDC)}
    return OrderEngine(
        "arena",
        store,
        SimulatedClient(found),
        SimulatedSigner(),
        planners,
        ChainClock(found),
        limits,
        mode="local",
        stop_level=lambda _: OFF,
    )


def intents(kind: str, name: str, count: int) -> list[Intent]:
    """Orders of one amount each that have nothing in common but the limit."""
    one = kind in ("agent_daily", "capital")
    return [
        Intent("a" if one else f"a-{name}-{i}", f"{name}-{i}" if one else "only", "market", AMOUNT, 1)
        for i in range(count)
    ]


def main() -> None:
    for line in sys.stdin:
        url, kind, most, name, count = json.loads(line)
        with open_store(url) as store:
            own = engine(store, kind, most)
            print("ready", flush=True)
            sys.stdin.readline()
            print(json.dumps([own.submit(intent) for intent in intents(kind, name, count)]), flush=True)


if __name__ == "__main__":
    main()
