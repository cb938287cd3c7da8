"""The standard normal distribution, vectorised on the standard library's error function."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_erfc = np.frompyfunc(math.erfc, 1, 1)
_STANDARD = NormalDist()


def normal_cdf(x: ArrayLike) -> FloatArray:
    """Phi(x), elementwise, to the accuracy of `math.erfc` (relative in the lower tail too); raises ValueError for NaN."""
    array = np.asarray(x, dtype=np.float64)
    if np.isnan(array).any():
        raise ValueError("the normal distribution was asked at NaN")
    return np.asarray(_erfc(-array / math.sqrt(2.0)), dtype=np.float64) / 2.0


def normal_quantile(p: float) -> float:
    """The inverse of Phi; raises ValueError unless 0 < p < 1."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"a normal quantile needs a probability inside (0, 1), not {p}")
    return _STANDARD.inv_cdf(p)
