"""Colours and drawing settings. Each colour has a name, so that the page can give it another value in the dark."""

from __future__ import annotations

from typing import Any

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.formats import strategy_of

# Okabe and Ito's palette (jfly.uni-koeln.de/color), the light tones deepened until they read on white.
LIGHT = {
    "ink": "#1c2024",
    "muted": "#5d666f",
    "grid": "#dde1e5",
    "paper": "#ffffff",
    "blue": "#0067a5",
    "green": "#00805c",
    "vermillion": "#c4500a",
    "purple": "#a8518a",
    "amber": "#a87400",
    "sky": "#3f9fd6",
    "slate": "#76818c",
    "sand": "#d9b36a",
    "rose": "#b8326b",
    "olive": "#6d7a1c",
}
DARK = {
    "ink": "#e8eaed",
    "muted": "#a3acb5",
    "grid": "#343b43",
    "paper": "#15191d",
    "blue": "#58b4f0",
    "green": "#35c79a",
    "vermillion": "#ff8f4d",
    "purple": "#e29ac8",
    "amber": "#f0b429",
    "sky": "#8fd0f7",
    "slate": "#98a3ae",
    "sand": "#c9a45c",
    "rose": "#ff86b0",
    "olive": "#bccb5c",
}
LINES = {
    "treasury": ("blue", "solid"),
    "lend_everything": ("green", "solid"),
    "hold_eth": ("vermillion", "solid"),
    "sixty_forty": ("purple", "solid"),
    "passive_mean_weight": ("amber", "dashed"),
    "weekly_weights_index": ("slate", "dashed"),
}
SPARE = ("sky", "sand", "purple", "amber", "green", "vermillion")
SHORT = {
    "treasury": "Treasury",
    "lend_everything": "Lend everything",
    "hold_eth": "Hold ETH",
    "sixty_forty": "60/40",
    "passive_mean_weight": "Mean coin weight",
    "weekly_weights_index": "Weekly weights",
}
AREAS = {"reserve": "slate", "pool_cash": "grid", "pool_lent": "green"}
STAGE_COLOURS = {"simulation": "slate", "proving": "amber", "arena": "blue"}

SETTINGS: dict[str, Any] = {
    "axes.edgecolor": LIGHT["grid"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": 8.5,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": LIGHT["ink"],
    "axes.unicode_minus": False,
    "figure.facecolor": LIGHT["paper"],
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "treasury-arena",
    "text.color": LIGHT["ink"],
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": LIGHT["grid"],
    "xtick.labelcolor": LIGHT["muted"],
    "xtick.labelsize": 8.5,
    "ytick.color": "none",
    "ytick.labelcolor": LIGHT["muted"],
    "ytick.labelsize": 8.5,
    "ytick.left": False,
}


def result_colours(result: RunResult) -> dict[str, str]:
    """A colour for each strategy of a run, the same in every figure and none of the pools'; more than eight repeat."""
    cycle = ("blue", "vermillion", "purple", "amber", "sky", "sand", "rose", "olive")
    names = {strategy_of(row) for row in (*result.agents, *result.generations)}
    names |= {name for name in result.series.get("allocation") or {} if name not in AREAS}
    return {name: LIGHT[cycle[at % len(cycle)]] for at, name in enumerate(sorted(names))}
