"""Metrics of one record: what the rules judge and the events keep. Computed from daily curves, newest day included."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.domain import statistics as stats
from treasury_arena.isolation import calling

FloatArray = NDArray[np.float64]


def batch_metrics(records: RecordBatch, judges: Mapping[str, FitnessFunction]) -> dict[str, FloatArray]:
    """Metrics of N records over the same days, each an (N,) array.

    Returns ``sharpe`` (against 0), ``excess_sharpe`` and ``floored_sharpe`` (over lending), ``psr`` and ``psr_zero`` (the
    probability that the Sharpe over lending, against 0, is above 0), ``total_return``, ``max_drawdown`` (negative),
    ``volatility``, ``win_rate``, ``losing_days`` (in a row, at the end), ``coin_share``, ``days``, and one entry per fitness
    function in `judges`.
    """
    returns, lending = stats.daily_returns(records.curve), records.lending_returns
    out: dict[str, FloatArray] = {
        "days": np.full(records.agents, float(records.days)),
        "total_return": np.asarray(records.curve[:, -1] / records.curve[:, 0] - 1.0),
        "max_drawdown": np.asarray(stats.max_drawdown(records.curve)),
        "coin_share": np.asarray(records.coin_share, dtype=np.float64),
        "sharpe": np.asarray(stats.sharpe(returns)),
        "excess_sharpe": np.asarray(stats.sharpe(returns, lending)),
        "floored_sharpe": np.asarray(stats.floored_sharpe(returns, lending)),
        "psr": np.asarray(stats.record_psr(returns, lending)),
        "psr_zero": np.asarray(stats.record_psr(returns)),
        "volatility": np.asarray(stats.volatility(returns)),
        "win_rate": np.asarray(stats.win_rate(returns)),
        "losing_days": np.asarray(stats.losing_days_in_a_row(returns), dtype=np.float64),
    }
    for name, function in judges.items():
        with calling(f"fitness {function.name!r}"):
            out[name] = function.score(records)
    return out


def one(metrics: Mapping[str, FloatArray], index: int) -> dict[str, float]:
    """The metrics of one record as plain floats."""
    return {name: float(values[index]) for name, values in metrics.items()}
