"""Statistics of the path: returns from curves and back, drawdown, winning and losing days."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from treasury_arena.domain import elementary
from treasury_arena.domain.statistics.series import (
    DAYS_PER_YEAR,
    NOISE,
    RATIO_CAP,
    FloatArray,
    checked_curve,
    checked_growth,
    checked_returns,
    excess_returns,
)

_LOG_CAP = math.log1p(RATIO_CAP)


def daily_returns(curve: ArrayLike) -> FloatArray:
    """Simple daily returns of a curve: (D + 1,) to (D,), (N, D + 1) to (N, D).

    Ruin is final: equity at or below 0 is a return of -1 on that day and 0 on every later one. Raises ValueError for a
    value that is not finite and for growth beyond `RETURN_MAX` in a day.
    """
    values = checked_curve(curve)
    if (values <= 0.0).any():
        values = np.where(np.logical_and.accumulate(values > 0.0, axis=-1), values, 0.0)
    before, after = values[..., :-1], values[..., 1:]
    alive = before > 0.0
    with np.errstate(over="ignore"):
        growth = np.divide(after, before, out=np.ones_like(after), where=alive)
    return checked_returns(growth - 1.0)


def curve_of(returns: ArrayLike, start: float = 1.0) -> FloatArray:
    """The curve that begins at `start` and grows by the returns: (D,) to (D + 1,), (N, D) to (N, D + 1)."""
    growth = np.cumprod(1.0 + checked_growth(returns), axis=-1)
    first = np.ones((*growth.shape[:-1], 1))
    return np.asarray(start * np.concatenate([first, growth], axis=-1), dtype=np.float64)


def _log_growth(returns: ArrayLike) -> FloatArray:
    return np.asarray(elementary.log1p(checked_growth(returns)).sum(axis=-1), dtype=np.float64)


def total_return(returns: ArrayLike) -> FloatArray:
    """Compounded return over all days, a fraction, at most `RATIO_CAP`; 0 for no days."""
    return np.asarray(elementary.expm1(np.minimum(_log_growth(returns), _LOG_CAP)), dtype=np.float64)


def annual_return(returns: ArrayLike) -> FloatArray:
    """Compounded return a year (365 days), a fraction, at most `RATIO_CAP`; 0 for no days."""
    days = max(np.shape(returns)[-1], 1)
    return np.asarray(
        elementary.expm1(np.minimum(_log_growth(returns) * (DAYS_PER_YEAR / days), _LOG_CAP)), dtype=np.float64
    )


def max_drawdown(curve: ArrayLike) -> FloatArray:
    """The deepest fall below the highest value so far, a NEGATIVE fraction from -1 to 0, of an equity curve."""
    values = checked_curve(curve)
    peak = np.maximum.accumulate(values, axis=-1)
    level = np.divide(values, peak, out=np.ones_like(values), where=peak > 0.0)
    return np.asarray(np.maximum(level.min(axis=-1) - 1.0, -1.0), dtype=np.float64)


def win_rate(returns: ArrayLike, benchmark: ArrayLike = 0.0) -> FloatArray:
    """Share of days whose return is above the benchmark by more than `NOISE`; 0 for no days."""
    wins = excess_returns(returns, benchmark) > NOISE
    return np.asarray(wins.sum(axis=-1) / max(wins.shape[-1], 1), dtype=np.float64)


def losing_days_in_a_row(returns: ArrayLike) -> NDArray[np.int64]:
    """How many days up to the NEWEST one lost money (below -`NOISE`) without interruption."""
    losing = excess_returns(returns) < -NOISE
    return np.asarray(np.logical_and.accumulate(losing[..., ::-1], axis=-1).sum(axis=-1), dtype=np.int64)
