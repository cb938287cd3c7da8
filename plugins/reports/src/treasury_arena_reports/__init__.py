"""Tables, charts and a self-contained HTML report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from treasury_arena.contracts.results import RunResult

__all__ = ["load_results"]


def load_results(path: Path | str) -> RunResult:
    """Read a `results.json` back into a `RunResult`; see `treasury_arena_reports.files.load_results`."""
    from treasury_arena_reports.files import load_results as load

    return load(path)
