"""The lease: one process at a time writes as the arena's daemon.

1. Every acquisition gives out the next token, an event in the log. `Lease.check` lets only the newest token write, inside the
   transaction that writes; so a process that was paused while another took over is refused, whatever its clock says.
2. A lease runs out unless it is renewed; only then may another process take it, or when its holder was a process of this
   machine that is dead. Time decides no more than that: a lease that ran out and that nobody took is still its holder's, and
   renewing it is safe.
3. Time is the database's own (PostgreSQL). SQLite has none, so it is the machine's clock, which all who open the file share.
   A clock that jumps forward lets a lease be taken early: its holder is refused from then on, and nothing is written twice.
   After one that jumped back, a lease that was renewed in the future can be taken, so that a dead holder is not waited for.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.clock import Clock, WallClock, aware, iso
from treasury_arena.errors import LeaseLostError, TreasuryArenaError, ValidationError
from treasury_arena.events.daemon import LeaseLost, LeaseReleased, LeaseTaken
from treasury_arena.events.event import Draft
from treasury_arena.randomness import unique_name
from treasury_arena.store import schema
from treasury_arena.store.database import Database
from treasury_arena.store.event_store import EventStore
from treasury_arena.store.lease_projection import HELD

WRITER = "writer"
"""The lease of the daemon that runs the arena."""

TERM_SECONDS = 60
SKEW = timedelta(seconds=5)
"""How far a renewal may lie in the future before the clock is said to have gone back."""

Moment = Callable[[Connection], datetime]


def database_moment(database: Database) -> Moment:
    """What time it is by the server's clock, or by the machine's for SQLite."""
    wall = WallClock()

    def now(connection: Connection) -> datetime:
        if database.sqlite:
            return wall.now()
        found = connection.exec_driver_sql("SELECT clock_timestamp()").scalar()
        assert isinstance(found, datetime)
        return found.astimezone(UTC)

    return now


@attrs.frozen
class Holder:
    """A process that wants to write: `name` is its own, drawn at random, for a process number comes back."""

    name: str
    host: str
    pid: int

    @classmethod
    def this_process(cls) -> Holder:
        """This process, under a new name."""
        return cls(unique_name(), socket.gethostname() or "unknown", os.getpid())

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid} on {self.host})"


class Lease:
    """One holder's side of a lease. Safe to share between threads.

    Args:
        store: where it is kept; not a fenced one.
        clock: stamps the events.
        seconds: how long a renewal lasts.
        moment: what time it is inside a transaction, the database's own unless given.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        holder: Holder | None = None,
        *,
        name: str = WRITER,
        seconds: int = TERM_SECONDS,
        moment: Moment | None = None,
    ) -> None:
        if seconds < 1:
            raise ValidationError(f"a lease of {seconds} seconds is none; expected at least 1")
        self.store = store
        self.clock = clock
        self.holder = holder or Holder.this_process()
        self.name = name
        self.seconds = seconds
        self._moment = moment or database_moment(store.database)
        self._token: int | None = None

    @property
    def token(self) -> int:
        """The token of this holder; raises LeaseLostError before the first acquisition and after the release."""
        if self._token is None:
            raise LeaseLostError(f"the lease {self.name!r} is not held by this process")
        return self._token

    @property
    def held(self) -> bool:
        """Whether this holder acquired it and has not given it back; it may have been taken meanwhile."""
        return self._token is not None

    def acquire(self) -> int:
        """Take the lease and return its token.

        Raises LeaseLostError, naming holder and end, while another process holds it; StoreError when the database refuses.
        """

        def decide(connection: Connection) -> list[Draft]:
            now = self._moment(connection)
            row = self._row(connection)
            lost = self._lost(connection, row, now)
            token = (row["token"] if row else 0) + 1
            taken = LeaseTaken(self.name, self.holder.name, self.holder.host, self.holder.pid, token)
            self._extend(connection, token, now)
            stamp = iso(self.clock.now())
            return [Draft(payload, stamp) for payload in (*lost, taken)]

        events = self.store.append_decided(decide)
        self._token = int(events[-1].payload.token)
        return self._token

    def renew(self) -> None:
        """Let the lease last `seconds` from now; also when it ran out, as long as nobody took it.

        Raises LeaseLostError when somebody did.
        """

        def decide(connection: Connection) -> list[Draft]:
            self.check(connection)
            self._extend(connection, self.token, self._moment(connection))
            return []  # a renewal is no part of the history

        self.store.append_decided(decide)

    def check(self, connection: Connection) -> None:
        """Raise LeaseLostError unless this holder's token is the newest, in the transaction of `connection`."""
        row = self._row(connection)
        if row is None or row["state"] != HELD or row["token"] != self.token or row["holder"] != self.holder.name:
            told = "nobody" if row is None or row["state"] != HELD else _told(row)
            raise LeaseLostError(
                f"the lease {self.name!r} with token {self.token} was lost: it is held by {told} now; nothing was written"
            )

    def release(self) -> None:
        """Give the lease back, so that the next one need not wait; one that was lost already is left alone."""

        def decide(connection: Connection) -> list[Draft]:
            self.check(connection)
            payload = LeaseReleased(self.name, self.holder.name, self.token)
            return [Draft(payload, iso(self.clock.now()))]

        try:
            self.store.append_decided(decide)
        except LeaseLostError:
            pass  # the event that took it says so
        finally:
            self._token = None

    def guarded(self) -> EventStore:
        """The store for everything its holder writes: each append is refused once the lease is lost."""
        return self.store.fenced(self.check)

    def _row(self, connection: Connection) -> dict[str, Any] | None:
        rows = self.store.database.rows(connection, schema.LEASES, 'WHERE "lease" = ?', [self.name])
        return dict(zip(schema.LEASES.columns, rows[0], strict=True)) if rows else None

    def _lost(self, connection: Connection, row: dict[str, Any] | None, now: datetime) -> list[LeaseLost]:
        """The event that ends an earlier holding, if there is one; raises LeaseLostError while that may go on."""
        if row is None or row["state"] != HELD:
            return []
        rows = self.store.database.rows(connection, schema.LEASE_TERMS, 'WHERE "lease" = ?', [self.name])
        _, token, renewed_at, expires_at = rows[0] if rows else (self.name, None, "", "")
        renewed, expires = _read(renewed_at), _read(expires_at)
        if row["holder"] == self.holder.name:
            reason = "its own holder takes it anew"
        elif token != row["token"] or renewed is None or expires is None:
            reason = "nothing says how long it lasts"
        elif _gone(row["host"], row["pid"]):
            reason = f"process {row['pid']} on this machine is gone"
        elif now >= expires:
            reason = f"it ran out at {expires_at}"
        elif now < renewed - SKEW:
            reason = f"it was renewed at {renewed_at}, later than now ({iso(now)}): the clock went back"
        else:
            raise LeaseLostError(
                f"the lease {self.name!r} of store {self.store.database.label} is held by {_told(row)} until {expires_at}; "
                "stop that process, or wait until its lease runs out"
            )
        return [LeaseLost(self.name, row["holder"], row["token"], reason)]

    def _extend(self, connection: Connection, token: int, now: datetime) -> None:
        until = now + timedelta(seconds=self.seconds)
        terms = [(self.name, token, iso(now), iso(until))]
        self.store.database.put(connection, schema.LEASE_TERMS, terms, replace=True)


class LeaseKeeper:
    """Renews a lease in a thread of its own for as long as a ``with`` block lasts, then releases it. Acquires it where its caller
    has not yet.

    `on_lost` is called once, in that thread, with the error when the lease was taken by another. A database that does not answer
    is asked again: until another process took the lease, nothing is lost. `last_error` says why the last renewal failed, empty
    when it did not.
    """

    def __init__(self, lease: Lease, on_lost: Callable[[LeaseLostError], None]) -> None:
        self.lease = lease
        self.last_error = ""
        self._on_lost = on_lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        if not self.lease.held:
            self.lease.acquire()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.lease.release()

    def _keep(self) -> None:
        while not self._ended.wait(self.lease.seconds / 4):
            try:
                self.lease.renew()
            except LeaseLostError as error:
                self.last_error = str(error)
                self._on_lost(error)
                return
            except TreasuryArenaError as error:
                self.last_error = str(error)
            else:
                self.last_error = ""


def _gone(host: str, pid: int) -> bool:
    """Whether a process of this machine is certainly dead. A paused one is not, nor one whose number was given anew."""
    if host != (socket.gethostname() or "unknown"):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _told(row: dict[str, Any]) -> str:
    return str(Holder(row["holder"], row["host"], row["pid"]))


def _read(text: object) -> datetime | None:
    try:
        return aware(datetime.fromisoformat(str(text)))
    except ValueError:
        return None
