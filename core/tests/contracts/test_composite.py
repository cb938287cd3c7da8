"""Weighted sums of fitness functions."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from typing import Any

import attrs
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


@attrs.frozen
class Cheat(FitnessFunction):
    """Makes the curves that it was given its own."""

    name = "cheat"
    summary = "overwrites what others score"
    way: Callable[[RecordBatch], object]

    def score(self, records: RecordBatch) -> NDArray[np.float64]:
        self.way(records)
        return np.zeros(records.agents)


def unlock(records: RecordBatch) -> None:
    records.curve.flags.writeable = True
    records.curve[:] = 1e6


def beneath(records: RecordBatch) -> None:
    np.frombuffer(records.curve.base, np.float64)[:] = 1e6  # type: ignore[call-overload]


@pytest.mark.parametrize("way", [unlock, beneath])
def test_no_way_leads_to_the_memory_of_a_record(make_batch: MakeBatch, way: Callable[[RecordBatch], object]) -> None:
    batch = make_batch()
    before = batch.curve.copy()
    with pytest.raises(PluginError, match="fitness 'cheat' failed: ValueError"):
        Composite(terms=((Cheat(way), 1.0),)).score(batch)
    np.testing.assert_array_equal(batch.curve, before)


def test_what_one_function_puts_into_its_batch_no_other_sees(make_batch: MakeBatch) -> None:
    batch, seen = make_batch(), []
    before = batch.curve.copy()
    swap = Cheat(lambda records: object.__setattr__(records, "curve", np.ones((3, 2))))
    look = Cheat(lambda records: seen.append(records.curve))
    Composite(terms=((swap, 1.0), (look, 1.0))).score(batch)
    np.testing.assert_array_equal(seen[0], before)
    np.testing.assert_array_equal(batch.curve, before)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_record_lies_in_memory_as_it_was_given(make_batch: MakeBatch, order: Any) -> None:
    """Sums along an axis take their order, and so their last bit, from it."""
    curve = np.array(make_batch().curve, order=order)
    kept = attrs.evolve(make_batch(), curve=curve).curve
    assert kept.strides == curve.strides
    np.testing.assert_array_equal(kept, curve)


def test_complex_scores_are_no_scores(make_batch: MakeBatch) -> None:
    with pytest.raises(PluginError, match="fitness 'a' returned complex numbers"):
        Composite(terms=((Fixed("a", [1.0 + 1.0j, 2.0, 3.0]), 1.0),)).score(make_batch())


def test_how_decimal_and_numpy_calculate_is_the_callers_own_again(make_batch: MakeBatch) -> None:
    def change(records: RecordBatch) -> None:
        decimal.getcontext().prec = 3
        np.seterr(all="raise")

    before = decimal.getcontext().prec, np.geterr()
    Composite(terms=((Cheat(change), 1.0),)).score(make_batch())
    assert (decimal.getcontext().prec, np.geterr()) == before
