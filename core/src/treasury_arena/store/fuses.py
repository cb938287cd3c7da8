"""Survival fuses in the store: what an order may know of them inside its transaction, and what a person may do.

Everything here fails closed: a fuse that is missing, unknown, not checked lately or checked in the future lets no new risk
through.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.clock import Clock, aware, iso
from treasury_arena.contracts.fuse_record import FuseRecord, check_reset, fold
from treasury_arena.domain.fuses import RISK_STATES, FuseState, known_state
from treasury_arena.errors import ValidationError, nearest
from treasury_arena.events.catalog import FuseLocked, FuseReset
from treasury_arena.events.event import Draft, Event
from treasury_arena.store import schema
from treasury_arena.store.event_store import EventStore
from treasury_arena.store.fuse_projection import FUSE_EVENTS, record_of

SKEW = timedelta(seconds=60)
"""How far an order's clock may lie before a fuse's last check: more means that the clock went back."""


@attrs.frozen
class FuseStanding:
    """How one fuse stands, as stored.

    Attributes:
        stored: the text in the column `state`, whatever it is; None where there is no row.
        why: why it lets no new risk through, one sentence; empty when it does.
    """

    fuse: str
    stored: str | None
    why: str


def fuse_state(connection: Connection, configured: Collection[str], now: datetime) -> list[FuseStanding]:
    """Every configured or stored fuse at `now` (UTC), by name, read in the transaction of `connection`."""
    found = connection.exec_driver_sql("SELECT fuse, state, reason, checked_at, valid_until FROM fuses")
    rows = {str(name): rest for name, *rest in found}
    return [_standing(name, rows.get(name), aware(now)) for name in sorted({*rows, *configured})]


def why_no_risk(connection: Connection, configured: Collection[str], clock: Clock) -> str:
    """Why no order that increases risk may go ahead, empty when it may: for the gate, inside the transaction that signs."""
    return "; ".join(one.why for one in fuse_state(connection, configured, clock.now()) if one.why)


def _standing(name: str, row: list[object] | None, now: datetime) -> FuseStanding:
    if row is None:
        return FuseStanding(name, None, f"fuse {name!r} was never armed")
    stored, reason, checked_at, valid_until = row
    if known_state(stored) not in RISK_STATES:
        told = "" if stored in set(FuseState) else ", which is no state of a fuse"
        return FuseStanding(name, str(stored), f"fuse {name!r} is {stored}{told}: {reason}")
    checked, until = _moment(checked_at), _moment(valid_until)
    if checked is None or until is None:
        why = f"fuse {name!r} is {stored}, but has not been checked since"
    elif not now < until:
        why = f"fuse {name!r} is {stored}, but was last checked at {checked_at}: nobody watches"
    elif now < checked - SKEW:
        why = f"fuse {name!r} was checked at {checked_at}, later than now ({iso(now)}): the clock went back"
    else:
        why = ""
    return FuseStanding(name, str(stored), why)


def _moment(text: object) -> datetime | None:
    try:
        return aware(datetime.fromisoformat(str(text)))
    except ValueError:
        return None


def record(store: EventStore, connection: Connection, fuse: str) -> FuseRecord | None:
    """What the store holds of a fuse, in the transaction of `connection`; None when it was never armed."""
    rows = store.database.rows_of(connection, schema.FUSES, [fuse])
    return record_of(dict(zip(schema.FUSES.columns, rows[0], strict=True))["data"]) if rows else None


def records(store: EventStore) -> dict[str, FuseRecord]:
    """Every fuse of the store by name."""
    with store.database.read() as connection:
        rows = store.database.rows(connection, schema.FUSES, 'ORDER BY "fuse"')
    found = [record_of(dict(zip(schema.FUSES.columns, row, strict=True))["data"]) for row in rows]
    return {one.fuse: one for one in found}


def from_log(store: EventStore) -> dict[str, FuseRecord]:
    """Every fuse folded from the event log alone (R6): what `records` must equal."""
    found: dict[str, FuseRecord] = {}
    for event in store.read():
        if event.event_type in FUSE_EVENTS:
            name = event.payload.fuse
            found[name] = fold(found.get(name), event.payload, datetime.fromisoformat(event.timestamp))
    return dict(sorted(found.items()))


def locking(fuse: str, reason: str, clock: Clock) -> Draft:
    """The event that locks a fuse, to be appended with what it is about (a reorganisation after finality, K11)."""
    return Draft(FuseLocked(fuse, reason), iso(clock.now()))


def reset(store: EventStore, reason: str, operator: str, clock: Clock, fuse: str | None = None) -> Event:
    """A person arms a tripped, cooling or locked fuse; it lets no new risk through before its next check.

    `fuse` may be left out where the store holds one only. Raises ValidationError without reason or operator, for a fuse that
    does not exist, or when there is nothing to reset; StoreError when the database refuses. Nothing is written then.
    """
    check_reset(reason, operator)

    def decide(connection: Connection) -> list[Draft]:
        held = {str(row[0]) for row in connection.exec_driver_sql("SELECT fuse FROM fuses")}
        name = _chosen(fuse, held)
        standing = record(store, connection, name)
        assert standing is not None
        if standing.state in RISK_STATES:
            raise ValidationError(f"fuse {name!r} is {standing.state}; there is nothing to reset")
        unfinished = [one.task.action for one in standing.tasks if not one.done]
        payload = FuseReset(name, standing.state.value, reason, operator, unfinished)
        return [Draft(payload, iso(clock.now()))]

    return store.append_decided(decide)[0]


def _chosen(fuse: str | None, held: set[str]) -> str:
    if not held:
        raise ValidationError("no fuse was ever armed in this store; there is nothing to reset")
    if fuse is None and len(held) > 1:
        raise ValidationError(f"the store holds several fuses; name one of {', '.join(sorted(held))}")
    name = fuse if fuse is not None else next(iter(held))
    if name not in held:
        raise ValidationError(f"there is no fuse {name!r}; {nearest(name, held)}")
    return name
