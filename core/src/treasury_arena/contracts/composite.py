"""Weighted sums of fitness functions: what a configuration's list of terms becomes."""

from __future__ import annotations

import copy
import math

import attrs
import numpy as np
from numpy.typing import NDArray

from treasury_arena.contracts.fitness import FAILED_SCORE, FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.errors import ConfigError, PluginError
from treasury_arena.isolation import calling


def _checked_terms(owner: Composite, attribute: attrs.Attribute[object], terms: object) -> None:
    if not owner.terms:
        raise ConfigError("fitness needs at least one term")
    for function, weight in owner.terms:
        if not math.isfinite(weight):
            raise ConfigError(f"the weight of fitness term {function.name!r} is {weight}; expected a finite number")


@attrs.frozen
class Composite(FitnessFunction):
    """The weighted sum of several functions' scores (multi-objective search by weights).

    A failed record scores `FAILED_SCORE` whatever its terms say; every other sum is kept within plus or minus
    its size. Terms are not rescaled: choose weights that fit their units.

    Attributes:
        terms: (function, weight) pairs, at least one; a negative weight makes a score a cost.

    Raises ConfigError for no term and for a weight that is not finite, PluginError when a function returns scores of another
    shape than (N,) or a score that is not finite.
    """

    name = "composite"
    summary = "weighted sum of fitness functions"

    terms: tuple[tuple[FitnessFunction, float], ...] = attrs.field(validator=_checked_terms)

    def score(self, records: RecordBatch) -> NDArray[np.float64]:
        """Return the (N,) weighted sums."""
        total = np.zeros(records.agents)
        for function, weight in self.terms:
            scores = _checked_scores(function, records)
            limit = -FAILED_SCORE / max(abs(weight), 1.0)
            total = np.clip(total + weight * np.clip(scores, -limit, limit), FAILED_SCORE, -FAILED_SCORE)
        return np.where(records.failed, FAILED_SCORE, total)


def _checked_scores(function: FitnessFunction, records: RecordBatch) -> NDArray[np.float64]:
    with calling(f"fitness {function.name!r}"):
        told = np.asarray(function.score(copy.copy(records)))  # what one does to its batch no other sees
        if np.iscomplexobj(told):
            raise PluginError(f"fitness {function.name!r} returned complex numbers; expected real scores")
        scores = told.astype(np.float64)
    if scores.shape != (records.agents,):
        raise PluginError(
            f"fitness {function.name!r} returned scores of shape {scores.shape}; expected ({records.agents},)"
        )
    bad = np.flatnonzero(~np.isfinite(scores) & ~records.failed)
    if bad.size:
        at = int(bad[0])
        raise PluginError(f"fitness {function.name!r} returned {scores[at]} for record {at}; expected a finite score")
    return np.where(records.failed, 0.0, scores)
