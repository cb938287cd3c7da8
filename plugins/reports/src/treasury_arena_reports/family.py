"""The family tree of the promoted agents: parents to the left, one lane for each line of descent."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports import messages
from treasury_arena_reports.drawing import WIDE, blank, date_axis, moments_of, place, style
from treasury_arena_reports.drawing import title as add_title
from treasury_arena_reports.formats import shorten, strategy_of
from treasury_arena_reports.lineage import families, parents_of
from treasury_arena_reports.palette import LIGHT, result_colours

NODES = 60
LABELLED = 30


def family_tree(result: RunResult, *, title: bool = True) -> Figure:
    """Promoted agents and their ancestors by date of birth; a line joins parent and child, a ring marks a promoted agent.

    At most 60 agents are drawn, families of the highest ranked first; the lineage table has them all.
    """
    with style():
        names, _ = families(result, NODES)
        if not names:
            return blank(WIDE, "No agent was promoted, so there is no family to draw.")
        agents = {str(agent["id"]): agent for agent in result.agents}
        days = dict(zip(names, moments_of([agents[n].get("born") or result.start for n in names], "born"), strict=True))
        lanes = _lanes(names, agents, days)
        figure = Figure(figsize=(WIDE[0], max(1.7, 0.23 * (max(lanes.values()) + 1) + 0.75)))
        axes = place(figure, left=0.45, right=1.3, top=0.15)  # half a date fits to the left, no value stands there
        axes.set_ylim(max(lanes.values()) + 0.6, -0.6)
        axes.set_yticks([])
        axes.grid(False)
        date_axis(axes, result)
        colours = result_colours(result)
        for name in names:
            for parent in parents_of(agents[name]):
                if parent in lanes:
                    start, end = (days[parent], lanes[parent]), (days[name], lanes[name])
                    middle = (start[0] + end[0]) / 2
                    curve = Path(
                        [start, (middle, start[1]), (middle, end[1]), end],
                        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
                    )
                    axes.add_patch(
                        PathPatch(
                            curve, facecolor="none", edgecolor=LIGHT["muted"], alpha=0.45, linewidth=0.9, zorder=1
                        )
                    )
        for name in names:
            agent = agents[name]
            colour = colours.get(strategy_of(agent), LIGHT["slate"])
            crowned = bool(agent.get("promoted"))
            axes.plot(
                [days[name]],
                [lanes[name]],
                marker="o",
                markersize=7.5 if crowned else 4.5,
                markerfacecolor=colour,
                markeredgecolor=LIGHT["ink"] if crowned else "none",
                markeredgewidth=1.2,
                zorder=3,
                clip_on=False,  # whole at the first and the last day too
            )
            if crowned or len(names) <= LABELLED:
                axes.annotate(
                    shorten(name, 18),
                    (days[name], lanes[name]),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    size=8 if crowned else 7,
                    color=colour if crowned else LIGHT["muted"],
                    annotation_clip=False,
                    zorder=2,
                    bbox={"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 0.6},
                )
        add_title(figure, messages.family_message(result), title)
        return figure


def _lanes(names: list[str], agents: dict[str, dict[str, Any]], days: dict[str, float]) -> dict[str, int]:
    """A lane for each agent: its first parent's where that is free from here on, else the nearest free one.

    Agents of one strategy stay together, strategies follow one another by name. A lane is free again after a fifth of
    the time shown, which leaves room for the label.
    """
    span = max(days.values()) - min(days.values())
    room = max(span * 0.2, 1.0)
    lanes: dict[str, int] = {}
    base = 0
    for strategy in sorted({strategy_of(agents[name]) for name in names}):
        last: list[float] = []
        for name in (n for n in names if strategy_of(agents[n]) == strategy):
            wanted = next((lanes[p] - base for p in parents_of(agents[name]) if p in lanes and lanes[p] >= base), 0)
            free = [at for at, day in enumerate(last) if days[name] - day >= room]
            lane = min(free, key=lambda at: (abs(at - wanted), at)) if free else len(last)
            if lane == len(last):
                last.append(days[name])
            last[lane] = days[name]
            lanes[name] = base + lane
        base += len(last)
    return lanes
