"""The hash chain: every event's id and hash are functions of its content and of the hash before it.

Two runs that say the same have the same ids and hashes, whatever the database, path or wall time; the digest of a run is the
hash of its last event. Fields enter SHA-256 as netstrings (length, colon, text), None as ``~``, so no two rows read alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from treasury_arena.errors import ValidationError
from treasury_arena.events.codec import encode_data
from treasury_arena.events.event import Draft, Event

GENESIS = sha256(b"treasury-arena events 1").hexdigest()
"""`prev_hash` of the first event."""

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")

Encoded = tuple[str, int, str]


_ID = sha256(b"id")
_OWN = sha256(b"event")


def digests(
    seq: int,
    event_type: str,
    version: int,
    agent_id: str | None,
    timestamp: str,
    data: str,
    caused_by: str | None,
    prev_hash: str,
) -> tuple[str, str]:
    """Return ``(event_id, hash)`` that an event with these fields must have.

    An id has 32 hex digits: ten of `seq`, so that ids sort as they were born, then 22 derived from the previous hash and the
    content. The event's own hash has 64, over every stored field.
    """
    agent = "~" if agent_id is None else f"{len(agent_id)}:{agent_id}"
    cause = "~" if caused_by is None else f"{len(caused_by)}:{caused_by}"
    content = (
        f",{prev_hash},{len(event_type)}:{event_type},{version},{agent},{len(timestamp)}:{timestamp},"
        f"{len(data)}:{data},{cause}"
    ).encode()
    sealed = _ID.copy()
    sealed.update(content)
    event_id = f"{seq:010x}{sealed.hexdigest()[:22]}"
    sealed = _OWN.copy()
    sealed.update(f",{seq},{event_id}".encode())
    sealed.update(content)
    return event_id, sealed.hexdigest()


def encode_drafts(drafts: Sequence[Draft]) -> list[Encoded]:
    """Encode payloads and transfers, and check what does not depend on the log.

    Raises ValidationError naming the draft's index for a timestamp outside ``2024-01-01T00:00:00Z``, an empty agent id, or a
    `caused_by` that points to no earlier draft.
    """
    encoded = []
    seen: str | None = None
    for index, draft in enumerate(drafts):
        if draft.timestamp != seen:
            if not _TIMESTAMP.fullmatch(draft.timestamp):
                raise ValidationError(
                    f"draft {index}: timestamp {draft.timestamp!r} is not of the form 2024-01-01T00:00:00Z"
                )
            seen = draft.timestamp
        if draft.agent_id == "":
            raise ValidationError(f"draft {index}: the agent id is empty; give None when no agent is concerned")
        if isinstance(draft.caused_by, int) and not 0 <= draft.caused_by < index:
            raise ValidationError(f"draft {index}: caused_by {draft.caused_by} is not the index of an earlier draft")
        try:
            encoded.append(encode_data(draft.payload, draft.transfers))
        except ValidationError as error:
            raise ValidationError(f"draft {index}: {error}") from error
    return encoded


def seal(drafts: Sequence[Draft], encoded: Sequence[Encoded], seq: int, prev_hash: str) -> list[Event]:
    """Number and chain `drafts` after event `seq` with hash `prev_hash`; `encoded` is from `encode_drafts`."""
    events: list[Event] = []
    for draft, (event_type, version, data) in zip(drafts, encoded, strict=True):
        seq += 1
        cause = draft.caused_by
        caused_by = events[cause].event_id if isinstance(cause, int) else cause
        event_id, own = digests(seq, event_type, version, draft.agent_id, draft.timestamp, data, caused_by, prev_hash)
        events.append(
            Event(
                seq,
                event_id,
                event_type,
                version,
                draft.agent_id,
                draft.timestamp,
                data,
                caused_by,
                prev_hash,
                own,
                draft.payload,
                draft.transfers,
            )
        )
        prev_hash = own
    return events
