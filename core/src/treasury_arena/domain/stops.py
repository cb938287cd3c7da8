"""The levels of the emergency stop, and what engaging or releasing one takes: the one place that spells them."""

from __future__ import annotations

from treasury_arena.errors import ValidationError, required_text

OFF, SOFT, HARD = "OFF", "SOFT", "HARD"
STOP_LEVELS = (OFF, SOFT, HARD)
"""In order: none, no new risk, nothing at all."""


def higher(first: str, second: str) -> str:
    """The stricter of two levels: a stop is only ever lowered by its release."""
    return max(first, second, key=STOP_LEVELS.index)


def known_level(stored: str) -> str:
    """The level a stored text stands for; one that nobody knows stops everything."""
    return stored if stored in STOP_LEVELS else HARD


def check_level(level: str) -> None:
    """Raise ValidationError for anything but a level that stops something."""
    if level not in STOP_LEVELS[1:]:
        raise ValidationError(f"emergency stop level {level!r} is unknown; expected {SOFT} or {HARD}")


def check_order(reason: str, operator: str) -> None:
    """Raise ValidationError unless a stop, or its release, says why and who."""
    if not reason or not operator or not reason.strip() or not operator.strip():
        raise ValidationError("an emergency stop, and its release, needs a reason and the name of its operator")
    required_text(reason, "the reason of an emergency stop")
    required_text(operator, "the name of its operator")
