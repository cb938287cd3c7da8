"""How the events of a fuse become its row in the table `fuses`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, get_args

from treasury_arena.clock import iso
from treasury_arena.contracts.fuse_record import FuseEvent, FuseRecord, fold, from_json, to_json
from treasury_arena.errors import IntegrityError
from treasury_arena.events.event import Event

FUSE_EVENTS = tuple(payload.__name__ for payload in get_args(FuseEvent))
"""Names of the events that the table is folded from."""


def fuse_keys(event: Event) -> Iterable[tuple[Any, ...]]:
    """The key of the row that an event of a fuse touches."""
    return ((event.payload.fuse,),)


def fold_fuse(row: dict[str, Any] | None, event: Event, key: tuple[Any, ...]) -> dict[str, Any]:
    """The row after the event; raises ValidationError for one that breaks the laws of the states."""
    before = None if row is None else record_of(row["data"])
    record = fold(before, event.payload, datetime.fromisoformat(event.timestamp))
    return {
        "fuse": record.fuse,
        "state": record.state.value,
        "since": iso(record.since),
        "reason": record.reason,
        "operator": record.operator,
        "checked_at": None if record.checked_at is None else iso(record.checked_at),
        "valid_until": None if record.valid_until is None else iso(record.valid_until),
        "data": record,  # folded again as it is; what is stored is its JSON
        "seq": event.seq,
    }


def data_of(value: Any) -> Any:
    """What the column `data` holds of a record, as JSON; any other value is returned as it is."""
    return to_json(value) if isinstance(value, FuseRecord) else value


def record_of(data: Any) -> FuseRecord:
    """The record of the column `data`, as text or as folded; raises IntegrityError when it is none."""
    if isinstance(data, FuseRecord):
        return data
    try:
        return from_json(json.loads(data) if isinstance(data, str) else data)
    except ValueError as error:
        raise IntegrityError(f"the record of a fuse cannot be read: {error}; `arena audit` tells more") from error
