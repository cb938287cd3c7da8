"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Bailey, Borwein, Lopez de Prado and Zhu (2017), "The Probability of Backtest Overfitting", Journal of Computational
Finance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.domain.statistics.series import FloatArray, checked_returns, ratio

#: Combinations judged at once: with 100 columns about 3 MiB for each of a handful of arrays.
_CHUNK = 4096


def pbo_cscv(returns: ArrayLike, splits: int = 16, floor: float = 0.0) -> float:
    """Share of splits in which the column with the best Sharpe ratio in sample is no better than the median out of it.

    Give returns over a benchmark where columns differ in how much of it they hold: else that is what tells them apart in both
    halves, and every search looks sound.

    The days are cut into `splits` blocks; every choice of half of them is one in-sample set (C(16, 8) = 12,870). Equal
    columns rank in the middle, so a choice that distinguishes nothing counts as overfitted; the first of several best
    columns is the chosen one.

    Args:
        returns: (T, N) daily returns, one COLUMN per trial.
        splits: even number of blocks, from 2 to 20.
        floor: a volatility a day, added to that of the returns in quadrature; above 0 the ratios are floored Sharpe ratios.

    Raises ValueError for a floor below 0, fewer than two columns, an odd number of splits, or fewer days than splits.
    """
    matrix = checked_returns(returns)
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise ValueError(f"overfitting is judged on (T, N) returns of at least two trials, not {matrix.shape}")
    if splits % 2 or not 2 <= splits <= 20:
        raise ValueError(f"splits must be an even number from 2 to 20, not {splits}")
    if matrix.shape[0] < splits:
        raise ValueError(f"{matrix.shape[0]} days cannot be cut into {splits} blocks")
    if not 0.0 <= floor < math.inf:
        raise ValueError(f"the floor of a volatility must be finite and at least 0, not {floor}")
    centre = matrix.mean(axis=0)
    blocks = np.array_split(matrix - centre, splits)
    counts = np.array([len(block) for block in blocks], dtype=np.float64)
    sums = np.array([block.sum(axis=0) for block in blocks])
    squares = np.array([np.square(block).sum(axis=0) for block in blocks])
    overfitted = total = 0
    for chosen in _halves(splits):
        inside = _sharpe(chosen, counts, sums, squares, centre, floor)
        outside = _sharpe(1.0 - chosen, counts, sums, squares, centre, floor)
        best = np.take_along_axis(outside, inside.argmax(axis=1)[:, None], axis=1)
        below = (outside < best).sum(axis=1)
        above = (outside > best).sum(axis=1)
        overfitted += int((below <= above).sum())
        total += len(chosen)
    return overfitted / total


def _halves(splits: int) -> Iterator[FloatArray]:
    """Indicator rows (at most `_CHUNK`, splits) of every choice of half the blocks."""
    choices = itertools.combinations(range(splits), splits // 2)
    while chunk := list(itertools.islice(choices, _CHUNK)):
        rows = np.zeros((len(chunk), splits))
        np.put_along_axis(rows, np.array(chunk), 1.0, axis=1)
        yield rows


def _totals(chosen: FloatArray, of_blocks: FloatArray) -> FloatArray:
    """Sums over the chosen blocks, block after block: in what order a matrix product adds is its library's choice."""
    total = np.zeros((len(chosen), of_blocks.shape[1]))
    for column, row in zip(chosen.T, of_blocks, strict=True):
        total += column[:, None] * row
    return total


def _sharpe(
    chosen: FloatArray, counts: FloatArray, sums: FloatArray, squares: FloatArray, centre: FloatArray, floor: float
) -> FloatArray:
    days = _totals(chosen, counts[:, None])
    offset = _totals(chosen, sums) / days
    variance = np.maximum(_totals(chosen, squares) / days - np.square(offset), 0.0) * days / np.maximum(days - 1.0, 1.0)
    return ratio(offset + centre, np.sqrt(variance + floor * floor))
