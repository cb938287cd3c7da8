"""Registers the reporter `report`: the closing table, `report.html` and `results.json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from treasury_arena.contracts.runtime import Reporter
from treasury_arena.markers import hookimpl

if TYPE_CHECKING:
    from treasury_arena.contracts.results import RunResult


class RunReporter(Reporter):
    """Tables, charts and a self-contained page of one finished run."""

    name = "report"

    def table(self, result: RunResult) -> str:
        """Plain text, as wide as the terminal; ANSI colours only when standard output is one."""
        from treasury_arena_reports.table import render

        return render(result)

    def write(self, result: RunResult, folder: Path) -> list[Path]:
        """Write `report.html` and `results.json` into `folder` (made if missing) and return their paths.

        Both texts are ready before either file is opened, so a refused result leaves nothing behind; a file that cannot be
        written whole (OSError) leaves the one before.
        Raises ValidationError for a result that cannot be reported, such as one with NaN.
        """
        from treasury_arena_reports.files import results_json
        from treasury_arena_reports.html import render_html

        page, data = render_html(result), results_json(result)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "report.html", folder / "results.json"]
        for path, text in zip(paths, (page, data), strict=True):
            part = path.with_name(f"{path.name}.part")
            try:
                part.write_text(text, encoding="utf-8", newline="\n")
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return paths


@hookimpl
def arena_reporters() -> list[Reporter]:
    return [RunReporter()]
