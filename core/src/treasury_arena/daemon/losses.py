"""What a daemon may have lost, doubled or hidden, looked for in its stores from the outside. Reads only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from treasury_arena.domain.order_states import IntentState
from treasury_arena.events.event import Event
from treasury_arena.store import EventStore, audit

DECIDING = (
    "EmergencyStopEngaged",
    "EmergencyStopReleased",
    "FuseTripped",
    "FuseLocked",
)
"""Events after which an arena rightly decides otherwise than a run over the same days."""

OUTSIDE = ("MarketObserved", "TreasuryMarked", "OperatorCalled")
"""What only a daemon tells of an arena, besides its leases, jobs and fuses."""


def damage(store: EventStore, name: str) -> list[str]:
    """What is not whole in the store called `name`: log, chain of hashes, ledger, tables."""
    return [f"{name}, {one}" for one in audit(store).findings]


def tail(events: Sequence[Event], seen: Iterable[tuple[int, str]], name: str) -> list[str]:
    """Events that were in the store called `name` after a kill, as (seq, hash), and are not there now."""
    hashes = {event.seq: event.hash for event in events}
    return [
        f"{name}: event {seq} was there after a kill and is another one now, or gone"
        for seq, digest in seen
        if hashes.get(seq) != digest
    ]


def slots(events: Iterable[Event]) -> list[str]:
    """Slots of jobs that ran twice, that nobody accounts for, or that never ended."""
    found: list[str] = []
    every: dict[str, int] = {}
    newest: dict[str, int] = {}
    under_way: dict[str, int] = {}
    for event in events:
        payload = event.payload
        if event.event_type == "DaemonStarted":
            every.update(payload.jobs)
        elif event.event_type in ("JobClaimed", "JobMissed"):
            first = payload.slot if event.event_type == "JobClaimed" else payload.first
            last = payload.slot if event.event_type == "JobClaimed" else payload.last
            before = newest.get(payload.job)
            if before is not None and first <= before:
                found.append(
                    f"job {payload.job}: slot {first} begins or is missed after slot {before} (event {event.seq})"
                )
            elif before is not None and payload.job in every and first > before + every[payload.job]:
                found.append(f"job {payload.job}: nobody accounts for the slots between {before} and {first}")
            newest[payload.job] = last
            if event.event_type == "JobClaimed":
                if payload.job in under_way:
                    found.append(f"job {payload.job}: slot {first} begins while {under_way[payload.job]} is under way")
                under_way[payload.job] = first
        elif event.event_type in ("JobFinished", "JobInterrupted") and under_way.pop(payload.job, None) != payload.slot:
            found.append(f"job {payload.job}: slot {payload.slot} ends that was not under way (event {event.seq})")
    return found + [f"job {job}: slot {slot} never ended" for job, slot in sorted(under_way.items())]


def orders(events: Iterable[Event]) -> tuple[list[str], dict[str, int]]:
    """Orders on a chain that were executed twice, ended twice, or left a nonce open; and how many are in which state."""
    found: list[str] = []
    steps: Counter[tuple[str, int]] = Counter()
    used: dict[tuple[int, str, int], str] = {}
    states: dict[str, str] = {}
    nonces: dict[tuple[int, str], set[int]] = defaultdict(set)
    for event in events:
        payload = event.payload
        if event.event_type == "IntentReserved":
            if payload.intent_id in states:
                found.append(f"order {payload.intent_id} was reserved twice (event {event.seq})")
            states[payload.intent_id] = str(IntentState.EXECUTING)
        elif event.event_type == "IntentQuarantined":
            states[payload.intent_id] = str(IntentState.QUARANTINED)
        elif event.event_type == "IntentEnded":
            if states.get(payload.intent_id) in (IntentState.SETTLED, IntentState.FAILED, IntentState.CANCELLED):
                found.append(f"order {payload.intent_id} ended twice (event {event.seq})")
            states[payload.intent_id] = payload.status
        elif event.event_type == "StepFinal":
            place = (payload.chain_id, payload.sender, payload.nonce)
            nonces[place[:2]].add(payload.nonce)
            if place in used:
                found.append(f"nonce {payload.nonce} of {payload.sender} was settled twice (event {event.seq})")
            used[place] = payload.tx_hash
            if payload.success and payload.kind != "cancel":
                steps[payload.intent_id, payload.step] += 1
        elif event.event_type == "FinalityBroken":  # what was executed is undone on the chain, and may be done again
            steps[payload.intent_id, payload.step] = 0
            used.pop((payload.chain_id, payload.sender, payload.nonce), None)
    found += [f"step {step} of order {order} was executed {n} times" for (order, step), n in steps.items() if n > 1]
    for (_, sender), settled in nonces.items():
        gaps = sorted(set(range(min(settled), max(settled))) - settled)
        found += [f"nonce {nonce} of {sender} was passed over" for nonce in gaps]
    return found, dict(Counter(states.values()))


def told(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    """What an arena decided, without what only a daemon tells and without the identity of its data."""
    return [
        (
            event.event_type,
            event.agent_id,
            event.transfers,
            None if event.event_type == "ArenaOpened" else event.payload,
        )
        for event in events
        if event.event_type not in OUTSIDE and not event.event_type.startswith(("Daemon", "Lease", "Job", "Fuse"))
    ]


def decisions(events: Iterable[Event], expected: Iterable[Event]) -> tuple[list[str], int]:
    """Where an arena decided otherwise than one that nobody interrupted, and how many of its events were compared.

    `expected` may go on for longer. What came after somebody or a fuse stopped new risk is not compared.
    """
    found = list(events)
    stopped = next((index for index, event in enumerate(found) if event.event_type in DECIDING), len(found))
    mine, other = told(found[:stopped]), told(expected)
    for number, (one, two) in enumerate(zip(mine, other, strict=False)):
        if one != two:
            return [
                f"decision {number} is another than without interruptions: {one[0]} of {one[1]}, not {two[0]} of {two[1]}"
            ], number
    if len(mine) > len(other):
        return [f"{len(mine) - len(other)} decisions more than without interruptions"], len(other)
    return [], len(mine)
