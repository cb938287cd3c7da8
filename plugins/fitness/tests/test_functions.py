"""What holds for every fitness function, and each one's own formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treasury_arena.contracts.composite import Composite
from treasury_arena.contracts.fitness import FAILED_SCORE, FitnessFunction
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.domain import statistics as stats
from treasury_arena_fitness import functions as fit
from treasury_arena_fitness.plugin import arena_fitness

MakeBatch = Callable[..., RecordBatch]
NAMES = [function.name for function in arena_fitness()]
EXCESS = [name for name in NAMES if name not in ("owner", "sharpe_zero")]

every = pytest.mark.parametrize("function", arena_fitness(), ids=NAMES)
together = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)


def lively(agents: int = 5, days: int = 90, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0005, 0.01, (agents, days))


def test_the_names_on_offer() -> None:
    assert NAMES == [
        "owner",
        "owner_excess",
        "sharpe",
        "sharpe_zero",
        "floored_sharpe",
        "sortino",
        "calmar",
        "cvar",
        "psr",
        "total_return",
    ]
    assert all(function.summary for function in arena_fitness())


@every
def test_a_lender_has_no_excess(function: FitnessFunction, make_batch: MakeBatch) -> None:
    if function.name not in EXCESS or function.name == "owner_excess":
        return_over_zero = float(function.score(make_batch(np.full(90, 0.0002), 0.0001))[0])
        assert return_over_zero > 0.0
    else:
        lending = 0.0002 + np.random.default_rng(1).normal(0.0, 0.00008, 90)
        neutral = 0.5 if function.name == "psr" else 0.0
        assert float(function.score(make_batch(lending, lending))[0]) == pytest.approx(neutral, abs=1e-12)


@every
@given(
    rows=arrays(np.float64, (3, 12), elements=st.floats(-1.0, 10.0)),
    lending=arrays(np.float64, 12, elements=st.floats(0.0, 0.01)),
)
@together
def test_scores_are_finite_whatever_happened(
    function: FitnessFunction, make_batch: MakeBatch, rows: np.ndarray, lending: np.ndarray
) -> None:
    scores = function.score(make_batch(rows, lending))
    assert scores.shape == (3,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


@every
@given(gift=st.floats(1e-4, 0.01))
@together
def test_a_better_record_never_scores_less(function: FitnessFunction, make_batch: MakeBatch, gift: float) -> None:
    rows = lively()
    rows = rows - rows.mean(axis=1, keepdims=True) + 0.0012  # below lending, a smaller drawdown worsens a Calmar ratio
    worse, better = (function.score(make_batch(days, 0.0002)) for days in (rows, rows + gift))
    assert (better >= worse).all()
    if function.name != "psr":  # a probability saturates at 1
        assert (better > worse).all()


@every
def test_scores_do_not_depend_on_capital_or_neighbours(function: FitnessFunction, make_batch: MakeBatch) -> None:
    batch = make_batch(lively(), 0.0002)
    scores = function.score(batch)
    np.testing.assert_allclose(function.score(attrs.evolve(batch, curve=batch.curve * 37.5)), scores, rtol=1e-9)
    alone = [float(function.score(make_batch(row, 0.0002))[0]) for row in lively()]
    np.testing.assert_allclose(alone, scores, rtol=1e-9)


@every
def test_failed_records_score_below_all_and_may_hold_anything(function: FitnessFunction, make_batch: MakeBatch) -> None:
    batch = make_batch(lively(), 0.0002, failed=(1, 3))
    sound = function.score(make_batch(lively(), 0.0002))
    curve = batch.curve.copy()
    curve[1] = math.nan
    curve[3, 5:] = math.inf
    scores = function.score(attrs.evolve(batch, curve=curve))
    assert scores[[1, 3]].tolist() == [FAILED_SCORE] * 2
    assert scores[[0, 2, 4]].tolist() == pytest.approx(sound[[0, 2, 4]].tolist())
    assert scores[[0, 2, 4]].min() > FAILED_SCORE


@every
def test_a_batch_of_failures_only(function: FitnessFunction, make_batch: MakeBatch) -> None:
    scores = function.score(make_batch(lively(2), failed=(0, 1)))
    assert scores.tolist() == [FAILED_SCORE] * 2


@every
def test_no_agents_give_no_scores(function: FitnessFunction, make_batch: MakeBatch) -> None:
    assert function.score(make_batch(np.empty((0, 30)))).shape == (0,)


@every
@pytest.mark.parametrize("days", [0, 1, 6])
def test_a_short_record_is_not_judged(function: FitnessFunction, make_batch: MakeBatch, days: int) -> None:
    expected = 0.5 if function.name == "psr" else 0.0
    assert function.score(make_batch(lively(2, days))).tolist() == [expected] * 2


@every
def test_the_shortest_record_is_a_parameter(function: FitnessFunction, make_batch: MakeBatch) -> None:
    patient = attrs.evolve(function, days_min=60)
    unknown = 0.5 if function.name == "psr" else 0.0
    assert patient.score(make_batch(lively(1, 59))).tolist() == [unknown]
    assert float(patient.score(make_batch(lively(1, 60)))[0]) == float(function.score(make_batch(lively(1, 60)))[0])


@every
def test_a_curve_with_nan_that_is_not_marked_is_refused(function: FitnessFunction, make_batch: MakeBatch) -> None:
    batch = make_batch(lively())
    curve = batch.curve.copy()
    curve[2, 4] = math.nan
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        function.score(attrs.evolve(batch, curve=curve))


@every
def test_ruin_scores_below_standing_still(function: FitnessFunction, make_batch: MakeBatch) -> None:
    ruined = lively(1, 90)[0]
    ruined[40] = -1.0
    scores = function.score(make_batch([ruined, np.zeros(90)]))
    assert np.isfinite(scores).all()
    assert scores[0] < scores[1]


@every
def test_an_account_that_never_held_anything_is_judged_as_flat(
    function: FitnessFunction, make_batch: MakeBatch
) -> None:
    batch = make_batch(np.zeros((1, 30)))
    neutral = 0.5 if function.name == "psr" else 0.0
    assert function.score(attrs.evolve(batch, curve=np.zeros((1, 31)))).tolist() == [neutral]


@every
def test_the_benchmark_is_a_parameter(function: FitnessFunction, make_batch: MakeBatch) -> None:
    batch = make_batch(lively(), 0.0003)
    lending, rate, zero = (
        attrs.evolve(function, benchmark=benchmark).score(batch) for benchmark in ("lending", 0.0003 * 365, "zero")
    )
    np.testing.assert_allclose(lending, rate, rtol=1e-9)
    assert (zero > rate).all()
    np.testing.assert_allclose(attrs.evolve(function, benchmark=0.0).score(batch), zero)


@every
@pytest.mark.parametrize("bad", ["lend", math.nan, math.inf, True, None, 10.5, -1.5])
def test_an_impossible_benchmark_is_refused(function: FitnessFunction, bad: object) -> None:
    with pytest.raises(ValueError, match="benchmark must be 'lending', 'zero' or a yearly rate"):
        attrs.evolve(function, benchmark=bad)


@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (fit.FlooredSharpe, {"floor": 0.0}),
        (fit.FlooredSharpe, {"floor": math.nan}),
        (fit.Sortino, {"floor": -0.01}),
        (fit.Calmar, {"floor": -0.01}),
        (fit.ConditionalValueAtRisk, {"level": 0.0}),
        (fit.ConditionalValueAtRisk, {"level": 1.01}),
        (fit.ConditionalValueAtRisk, {"aversion": -1.0}),
        (fit.ProbabilisticSharpe, {"sharpe_star": math.inf}),
        (fit.ProbabilisticSharpe, {"sharpe_star": True}),
        (fit.Owner, {"days_min": 1}),
    ],
)
def test_impossible_parameters_are_refused_by_name(cls: type, params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        cls(**params)


@every
def test_functions_are_values(function: FitnessFunction) -> None:
    same = {type(other): other for other in arena_fitness()}[type(function)]
    assert function == same
    assert hash(function) == hash(same)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        function.days_min = 3


def test_each_formula(make_batch: MakeBatch) -> None:
    rows, lending = lively(), 0.0002
    batch = make_batch(rows, lending)
    excess = rows - lending
    annual = excess.mean(axis=1) * 365
    deviation = excess.std(axis=1, ddof=1) * math.sqrt(365)
    downside = np.sqrt(np.minimum(excess, 0.0).__pow__(2).mean(axis=1) * 365)
    total = np.prod(1 + rows, axis=1) - 1
    lent = (1 + lending) ** 90 - 1
    worst = -np.sort(excess, axis=1)[:, :5].mean(axis=1)
    growth = (1 + total) ** (365 / 90) - (1 + lent) ** (365 / 90)
    fall = -stats.max_drawdown(batch.curve)
    expected = {
        fit.Sharpe(): annual / deviation,
        fit.FlooredSharpe(): annual / np.sqrt(deviation**2 + 0.02**2),
        fit.FlooredSharpe(floor=0.1): annual / np.sqrt(deviation**2 + 0.1**2),
        fit.Sortino(): annual / np.sqrt(downside**2 + 0.02**2),
        fit.Calmar(): growth / fall,
        fit.Calmar(floor=0.9): growth / 0.9,
        fit.ConditionalValueAtRisk(): annual - 0.25 * worst * math.sqrt(365),
        fit.ConditionalValueAtRisk(aversion=0.0): annual,
        fit.TotalReturn(): total - lent,
        fit.ProbabilisticSharpe(sharpe_star=1.0): stats.record_psr(rows, lending, 1.0 / math.sqrt(365)),
    }
    for function, scores in expected.items():
        np.testing.assert_allclose(function.score(batch), scores, rtol=1e-9, err_msg=repr(function))


def test_functions_compose_by_weight(make_batch: MakeBatch, functions: dict[str, FitnessFunction]) -> None:
    batch = make_batch(lively(), 0.0002, failed=(0,))
    floored, calm = functions["floored_sharpe"], attrs.evolve(functions["cvar"], level=0.1)
    scores = Composite(terms=((floored, 0.7), (calm, 0.3))).score(batch)
    np.testing.assert_allclose(scores[1:], 0.7 * floored.score(batch)[1:] + 0.3 * calm.score(batch)[1:])
    assert scores[0] == FAILED_SCORE
