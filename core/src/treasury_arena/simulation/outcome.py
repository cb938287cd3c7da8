"""What a simulation returns per agent, from the raw sums that kernels and the interpreter keep."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.simulation.layout import OUTPUT

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@attrs.frozen(eq=False)
class Outcome:
    """Results of N agents over rows `low` to `high` (exclusive). An agent is active from its own first row on.

    Attributes:
        curve: (N, D + 1) equity in USD at rows low, low + sample, ... below high; the opening cash before an agent's start.
        final: (N,) equity at the last row.
        mean, deviation: (N,) of the simple returns per step, 0 with fewer than two active rows.
        max_drawdown: (N,) deepest fall below the highest equity so far, a positive fraction, over every step.
        trades: (N,) settlements in which something moved.
        costs: (N,) USD, the sum over settlements of equity before less equity after.
        turnover: (N,) sum over settlements of what moved in and out of positions, in multiples of equity.
        mean_share, max_share: (N, roles) share of equity held, over active rows.
        failed_row: (N,) first row with an invalid target or a non-finite equity, after which it never trades; -1 is never.
        steps: active agent-steps, all agents together.
    """

    curve: FloatArray
    final: FloatArray
    mean: FloatArray
    deviation: FloatArray
    max_drawdown: FloatArray
    trades: FloatArray
    costs: FloatArray
    turnover: FloatArray
    mean_share: FloatArray
    max_share: FloatArray
    failed_row: IntArray
    steps: int

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(N,) True where an agent failed."""
        return self.failed_row >= 0


def finish(raw: FloatArray, curve: FloatArray, active: IntArray) -> Outcome:
    """Turn raw sums into statistics.

    Args:
        raw: (N, len(OUTPUT) + 2 * roles): the `OUTPUT` columns, then summed shares, then largest shares.
        curve: (N, D + 1).
        active: (N,) active rows per agent.
    """
    column = {name: raw[:, i] for i, name in enumerate(OUTPUT)}
    roles = (raw.shape[1] - len(OUTPUT)) // 2
    shares = raw[:, len(OUTPUT) :]
    returns = np.maximum(active - 1, 1).astype(np.float64)  # the first active row has no return
    mean = column["SUM"] / returns
    variance = column["SQUARES"] / returns - mean * mean
    return Outcome(
        curve=curve,
        final=column["EQUITY"].copy(),
        mean=mean,
        deviation=np.sqrt(np.maximum(variance, 0.0)),
        max_drawdown=column["DEEPEST"].copy(),
        trades=column["TRADES"].copy(),
        costs=column["COSTS"].copy(),
        turnover=column["TURNOVER"].copy(),
        mean_share=shares[:, :roles] / np.maximum(active, 1)[:, None].astype(np.float64),
        max_share=shares[:, roles:].copy(),
        failed_row=column["FAILED"].astype(np.int64),
        steps=int(active.sum()),
    )
