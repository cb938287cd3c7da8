"""The states of a survival fuse, and which of them let risk grow: the one place that spells them."""

from __future__ import annotations

from enum import StrEnum


class FuseState(StrEnum):
    """ARMED -> WARNED -> TRIPPED -> COOLING -> ARMED; LOCKED after repeated trips, and then only a person resets it."""

    ARMED = "ARMED"
    WARNED = "WARNED"
    TRIPPED = "TRIPPED"
    COOLING = "COOLING"
    LOCKED = "LOCKED"


RISK_STATES = (FuseState.ARMED, FuseState.WARNED)
"""In any other state no order that increases risk goes ahead."""


def known_state(stored: object) -> FuseState:
    """The state that a stored text stands for; one that nobody knows is LOCKED."""
    return FuseState(stored) if isinstance(stored, str) and stored in set(FuseState) else FuseState.LOCKED
