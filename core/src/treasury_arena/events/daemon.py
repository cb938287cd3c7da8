"""Payloads of a daemon: that it runs, the lease that lets one write, and which slots of its jobs ran.

See docs/explanation/jobs.md. A slot is a whole multiple of its job's period, in seconds since 1970.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class DaemonStarted:
    """A daemon holds the lease and begins its jobs."""

    holder: str
    token: int
    mode: str  # paper or live
    version: str
    jobs: dict[str, int]  # job -> its period in seconds


@attrs.frozen
class DaemonStopped:
    """A daemon has ended its jobs and gives up."""

    holder: str
    token: int
    reason: str


@attrs.frozen
class LeaseTaken:
    """One process may write as the arena's daemon from now on, and every earlier holder may not."""

    lease: str
    holder: str
    host: str
    pid: int
    token: int  # grows by one with every acquisition: the fence


@attrs.frozen
class LeaseLost:
    """A lease ran out and another process takes it, in the same transaction."""

    lease: str
    holder: str
    token: int
    reason: str


@attrs.frozen
class LeaseReleased:
    """A holder gives its lease back."""

    lease: str
    holder: str
    token: int


@attrs.frozen
class JobClaimed:
    """A slot of a job begins; no slot up to this one begins again."""

    job: str
    slot: int
    token: int  # of the lease it runs under


@attrs.frozen
class JobFinished:
    """A slot's work has ended."""

    job: str
    slot: int
    error: str  # empty when it went well


@attrs.frozen
class JobInterrupted:
    """A slot was under way when its process ended; it is not run again."""

    job: str
    slot: int
    reason: str


@attrs.frozen
class JobMissed:
    """Slots that nobody ran and nobody will: `first`, and every `every` seconds up to `last`."""

    job: str
    first: int
    last: int
    every: int  # seconds between them; 0 for a single one
    count: int
    reason: str
