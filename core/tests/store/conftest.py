from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from treasury_arena.events import catalog as c
from treasury_arena.events import daemon as d
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Line, Transfer
from treasury_arena.store import EventStore, open_store

NOON = "2024-01-01T12:00:00Z"
DRAWDOWN = {
    "guard": "drawdown_breach",
    "reading": "drawdown",
    "why": "limit",
    "value": "0.06",
    "limit": "0.05",
    "text": "drawdown_breach: drawdown is 0.06, at or beyond the limit 0.05",
}


def move(source: str, target: str, amount: int, asset: str = "USDC", reason: str = "move") -> Transfer:
    return Transfer(reason, (Line(source, asset, -amount), Line(target, asset, amount)))


def opened(amount: int = 1_000, pool: str = "arena") -> Draft:
    payload = c.ArenaOpened(
        "t", 7, "owner", {"a": {"b_raw": 2**70}}, "h", "USDC", {"USDC": 6}, {}, "f", "2024-01-01", "2024-12-31"
    )
    return Draft(payload, NOON, None, (move("world:owner", f"pool:{pool}", amount),))


def spawned(agent: str, **changes: Any) -> Draft:
    fields = {"strategy": "farmer", "cycle": 1, "row": 24, "genome": [0.1, -0.0], "genes": {"x": 0.1, "y": 1e-9}}
    rest = {"parents": [], "replaces": None, "training": {"score": 1.5}, "origin": "search"}
    return Draft(c.AgentSpawned(**{**fields, **rest, **changes}), NOON, agent)


def allocated(agent: str, amount: int, pool: str = "arena") -> Draft:
    transfer = move(f"pool:{pool}", f"agent:{agent}:available", amount)
    return Draft(c.CapitalAllocated(pool, amount, "rank"), NOON, agent, (transfer,))


def returned(agent: str, amount: int, pool: str = "arena") -> Draft:
    transfer = move(f"agent:{agent}:available", f"pool:{pool}", amount)
    return Draft(c.CapitalReturned(pool, amount, "end"), NOON, agent, (transfer,))


def record(agent: str, fitness: float = 1.25) -> Draft:
    return Draft(c.PerformanceRecorded(1, 30, {"fitness": fitness, "sharpe": 0.1}, ""), NOON, agent)


def story() -> list[Draft]:
    """A short life of an arena in which every projection has rows."""
    metrics = {"fitness": 2.5, "sharpe": 1.75}
    settled = move("agent:a1:reserved", "agent:a1:position:lend", 90, reason="fill")
    costs = move("agent:a1:reserved", "fee:aave.usdc", 10, reason="fee")
    token = Transfer("mint", (Line("world:aave", "aUSDC", -(2**80)), Line("agent:a1:position:lend", "aUSDC", 2**80)))
    limits = {"lend": 1.0, "coin": 0.25}
    reserved = move("agent:a1:available", "agent:a1:reserved", 100)
    settled_order = c.OrderSettled("i1", "aave.usdc", "lend", 25, "FINAL", ["SENT"], 90, 10, -100, 1.5, ["90"])
    memory = {"peak_raw": 400, "s": [0.5]}
    return [
        opened(1_000),
        Draft(c.EvolutionCycleStarted(1, 24), NOON),
        spawned("a1"),
        spawned("ä2", origin="seed", parents=["a1"]),
        record("a1", 2.5),
        Draft(c.AgentGraduated("simulation", "arena", "good", metrics, 0.9, None, 12, limits, "lender"), NOON, "a1"),
        allocated("a1", 400),
        Draft(c.OrderReserved("i1", "aave.usdc", "lend", 25, 0, 100, 100), NOON, "a1", (reserved,), caused_by=6),
        Draft(settled_order, NOON, "a1", (settled, costs, token), caused_by=7),
        Draft(c.OrderRejected("i2", "uni.eth", "coin", 26, "trade_size", "too small", 3), NOON, "a1"),
        Draft(c.AgentFailed("raised", "division by zero"), NOON, "ä2"),
        Draft(c.AgentKilled("failed", "its code failed", {}), NOON, "ä2", caused_by=10),
        Draft(c.AgentMarked(1, 48, 390, 300, {"lend": ["90"]}, memory, [400, 390], {"lend": 0.2}, 1, 10), NOON, "a1"),
        Draft(c.EvolutionCycleComplete(1, 48, 12, {"farmer": [1, 2, 3]}, [], {"arena": 1}, 1.0, -0.0, 990, 48), NOON),
        Draft(c.EmergencyStopEngaged("SOFT", "drill", "ann"), NOON),
        returned("a1", 50),
        Draft(c.RunCompleted(1, 48, 990), NOON),
        Draft(c.FuseArmed("survival", ["drawdown_breach"]), NOON),
        Draft(c.FuseTriggered("survival", [DRAWDOWN], []), NOON),
        Draft(c.FuseTripped("survival", 1, DRAWDOWN["text"], ["reduce"], [NOON]), NOON),
        Draft(c.FuseChecked("survival", "TRIPPED", "2024-01-01T12:03:00Z", False, [DRAWDOWN], []), NOON),
    ]


def live_story() -> list[Draft]:
    """A live order from its reservation to its end, so that every table of orders has rows, too."""
    me, slot = "0xaa", (31337, "0xaa", 7)
    step = {"kind": "supply", "asset": "USDC", "amount": "9", "gas_max": 90_000, "details": {}}
    reserved = o.IntentReserved(
        "i9", "aave", "lend", "strategy", 31337, me, [0.5], 0, 9, 9, 0, 2**80, False, 99, [step]
    )
    signed = o.AttemptSigned("i9", 0, *slot, 0, "original", "0x01", "0x02f8", 21_000, 5, 1, {"to": "0xbb"}, "d", 3)
    effect = {"log_index": 4, "asset": "USDC", "amount_raw": -9}
    final = o.StepFinal("i9", 0, "supply", *slot, "0x01", 5, "0xb5", True, 21, [effect])
    payloads = [
        o.LiveArmed(31337, me, 10**9, "ann", "0xb0", 7),
        reserved,
        o.NonceAllocated("i9", 0, "supply", *slot),
        signed,
        o.SendObserved("i9", *slot, "0x01", "node", "ok", "", 4),
        o.IncludedObserved("i9", *slot, "0x01", 5, "0xb5", True),
        final,
        o.IntentEnded("i9", "SETTLED", "", "", 0, 2**80 - 21),
        o.SlotDisplaced(None, 31337, me, 8, "a nonce of somebody else"),
    ]
    return [Draft(payload, NOON, "a1") for payload in payloads]


def daemon_story() -> list[Draft]:
    """Two daemons one after the other, and the slots of two jobs."""
    payloads = [
        d.LeaseTaken("writer", "one", "box", 7, 1),
        d.DaemonStarted("one", 1, "paper", "0.1.0", {"cycle": 60, "mark": 10}),
        d.JobClaimed("cycle", 120, 1),
        d.JobMissed("mark", 100, 130, 10, 4, "the clock jumped"),
        d.LeaseLost("writer", "one", 1, "it ran out"),
        d.LeaseTaken("writer", "two", "box", 8, 2),
        d.JobInterrupted("cycle", 120, "its process ended before it did"),
        d.JobClaimed("mark", 140, 2),
        d.JobFinished("mark", 140, "no price"),
        d.JobClaimed("cycle", 180, 2),
        d.DaemonStopped("two", 2, "SIGTERM"),
        d.LeaseTaken("other", "three", "box", 9, 1),
        d.LeaseReleased("other", "three", 1),
    ]
    return [Draft(payload, NOON) for payload in payloads]


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Builders of drafts."""
    builders = (move, opened, spawned, allocated, returned, record, story, live_story, daemon_story)
    return SimpleNamespace(NOON=NOON, **{builder.__name__: builder for builder in builders})


@pytest.fixture
def store(store_url: str) -> Iterator[EventStore]:
    with open_store(store_url) as opened_store:
        yield opened_store
