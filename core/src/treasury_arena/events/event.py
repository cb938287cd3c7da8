"""Envelopes: a draft before it is stored, an event after."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Line:
    """One ledger line: signed base units of `asset` on `account`."""

    account: str
    asset: str
    amount_raw: int


@attrs.frozen
class Transfer:
    """Lines that sum to zero per asset, posted together for one reason.

    The stored transfer id is ``<event_id>:<index>``.
    """

    reason: str
    lines: tuple[Line, ...]


@attrs.frozen
class Draft:
    """An event about to be appended: a payload of the catalog, when it happened, and whom it concerns.

    Attributes:
        payload: an instance of a class in `treasury_arena.events.catalog`.
        timestamp: ``2024-01-01T00:00:00Z``.
        agent_id: the agent concerned, or None.
        transfers: capital moved by this event.
        caused_by: index of an earlier draft in the same append that caused this one, or an event_id, or None.
    """

    payload: Any
    timestamp: str
    agent_id: str | None = None
    transfers: tuple[Transfer, ...] = ()
    caused_by: int | str | None = None


@attrs.frozen
class Event:
    """A stored event. `payload` and `transfers` are decoded from `data`; `hash` seals everything and `prev_hash`."""

    seq: int
    event_id: str
    event_type: str
    version: int
    agent_id: str | None
    timestamp: str
    data: str
    caused_by: str | None
    prev_hash: str
    hash: str
    payload: Any
    transfers: tuple[Transfer, ...]
