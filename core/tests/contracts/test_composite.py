"""Weighted sums of fitness functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from treasury_arena.contracts.composite import Composite
from treasury_arena.contracts.fitness import FAILED_SCORE, FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.errors import ConfigError, PluginError

MakeBatch = Callable[..., RecordBatch]


class Fixed(FitnessFunction):
    summary = "fixed scores"

    def __init__(self, name: str, scores: list[float]) -> None:
        self.name = name
        self.scores = scores

    def score(self, records: RecordBatch) -> NDArray[np.float64]:
        return np.array(self.scores)


def test_scores_are_summed_by_weight(make_batch: MakeBatch) -> None:
    both = Composite(terms=((Fixed("a", [1.0, 2.0, 3.0]), 0.5), (Fixed("b", [10.0, 0.0, -10.0]), -1.0)))
    assert both.score(make_batch()).tolist() == [-9.5, 1.0, 11.5]


def test_one_term_of_weight_one_is_the_function(make_batch: MakeBatch) -> None:
    assert Composite(terms=[(Fixed("a", [1.0, 2.0, 3.0]), 1.0)]).score(make_batch()).tolist() == [1.0, 2.0, 3.0]


def test_a_failed_record_is_below_every_other_whatever_its_terms_say(make_batch: MakeBatch) -> None:
    terms = ((Fixed("a", [1e6, math.nan, -1e6]), 50.0), (Fixed("b", [1.0, math.inf, 1.0]), 1.0))
    scores = Composite(terms=terms).score(make_batch(failed=(1,)))
    assert scores[1] == FAILED_SCORE
    assert scores[1] < scores[2] < scores[0]
    assert np.isfinite(scores).all()


def test_huge_weights_stay_finite_and_in_order(make_batch: MakeBatch) -> None:
    scores = Composite(terms=((Fixed("a", [1e300, 0.0, -1e300]), 1e300), (Fixed("b", [1.0] * 3), 1e-300))).score(
        make_batch()
    )
    assert scores.tolist() == [-FAILED_SCORE, pytest.approx(0.0), FAILED_SCORE]


def test_every_record_failed(make_batch: MakeBatch) -> None:
    scores = Composite(terms=((Fixed("a", [math.nan] * 3), 1.0),)).score(make_batch(failed=(0, 1, 2)))
    assert scores.tolist() == [FAILED_SCORE] * 3


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight of fitness term 'a'"):
        Composite(terms=((Fixed("a", [1.0]), weight),))


def test_no_term_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one term"):
        Composite(terms=())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_not_finite_names_function_and_record(make_batch: MakeBatch, bad: float) -> None:
    with pytest.raises(PluginError, match=r"fitness 'a' returned (nan|inf) for record 1"):
        Composite(terms=((Fixed("a", [1.0, bad, 1.0]), 1.0),)).score(make_batch())


def test_scores_of_another_shape_are_refused(make_batch: MakeBatch) -> None:
    with pytest.raises(PluginError, match=r"shape \(2,\); expected \(3,\)"):
        Composite(terms=((Fixed("a", [1.0, 2.0]), 1.0),)).score(make_batch())


def test_a_weight_of_zero_leaves_a_term_out(make_batch: MakeBatch) -> None:
    terms = ((Fixed("a", [1.0, 2.0, 3.0]), 1.0), (Fixed("b", [1e300, -1e300, 7.0]), 0.0))
    assert Composite(terms=terms).score(make_batch()).tolist() == [1.0, 2.0, 3.0]


class Scribbler(FitnessFunction):
    """Works on its record in place."""

    name = "scribbler"
    summary = "writes"

    def __init__(self, field: str) -> None:
        self.field = field

    def score(self, records: RecordBatch) -> NDArray[np.float64]:
        getattr(records, self.field)[...] = 1
        return np.zeros(records.agents)


@pytest.mark.parametrize("field", ["curve", "lending", "trades", "costs", "coin_share", "failed"])
def test_nobody_writes_into_a_record_that_others_score_too(make_batch: MakeBatch, field: str) -> None:
    batch = make_batch()
    before = getattr(batch, field).copy()
    with pytest.raises(PluginError, match=r"fitness 'scribbler' failed: ValueError: .*read-only"):
        Composite(terms=((Scribbler(field), 1.0), (Fixed("a", [1.0, 2.0, 3.0]), 1.0))).score(batch)
    assert (getattr(batch, field) == before).all()
