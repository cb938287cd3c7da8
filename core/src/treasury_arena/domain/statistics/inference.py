"""How much a Sharpe ratio proves: probabilistic and deflated Sharpe ratio, minimum track record.

Everything is PER PERIOD (not annual), and kurtosis is PLAIN (a normal has 3). Bailey and Lopez de Prado (2012),
"The Sharpe Ratio Efficient Frontier"; (2014), "The Deflated Sharpe Ratio".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.domain.statistics.normal import normal_cdf, normal_quantile
from treasury_arena.domain.statistics.ratios import kurtosis, sharpe, skewness
from treasury_arena.domain.statistics.series import RATIO_CAP, FloatArray, excess_returns

EULER_MASCHERONI = 0.5772156649015329


def _finite(**values: ArrayLike) -> tuple[FloatArray, ...]:
    for name, value in values.items():
        if not np.isfinite(np.asarray(value, dtype=np.float64)).all():
            raise ValueError(f"{name} must be finite, not {value!r}")
    return tuple(np.asarray(value, dtype=np.float64) for value in values.values())


def _variance_factor(sr: FloatArray, skew: FloatArray, kurt: FloatArray) -> FloatArray:
    """Variance of a Sharpe estimate times (T - 1); never negative for moments that belong together."""
    factor = 1.0 - skew * sr + (kurt - 1.0) / 4.0 * np.square(sr)
    if (kurt < np.square(skew) + 1.0 - 1e-6 * (1.0 + np.square(skew))).any():
        raise ValueError("kurtosis must be at least skewness squared + 1; is it the excess kurtosis?")
    return np.asarray(np.maximum(factor, 0.0), dtype=np.float64)


def probabilistic_sharpe(
    sr: ArrayLike, sr_star: ArrayLike, periods: ArrayLike, skew: ArrayLike = 0.0, kurt: ArrayLike = 3.0
) -> FloatArray:
    """Probability that the true Sharpe ratio exceeds `sr_star`, given an estimate over `periods` periods.

    Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2)). Fewer than two periods prove nothing: 0.5. An
    estimate without variance (the root is 0) gives 0, 0.5 or 1 by the sign of SR - SR*.
    Raises ValueError for input that is not finite and for impossible moments.
    """
    sr_, star, count, skew_, kurt_ = _finite(sr=sr, sr_star=sr_star, periods=periods, skewness=skew, kurtosis=kurt)
    root = np.sqrt(_variance_factor(sr_, skew_, kurt_))
    top = (sr_ - star) * np.sqrt(np.maximum(count - 1.0, 0.0))
    sure = root <= 1e-12
    z = np.where(sure, np.sign(top) * RATIO_CAP, top / np.where(sure, 1.0, root))
    return normal_cdf(z)


def expected_max_sharpe(variance: float, trials: int) -> float:
    """SR0: the largest Sharpe ratio expected of `trials` trials without skill whose estimates vary by `variance`.

    sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))), g the Euler-Mascheroni constant; 0 for one trial.
    Raises ValueError for a variance that is negative or not finite, and for fewer than one trial.
    """
    if not 0.0 <= variance < math.inf:
        raise ValueError(f"the variance of the trials' Sharpe ratios must be finite and at least 0, not {variance}")
    if trials < 1:
        raise ValueError(f"the number of trials must be at least 1, not {trials}")
    if trials == 1:
        return 0.0
    tail = (1.0 - EULER_MASCHERONI) * normal_quantile(1.0 - 1.0 / trials)
    return math.sqrt(variance) * (tail + EULER_MASCHERONI * normal_quantile(1.0 - 1.0 / (trials * math.e)))


def deflated_sharpe(
    sr: ArrayLike, variance: float, trials: int, periods: ArrayLike, skew: ArrayLike = 0.0, kurt: ArrayLike = 3.0
) -> FloatArray:
    """Deflated Sharpe ratio: the probabilistic one against `expected_max_sharpe` of every trial ever made."""
    return probabilistic_sharpe(sr, expected_max_sharpe(variance, trials), periods, skew, kurt)


def minimum_track_record(
    sr: float, sr_star: float, skew: float = 0.0, kurt: float = 3.0, confidence: float = 0.95
) -> float:
    """Periods of record needed to tell `sr` from `sr_star`: 1 + (1 - g3 SR + (g4 - 1)/4 SR^2) (z / (SR - SR*))^2.

    Infinity where `sr` does not exceed `sr_star`: no record is long enough. Raises ValueError unless the confidence lies in
    [0.5, 1) and the other numbers are finite.
    """
    _finite(sr=sr, sr_star=sr_star, skewness=skew, kurtosis=kurt)
    if not 0.5 <= confidence < 1.0:
        raise ValueError(f"the confidence of a minimum track record must lie in [0.5, 1), not {confidence}")
    factor = float(_variance_factor(np.asarray(sr), np.asarray(skew), np.asarray(kurt)))
    if sr <= sr_star:
        return math.inf
    return 1.0 + factor * (normal_quantile(confidence) / (sr - sr_star)) ** 2


def record_psr(returns: ArrayLike, benchmark: ArrayLike = 0.0, sr_star: float = 0.0) -> FloatArray:
    """Probability that the record's true DAILY Sharpe ratio over the benchmark exceeds `sr_star`.

    Returns of (D,) or (N, D); with fewer than two days 0.5.
    """
    excess = excess_returns(returns, benchmark)
    return probabilistic_sharpe(
        sharpe(excess, periods=1.0), sr_star, excess.shape[-1], skewness(excess), kurtosis(excess)
    )
