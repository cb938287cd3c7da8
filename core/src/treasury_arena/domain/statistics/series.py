"""Checked input and the one definition of a ratio that all statistics share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: Days per year of every annualisation; crypto markets trade on all of them.
DAYS_PER_YEAR = 365
#: Bound of every ratio, and the value of a non-zero numerator over zero (with its sign).
RATIO_CAP = 1e6
#: What counts as zero in daily returns: a thousandth of a cent on 10,000 USD. Exact money rounds at about this size.
NOISE = 1e-9
#: The largest daily return that is believed: a factor of a million.
RETURN_MAX = 1e6


def checked_returns(returns: ArrayLike) -> FloatArray:
    """Return daily returns as float64 of shape (D,) or (N, D).

    Raises ValueError for another number of dimensions and for a return that is not finite or beyond `RETURN_MAX`,
    naming the first such place.
    """
    array = np.asarray(returns, dtype=np.float64)
    if array.ndim not in (1, 2):
        raise ValueError(f"daily returns have shape (D,) or (N, D), not {array.shape}")
    good = np.abs(array) <= RETURN_MAX
    if not good.all():
        at = tuple(int(index) for index in np.argwhere(~good)[0])
        raise ValueError(f"daily return {array[at]} at {at}: expected a finite number within {RETURN_MAX:g}")
    return array


def checked_growth(returns: ArrayLike) -> FloatArray:
    """Like `checked_returns`, for returns that are compounded: none may lie below -1."""
    array = checked_returns(returns)
    if (array < -1.0).any():
        at = tuple(int(index) for index in np.argwhere(array < -1.0)[0])
        raise ValueError(f"daily return {array[at]} at {at}: expected at least -1, the loss of everything")
    return array


def checked_curve(curve: ArrayLike) -> FloatArray:
    """Return a curve as float64 of shape (D + 1,) or (N, D + 1); raises ValueError unless finite and not empty."""
    array = np.asarray(curve, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ValueError(f"a curve has shape (D + 1,) or (N, D + 1), not {array.shape}")
    if not np.isfinite(array).all():
        at = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"curve value {array[at]} at {at}: expected a finite number")
    return array


def excess_returns(returns: ArrayLike, benchmark: ArrayLike = 0.0) -> FloatArray:
    """Return daily returns less the benchmark; shape (D,) or (N, D).

    Raises ValueError for bad returns, and for a benchmark that is neither one number nor of shape (D,).
    """
    array = checked_returns(returns)
    reference = np.asarray(benchmark, dtype=np.float64)
    if reference.ndim and reference.shape != array.shape[-1:]:
        raise ValueError(f"the benchmark has shape {reference.shape}; expected one number or {array.shape[-1:]}")
    if not (np.abs(reference) <= RETURN_MAX).all():
        raise ValueError(f"a benchmark's daily return is not a finite number within {RETURN_MAX:g}")
    if not reference.ndim and reference == 0.0:
        return array
    return np.asarray(array - reference, dtype=np.float64)


def mean(values: FloatArray) -> FloatArray:
    """Mean over the last axis; 0 for no days."""
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1])
    return np.asarray(values.mean(axis=-1), dtype=np.float64)


def deviation(values: FloatArray) -> FloatArray:
    """Sample standard deviation (D - 1) over the last axis; 0 for fewer than two days."""
    if values.shape[-1] < 2:
        return np.zeros(values.shape[:-1])
    return np.asarray(values.std(axis=-1, ddof=1), dtype=np.float64)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator with 0/0 = 0 and all within plus or minus `RATIO_CAP`.

    Both are per day or of that size; what lies within `NOISE` of 0 is 0 when the denominator is.
    """
    flat = denominator <= NOISE
    safe = np.where(flat, 1.0, denominator)
    edge = np.where(np.abs(numerator) <= NOISE, 0.0, np.sign(numerator) * RATIO_CAP)
    return np.asarray(np.where(flat, edge, np.clip(numerator / safe, -RATIO_CAP, RATIO_CAP)), dtype=np.float64)
