"""Uncertainty of a mean difference between two daily records, by a circular block bootstrap."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.domain.statistics.series import DAYS_PER_YEAR, checked_returns

#: Draws times blocks held at once.
_CELLS = 4_000_000


@attrs.frozen
class MeanDifference:
    """A difference of mean returns, as fractions a YEAR.

    Attributes:
        difference: mean daily difference times 365.
        low, high: percentile interval.
        p: two-sided probability of a difference at least as large if there were none; never 0.
    """

    difference: float
    low: float
    high: float
    p: float


def block_bootstrap_mean_difference(
    a: ArrayLike,
    b: ArrayLike,
    block: int,
    draws: int,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> MeanDifference:
    """Bootstrap the mean of a - b, day by day, in circular blocks of `block` days.

    Blocks keep the serial dependence of days that lie together; pairing keeps what both records share. A block longer than
    the record is as long as the record. No days give 0, 0, 0 and p = 1.
    Politis and Romano (1992), "A circular block-resampling procedure for stationary data".

    Args:
        a, b: (D,) daily returns of the same days.
        block: length of a block in days, at least 1.
        draws: number of resamples, at least 1.
        rng: the generator that draws the blocks' first days.
        confidence: coverage of the interval.

    Raises ValueError for records of different shape and for numbers outside their range.
    """
    first, second = checked_returns(a), checked_returns(b)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"two records of the same days are needed, not shapes {first.shape} and {second.shape}")
    if block < 1 or draws < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(
            f"block and draws must be at least 1 and confidence in (0, 1), not {block}, {draws}, {confidence}"
        )
    gap = first - second
    days = gap.size
    if days == 0:
        return MeanDifference(0.0, 0.0, 0.0, 1.0)
    length = min(block, days)
    whole, rest = divmod(days, length)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([gap, gap]))])
    means = np.empty(draws)
    step = max(_CELLS // (whole + 1), 1)
    for low in range(0, draws, step):
        starts = rng.integers(0, days, size=(min(step, draws - low), whole + bool(rest)))
        full = starts[:, :whole]
        total = (sums[full + length] - sums[full]).sum(axis=1)
        if rest:
            total += sums[starts[:, -1] + rest] - sums[starts[:, -1]]
        means[low : low + len(starts)] = total / days
    observed = float(gap.mean())
    tail = (1.0 - confidence) / 2.0
    bounds = np.quantile(means, [tail, 1.0 - tail]) * DAYS_PER_YEAR
    extreme = int((np.abs(means - observed) >= abs(observed) - 1e-15).sum())
    p = (1 + extreme) / (1 + draws)
    return MeanDifference(observed * DAYS_PER_YEAR, float(bounds[0]), float(bounds[1]), min(p, 1.0))
