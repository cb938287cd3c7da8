"""The fitness functions. Each is an attrs class whose fields are its parameters, settable in TOML."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from attrs.validators import ge, gt, le

from treasury_arena.domain import statistics as stats
from treasury_arena_fitness.base import (
    BENCHMARK_HELP,
    Benchmark,
    FloatArray,
    RecordFitness,
    checked_benchmark,
    parameter,
)


def _return(curve: FloatArray) -> FloatArray:
    first, last = curve[:, 0], np.maximum(curve[:, -1], 0.0)
    growth = np.divide(last, first, out=np.ones_like(last), where=first > 0.0)
    return np.minimum(growth - 1.0, stats.RATIO_CAP)


@frozen(kw_only=True)
class Owner(RecordFitness):
    """The owner's formula.

    ``0.3 total_return + 0.4 sharpe - 0.2 |max_drawdown| - 0.1 volatility + (0.1 if win_rate > 0.65 else 0)``

    Its units are mixed: a return over the whole record, a ratio a year, a fraction, a fraction a year. The Sharpe ratio is
    one or two orders of magnitude larger than the rest and DOMINATES: lending USDC alone had a daily Sharpe ratio
    of about 48 in 2024, so lenders outrank everything else, and a few coins in much lending still score far above what
    the coins earn. Fewer than 7 days score 0.
    """

    name = "owner"
    summary = "the owner's formula, against 0; the Sharpe ratio dominates"

    benchmark: Benchmark = field(default="zero", validator=checked_benchmark, metadata=BENCHMARK_HELP)

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        gain = _return(curve) - stats.total_return(reference)
        bonus = np.where(stats.win_rate(returns, reference) > 0.65, 0.1, 0.0)
        return np.asarray(
            0.3 * gain
            + 0.4 * stats.sharpe(returns, reference)
            - 0.2 * np.abs(stats.max_drawdown(curve))
            - 0.1 * stats.volatility(returns)
            + bonus,
            dtype=np.float64,
        )


@frozen(kw_only=True)
class OwnerExcess(Owner):
    """The owner's formula with return, Sharpe ratio and winning days measured above lending everything."""

    name = "owner_excess"
    summary = "the owner's formula over lending"

    benchmark: Benchmark = field(default="lending", validator=checked_benchmark, metadata=BENCHMARK_HELP)


@frozen(kw_only=True)
class Sharpe(RecordFitness):
    """Annual Sharpe ratio above the benchmark."""

    name = "sharpe"
    summary = "annual Sharpe ratio over lending"

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        return stats.sharpe(returns, reference)


@frozen(kw_only=True)
class SharpeZero(Sharpe):
    """Annual Sharpe ratio above 0."""

    name = "sharpe_zero"
    summary = "annual Sharpe ratio over 0"

    benchmark: Benchmark = field(default="zero", validator=checked_benchmark, metadata=BENCHMARK_HELP)


@frozen(kw_only=True)
class FlooredSharpe(RecordFitness):
    """Annual excess by sqrt(volatility of the excess ^ 2 + floor ^ 2): tiny risks do not inflate it."""

    name = "floored_sharpe"
    summary = "annual excess over lending by volatility with a floor of 2%"

    floor: float = parameter(stats.SHARPE_FLOOR, "Volatility a year that every record is charged with.", gt(0.0))

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        return stats.floored_sharpe(returns, reference, self.floor)


@frozen(kw_only=True)
class Sortino(RecordFitness):
    """Annual Sortino ratio with the benchmark as target; `floor` is added to the downside deviation in quadrature."""

    name = "sortino"
    summary = "annual excess over lending by downside deviation with a floor of 2%"

    floor: float = parameter(0.02, "Downside deviation a year that every record is charged with.", ge(0.0))

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        return stats.sortino(returns, reference, floor=self.floor)


@frozen(kw_only=True)
class Calmar(RecordFitness):
    """Compounded annual return above the benchmark's, by the maximum drawdown (at least `floor`)."""

    name = "calmar"
    summary = "annual return over lending by maximum drawdown, at least 1%"

    floor: float = parameter(0.01, "Smallest drawdown that counts, a fraction.", ge(0.0))

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        return stats.calmar(returns, reference, self.floor)


@frozen(kw_only=True)
class ConditionalValueAtRisk(RecordFitness):
    """Annual excess less `aversion` times the expected shortfall of daily excess, scaled to a year with sqrt(365)."""

    name = "cvar"
    summary = "annual excess over lending, less a charge for the worst 5% of days"

    level: float = parameter(0.05, "Share of days that are the worst.", gt(0.0), le(1.0))
    aversion: float = parameter(0.25, "Weight of the shortfall.", ge(0.0))

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        shortfall = np.maximum(-stats.cvar(returns - reference, self.level), 0.0)
        charge = self.aversion * shortfall * np.sqrt(stats.DAYS_PER_YEAR)
        return np.asarray(stats.annual_excess(returns, reference) - charge, dtype=np.float64)


@frozen(kw_only=True)
class ProbabilisticSharpe(RecordFitness):
    """Probability that the true Sharpe ratio above the benchmark exceeds `sharpe_star`; 0.5 for too short a record."""

    name = "psr"
    summary = "probability that the Sharpe ratio over lending is above 0"
    unknown = 0.5

    sharpe_star: float = parameter(0.0, "Annual Sharpe ratio to be exceeded.")

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        return stats.record_psr(returns, reference, self.sharpe_star / float(np.sqrt(stats.DAYS_PER_YEAR)))


@frozen(kw_only=True)
class TotalReturn(RecordFitness):
    """Return over the whole record less the benchmark's; not annualised, no regard to risk."""

    name = "total_return"
    summary = "total return less that of lending"

    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        return np.asarray(_return(curve) - stats.total_return(reference), dtype=np.float64)
