"""Data sources: where market frames come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from treasury_arena.clock import from_epoch
from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.errors import CoverageError


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


def fetched(fetch: Callable[[Window], MarketFrame], window: Window, first: int) -> MarketFrame:
    """What `fetch` gives for `window`; `first`: epoch of the run's first moment.

    Raises DataError, for data that begin too late with the earliest `start` for which they would do.
    """
    try:
        return fetch(window)
    except CoverageError as error:
        if error.first is None or error.first <= window.start:
            raise
        before = (first - window.start) // 86_400
        earliest = from_epoch(-(-(first + error.first - window.start) // 86_400) * 86_400).date()
        raise CoverageError(
            f"{error}; a run reads {before} days before its start (training and warm-up), so with these data the "
            f"earliest start is {earliest}",
            error.first,
        ) from error
