"""The owner's formula and what follows from it."""

from __future__ import annotations

import math
import statistics as stdlib
from collections.abc import Callable

import numpy as np
import pytest

from treasury_arena.contracts.records import RecordBatch
from treasury_arena_fitness.functions import FlooredSharpe, Owner, OwnerExcess

MakeBatch = Callable[..., RecordBatch]


def by_hand(returns: list[float]) -> float:
    """The formula in plain Python, from the daily returns."""
    equity, peak, drawdown = 1.0, 1.0, 0.0
    for day in returns:
        equity *= 1.0 + day
        peak = max(peak, equity)
        drawdown = max(drawdown, 1.0 - equity / peak)
    spread = stdlib.stdev(returns)
    sharpe = stdlib.mean(returns) / spread * math.sqrt(365)
    wins = sum(day > 0 for day in returns) / len(returns)
    bonus = 0.1 if wins > 0.65 else 0.0
    return 0.3 * (equity - 1.0) + 0.4 * sharpe - 0.2 * drawdown - 0.1 * spread * math.sqrt(365) + bonus


def test_the_formula_by_hand(make_batch: MakeBatch) -> None:
    rows = np.random.default_rng(1).normal(0.001, 0.02, (20, 40))
    expected = [by_hand(row.tolist()) for row in rows]
    assert Owner().score(make_batch(rows)).tolist() == pytest.approx(expected)


def test_the_bonus_needs_more_than_65_percent_of_winning_days(make_batch: MakeBatch) -> None:
    # 20 days: 13 winning ones are exactly 65%, 14 are 70%
    for wins, bonus in ((13, 0.0), (14, 0.1)):
        returns = [0.01] * wins + [-0.01] * (20 - wins)
        without = by_hand(returns) - bonus
        assert float(Owner().score(make_batch(returns))[0]) == pytest.approx(without + bonus)
        assert (by_hand(returns) > without) is (bonus > 0.0)


@pytest.mark.parametrize(("days", "judged"), [(0, False), (6, False), (7, True)])
def test_fewer_than_seven_days_score_zero(make_batch: MakeBatch, days: int, judged: bool) -> None:
    returns = np.tile([0.02, -0.01], 4)[:days]
    assert (float(Owner().score(make_batch(returns))[0]) != 0.0) is judged


def test_fitness_includes_the_newest_day(make_batch: MakeBatch) -> None:
    """Fitness that is computed before the newest day is appended is that of yesterday: the historic defect."""
    history = np.tile([0.004, -0.001, 0.002], 10)
    crash = -0.3
    with_newest = float(Owner().score(make_batch([*history, crash]))[0])
    before_it = float(Owner().score(make_batch(history))[0])
    assert before_it > 2.0
    assert with_newest < 0.0
    assert with_newest == pytest.approx(by_hand([*history, crash]))


def test_the_seventh_day_itself_counts(make_batch: MakeBatch) -> None:
    first_six = [0.01, -0.01, 0.01, 0.02, -0.01, 0.01]
    assert float(Owner().score(make_batch(first_six))[0]) == 0.0
    assert float(Owner().score(make_batch([*first_six, 0.01]))[0]) == pytest.approx(by_hand([*first_six, 0.01]))


def test_an_agent_that_never_trades_scores_zero(make_batch: MakeBatch) -> None:
    assert float(Owner().score(make_batch(np.zeros(60)))[0]) == 0.0


def test_one_tiny_cost_then_nothing_is_a_small_loss(make_batch: MakeBatch) -> None:
    returns = np.zeros(60)
    returns[0] = -1e-5
    # the size of the cost cancels in the Sharpe ratio: -sqrt(365 / 60) times 0.4
    assert float(Owner().score(make_batch(returns))[0]) == pytest.approx(-0.4 * math.sqrt(365 / 60), abs=1e-3)


def test_the_sharpe_ratio_dominates(make_batch: MakeBatch) -> None:
    """A lender outranks a record that earned ten times as much at a risk."""
    rng = np.random.default_rng(2)
    lender = 0.0002 + rng.normal(0.0, 0.00008, 365)
    trader = 0.002 + rng.normal(0.0, 0.015, 365)
    scores = Owner().score(make_batch([lender, trader]))
    assert scores[0] > 5.0 * scores[1]
    assert scores[0] == pytest.approx(0.4 * 48, rel=0.1)


def test_dilution_buys_the_owners_formula(make_batch: MakeBatch) -> None:
    """0.5% coins and 99.5% lending score about 6.8; the coins alone would not pass 2.0."""
    rng = np.random.default_rng(4)
    lending = 0.0002 + rng.normal(0.0, 0.00008, 365)
    coins = rng.normal(0.0, 1.0, 365)
    coins = (coins - coins.mean()) / coins.std(ddof=1) * 0.0440 + 0.0005
    diluted = 0.995 * lending + 0.005 * coins
    scores = Owner().score(make_batch([coins, diluted], lending))
    assert scores[1] == pytest.approx(6.8, abs=0.4)
    assert scores[0] < 2.0
    excess = OwnerExcess().score(make_batch([coins, diluted], lending))
    assert excess[1] < 2.0
    floored = FlooredSharpe().score(make_batch([coins, diluted], lending))
    assert 0.0 < floored[1] < floored[0] < 1.0


def test_equal_records_score_equally(make_batch: MakeBatch) -> None:
    row = np.random.default_rng(3).normal(0.0, 0.01, 50)
    assert len(set(Owner().score(make_batch(np.tile(row, (12, 1)))).tolist())) == 1


def test_a_leap_year_is_annualised_like_any_other(make_batch: MakeBatch) -> None:
    returns = np.tile([0.001, -0.0005, 0.0002], 122).tolist()
    assert len(returns) == 366
    assert float(Owner().score(make_batch(returns))[0]) == pytest.approx(by_hand(returns))


def test_over_lending_a_lender_scores_only_its_calm(make_batch: MakeBatch) -> None:
    lending = 0.0002 + np.abs(np.random.default_rng(1).normal(0.0, 0.00008, 365))
    score = float(OwnerExcess().score(make_batch(lending, lending))[0])
    assert score == pytest.approx(-0.1 * lending.std(ddof=1) * math.sqrt(365), abs=1e-9)
