"""Figures of a run for notebooks and for the page: each takes a `RunResult` and returns a matplotlib `Figure`.

They draw without pyplot and without changing matplotlib's settings. `title=False` leaves the message out, where the page
says it as a heading. Money is in USD, dates are UTC.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports import messages
from treasury_arena_reports.drawing import (
    HALF,
    WIDE,
    FloatArray,
    blank,
    date_axis,
    days_of,
    dollars,
    end_labels,
    moments_of,
    place,
    share,
    style,
    thin,
    unit,
    value_axis,
)
from treasury_arena_reports.drawing import (
    title as add_title,
)
from treasury_arena_reports.family import family_tree
from treasury_arena_reports.formats import percent, shorten
from treasury_arena_reports.palette import AREAS, LIGHT, LINES, SHORT, SPARE, STAGE_COLOURS, result_colours
from treasury_arena_reports.searching import fitness_by_cycle, fitness_by_generation

__all__ = [
    "allocation",
    "drawdown",
    "family_tree",
    "fitness_by_cycle",
    "fitness_by_generation",
    "growth",
    "lead",
    "population",
]

SPOKEN_AREAS = {"reserve": "Reserve", "pool_cash": "Pool, cash", "pool_lent": "Pool, lent"}


def growth(result: RunResult, *, narrow: bool = False, title: bool = True) -> Figure:
    """Treasury and every benchmark over time; controls are dashed."""
    size = (HALF[0], 3.9) if narrow else WIDE
    with style():
        days = days_of(result.series["dates"], "series.dates")
        if not len(days):
            return blank(size, "No day was recorded.")
        curves = {name: _array(result, name) for name in (*result.benchmarks, "treasury")}
        figure = Figure(figsize=size)
        axes = place(figure, left=0.6, right=1.35 if narrow else 1.75)
        kept = thin(list(curves.values()))
        value_axis(axes, list(curves.values()), dollars)
        labels = []
        for name, values in curves.items():
            colour, dash = _line(name, list(result.benchmarks))
            heavy = name == "treasury"
            axes.plot(
                days[kept],
                values[kept],
                color=colour,
                linestyle=dash,
                linewidth=2.4 if heavy else 1.4,
                marker="o" if len(days) == 1 else "",
                zorder=4 if heavy else 3,
            )
            gain = values[-1] / values[0] - 1 if values[0] else None
            text = shorten(_short(result, name), 16 if narrow else 20)
            labels.append((float(values[-1]), text if narrow else f"{text} {percent(gain, 1, sign=True)}", colour))
        date_axis(axes, result)
        unit(axes, "USD")
        end_labels(axes, labels)
        add_title(figure, messages.growth_message(result), title)
        return figure


def lead(result: RunResult, *, title: bool = True) -> Figure:
    """Treasury less lending everything, day by day."""
    with style():
        days = days_of(result.series["dates"], "series.dates")
        if "lend_everything" not in result.series or not len(days):
            return blank(HALF, "There is no lending benchmark to compare with.")
        gap = _array(result, "treasury") - _array(result, "lend_everything")
        figure = Figure(figsize=HALF)
        axes = place(figure, right=0.85)
        kept = thin([gap])
        value_axis(axes, [gap], dollars, bottom=0.0, least=1.0)
        low, high = axes.get_ylim()
        axes.set_ylim(low, max(high, (high - low) * 0.08))
        x, y = days[kept], gap[kept]
        axes.fill_between(x, 0, np.maximum(y, 0), color=LIGHT["blue"], alpha=0.25, linewidth=0)
        axes.fill_between(x, 0, np.minimum(y, 0), color=LIGHT["vermillion"], alpha=0.25, linewidth=0)
        axes.plot(x, y, color=LIGHT["blue"], linewidth=1.6, marker="o" if len(days) == 1 else "")
        axes.axhline(0, color=LIGHT["green"], linewidth=1.2)
        end_labels(axes, [(0.0, "Lend it all", LIGHT["green"]), (float(gap[-1]), "Treasury", LIGHT["blue"])])
        date_axis(axes, result)
        unit(axes, "USD, treasury less lending everything")
        add_title(figure, messages.lead_message(result), title)
        return figure


def drawdown(result: RunResult, *, title: bool = True) -> Figure:
    """Share below the highest value so far, negative: treasury, and the two benchmarks that hold coins."""
    with style():
        days = days_of(result.series["dates"], "series.dates")
        if not len(days):
            return blank(HALF, "No day was recorded.")
        names = [name for name in ("hold_eth", "sixty_forty") if name in result.benchmarks]
        curves = {name: messages.drawdowns(result.series[name]) for name in (*names, "treasury")}
        figure = Figure(figsize=HALF)
        axes = place(figure, right=0.95)
        kept = thin(list(curves.values()))
        value_axis(axes, list(curves.values()), share)
        axes.set_ylim(min(axes.get_ylim()[0], -0.0005), 0.0)
        labels = []
        for name, values in curves.items():
            colour, dash = _line(name, list(result.benchmarks))
            marker = "o" if len(days) == 1 else ""
            heavy = 2.0 if name == "treasury" else 1.2
            axes.plot(days[kept], values[kept], color=colour, linestyle=dash, linewidth=heavy, marker=marker)
            labels.append((float(values[-1]), SHORT[name], colour))
        axes.fill_between(days[kept], curves["treasury"][kept], 0, color=LIGHT["blue"], alpha=0.25, linewidth=0)
        date_axis(axes, result)
        unit(axes, "below the highest value so far")
        end_labels(axes, labels)
        add_title(figure, messages.drawdown_message(result), title)
        return figure


def allocation(result: RunResult, *, title: bool = True) -> Figure:
    """Where the capital was, stacked; reserve at the bottom, then the pools, then each strategy's agents."""
    with style():
        days = days_of(result.series["dates"], "series.dates")
        parts = result.series.get("allocation") or {}
        if not len(days) or not parts:
            return blank(HALF, "No allocation was recorded.")
        names = [name for name in SPOKEN_AREAS if name in parts]
        names += sorted(name for name in parts if name not in SPOKEN_AREAS)
        colours = {name: LIGHT[tone] for name, tone in AREAS.items()}
        colours |= result_colours(result)
        values = {name: np.asarray(parts[name], dtype=np.float64) for name in names}
        figure = Figure(figsize=HALF)
        axes = place(figure, right=1.25)
        kept = thin(list(values.values()))
        areas = [(SPOKEN_AREAS.get(name, name), values[name], colours[name]) for name in names]
        _stack(axes, result, days, kept, areas, dollars)
        unit(axes, "USD")
        add_title(figure, messages.allocation_message(result), title)
        return figure


def population(result: RunResult, *, title: bool = True) -> Figure:
    """Agents alive by stage at the end of each cycle, stacked."""
    with style():
        if not result.cycles:
            return blank(HALF, "No cycle was recorded.")
        days = moments_of([row["date"] for row in result.cycles], "cycles.date")
        values = {stage: np.array([float(row.get(stage) or 0) for row in result.cycles]) for stage in STAGE_COLOURS}
        figure = Figure(figsize=HALF)
        axes = place(figure, left=0.45, right=1.05)
        kept = thin(list(values.values()))
        areas = [(stage.capitalize(), values[stage], LIGHT[tone]) for stage, tone in STAGE_COLOURS.items()]
        _stack(axes, result, days, kept, areas, lambda value: f"{value:,.0f}")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        unit(axes, "agents alive")
        add_title(figure, messages.population_message(result), title)
        return figure


def _stack(
    axes: Axes,
    result: RunResult,
    days: FloatArray,
    kept: NDArray[np.int64],
    areas: list[tuple[str, FloatArray, str]],
    form: Callable[[float], str],
) -> None:
    """Stacked areas, labelled at the right edge at the middle of what each holds at the end (or held, in brackets)."""
    date_axis(axes, result)
    if len(days) == 1:
        days, kept = np.array([days[0] - 0.5, days[0] + 0.5]), np.arange(2)
        areas = [(name, np.repeat(values, 2), colour) for name, values, colour in areas]
    below = np.zeros(len(days))
    labels = []
    for name, values, colour in areas:
        above = below + values
        axes.fill_between(
            days[kept], below[kept], above[kept], color=colour, alpha=0.85, linewidth=0.4, edgecolor=LIGHT["paper"]
        )
        if values.any():
            tone = LIGHT["muted"] if colour == LIGHT["grid"] else colour
            labels.append(((below[-1] + above[-1]) / 2, shorten(name, 18), tone))
        below = above
    value_axis(axes, [below], form, bottom=0.0)
    end_labels(axes, labels)


def _array(result: RunResult, name: str) -> FloatArray:
    return np.asarray(result.series[name], dtype=np.float64)


def _line(name: str, benchmarks: list[str]) -> tuple[str, str]:
    if name in LINES:
        tone, dash = LINES[name]
        return LIGHT[tone], dash
    others = [other for other in benchmarks if other not in LINES]
    return LIGHT[SPARE[others.index(name) % len(SPARE)]], "dotted"


def _short(result: RunResult, name: str) -> str:
    return SHORT.get(name) or str(result.benchmarks[name].get("label") or name)
