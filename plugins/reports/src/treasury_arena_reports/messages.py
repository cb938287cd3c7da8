"""The title of each figure: what it shows, in one sentence drawn from the numbers."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from treasury_arena.contracts.results import RunResult
from treasury_arena_reports.facts import lead, promoted
from treasury_arena_reports.formats import count, percent, plural, usd


def growth_message(result: RunResult) -> str:
    ahead = lead(result)
    words = f"The treasury ended at {usd(result.capital['final'], cents=False)} USD"
    if ahead is None:
        return words
    if round(ahead) == 0:
        return f"{words}, level with lending everything"
    return f"{words}, {usd(abs(ahead), cents=False)} {'above' if ahead > 0 else 'below'} lending everything"


def lead_message(result: RunResult) -> str:
    values = result.series.get("lend_everything")
    if not values:
        return "There is no lending benchmark to compare with"
    gaps = np.asarray(result.series["treasury"], dtype=np.float64) - np.asarray(values, dtype=np.float64)
    closes = gaps[1:]  # the first value is that of the first moment, before any day has passed
    ahead = int(np.count_nonzero(closes > 0.005))
    return f"The treasury was worth more than lending everything on {ahead} of {plural(len(closes), 'day')}"


def drawdown_message(result: RunResult) -> str:
    depth = drawdowns(result.series["treasury"])
    if not len(depth):
        return "No day was recorded"
    if depth.min() > -0.00005:
        return "The treasury never fell below an earlier high"
    at = int(np.argmin(depth))
    return f"At worst the treasury stood {percent(-depth[at])} below its high, on {result.series['dates'][at]}"


def allocation_message(result: RunResult) -> str:
    parts = {name: np.asarray(v, dtype=np.float64) for name, v in result.series.get("allocation", {}).items()}
    total = sum((values.sum() for values in parts.values()), 0.0)
    if not parts or total <= 0:
        return "No capital was recorded"
    agents = sum((v.sum() for name, v in parts.items() if name not in ("reserve", "pool_cash", "pool_lent")), 0.0)
    reserve = parts.get("reserve", np.zeros(1)).sum()
    return (
        f"On average agents held {percent(agents / total, 1)} of the capital, the reserve {percent(reserve / total, 1)}"
    )


def population_message(result: RunResult) -> str:
    if not result.cycles:
        return "No cycle was recorded"
    last = result.cycles[-1]
    return (
        f"{plural(int(last.get('alive') or 0), 'agent')} alive at the end, {int(last.get('proving') or 0)} in proving "
        f"and {int(last.get('arena') or 0)} in the arena{_not_replaced(result)}"
    )


def _not_replaced(result: RunResult) -> str:
    """Why fewer are alive at the end than before: nothing begins in a run's last cycle, so who ended in it has no successor."""
    before, last = ([{"dead": 0}, *result.cycles][at] for at in (-2, -1))
    ended = int(last.get("dead") or 0) - int(before.get("dead") or 0)
    if ended <= 0 or any(agent.get("born") == last["date"] for agent in result.agents):
        return ""
    return f"; {count(ended)} ended in the last cycle, which has no births"


def fitness_by_cycle_message(result: RunResult) -> str:
    if not result.generations:
        return "No search was recorded"
    best = max(
        (row for row in result.generations if row.get("best") is not None), key=lambda row: row["best"], default=None
    )
    if best is None:
        return "No search gave a score"
    return f"The best training score, {best['best']:,.2f}, was {best['strategy']}'s in cycle {best['cycle'] + 1}"


def fitness_by_generation_message(result: RunResult) -> str:
    gains = [gain for gain in (_gain(rows) for rows in searches(result).values()) if gain is not None]
    if not gains:
        return "No search ran for more than one generation"
    better = sum(1 for gain in gains if gain > 1e-12)
    return f"Breeding raised the best score in {better} of {plural(len(gains), 'search', 'searches')}"


def family_message(result: RunResult) -> str:
    chosen = promoted(result)
    if not chosen:
        return "No agent was promoted, so there is no family to draw"
    known = {agent["id"] for agent in result.agents}
    bred = sum(1 for agent in chosen if any(parent in known for parent in agent.get("parents") or ()))
    return f"{bred} of {plural(len(chosen), 'promoted agent')} descended from agents of this run"


def drawdowns(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Share below the running high, shape of `values`; 0 or negative, 0 where no high above zero exists."""
    curve = np.asarray(values, dtype=np.float64)
    high = np.maximum.accumulate(curve) if len(curve) else curve
    return np.where(high > 0, curve / np.where(high > 0, high, 1.0) - 1.0, 0.0)


def searches(result: RunResult) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Generation rows of each (cycle, strategy), in order of generation."""

    def key(row: dict[str, Any]) -> tuple[int, str]:
        return int(row["cycle"]), str(row["strategy"])

    rows = sorted(result.generations, key=lambda row: (*key(row), int(row["generation"])))
    return {which: list(group) for which, group in groupby(rows, key=key)}


def _gain(rows: list[dict[str, Any]]) -> float | None:
    scores = [float(row["best"]) for row in rows if row.get("best") is not None]
    return max(scores) - scores[0] if len(scores) > 1 else None
