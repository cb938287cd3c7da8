"""A mutant is wrong in one place while it is on, for whoever imported the function, and right again afterwards."""

from __future__ import annotations

import sys

import pytest

from treasury_arena.testing.mutants import Mutant

FACTOR = 2


def doubled(value: int) -> int:
    return value * FACTOR


@pytest.mark.parametrize(
    "mutant",
    [
        Mutant("three for two", sys.modules[__name__], "FACTOR", 3),
        Mutant("half as much again", doubled, "value * FACTOR", "value * FACTOR + value"),
    ],
)
def test_a_mutant_is_wrong_until_it_is_undone(mutant: Mutant) -> None:
    kept = doubled
    with pytest.MonkeyPatch.context() as patch:
        mutant.switch_on(patch)
        assert kept(5) == 15
    assert kept(5) == 10


def test_a_place_that_is_not_there_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, times in (("value - FACTOR", 0), ("value", 2)):
        with pytest.raises(AssertionError, match=f"occurs {times} times"):
            Mutant("nowhere", doubled, text, "0").switch_on(monkeypatch)
    with pytest.raises(AssertionError):
        Mutant("no change", sys.modules[__name__], "FACTOR", 2).switch_on(monkeypatch)
