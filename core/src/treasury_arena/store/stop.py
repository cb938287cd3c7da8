"""The emergency stop: an event in the store, and a sentinel file beside it that needs no database.

Levels: OFF, SOFT (no new risk), HARD (nothing at all). The file alone means HARD, so that the stop works while the database
is busy, read-only or gone. Only `release`, with a reason, ends a stop.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.clock import Clock, iso
from treasury_arena.domain.stops import HARD, OFF, check_level, check_order, known_level
from treasury_arena.errors import IntegrityError, StoreError, ValidationError
from treasury_arena.events.catalog import EmergencyStopEngaged, EmergencyStopReleased
from treasury_arena.events.event import Draft, Event
from treasury_arena.store import schema
from treasury_arena.store.database import parse_url
from treasury_arena.store.event_store import EventStore


@attrs.frozen
class StopFile:
    """The sentinel file; while it exists the stop is HARD."""

    path: Path

    @classmethod
    def beside(cls, url: str | Path) -> StopFile | None:
        """The sentinel of a SQLite store (``<file>.stop``); None for a database that is no file. Opens nothing."""
        database = parse_url(url)
        if database.get_backend_name() != "sqlite" or database.database in (None, "", ":memory:"):
            return None
        return cls(Path(f"{database.database}.stop"))

    @property
    def engaged(self) -> bool:
        return self.path.exists()

    def engage(self, reason: str, operator: str, clock: Clock) -> None:
        """Write the file and make it durable; an existing one stays. Raises StoreError when it cannot be written."""
        check_order(reason, operator)
        try:
            with open(self.path, "x", encoding="utf-8") as file:
                file.write(f"{iso(clock.now())} {operator}: {reason}\n")
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(self.path.absolute().parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            return
        except OSError as error:
            raise StoreError(f"the stop file {self.path} cannot be written: {error.strerror}") from error

    def remove(self) -> None:
        """Remove the file if it is there; raises StoreError when that fails."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the stop file {self.path} cannot be removed: {error.strerror}") from error


@attrs.frozen
class Engaged:
    """What `engage` reached: the stored event, or, with `note` saying why, only the sentinel file."""

    level: str
    event: Event | None
    note: str


def _file(store: EventStore, file: StopFile | None) -> StopFile | None:
    return file or (StopFile(Path(f"{store.path}.stop")) if store.path is not None else None)


def level(store: EventStore, file: StopFile | None = None) -> str:
    """OFF, SOFT or HARD: the highest level engaged since the last release; HARD whenever the sentinel exists, or when what
    is stored is none of the three.

    `file`: the sentinel, when it is not the one beside a SQLite store. Raises StoreError when neither can be read.
    """
    sentinel = _file(store, file)
    if sentinel is not None and sentinel.engaged:
        return HARD
    with store.database.read() as connection:
        return level_inside(store, connection, file)


def level_inside(store: EventStore, connection: Connection, file: StopFile | None = None) -> str:
    """The same, read inside the transaction of `connection`: for the gate before a signature."""
    sentinel = _file(store, file)
    if sentinel is not None and sentinel.engaged:
        return HARD
    rows = store.database.rows_of(connection, schema.EMERGENCY_STOP, [1])
    return known_level(rows[0][1]) if rows else OFF


def engage(
    store: EventStore, stop_level: str, reason: str, operator: str, clock: Clock, file: StopFile | None = None
) -> Engaged:
    """Stop. HARD writes the sentinel first, then the event; a database that refuses does not undo a HARD stop.

    Raises ValidationError for a level other than SOFT or HARD, or without reason or operator; StoreError when a SOFT stop
    cannot be stored, or a HARD one neither as a file nor as an event.
    """
    check_order(reason, operator)
    check_level(stop_level)
    sentinel = _file(store, file) if stop_level == HARD else None
    note = ""
    if sentinel is not None:
        try:
            sentinel.engage(reason, operator, clock)
        except StoreError as error:
            sentinel, note = None, str(error)
    try:
        payload = EmergencyStopEngaged(stop_level, reason, operator)
        event = store.append([Draft(payload, iso(clock.now()))])[0]
    except (StoreError, IntegrityError) as error:
        if sentinel is None:
            raise
        return Engaged(stop_level, None, f"stopped by {sentinel.path} alone: {error}")
    return Engaged(stop_level, event, note)


def release(store: EventStore, reason: str, operator: str, clock: Clock, file: StopFile | None = None) -> Event:
    """End every stop: the event first, then the sentinel, so that a crash in between leaves the stop HARD.

    Raises ValidationError without reason or operator, or when no stop is engaged; StoreError when the database refuses.
    """
    check_order(reason, operator)
    if level(store, file) == OFF:
        raise ValidationError("no emergency stop is engaged; there is nothing to release")
    event = store.append([Draft(EmergencyStopReleased(reason, operator), iso(clock.now()))])[0]
    sentinel = _file(store, file)
    if sentinel is not None:
        sentinel.remove()
    return event
