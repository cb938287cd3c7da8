"""The states of an intent and of its steps, and the only ways between them (the order protocol of the docs)."""

from __future__ import annotations

from enum import StrEnum

from treasury_arena.errors import ValidationError


class IntentState(StrEnum):
    """Where an intent stands."""

    PROPOSED = "PROPOSED"
    REJECTED = "REJECTED"
    RESERVED = "RESERVED"
    EXECUTING = "EXECUTING"
    SETTLED = "SETTLED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    QUARANTINED = "QUARANTINED"


class StepState(StrEnum):
    """Where one step (one transaction) stands."""

    PLANNED = "PLANNED"
    NONCED = "NONCED"
    SIGNED = "SIGNED"
    SENT = "SENT"
    INCLUDED = "INCLUDED"
    FINAL = "FINAL"
    SUPERSEDED = "SUPERSEDED"
    DISPLACED = "DISPLACED"
    QUARANTINED = "QUARANTINED"


INTENT_MOVES: dict[IntentState, frozenset[IntentState]] = {
    IntentState.PROPOSED: frozenset({IntentState.REJECTED, IntentState.RESERVED}),
    IntentState.RESERVED: frozenset({IntentState.EXECUTING, IntentState.CANCELLED}),
    IntentState.EXECUTING: frozenset({IntentState.SETTLED, IntentState.FAILED, IntentState.QUARANTINED}),
    IntentState.QUARANTINED: frozenset({IntentState.SETTLED, IntentState.FAILED, IntentState.CANCELLED}),
    IntentState.REJECTED: frozenset(),
    # Only broken finality leads back out of an end: what was final is not, and a person must look.
    IntentState.SETTLED: frozenset({IntentState.QUARANTINED}),
    IntentState.FAILED: frozenset({IntentState.QUARANTINED}),
    IntentState.CANCELLED: frozenset(),
}

STEP_MOVES: dict[StepState, frozenset[StepState]] = {
    StepState.PLANNED: frozenset({StepState.NONCED}),
    StepState.NONCED: frozenset({StepState.SIGNED, StepState.PLANNED, StepState.DISPLACED}),
    StepState.SIGNED: frozenset({StepState.SENT, StepState.SUPERSEDED, StepState.DISPLACED, StepState.QUARANTINED}),
    StepState.SENT: frozenset(
        {StepState.INCLUDED, StepState.SENT, StepState.SUPERSEDED, StepState.DISPLACED, StepState.QUARANTINED}
    ),
    StepState.INCLUDED: frozenset({StepState.FINAL, StepState.SENT, StepState.QUARANTINED}),
    # Broken finality: the transaction is waited for again.
    StepState.FINAL: frozenset({StepState.SENT}),
    StepState.SUPERSEDED: frozenset({StepState.SENT}),
    StepState.DISPLACED: frozenset(),
    StepState.QUARANTINED: frozenset({StepState.FINAL, StepState.SUPERSEDED}),
}

#: States in which a slot still waits for something.
OPEN_STEPS = (StepState.NONCED, StepState.SIGNED, StepState.SENT, StepState.INCLUDED)
#: States of an intent that holds a reservation.
OPEN_INTENTS = (IntentState.RESERVED, IntentState.EXECUTING, IntentState.QUARANTINED)

#: What a step passes through when its chain is instant (replay): included and final in the same instant.
INSTANT_PATH = (
    StepState.PLANNED,
    StepState.NONCED,
    StepState.SIGNED,
    StepState.SENT,
    StepState.INCLUDED,
    StepState.FINAL,
)


#: Every legal move of an intent and of a step as plain text (from, to): enumerated members are slow to look up.
INTENT_WAYS = frozenset((str(state), str(to)) for state, ends in INTENT_MOVES.items() for to in ends)
STEP_WAYS = frozenset((str(state), str(to)) for state, ends in STEP_MOVES.items() for to in ends)


def move_intent(state: IntentState, to: IntentState) -> IntentState:
    """Return `to`; raises ValidationError when the protocol has no such move."""
    if to not in INTENT_MOVES[state]:
        raise ValidationError(f"an intent cannot go from {state} to {to}")
    return to


def move_step(state: StepState, to: StepState) -> StepState:
    """Return `to`; raises ValidationError when the protocol has no such move."""
    if to not in STEP_MOVES[state]:
        raise ValidationError(f"a step cannot go from {state} to {to}")
    return to


def walk_instant() -> tuple[str, ...]:
    """Walk one step over the instant chain, every move checked, and return the path."""
    state = INSTANT_PATH[0]
    for to in INSTANT_PATH[1:]:
        state = move_step(state, to)
    return tuple(str(step) for step in INSTANT_PATH)
