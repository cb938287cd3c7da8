"""The verdict on a run: whether the managed capital beat the same coin exposure held passively, in plain words."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike

from treasury_arena.domain.statistics import (
    MeanDifference,
    annual_excess,
    block_bootstrap_mean_difference,
    checked_returns,
)

#: Below this mean share of equity in coins there is no exposure to compare with.
NO_COINS = 0.005
#: Differences smaller than a hundredth of a point a year are told as none.
_NOTHING = 0.00005


@attrs.frozen
class Verdict:
    """What may be said of a run.

    Attributes:
        text: one or two sentences for the treasury's owner.
        difference: mean annual difference to the control row (to lending, without coins); 0.004 is 0.4 points a year.
        low, high: bootstrap interval of the difference.
        significant: the interval leaves 0 out and the record is long enough.
        skill: significant, better, and coins were held.
        p: two-sided probability of such a difference by chance.
    """

    text: str
    difference: float
    low: float
    high: float
    significant: bool
    skill: bool
    p: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a run's results hold it."""
        return attrs.asdict(self)


def verdict(
    managed_returns: ArrayLike,
    control_returns: ArrayLike,
    lending_returns: ArrayLike,
    coin_weight: float,
    rng: np.random.Generator,
    *,
    control: str = "holding the same coin weight passively",
    days_min: int = 60,
    block: int = 21,
    draws: int = 4000,
    confidence: float = 0.95,
) -> Verdict:
    """Compare the managed capital with its control row by a circular block bootstrap of daily differences.

    A run without coins (a mean weight below `NO_COINS`) is compared with lending everything instead.

    Args:
        managed_returns, control_returns: (D,) daily returns of the managed capital and of its control row.
        lending_returns: (D,) daily returns of lending everything, to say what the exposure earned.
        coin_weight: the run's mean share of equity in coins, 0 to 1.
        rng: generator of the bootstrap.
        control: what the control row does, in words that follow "the difference to".
        days_min: a shorter record is called too short.
        block, draws, confidence: of the bootstrap, in days, resamples and coverage.

    Raises ValueError for returns that are not finite or of different length, and for a coin weight outside 0 to 1.
    """
    if not 0.0 <= coin_weight <= 1.0:
        raise ValueError(f"the mean coin weight must lie in [0, 1], not {coin_weight}")
    coins = coin_weight >= NO_COINS
    managed, held, lent = (checked_returns(row) for row in (managed_returns, control_returns, lending_returns))
    if not managed.shape == held.shape == lent.shape == (managed.size,):
        raise ValueError(f"three records of the same days are needed, not {managed.shape}, {held.shape}, {lent.shape}")
    known = block_bootstrap_mean_difference(managed, held if coins else lent, block, draws, rng, confidence)
    gain = float(annual_excess(managed, lent))
    enough = managed.size >= days_min
    outside = known.low > 0.0 or known.high < 0.0
    significant = enough and outside and abs(known.difference) >= _NOTHING
    if not enough:
        text = (
            f"The record of {managed.size} {_plural(managed.size)} is too short to tell skill from luck; at least {days_min} "
            "days are needed."
        )
    elif coins:
        text = _with_coins(known, control, gain, significant)
    else:
        text = _without_coins(known, significant)
    skill = significant and coins and known.difference > 0.0
    return Verdict(text, known.difference, known.low, known.high, significant, skill, known.p)


def _with_coins(known: MeanDifference, control: str, gain: float, significant: bool) -> str:
    head = f"The difference to {control} is {_points(known.difference)} a year, "
    if not significant:
        if abs(gain) < _NOTHING:
            return f"{head}{_inside(known)}: no evidence of skill."
        what = "gain over lending" if gain > 0.0 else "loss against lending"
        exposure = gain - known.difference
        if exposure * gain > 0.0:
            return (
                f"{head}{_inside(known)}: no evidence of skill; the {what} ({_points(gain)} a year) is coin exposure."
            )
        return (
            f"{head}{_inside(known)}: no evidence of skill; the {what} ({_points(gain)} a year) cannot be told from chance, "
            f"coin exposure alone brought {_points(exposure)}."
        )
    tail = f"Against lending everything it is {_points(gain)} a year."
    if known.difference > 0.0:
        return f"{head}{_beyond(known)}: evidence of skill beyond coin exposure. {tail}"
    return f"{head}{_beyond(known)}: decisions and their costs lost money that the control kept. {tail}"


def _without_coins(known: MeanDifference, significant: bool) -> str:
    head = f"The run held practically no coins; its difference to lending everything is {_points(known.difference)} a year, "
    if not significant:
        return f"{head}{_inside(known)}: it is lending, neither better nor worse."
    if known.difference > 0.0:
        return f"{head}{_beyond(known)}: it lent at better rates than the benchmark market."
    return f"{head}{_beyond(known)}: costs and idle capital ate part of the interest."


def _inside(known: MeanDifference) -> str:
    if known.low > 0.0 or known.high < 0.0:
        return "too small to matter"
    return f"inside its uncertainty of {_signed(known.low)} to {_signed(known.high)}"


def _beyond(known: MeanDifference) -> str:
    return f"beyond its uncertainty of {_signed(known.low)} to {_signed(known.high)}"


def _signed(fraction: float) -> str:
    """Percent with as many digits, up to four, as tell it from 0."""
    for digits in range(1 if abs(fraction) >= 0.0005 else 2, 5):
        text = f"{100.0 * fraction:+.{digits}f}"
        if float(text):
            return text
    return "0.0"


def _points(fraction: float) -> str:
    return f"{_signed(fraction)} points"


def _plural(count: int) -> str:
    return "day" if count == 1 else "days"
