"""Figures of the search: how training scores rose within a search and moved over the cycles, one panel per strategy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports import messages
from treasury_arena_reports.drawing import (
    HALF,
    FloatArray,
    blank,
    date_axis,
    end_labels,
    moments_of,
    score,
    style,
    thin,
    unit,
    value_axis,
)
from treasury_arena_reports.drawing import (
    title as add_title,
)
from treasury_arena_reports.formats import shorten
from treasury_arena_reports.palette import LIGHT, result_colours

PANEL = 1.35
PANELS = 12


def fitness_by_cycle(result: RunResult, *, title: bool = True) -> Figure:
    """Best and median training score of each cycle's last generation; no line where a cycle had no search."""
    with style():
        panels: dict[str, list[tuple[float, float, float, float]]] = {}
        for (cycle, strategy), rows in messages.searches(result).items():
            scored = [row for row in rows if row.get("best") is not None and row.get("median") is not None]
            if scored:
                day = float(moments_of([scored[-1]["date"]], "generations.date")[0])
                last = scored[-1]
                panels.setdefault(strategy, []).append((day, float(last["best"]), float(last["median"]), float(cycle)))
        if not panels:
            return blank(HALF, "No search was recorded.")
        figure, axes = _panels(sorted(panels))
        for pair, strategy in zip(axes, sorted(panels), strict=False):
            table = np.array(panels[strategy])
            runs = np.cumsum(np.diff(table[:, 3], prepend=table[0, 3]) > 1, dtype=np.int64)
            _draw(pair, table[:, 0], table[:, 1], table[:, 2], result_colours(result)[strategy], runs)
            date_axis(pair, result)
        add_title(figure, messages.fitness_by_cycle_message(result), title)
        return figure


def fitness_by_generation(result: RunResult, *, title: bool = True) -> Figure:
    """Best and median training score by generation, averaged over the cycles that ran that generation."""
    with style():
        sums: dict[str, dict[int, list[tuple[float, float]]]] = {}
        for row in result.generations:
            if row.get("best") is not None and row.get("median") is not None:
                scores = sums.setdefault(str(row["strategy"]), {}).setdefault(int(row["generation"]), [])
                scores.append((float(row["best"]), float(row["median"])))
        if not sums:
            return blank(HALF, "No search was recorded.")
        figure, axes = _panels(sorted(sums))
        for pair, strategy in zip(axes, sorted(sums), strict=False):
            steps = sorted(sums[strategy])
            means = np.array([np.mean(sums[strategy][step], axis=0) for step in steps])
            x = np.array(steps, dtype=np.float64)
            _draw(pair, x, means[:, 0], means[:, 1], result_colours(result)[strategy])
            pair.set_xlim(x[0] - (0.5 if len(x) == 1 else 0), x[-1] + (0.5 if len(x) == 1 else 0))
            pair.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes[-1].set_xlabel("generation within a search, mean over cycles")
        add_title(figure, messages.fitness_by_generation_message(result), title)
        return figure


def _panels(strategies: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """One panel per strategy, the first twelve by name, below one another."""
    shown = strategies[:PANELS]
    height = PANEL * len(shown) + 0.3
    figure = Figure(figsize=(HALF[0], height))
    axes: list[Axes] = []
    for at, strategy in enumerate(shown):
        bottom = height - PANEL * (at + 1) + 0.12
        pair = figure.add_axes((0.6 / HALF[0], bottom / height, (HALF[0] - 1.35) / HALF[0], (PANEL - 0.55) / height))
        unit(pair, f"{shorten(strategy, 32)}, training score")
        axes.append(pair)
    return figure, axes


def _draw(
    axes: Axes,
    x: FloatArray,
    best: FloatArray,
    median: FloatArray,
    colour: str,
    runs: NDArray[np.int64] | None = None,
) -> None:
    """Best and median; with `runs` every value has a mark, and only those of one run are joined."""
    kept = thin([best, median])
    value_axis(axes, [best, median], score)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    gaps = np.flatnonzero(np.diff(runs[kept])) + 1 if runs is not None else np.array([], dtype=np.int64)
    days, high, middle = (np.insert(values[kept], gaps, np.nan) for values in (x, best, median))
    marker = "o" if len(x) == 1 or runs is not None else ""
    size = 2.5 if len(x) > 1 else 6.0
    for values, tone, width, dash in ((middle, LIGHT["muted"], 1.1, "dashed"), (high, colour, 1.6, "solid")):
        line = axes.plot(days, values, color=tone, linewidth=width, linestyle=dash, marker=marker, markersize=size)
        line[0].set_clip_on(not marker)  # marks are whole at the first and the last day too
    end_labels(axes, [(float(best[-1]), "best", colour), (float(median[-1]), "median", LIGHT["muted"])])
