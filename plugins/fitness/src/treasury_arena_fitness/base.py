"""What all fitness functions of this plugin share: the benchmark, the shortest record that is judged, failed records."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.fitness import FAILED_SCORE, FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.domain import statistics as stats

FloatArray = NDArray[np.float64]
Benchmark = Literal["lending", "zero"] | float

BENCHMARK_HELP = {
    "help": "What returns are measured above: `lending`, `zero`, or a yearly rate (0.05 is 5% a year, linear)."
}


def checked_benchmark(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Attrs validator of a benchmark; raises ValueError."""
    if value in ("lending", "zero"):
        return
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not -1.0 <= value <= 10.0:
        raise ValueError(f"benchmark must be 'lending', 'zero' or a yearly rate from -1 to 10, not {value!r}")


def parameter(default: float, help: str, *checks: Any) -> Any:
    """A number that TOML may set; `checks` are attrs validators."""
    return attrs.field(default=default, validator=[_finite, *checks], metadata={"help": help})


def _finite(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{attribute.name} must be a finite number, not {value!r}")


@attrs.frozen(kw_only=True)
class RecordFitness(FitnessFunction):
    """A fitness function on daily returns above a benchmark.

    Records shorter than `days_min` score `unknown`, failed ones `FAILED_SCORE`. An agent whose equity falls to 0 has lost
    everything on that day and stays there.

    Raises ValueError for a curve that is not finite and not marked as failed.
    """

    #: Score of a record that is too short to be judged.
    unknown: ClassVar[float] = 0.0

    benchmark: Benchmark = attrs.field(default="lending", validator=checked_benchmark, metadata=BENCHMARK_HELP)
    days_min: int = attrs.field(
        default=7, validator=attrs.validators.ge(2), metadata={"help": "Shorter records are not judged."}
    )

    def score(self, records: RecordBatch) -> FloatArray:
        """Return (N,) finite scores."""
        scores = np.where(records.failed, FAILED_SCORE, self.unknown)
        sound = ~records.failed
        if records.days >= self.days_min and sound.any():
            curve = np.asarray(records.curve if sound.all() else records.curve[sound], dtype=np.float64)
            scores[sound] = self.judge(curve, stats.daily_returns(curve), self.reference(records))
        return scores

    def reference(self, records: RecordBatch) -> FloatArray:
        """Daily returns of the benchmark, shape (D,)."""
        if self.benchmark == "lending":
            return stats.daily_returns(records.lending)
        rate = 0.0 if self.benchmark == "zero" else float(self.benchmark)
        return np.full(records.days, rate / stats.DAYS_PER_YEAR)

    @abstractmethod
    def judge(self, curve: FloatArray, returns: FloatArray, reference: FloatArray) -> FloatArray:
        """Return (N,) scores of sound records: (N, D + 1) equity, (N, D) returns, (D,) returns of the benchmark."""
