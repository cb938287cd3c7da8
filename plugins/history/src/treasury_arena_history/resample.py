"""Bringing rows onto the frame's grid. Only rows known at or before a grid time ever reach it."""

from __future__ import annotations

import attrs
import numpy as np

from treasury_arena_history.reader import IntArray
from treasury_arena_history.units import FloatArray

_REDUCERS = {"mean": np.add, "sum": np.add, "max": np.maximum, "min": np.minimum}
DAY = 86_400 * 1_000_000_000


@attrs.frozen(eq=False)
class Gridded:
    """Values on the grid.

    Attributes:
        values: shape (rows,), NaN where nothing is known yet.
        source: shape (rows,), index of the newest row each value rests on, -1 where there is none.
    """

    values: FloatArray
    source: IntArray


def known_times(labels: IntArray, label: str, bar: int, delay: int) -> IntArray:
    """When each row's value is known (nanoseconds): its label, plus the bar or to the end of its UTC day, plus delay."""
    if label == "open":
        return np.asarray(labels + bar + delay)
    if label == "day_open":
        return np.asarray((labels // DAY + 1) * DAY + delay)
    return np.asarray(labels + delay)


def usual_distance(labels: IntArray, sample: int = 1000) -> int | None:
    """The distance that at least half of the first `sample` neighbouring rows have (nanoseconds), else None.

    Only the first rows are asked, so that later rows cannot change how earlier ones are read.
    """
    distances = np.diff(labels[: sample + 1])
    if not distances.size:
        return None
    found, counts = np.unique(distances, return_counts=True)
    best = int(np.argmax(counts))
    return int(found[best]) if 2 * counts[best] >= distances.size and found[best] > 0 else None


def to_grid(known: IntArray, values: FloatArray, grid: IntArray, step: int, rule: str, lead: int = 0) -> Gridded:
    """Resample rows to the grid (all times in nanoseconds, `known` and `grid` ascending, `grid` regular by `step`).

    A row of the grid at time g takes the rows known in ``(g - step, g]``: the last, their mean, max, min or sum. With
    none there, the newest earlier result is carried forward (except ``sum``, which stays NaN), and `source` tells its
    age. ``last`` and ``forward`` look back without limit, the others `lead` nanoseconds before the first grid time.
    """
    if rule in ("last", "forward"):
        source = np.searchsorted(known, grid, side="right") - 1
        return Gridded(np.where(source >= 0, values[np.maximum(source, 0)], np.nan), source.astype(np.int64))
    extra = -(-lead // step) if rule != "sum" else 0
    first = int(grid[0]) - step * (extra + 1)
    edges = first + step * np.arange(len(grid) + extra + 1, dtype=np.int64)
    cuts = np.searchsorted(known, edges, side="right")
    full = np.flatnonzero(np.diff(cuts))
    out = np.full(len(grid) + extra, np.nan)
    newest = np.full(len(grid) + extra, -1, dtype=np.int64)
    if full.size:
        reduced = _REDUCERS[rule].reduceat(values[: cuts[-1]], cuts[full])
        bins = reduced / np.diff(cuts)[full] if rule == "mean" else reduced
        if rule == "sum":
            out[full], newest[full] = bins, cuts[full + 1] - 1
        else:
            last = np.searchsorted(full, np.arange(len(out)), side="right") - 1
            here = last >= 0
            out[here] = bins[last[here]]
            newest[here] = cuts[full[last[here]] + 1] - 1
    return Gridded(out[extra:], newest[extra:])
