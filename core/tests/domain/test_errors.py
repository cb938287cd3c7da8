"""Errors say what would have been right, and carry the exit code the command line uses."""

from __future__ import annotations

import pytest

from treasury_arena import errors


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("fintess", ["fitness", "seed"], "did you mean 'fitness'?"),
        ("zzz", ["seed", "fitness"], "known: fitness, seed"),
        ("zzz", [], "there are none"),
        ("", ["seed"], "known: seed"),
    ],
)
def test_nearest_names_the_nearest_or_all(name: str, known: list[str], hint: str) -> None:
    assert errors.nearest(name, known) == hint


def test_nearest_takes_any_iterable_once() -> None:
    assert errors.nearest("pric", (name for name in ("price", "gas"))) == "did you mean 'price'?"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError, 2),
        (errors.DataError, 2),
        (errors.StoreError, 2),
        (errors.ConcurrencyError, 1),
        (errors.PluginError, 2),
        (errors.PluginCodeError, 2),
        (errors.IntegrityError, 1),
        (errors.ValidationError, 1),
        (errors.AllocationError, 1),
        (errors.CapitalConservationError, 1),
        (errors.EmergencyStopError, 1),
        (errors.AgentError, 1),
    ],
)
def test_exit_codes(error: type[errors.TreasuryArenaError], code: int) -> None:
    raised = error("one sentence")
    assert raised.exit_code == code
    assert isinstance(raised, errors.TreasuryArenaError)
    assert str(raised) == "one sentence"
