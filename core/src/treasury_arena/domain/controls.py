"""Benchmarks and control rows as daily curves, and the verdict that separates skill from exposure.

Curves are daily, (D + 1,), begin at the given capital (one dollar unless told) and pay no costs. `lending` is always
the value of one dollar that lent everything, on the same days. Every function raises ValueError for input that is not
finite, not positive where it must be, or of another length than the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.domain.frame import FloatArray
from treasury_arena.domain.statistics import checked_curve
from treasury_arena.domain.verdict import Verdict, verdict

__all__ = [
    "Verdict",
    "equal_weight_index",
    "hold",
    "lending_index",
    "passive_mean_weight",
    "sixty_forty",
    "verdict",
    "weekly_weights_index",
]

SECONDS_PER_YEAR = 365 * 86_400
DAYS_PER_WEEK = 7


def lending_index(rates: ArrayLike, step_seconds: int) -> FloatArray:
    """Value of one dollar lent from row 0 on, compounded every step; (T,) rates to (T,) values, the first 1.

    Args:
        rates: (T,) APR as a fraction a year (linear, 365 days), each earned over the step that ends at its row, as lending
            markets accrue; the first is not used.
        step_seconds: seconds between rows.

    Raises ValueError for rates that are not finite or lose everything within one step, and for a step that is not positive.
    """
    values = checked_curve(rates)
    if values.ndim != 1 or step_seconds <= 0:
        raise ValueError(f"lending needs (T,) rates and a positive step, not {values.shape} and {step_seconds} s")
    growth = 1.0 + values[1:] * (step_seconds / SECONDS_PER_YEAR)
    if (growth <= 0.0).any():
        row = int(np.flatnonzero(growth <= 0.0)[0]) + 1
        raise ValueError(f"the lending rate {values[row]} at row {row} loses everything within one step")
    return np.concatenate([[1.0], np.cumprod(growth)])


def hold(prices: ArrayLike, capital: float = 1.0) -> FloatArray:
    """Buy one asset on the first day and keep it; `prices` are (D + 1,) daily."""
    values = _index(prices)
    return np.asarray(_positive(capital) * values / values[0], dtype=np.float64)


def sixty_forty(prices: ArrayLike, lending: ArrayLike, capital: float = 1.0) -> FloatArray:
    """60% in the asset and 40% lent, brought back to these weights every seventh day; all inputs (D + 1,)."""
    return _weekly(0.6, _index(prices), lending, capital)


def equal_weight_index(prices: ArrayLike) -> FloatArray:
    """An index of several assets that begins at 1, brought back to equal weights every day: (D + 1, A) to (D + 1,)."""
    table = checked_curve(prices)
    if table.ndim != 2 or table.shape[1] == 0 or (table <= 0.0).any():
        raise ValueError(f"an index needs positive prices of shape (D + 1, assets), not {table.shape}")
    growth = (table[1:] / table[:-1]).mean(axis=1)
    return np.concatenate([[1.0], np.cumprod(growth)])


def passive_mean_weight(weight: float, prices: ArrayLike, lending: ArrayLike, capital: float = 1.0) -> FloatArray:
    """Hold the run's mean coin weight passively: that share in coins, the rest lent, restored every seventh day.

    Args:
        weight: mean share of coins, 0 to 1.
        prices: (D + 1, A) daily coin prices, held in equal weights, or a (D + 1,) index of them.
        lending: (D + 1,) value of one dollar lent.
    """
    index = equal_weight_index(prices) if np.ndim(prices) == 2 else _index(prices)
    return _weekly(weight, index, lending, capital)


def weekly_weights_index(
    weights: ArrayLike, days: Sequence[int], index: ArrayLike, lending: ArrayLike, capital: float = 1.0
) -> FloatArray:
    """Give the run's coin weight of every week to an equal-weight index, the rest lent: its timing without its coins.

    Args:
        weights: (W,) coin shares, 0 to 1; each is set on its day and drifts until the next one's.
        days: (W,) increasing days of the curve, 0 to D; before the first everything is lent.
        index: (D + 1,) equal-weight coin index.
        lending: (D + 1,) value of one dollar lent.
    """
    given, coins, dollar = np.asarray(weights, dtype=np.float64), _index(index), _index(lending)
    if coins.shape != dollar.shape:
        raise ValueError(f"coins of {coins.size} days stand against lending of {dollar.size}")
    if given.shape != (len(days),) or not ((given >= 0.0) & (given <= 1.0)).all():
        raise ValueError(f"{len(days)} coin weights from 0 to 1 are needed, not {given.tolist()}")
    bounds = [0, *days, len(coins) - 1]
    if any(later < sooner for sooner, later in itertools.pairwise(bounds)) or len(set(days)) < len(days):
        raise ValueError(f"the days of the weights must increase from 0 to {len(coins) - 1}, not {list(days)}")
    curve = np.full(len(coins), _positive(capital))
    for first, last, share in zip(bounds[:-1], bounds[1:], [0.0, *given], strict=True):
        span = slice(first + 1, last + 1)
        growth = share * coins[span] / coins[first] + (1.0 - share) * dollar[span] / dollar[first]
        curve[span] = curve[first] * growth
    return curve


def _weekly(weight: float, risky: FloatArray, lending: ArrayLike, capital: float) -> FloatArray:
    days = range(0, len(risky), DAYS_PER_WEEK)
    return weekly_weights_index(np.full(len(days), weight), days, risky, lending, capital)


def _index(values: ArrayLike) -> FloatArray:
    array = checked_curve(values)
    if array.ndim != 1 or (array <= 0.0).any():
        raise ValueError(f"positive values of shape (D + 1,) are needed, not {array.shape}")
    return array


def _positive(capital: float) -> float:
    if not 0.0 < capital < float("inf"):
        raise ValueError(f"capital must be positive, not {capital}")
    return float(capital)
