"""Every error the house raises on purpose.

Each carries one clear sentence for the person who must act on it; the command line prints that sentence
without a traceback and exits with `exit_code` (1: something was found wrong, 2: usage, configuration or input).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class TreasuryArenaError(Exception):
    """Root of the house's errors."""

    exit_code = 1


class ConfigError(TreasuryArenaError):
    """A configuration that cannot be used: unknown key, wrong type, impossible value."""

    exit_code = 2


class DataError(TreasuryArenaError):
    """Market data that cannot be used: NaN, gap, duplicate, wrong order, unreadable file."""

    exit_code = 2


class CoverageError(DataError):
    """Market data that begin after, or end before, the window asked for.

    Attributes:
        first: epoch seconds from which on every column has a value, or None when that is not known.
    """

    def __init__(self, sentence: str, first: int | None = None) -> None:
        super().__init__(sentence)
        self.first = first


class StoreError(TreasuryArenaError):
    """The event store cannot be opened or written: locked, read-only, newer than the program, disk full."""

    exit_code = 2


class StoreAwayError(StoreError):
    """The store's database or its disk cannot be had for now: locked, full, shut down, not reached. Later it may."""


class NoStoreError(StoreError):
    """There is no store of an arena where one was expected: no file, no folder, another program's database."""


class ConcurrencyError(StoreError):
    """Another writer appended first; fold the new events and try again."""

    exit_code = 1


class IntegrityError(TreasuryArenaError):
    """The stored history contradicts itself (hash chain, sequence, sums, projections)."""


class PluginError(TreasuryArenaError):
    """A plugin that was asked for is missing, broken or refused."""

    exit_code = 2


class PluginCodeError(PluginError):
    """A mistake in a kernel function, told with the author's file, line and column."""


class ReportError(TreasuryArenaError):
    """A finished run that could not be reported; the run itself is whole."""

    exit_code = 2


class ValidationError(TreasuryArenaError):
    """A value or an order that a rule refuses."""


class SizeRefusedError(ValidationError):
    """An order that its market does not take in one piece; a smaller one it may take."""


class AllocationError(TreasuryArenaError):
    """An allocation that its pool cannot cover; nothing was changed."""


class CapitalConservationError(TreasuryArenaError):
    """Ledger lines that do not sum to zero, or an account that may not be negative and would be."""


class EmergencyStopError(TreasuryArenaError):
    """Refused because the emergency stop is engaged."""


class ExecutionError(TreasuryArenaError):
    """An order that its market did not execute.

    `legs` are postings of what the attempt moved all the same (gas), balanced like a fill's; `cost_raw` is their worth in base
    units of the base asset.
    """

    def __init__(self, message: str, legs: tuple[Any, ...] = (), cost_raw: int = 0) -> None:
        super().__init__(message)
        self.legs = legs
        self.cost_raw = cost_raw


class UnknownOutcomeError(TreasuryArenaError):
    """An order of which nobody can tell yet whether it happened: its reservation stays, and it is asked about again."""


class ChainUnavailableError(TreasuryArenaError):
    """A chain, a node or a signer did not answer, or answered nonsense: whatever was asked is unknown, not denied."""


class LeaseLostError(TreasuryArenaError):
    """Another daemon holds the store's lease, or this one's ran out; nothing may be written as its holder any more."""


class SignerError(TreasuryArenaError):
    """A signer refused to sign, or did not answer: there is no signature.

    Attributes:
        code: the rule that refused, where the signer told it.
        least_cap_raw, least_tip_raw: for code ``nonce`` (another transaction was signed for this nonce), the lowest fees in wei
            per unit of gas with which it would sign a replacement.
    """

    def __init__(self, sentence: str, code: str = "", least_cap_raw: int = 0, least_tip_raw: int = 0) -> None:
        super().__init__(sentence)
        self.code, self.least_cap_raw, self.least_tip_raw = code, least_cap_raw, least_tip_raw


class FeeCapError(TreasuryArenaError):
    """Gas costs more now than the configured cap allows."""


class AgentError(TreasuryArenaError):
    """One agent's own failure (raised, looped beyond its limit, returned a non-finite or over-sized target)."""


def has_halves(text: str) -> bool:
    """Whether it holds halves of characters (surrogates): what was typed is no text in the machine's encoding."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def required_text(value: object, what: str) -> str:
    """`value` when it is a text that every database holds; raises ValidationError for anything else, and for no text."""
    if not isinstance(value, str) or not value.strip():
        raise ValidationError(f"{what} must be a text that is not empty, not {value!r}")
    if "\0" in value or has_halves(value):
        raise ValidationError(f"{what} holds a character that is none (NUL or half of one): {value!r:.100}")
    return value


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a hint that ends an error sentence: the nearest valid name, or the list of valid names.

    >>> nearest("fintess", ["fitness", "seed"])
    "did you mean 'fitness'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "there are none"
