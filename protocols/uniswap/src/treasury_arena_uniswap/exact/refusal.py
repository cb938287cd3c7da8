"""A refusal of the contracts, with their own reason."""

from __future__ import annotations

from treasury_arena.errors import ValidationError


class RefusedError(ValidationError):
    """What the contract would revert, nothing having changed.

    Attributes:
        reason: the revert reason, letter for letter; empty where the contract reverts without one.
    """

    def __init__(self, reason: str, meaning: str) -> None:
        super().__init__(f"{meaning} (revert reason {reason!r})" if reason else f"{meaning} (reverts without a reason)")
        self.reason = reason


def require(holds: bool, reason: str, meaning: str) -> None:
    """Raise `RefusedError` unless `holds`."""
    if not holds:
        raise RefusedError(reason, meaning)
