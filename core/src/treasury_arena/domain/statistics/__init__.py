"""Statistics of daily returns, from Sharpe ratios to the probability of backtest overfitting.

Conventions, everywhere:

- Returns are simple daily returns of shape (D,) or (N, D); a statistic takes the last axis away, so (N, D) gives (N,)
  and (D,) gives a zero-dimensional array. Curves have one value more than there are days.
- A year has 365 days, leap years too: ratios and volatility are scaled with sqrt(365), means with 365.
- A benchmark is 0, a daily return, or (D,) daily returns; it is taken away from the returns day by day.
- A record of fewer than two days has no dispersion: volatility 0 and every ratio 0.
- 0/0 is 0. A numerator that is not zero over a zero denominator is plus or minus `RATIO_CAP`, which also bounds every
  other ratio. Zero is what lies within `NOISE` a day, so that the rounding of exact money makes no Sharpe ratio.
- No NaN leaves a function, and no infinity but that of `minimum_track_record`. Input with either, with a return beyond
  `RETURN_MAX`, or with a return below -1 where returns are compounded, raises ValueError.
"""

from __future__ import annotations

from treasury_arena.domain.statistics.bootstrap import MeanDifference, block_bootstrap_mean_difference
from treasury_arena.domain.statistics.inference import (
    deflated_sharpe,
    expected_max_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    record_psr,
)
from treasury_arena.domain.statistics.normal import normal_cdf, normal_quantile
from treasury_arena.domain.statistics.overfitting import pbo_cscv
from treasury_arena.domain.statistics.paths import (
    annual_return,
    curve_of,
    daily_returns,
    losing_days_in_a_row,
    max_drawdown,
    total_return,
    win_rate,
)
from treasury_arena.domain.statistics.ratios import (
    SHARPE_FLOOR,
    annual_excess,
    calmar,
    cvar,
    floored_sharpe,
    kurtosis,
    sharpe,
    skewness,
    sortino,
    volatility,
)
from treasury_arena.domain.statistics.series import (
    DAYS_PER_YEAR,
    NOISE,
    RATIO_CAP,
    RETURN_MAX,
    checked_curve,
    checked_returns,
    excess_returns,
)

__all__ = [
    "DAYS_PER_YEAR",
    "NOISE",
    "RATIO_CAP",
    "RETURN_MAX",
    "SHARPE_FLOOR",
    "MeanDifference",
    "annual_excess",
    "annual_return",
    "block_bootstrap_mean_difference",
    "calmar",
    "checked_curve",
    "checked_returns",
    "curve_of",
    "cvar",
    "daily_returns",
    "deflated_sharpe",
    "excess_returns",
    "expected_max_sharpe",
    "floored_sharpe",
    "kurtosis",
    "losing_days_in_a_row",
    "max_drawdown",
    "minimum_track_record",
    "normal_cdf",
    "normal_quantile",
    "pbo_cscv",
    "probabilistic_sharpe",
    "record_psr",
    "sharpe",
    "skewness",
    "sortino",
    "total_return",
    "volatility",
    "win_rate",
]
