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

#: Name of the sentinel in a daemon's folder, where the arena's store is on a server.
STOP_FILE = "arena.stop"


@attrs.frozen
class Standing:
    """A stop that holds: its level, since when, by whom and why, as whoever engaged it first said; empty where nobody said it."""

    level: str
    since: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"since {self.since} by {self.operator} ({self.reason})" if self.since else "by its file alone"


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

    @classmethod
    def of(cls, url: str | Path, folder: Path) -> StopFile:
        """The same, or for a database that is no file the one in the daemon's folder. Opens nothing."""
        return cls.beside(url) or cls(folder / STOP_FILE)

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

    def told(self) -> Standing:
        """What the file says of the stop that it is; no words where it cannot be read, for it holds all the same."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        since, _, said = text.strip().partition(" ")
        operator, _, reason = said.partition(": ")
        return Standing(HARD, since, operator, reason)

    def remove(self) -> None:
        """Remove the file if it is there; raises StoreError when that fails."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the stop file {self.path} cannot be removed: {error.strerror}") from error


@attrs.frozen
class Engaged:
    """What `engage` reached: the stored event, or, with `note` saying why, only the sentinel file; and what that file said of a
    stop before, if it was there. `first`: seq of the first event that it stored.
    """

    level: str
    event: Event | None
    note: str
    file_said: Standing | None = None
    first: int | None = None


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


def earlier(store: EventStore, engaged: Engaged) -> Standing | None:
    """The stop that held already when one was engaged: the first since the last release that has the highest level; else None.

    Raises StoreError or IntegrityError when the events cannot be read.
    """
    return _holding(store, engaged.first, engaged.file_said)


def standing(store: EventStore, file: StopFile | None = None) -> Standing | None:
    """The stop that holds now, as whoever engaged it first at its level said; None while none does.

    Raises StoreError or IntegrityError when the events cannot be read.
    """
    sentinel = _file(store, file)
    return _holding(store, None, sentinel.told() if sentinel is not None and sentinel.engaged else None)


def _holding(store: EventStore, until: int | None, file_said: Standing | None) -> Standing | None:
    """The stop that held before event `until`, given what its file said if it was there."""
    holding: list[Standing] = []
    kinds = ("EmergencyStopReleased", "EmergencyStopEngaged")
    events = [event for kind in kinds for event in store.read(event_type=kind) if until is None or event.seq < until]
    for event in sorted(events, key=lambda one: one.seq):
        if isinstance(event.payload, EmergencyStopReleased):
            holding.clear()
        else:
            said = event.payload
            holding.append(Standing(said.level, event.timestamp, said.operator, said.reason))
    hard = [one for one in holding if one.level == HARD]
    if hard or file_said is not None:
        return hard[0] if hard else file_said
    return holding[0] if holding else None


def _unstored(store: EventStore, connection: Connection, said: Standing | None, now: str) -> list[Draft]:
    """The HARD stop of which only the sentinel tells, as an event; `said`: what it says, None where there is none."""
    rows = store.database.rows_of(connection, schema.EMERGENCY_STOP, [1])
    if said is None or (rows and known_level(rows[0][1]) == HARD):
        return []
    reason, operator = said.reason or "its file does not say why", said.operator or "unknown"
    return [Draft(EmergencyStopEngaged(HARD, reason, operator), now)]


def engage(
    store: EventStore, stop_level: str, reason: str, operator: str, clock: Clock, file: StopFile | None = None
) -> Engaged:
    """Stop. HARD writes the sentinel first, then the event; a database that refuses does not undo a HARD stop.

    A stop that stood only in its file, because the database refused, is stored before it, with its reason.

    Raises ValidationError for a level other than SOFT or HARD, or without reason or operator; StoreError when a SOFT stop
    cannot be stored, or a HARD one neither as a file nor as an event.
    """
    check_order(reason, operator)
    check_level(stop_level)
    sentinel = _file(store, file) if stop_level == HARD else None
    note, said = "", None
    if sentinel is not None:
        try:
            said = sentinel.told() if sentinel.engaged else None
            sentinel.engage(reason, operator, clock)
        except StoreError as error:
            sentinel, note = None, str(error)
    try:
        now = iso(clock.now())
        draft = Draft(EmergencyStopEngaged(stop_level, reason, operator), now)
        events = store.append_decided(lambda connection: [*_unstored(store, connection, said, now), draft])
    except (StoreError, IntegrityError) as error:
        if sentinel is None:
            raise
        return Engaged(stop_level, None, f"stopped by {sentinel.path} alone: {error}", said)
    return Engaged(stop_level, events[-1], note, said, events[0].seq)


def release(store: EventStore, reason: str, operator: str, clock: Clock, file: StopFile | None = None) -> Event:
    """End every stop: the event first, then the sentinel, so that a crash in between leaves the stop HARD.

    A stop that stood only in its file, because the database refused, is stored first, with its reason.

    Raises ValidationError without reason or operator, or when no stop is engaged; StoreError when the database refuses.
    """
    check_order(reason, operator)
    if level(store, file) == OFF:
        raise ValidationError("no emergency stop is engaged; there is nothing to release")
    sentinel = _file(store, file)
    said = sentinel.told() if sentinel is not None and sentinel.engaged else None
    now = iso(clock.now())
    draft = Draft(EmergencyStopReleased(reason, operator), now)
    event = store.append_decided(lambda connection: [*_unstored(store, connection, said, now), draft])[-1]
    if sentinel is not None:
        sentinel.remove()
    return event
