"""Folds of leases and jobs. A move that cannot be is refused here, inside the append's transaction: a token is given out
once, and no slot begins twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from treasury_arena.errors import IntegrityError
from treasury_arena.events import daemon as d
from treasury_arena.events.event import Event
from treasury_arena.store.rules import Key, Row, Rule

HELD, RELEASED, LOST = "HELD", "RELEASED", "LOST"


def _lease_key(event: Event) -> Iterable[Key]:
    return ((event.payload.lease,),)


def _lease(row: Row | None, event: Event, key: Key) -> Row:
    lease: d.LeaseTaken | d.LeaseLost | d.LeaseReleased = event.payload
    token = row["token"] if row else 0
    held = row is not None and row["state"] == HELD
    if isinstance(lease, d.LeaseTaken):
        if held or lease.token != token + 1:
            raise IntegrityError(f"lease {key[0]!r} cannot be taken with token {lease.token}: its last one is {token}")
        where: Row = {"host": lease.host, "pid": lease.pid}
        state, reason = HELD, ""
    else:
        if row is None or not held or (lease.token, lease.holder) != (token, row["holder"]):
            raise IntegrityError(f"lease {key[0]!r} is not held by {lease.holder!r} with token {lease.token}")
        where = {"host": row["host"], "pid": row["pid"]}
        state = RELEASED if isinstance(lease, d.LeaseReleased) else LOST
        reason = lease.reason if isinstance(lease, d.LeaseLost) else ""
    return {
        "lease": key[0],
        "state": state,
        "holder": lease.holder,
        **where,
        "token": lease.token,
        "reason": reason,
        "since": event.timestamp,
        "seq": event.seq,
    }


def _job_key(event: Event) -> Iterable[Key]:
    return ((event.payload.job,),)


_NEW_JOB: Row = {
    "last": None,
    "running": None,
    "token": None,
    "began_at": None,
    "done": 0,
    "failed": 0,
    "interrupted": 0,
    "missed": 0,
    "error": "",
}


def _job(row: Row | None, event: Event, key: Key) -> Row:
    payload: d.JobClaimed | d.JobFinished | d.JobInterrupted | d.JobMissed = event.payload
    job: Row = {**(row or _NEW_JOB), "job": key[0], "seq": event.seq}
    if isinstance(payload, d.JobClaimed):
        if job["running"] is not None:
            raise IntegrityError(f"job {key[0]!r} still runs its slot {job['running']}: two runs are never at once")
        _check_later(job, payload.slot)
        job.update(last=payload.slot, running=payload.slot, token=payload.token, began_at=event.timestamp)
    elif isinstance(payload, d.JobMissed):
        _check_later(job, payload.first)
        span, steps = payload.last - payload.first, payload.count - 1
        if span < 0 or steps < 0 or span != payload.every * steps or (steps > 0) != (payload.every > 0):
            raise IntegrityError(f"job {key[0]!r} cannot have missed {payload.count} slots as told: {payload}")
        job.update(last=payload.last, missed=job["missed"] + payload.count)
    else:
        if job["running"] != payload.slot:
            raise IntegrityError(f"slot {payload.slot} of job {key[0]!r} is not under way")
        interrupted = isinstance(payload, d.JobInterrupted)
        error = payload.reason if isinstance(payload, d.JobInterrupted) else payload.error
        counted = "interrupted" if interrupted else "failed" if error else "done"
        job.update(running=None, token=None, began_at=None, error=error)
        job[counted] += 1
    return job


def _check_later(job: Row, slot: int) -> None:
    if job["last"] is not None and slot <= job["last"]:
        raise IntegrityError(f"slot {slot} of job {job['job']!r} is over: its newest one is {job['last']}")


_LEASE = Rule("leases", _lease_key, _lease)
_JOB = Rule("jobs", _job_key, _job)

DAEMON_RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("LeaseTaken", "LeaseLost", "LeaseReleased"), (_LEASE,)),
    **dict.fromkeys(("JobClaimed", "JobFinished", "JobInterrupted", "JobMissed"), (_JOB,)),
}
"""Event name -> the rows it touches."""
