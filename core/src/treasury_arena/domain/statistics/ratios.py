"""Moments and reward-to-risk ratios of daily returns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.domain.statistics.paths import annual_return, curve_of, max_drawdown
from treasury_arena.domain.statistics.series import (
    DAYS_PER_YEAR,
    NOISE,
    RATIO_CAP,
    FloatArray,
    checked_returns,
    deviation,
    excess_returns,
    mean,
    ratio,
)


def annual_excess(returns: ArrayLike, benchmark: ArrayLike = 0.0) -> FloatArray:
    """Mean daily return above the benchmark times 365: a fraction a year, not compounded."""
    return mean(excess_returns(returns, benchmark)) * DAYS_PER_YEAR


def volatility(returns: ArrayLike) -> FloatArray:
    """Sample standard deviation of daily returns times sqrt(365), a fraction a year; 0 for fewer than two days."""
    return deviation(checked_returns(returns)) * math.sqrt(DAYS_PER_YEAR)


def sharpe(returns: ArrayLike, benchmark: ArrayLike = 0.0, periods: float = DAYS_PER_YEAR) -> FloatArray:
    """Sharpe ratio a year: mean excess by its sample standard deviation, times sqrt(`periods`).

    Fewer than two days, and an excess that is zero throughout, give 0; a constant excess gives plus or minus
    `RATIO_CAP`. Sharpe (1994), "The Sharpe Ratio", Journal of Portfolio Management.
    """
    excess = excess_returns(returns, benchmark)
    if excess.shape[-1] < 2:
        return np.zeros(excess.shape[:-1])
    return np.clip(ratio(mean(excess), deviation(excess)) * math.sqrt(periods), -RATIO_CAP, RATIO_CAP)


#: The volatility a year below which a floored Sharpe ratio takes no risk for smaller.
SHARPE_FLOOR = 0.02


def floored_sharpe(returns: ArrayLike, benchmark: ArrayLike = 0.0, floor: float = SHARPE_FLOOR) -> FloatArray:
    """Annual excess by sqrt(volatility of the excess ^ 2 + floor ^ 2): a Sharpe ratio that tiny risks cannot inflate.

    `floor` is a volatility a year; raises ValueError unless it is positive and finite. Fewer than two days give 0.
    """
    if not 0.0 < floor < math.inf:
        raise ValueError(f"the floor of a floored Sharpe ratio must be positive, not {floor}")
    excess = excess_returns(returns, benchmark)
    if excess.shape[-1] < 2:
        return np.zeros(excess.shape[:-1])
    risk = np.sqrt(np.square(deviation(excess)) * DAYS_PER_YEAR + floor * floor)
    return np.clip(ratio(mean(excess) * DAYS_PER_YEAR, risk), -RATIO_CAP, RATIO_CAP)


def sortino(
    returns: ArrayLike, target: ArrayLike = 0.0, periods: float = DAYS_PER_YEAR, floor: float = 0.0
) -> FloatArray:
    """Sortino ratio: mean excess over `target` by the downside deviation, times sqrt(`periods`).

    The downside deviation is the root of the mean over ALL days of min(excess, 0) squared; `periods` 1 leaves the
    ratio per period. `floor` is a deviation on the scale of `periods`, added in quadrature. Fewer than two days give 0.
    Sortino and van der Meer (1991), "Downside Risk", Journal of Portfolio Management.
    """
    if not 0.0 <= floor < math.inf:
        raise ValueError(f"the floor of a Sortino ratio must be at least 0, not {floor}")
    excess = excess_returns(returns, target)
    if excess.shape[-1] < 2:
        return np.zeros(excess.shape[:-1])
    downside = np.sqrt(mean(np.square(np.minimum(excess, 0.0))) + floor**2 / periods)
    return np.clip(ratio(mean(excess), downside) * math.sqrt(periods), -RATIO_CAP, RATIO_CAP)


def calmar(returns: ArrayLike, benchmark: ArrayLike = 0.0, floor: float = 0.0) -> FloatArray:
    """Calmar ratio: compounded annual return above the benchmark's, by the depth of the maximum drawdown.

    A drawdown smaller than `floor` (a fraction) counts as `floor`. Fewer than two days give 0.
    Young (1991), "Calmar Ratio: A Smoother Tool", Futures.
    """
    if not 0.0 <= floor < math.inf:
        raise ValueError(f"the floor of a Calmar ratio must be at least 0, not {floor}")
    array = checked_returns(returns)
    days = array.shape[-1]
    if days < 2:
        return np.zeros(array.shape[:-1])
    reference = np.broadcast_to(np.asarray(benchmark, dtype=np.float64), (days,))
    gain = annual_return(array) - annual_return(reference)
    gain = np.where(np.abs(gain) <= NOISE * DAYS_PER_YEAR, 0.0, gain)
    return ratio(gain, np.maximum(-max_drawdown(curve_of(array)), floor))


def cvar(returns: ArrayLike, level: float = 0.05) -> FloatArray:
    """Expected shortfall: mean of the worst ceil(`level` x D) daily returns; NEGATIVE for a loss, 0 for no days.

    Raises ValueError unless 0 < level <= 1. Rockafellar and Uryasev (2000), "Optimization of Conditional
    Value-at-Risk", Journal of Risk.
    """
    if not 0.0 < level <= 1.0:
        raise ValueError(f"the level of an expected shortfall must lie in (0, 1], not {level}")
    array = excess_returns(returns)
    days = array.shape[-1]
    if days == 0:
        return np.zeros(array.shape[:-1])
    worst = max(math.ceil(level * days - 1e-9), 1)
    # Sorted, not partitioned: a mean depends on the order of its terms, and a partition's order on the machine.
    return np.asarray(np.sort(array, axis=-1)[..., :worst].mean(axis=-1), dtype=np.float64)


def _standardised(returns: ArrayLike, power: int, flat: float) -> FloatArray:
    array = checked_returns(returns)
    if array.shape[-1] < 2:
        return np.full(array.shape[:-1], flat)
    centred = array - array.mean(axis=-1, keepdims=True)
    squares = np.square(centred)
    variance = squares.mean(axis=-1)
    still = variance <= NOISE**2
    safe = np.where(still, 1.0, variance)
    scale = safe * (np.sqrt(safe) if power == 3 else safe)
    top = (squares * (centred if power == 3 else squares)).mean(axis=-1)
    return np.asarray(np.where(still, flat, top / scale), dtype=np.float64)


def skewness(returns: ArrayLike) -> FloatArray:
    """Third standardised moment of the population; 0 without dispersion or with fewer than two days."""
    return _standardised(returns, 3, 0.0)


def kurtosis(returns: ArrayLike) -> FloatArray:
    """Fourth standardised moment of the population, PLAIN: a normal has 3. 3 without dispersion or under two days."""
    return _standardised(returns, 4, 3.0)
