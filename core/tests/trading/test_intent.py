"""Intent ids: a replayed decision gives the same one, every other decision another."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena.trading.intent import Intent

INTENT = Intent("a-0001", "coin", "eth", 5_000_000, 17, (0.25,))


def test_a_replayed_decision_gives_the_same_id() -> None:
    again = Intent("a-0001", "coin", "eth", 5_000_000, 17, (0.25,))
    assert again.intent_id("arena") == INTENT.intent_id("arena")


def test_the_id_is_the_same_in_another_process() -> None:
    code = (
        "from treasury_arena.trading.intent import Intent;"
        "print(Intent('a-0001', 'coin', 'eth', 5_000_000, 17, (0.25,)).intent_id('arena'))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == INTENT.intent_id("arena")


@pytest.mark.parametrize(
    "change",
    [
        {"agent_id": "a-0002"},
        {"role": "usd"},
        {"market": "btc"},
        {"target_raw": 5_000_001},
        {"row": 18},
        {"control": (0.26,)},
        {"purpose": "close"},
        {"again": 1},
    ],
)
def test_every_other_decision_has_another_id(change: dict[str, object]) -> None:
    assert attrs.evolve(INTENT, **change).intent_id("arena") != INTENT.intent_id("arena")  # type: ignore[arg-type]


def test_several_orders_of_one_decision_have_an_id_each() -> None:
    first, *others = (attrs.evolve(INTENT, again=number).intent_id("arena") for number in range(3))
    assert first == INTENT.intent_id("arena")
    assert len({first, *others}) == 3


def test_the_id_of_a_decision_never_changes() -> None:
    """A store that was written by an earlier release has the same ids."""
    assert INTENT.intent_id("arena") == "259330cc334f513b5c147768311057d868282b978245feea690abe79040a03a3"


def test_another_arena_has_another_id() -> None:
    assert INTENT.intent_id("arena") != INTENT.intent_id("arena2")


@given(st.integers(0, 10**40), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3))
def test_the_body_is_canonical_and_exact(target: int, control: list[float]) -> None:
    body = json.loads(Intent("a", "coin", "eth", target, 0, tuple(control)).body())
    assert int(body["target"]) == target
    assert body["control"] == control
    assert list(body) == sorted(body)


@pytest.mark.parametrize("target", [-1, True, 1.0, float("nan"), None])
def test_a_target_is_a_whole_number_from_zero(target: object) -> None:
    with pytest.raises(ValidationError, match="at least 0"):
        Intent("a", "coin", "eth", target, 0)  # type: ignore[arg-type]


def test_a_target_of_zero_is_legal() -> None:
    assert Intent("a", "coin", "eth", 0, 0).target_raw == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_control_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValidationError, match=f"^an intent needs finite numbers as controls, not {value}$"):
        Intent("a", "coin", "market", 1, 0, (0.5, value))
