"""Mergeable statistics of every genome ever tried, for the deflated Sharpe ratio."""

from __future__ import annotations

import attrs

from treasury_arena.contracts.genes import FloatArray


@attrs.frozen
class TrialStats:
    """Count, mean and sum of squared deviations of trial Sharpes; merging equals having seen all values at once.

    Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".

    Attributes:
        count: number of values.
        mean: their mean, 0 if there are none.
        m2: sum of squared deviations from the mean.
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: FloatArray) -> TrialStats:
        """Statistics of a flat array of finite values."""
        if values.size == 0:
            return cls()
        mean = float(values.mean())
        return cls(count=values.size, mean=mean, m2=float(((values - mean) ** 2).sum()))

    def merge(self, other: TrialStats) -> TrialStats:
        """Statistics of both sets of values together."""
        if other.count == 0:
            return self
        if self.count == 0:
            return other
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * other.count / count
        m2 = self.m2 + other.m2 + delta * delta * self.count * other.count / count
        return TrialStats(count=count, mean=mean, m2=m2)

    @property
    def variance(self) -> float:
        """Sample variance (divisor count - 1); 0 with fewer than two values."""
        return self.m2 / (self.count - 1) if self.count > 1 else 0.0
