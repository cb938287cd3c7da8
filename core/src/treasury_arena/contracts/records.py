"""Records of performance: what fitness functions score. Curves are sampled once a day."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@attrs.frozen(eq=False)
class RecordBatch:
    """Daily records of N agents over the same D days.

    Attributes:
        curve: (N, D + 1) equity in USD, column 0 the opening value, then the close of each day.
        lending: (D + 1,) value of one dollar that lent everything over the same days.
        trades: (N,) number of settlements.
        costs: (N,) USD paid in fees, spread, impact and gas.
        coin_share: (N,) mean share of equity in coin markets.
        failed: (N,) True where the agent gave a non-finite or over-sized target; its score must not count.
    """

    curve: FloatArray
    lending: FloatArray
    trades: FloatArray
    costs: FloatArray
    coin_share: FloatArray
    failed: NDArray[np.bool_]

    @property
    def agents(self) -> int:
        return int(self.curve.shape[0])

    @property
    def days(self) -> int:
        return int(self.curve.shape[1]) - 1

    @property
    def returns(self) -> FloatArray:
        """(N, D) simple daily returns."""
        return np.asarray(self.curve[:, 1:] / self.curve[:, :-1] - 1.0, dtype=np.float64)

    @property
    def lending_returns(self) -> FloatArray:
        """(D,) daily returns of lending everything."""
        return np.asarray(self.lending[1:] / self.lending[:-1] - 1.0, dtype=np.float64)
