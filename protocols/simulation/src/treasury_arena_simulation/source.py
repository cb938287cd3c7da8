"""The data source ``simulated``: market frames cut from the generated path."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import attrs

from treasury_arena.clock import from_epoch
from treasury_arena.contracts.source import DataSource
from treasury_arena.domain.frame import MarketFrame, Window
from treasury_arena.errors import ConfigError, CoverageError, DataError
from treasury_arena_simulation.config import SimulatedSection
from treasury_arena_simulation.generator import COLUMNS, market

if TYPE_CHECKING:
    from treasury_arena.config.context import SourceContext

HOUR = 3600
#: Raised whenever the generator would draw another path from the same section and seed.
GENERATOR_VERSION = 1
#: A century: beyond it, a window is a mistake.
MOST_HOURS = 876_000


class SimulatedSource(DataSource):
    """Market history that never was, drawn from `section` and a seed (the section's own, else the run's).

    Raises ConfigError when the frames' step is not a whole number of hours.
    """

    def __init__(self, section: SimulatedSection, context: SourceContext) -> None:
        if context.step_seconds <= 0 or context.step_seconds % HOUR:
            raise ConfigError(
                f"the simulated source has one row an hour; a step of {context.step_seconds} s cannot be cut from it"
            )
        self._section = section
        self._step = context.step_seconds
        self._seed = context.seed if section.seed is None else section.seed
        self._generator = market(section, self._seed)

    def fetch(self, window: Window) -> MarketFrame:
        """Every row of the grid (whole multiples of the step since 1970) in `window`, as pure cuts of the one path."""
        start = -(-window.start // self._step) * self._step
        rows = -(-(window.end - start) // self._step)
        origin = self._section.origin_epoch
        if rows <= 0:
            raise DataError(
                f"no row of the {self._step} s grid lies from {from_epoch(window.start)} to {from_epoch(window.end)}"
            )
        if start < origin:
            raise CoverageError(
                f"the window starts at {from_epoch(start)}, before source.simulated.origin = {self._section.origin}; set an "
                f"earlier origin",
                origin,
            )
        low = (start - origin) // HOUR
        stride = self._step // HOUR
        high = low + (rows - 1) * stride + 1
        if high > MOST_HOURS:
            raise DataError(
                f"the window ends at {from_epoch(window.end)}, more than a century after {self._section.origin}"
            )
        hourly = self._generator.columns(low, high)
        return MarketFrame(start, self._step, {name: column[::stride] for name, column in hourly.items()})

    def fingerprint(self) -> str:
        facts = {
            "generator": GENERATOR_VERSION,
            "seed": self._seed,
            "step_seconds": self._step,
            "section": attrs.asdict(self._section),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def describe(self) -> dict[str, str]:
        section = self._section
        edge = f"{section.edge:g} a year over {section.edge_days} days" if section.edge else "none"
        return {
            "source": "simulated",
            "seed": str(self._seed),
            "origin": section.origin,
            "columns": ", ".join(COLUMNS),
            "units": "prices USD per token, rates linear APR as a fraction, depth USD within 1%, gas USD per action",
            "planted edge": edge,
            "resampled": "no" if self._step == HOUR else f"one row in {self._step // HOUR}",
        }
