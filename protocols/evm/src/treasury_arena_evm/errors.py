"""Errors of chains and contracts; each is one sentence for the person who must act on it."""

from __future__ import annotations

from treasury_arena.errors import PluginCodeError, PluginError, TreasuryArenaError, ValidationError

NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading an answer raises that is not what was asked for."""


class ToolError(PluginError):
    """A program of the local chain (npm, node, anvil, the Solidity compiler) that is missing or failed."""


class AbiError(PluginCodeError):
    """A contract signature that cannot be read, or a call that does not fit it."""


class ChainError(TreasuryArenaError):
    """A node that cannot be reached, serves another chain, or did not do what was asked."""


class RevertError(ChainError):
    """A contract refused. `reason` is its revert string (Aave's are decimal numbers), a custom error's data, or empty."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class FeeError(ValidationError):
    """Gas dearer than the cap that was set."""


class TokenError(ValidationError):
    """A token, or an account as its holder, that the treasury does not touch: refused before anything is signed."""
