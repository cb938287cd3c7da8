"""Records of performance: what fitness functions score. Curves are sampled once a day."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    """A copy over bytes, which nobody can make writable again; in memory as the original is."""
    array = np.asarray(values)
    order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return np.ndarray(array.shape, array.dtype, array.tobytes(order), order=order)


@attrs.frozen(eq=False)
class RecordBatch:
    """Daily records of N agents over the same D days. Arrays are read-only: several fitness functions score the same ones.

    Attributes:
        curve: (N, D + 1) equity in USD, column 0 the opening value, then the close of each day.
        lending: (D + 1,) value of one dollar that lent everything over the same days.
        trades: (N,) number of settlements.
        costs: (N,) USD paid in fees, spread, impact and gas.
        coin_share: (N,) mean share of equity in coin markets.
        failed: (N,) True where the agent gave a non-finite or over-sized target; its score must not count.
    """

    curve: FloatArray = attrs.field(converter=_read_only)
    lending: FloatArray = attrs.field(converter=_read_only)
    trades: FloatArray = attrs.field(converter=_read_only)
    costs: FloatArray = attrs.field(converter=_read_only)
    coin_share: FloatArray = attrs.field(converter=_read_only)
    failed: NDArray[np.bool_] = attrs.field(converter=_read_only)

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
