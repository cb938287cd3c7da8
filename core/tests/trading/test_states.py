"""Every move of the order protocol that is legal is possible, every other one is refused."""

from __future__ import annotations

from itertools import product

import pytest

from treasury_arena.domain.order_states import (
    INTENT_MOVES,
    STEP_MOVES,
    IntentState,
    StepState,
    move_intent,
    move_step,
    walk_instant,
)
from treasury_arena.errors import ValidationError

LEGAL_INTENT = {
    "PROPOSED": "REJECTED RESERVED",
    "RESERVED": "EXECUTING CANCELLED",
    "EXECUTING": "SETTLED FAILED QUARANTINED",
    "QUARANTINED": "SETTLED FAILED CANCELLED",
    "REJECTED": "",
    "SETTLED": "QUARANTINED",
    "FAILED": "QUARANTINED",
    "CANCELLED": "",
}
LEGAL_STEP = {
    "PLANNED": "NONCED",
    "NONCED": "SIGNED PLANNED DISPLACED",
    "SIGNED": "SENT SUPERSEDED DISPLACED QUARANTINED",
    "SENT": "INCLUDED SENT SUPERSEDED DISPLACED QUARANTINED",
    "INCLUDED": "FINAL SENT QUARANTINED",
    "FINAL": "SENT",
    "SUPERSEDED": "SENT",
    "DISPLACED": "",
    "QUARANTINED": "FINAL SUPERSEDED",
}


@pytest.mark.parametrize(("state", "to"), list(product(IntentState, IntentState)))
def test_intent_moves(state: IntentState, to: IntentState) -> None:
    if to in LEGAL_INTENT[state].split():
        assert move_intent(state, to) is to
    else:
        with pytest.raises(ValidationError, match=f"from {state} to {to}"):
            move_intent(state, to)


@pytest.mark.parametrize(("state", "to"), list(product(StepState, StepState)))
def test_step_moves(state: StepState, to: StepState) -> None:
    if to in LEGAL_STEP[state].split():
        assert move_step(state, to) is to
    else:
        with pytest.raises(ValidationError, match=f"from {state} to {to}"):
            move_step(state, to)


def test_every_state_has_its_moves() -> None:
    assert set(INTENT_MOVES) == set(IntentState)
    assert set(STEP_MOVES) == set(StepState)


def test_law_1_a_signed_step_ends_only_by_its_nonce() -> None:
    """From SIGNED on a transaction may be public: no move leads back to before it, and none to a plain failure."""
    public = {StepState.SIGNED, StepState.SENT, StepState.INCLUDED}
    for state in public:
        assert not STEP_MOVES[state] & {StepState.PLANNED, StepState.NONCED}


def test_the_instant_chain_passes_every_state_of_a_good_order() -> None:
    assert walk_instant() == ("PLANNED", "NONCED", "SIGNED", "SENT", "INCLUDED", "FINAL")
