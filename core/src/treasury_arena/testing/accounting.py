"""What became of every slot of a daemon's jobs, from its log alone."""

from __future__ import annotations

from collections import Counter

from treasury_arena.store import EventStore


def accounted(store: EventStore) -> Counter[str]:
    """Check that each job's slots, first to newest, are done or missed once each; how many of each, and done with an error.

    The work of a claimed slot must have ended or have been recorded as interrupted.
    """
    every: dict[str, int] = {}
    slots: dict[str, list[int]] = {}
    claimed: list[tuple[str, int]] = []
    ended: list[tuple[str, int]] = []
    counts: Counter[str] = Counter()
    for event in store.read():
        payload = event.payload
        if event.event_type == "DaemonStarted":
            every |= payload.jobs
        elif event.event_type == "JobMissed":
            missed = list(range(payload.first, payload.last + 1, payload.every)) if payload.every else [payload.first]
            assert len(missed) == payload.count
            slots.setdefault(payload.job, []).extend(missed)
            counts["missed"] += payload.count
        elif event.event_type == "JobClaimed":
            slots.setdefault(payload.job, []).append(payload.slot)
            claimed.append((payload.job, payload.slot))
        elif event.event_type in ("JobFinished", "JobInterrupted"):
            ended.append((payload.job, payload.slot))
            failed = event.event_type == "JobFinished" and payload.error
            counts["interrupted" if event.event_type == "JobInterrupted" else "failed" if failed else "done"] += 1
    for job, seen in slots.items():
        assert sorted(seen) == list(range(min(seen), max(seen) + 1, every[job])), (
            f"slots of {job} are not accounted for"
        )
    assert sorted(ended) == sorted(claimed)
    return counts
