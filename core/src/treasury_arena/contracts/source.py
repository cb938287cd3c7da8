"""Data sources: where market frames come from."""

from __future__ import annotations

from abc import ABC, abstractmethod

from treasury_arena.domain.frame import MarketFrame, Window


class DataSource(ABC):
    """Delivers market history. Instances are made by a factory the plugin registers, from its configuration section."""

    @abstractmethod
    def fetch(self, window: Window) -> MarketFrame:
        """Return every grid row in `window`.

        Raises DataError (naming file, row and column) for missing, NaN, duplicate, unordered or impossible data, as a
        CoverageError where they begin too late or end too early; it never fills or repairs silently.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A content hash of everything the frames depend on (file contents and mapping, or seed and parameters)."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Facts for the report: where the data come from, units, what was resampled."""
