"""The farmer's decisions: best rate first, caps, minimum, threshold, costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.arithmetic import MOVE_BAND, STAKE
from treasury_arena.contracts.strategy import HOLD
from treasury_arena_farmer.plugin import arena_strategies
from treasury_arena_farmer.strategy import STRATEGY, Book, Features, State, Target, apy, decide

Make = Callable[..., Any]
EQUITY = 100_000.0


def ask(
    make: Make,
    rates: tuple[float, float, float],
    held: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    gas: float = 0.0,
    equity: float = EQUITY,
    **values: float,
) -> Target:
    book = Book(equity, *(share * equity for share in held))
    target, _ = decide(Features(*rates, gas), make(STRATEGY, **values), book, State())
    assert isinstance(target, Target)
    return target


def shares(target: Target) -> tuple[float, float, float]:
    return target.usdc, target.usdt, target.dai


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    documented, declared = gene_tables(STRATEGY, Path(__file__).parents[1] / "README.md")
    assert documented == declared


def test_the_plugin_offers_the_farmer_with_the_owners_defaults() -> None:
    (strategy,) = arena_strategies()
    assert strategy is STRATEGY
    assert strategy.space.values(strategy.space.default) == {
        "minimum_apy": 0.08,
        "rebalance_threshold": 0.02,
        "max_share": 0.4,
        "smoothing": 24.0,
        "horizon_days": 14.0,
        "swap_cost": 0.0005,
    }


@pytest.mark.parametrize("apr", [0.0, 0.01, 0.05, 0.1, 0.3])
def test_apy_is_the_continuously_compounded_apr(apr: float) -> None:
    assert apy(apr) == pytest.approx(math.expm1(apr), abs=4e-4)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_apy_keeps_the_order_of_rates(a: float, b: float) -> None:
    assert (apy(a) <= apy(b)) == (a <= b) or apy(a) == apy(b)


def test_the_best_markets_are_filled_first_up_to_the_cap(genes: Make) -> None:
    target = ask(genes, (0.09, 0.12, 0.10))
    assert shares(target) == pytest.approx((0.2, 0.4, 0.4))
    assert target.band == MOVE_BAND


def test_one_market_may_take_everything_when_the_cap_allows(genes: Make) -> None:
    assert shares(ask(genes, (0.09, 0.12, 0.10), max_share=1.0)) == (0.0, 1.0, 0.0)


def test_what_no_market_takes_stays_in_cash(genes: Make) -> None:
    assert shares(ask(genes, (0.07, 0.12, 0.03))) == (0.0, 0.4, 0.0)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((0.1, 0.1, 0.1), (0.4, 0.4, 0.2)),
        ((0.1, 0.12, 0.12), (0.2, 0.4, 0.4)),
        ((0.12, 0.1, 0.1), (0.4, 0.4, 0.2)),
        ((0.1, 0.1, 0.12), (0.4, 0.2, 0.4)),
    ],
)
def test_ties_go_to_the_role_declared_first(
    genes: Make, rates: tuple[float, float, float], expected: tuple[float, float, float]
) -> None:
    assert shares(ask(genes, rates)) == pytest.approx(expected)


def test_a_minimum_above_every_rate_keeps_cash_and_never_trades(genes: Make, walk: Make) -> None:
    features = [Features(0.05, 0.06, 0.07, 1.0)] * 100
    rows = walk(STRATEGY, genes(STRATEGY, minimum_apy=0.12), features, gas=1.0)
    assert all(row["traded"] == 0.0 and row["equity"] == 10_000.0 for row in rows)


def test_the_minimum_is_met_at_exactly_its_value(genes: Make) -> None:
    exact = apy(0.09)
    assert ask(genes, (0.09, 0.0, 0.0), minimum_apy=exact).usdc == 0.4
    assert ask(genes, (0.09, 0.0, 0.0), minimum_apy=math.nextafter(exact, 1.0)).usdc == 0.0


def test_a_held_market_may_fall_by_the_threshold_below_the_minimum(genes: Make) -> None:
    kept = ask(genes, (0.07, 0.0, 0.0), (0.4, 0.0, 0.0), minimum_apy=0.08, rebalance_threshold=0.02)
    assert (kept.usdc, kept.band) == (0.4, HOLD)
    left = ask(genes, (0.05, 0.0, 0.0), (0.4, 0.0, 0.0), minimum_apy=0.08, rebalance_threshold=0.02)
    assert (left.usdc, left.band) == (0.0, MOVE_BAND)


@pytest.mark.parametrize(("factor", "leaves"), [(0.99, True), (1.01, False)])
def test_a_market_below_the_minimum_is_left_when_the_shortfall_beats_the_cost(
    genes: Make, factor: float, leaves: bool
) -> None:
    shortfall = 0.4 * EQUITY * (0.08 - apy(0.01)) * 14.0 / 365.0
    left = ask(genes, (0.01, 0.0, 0.0), (0.4, 0.0, 0.0), gas=factor * shortfall)
    assert left.usdc == 0.0
    assert (left.band == MOVE_BAND) is leaves


def test_the_threshold_is_the_improvement_on_the_money_that_moves(genes: Make) -> None:
    held = (0.4, 0.0, 0.0)
    quiet = {"minimum_apy": 0.0, "swap_cost": 0.0, "max_share": 0.4}
    better = apy(0.10) - apy(0.06)
    below = ask(genes, (0.06, 0.10, 0.0), (0.6, 0.4, 0.0), rebalance_threshold=0.02, **{**quiet, "max_share": 0.6})
    assert shares(below) == pytest.approx((0.4, 0.6, 0.0))
    assert below.band == MOVE_BAND
    above = ask(
        genes, (0.06, 0.10, 0.0), (0.6, 0.4, 0.0), rebalance_threshold=better * 1.001, **{**quiet, "max_share": 0.6}
    )
    assert above.band == HOLD
    cash = ask(genes, (0.015, 0.0, 0.0), (0.0, 0.0, 0.0), rebalance_threshold=0.02, **quiet)
    assert cash.band == HOLD
    assert ask(genes, (0.03, 0.0, 0.0), held, rebalance_threshold=0.02, **quiet).band == HOLD


@pytest.mark.parametrize(("days", "moves"), [(29.0, False), (31.0, True)])
def test_it_moves_only_when_the_gain_over_the_horizon_beats_the_cost(genes: Make, days: float, moves: bool) -> None:
    gained_a_day = EQUITY * (apy(0.16) - apy(0.06)) / 365.0
    gas = gained_a_day * 30.0 / 2.0
    target = ask(
        genes,
        (0.06, 0.16, 0.0),
        (1.0, 0.0, 0.0),
        gas=gas,
        max_share=1.0,
        minimum_apy=0.0,
        horizon_days=days,
        swap_cost=0.0,
    )
    assert (target.band == MOVE_BAND) is moves
    assert shares(target) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(("equity", "moves"), [(500.0, False), (100_000.0, True)])
def test_the_same_gas_stops_a_small_agent_and_not_a_large_one(genes: Make, equity: float, moves: bool) -> None:
    target = ask(genes, (0.09, 0.12, 0.10), gas=12.0, equity=equity)
    assert (target.band == MOVE_BAND) is moves


def test_swapping_costs_only_where_the_base_coin_is_left(genes: Make) -> None:
    dear: dict[str, Any] = {"swap_cost": 0.003, "horizon_days": 5.0, "max_share": 1.0}
    assert ask(genes, (0.12, 0.0, 0.0), **dear).band == MOVE_BAND
    assert ask(genes, (0.0, 0.12, 0.0), **dear).band == HOLD


def test_interest_may_carry_a_market_past_its_cap_only_a_little(genes: Make) -> None:
    assert ask(genes, (0.12, 0.1, 0.09), (0.41, 0.4, 0.19)).band == HOLD
    over = ask(genes, (0.12, 0.1, 0.09), (0.43, 0.4, 0.17))
    assert (over.usdc, over.band) == (0.4, MOVE_BAND)


def test_a_small_remainder_is_not_topped_up(genes: Make) -> None:
    assert ask(genes, (0.12, 0.0, 0.0), (0.4 - STAKE / 2.0, 0.0, 0.0)).band == HOLD
    assert ask(genes, (0.12, 0.0, 0.0), (0.4 - STAKE * 2.0, 0.0, 0.0)).band == MOVE_BAND


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_nothing_happens(genes: Make, equity: float) -> None:
    target, _ = decide(Features(0.1, 0.1, 0.1, 1.0), genes(STRATEGY), Book(equity, 0.0, 0.0, 0.0), State())
    assert target == Target(0.0, 0.0, 0.0, HOLD)


def test_it_follows_the_best_rate_and_then_keeps_still(genes: Make, walk: Make) -> None:
    high, low = [0.12] * 300 + [0.02] * 300, [0.02] * 300 + [0.12] * 300
    features = [Features(a, b, 0.0, 0.1) for a, b in zip(high, low, strict=True)]
    rows = walk(
        STRATEGY,
        genes(STRATEGY, max_share=1.0),
        features,
        rates={"usdc": high, "usdt": low},
        fee=0.0005,
        gas=0.1,
    )
    assert rows[299]["usdc"] > 0.99
    assert rows[599]["usdt"] > 0.99
    assert sum(row["traded"] for row in rows) == 2
    assert rows[-1]["equity"] > 10_000.0 * (1.0 + 0.1 * 600 / 8760) - 10_000.0 * 0.0016


def test_rates_that_swap_places_within_the_threshold_cause_no_trades(genes: Make, walk: Make) -> None:
    features = [Features(0.10 + 0.009 * (-1) ** t, 0.10 - 0.009 * (-1) ** t, 0.0, 0.0) for t in range(200)]
    settings = {"max_share": 0.6, "rebalance_threshold": 0.02, "swap_cost": 0.0}
    assert sum(row["traded"] for row in walk(STRATEGY, genes(STRATEGY, **settings), features)) == 1
    settings["rebalance_threshold"] = 0.001
    assert sum(row["traded"] for row in walk(STRATEGY, genes(STRATEGY, **settings), features)) > 100


@given(
    data=st.data(),
    rates=st.tuples(*[st.floats(0.0, 5.0)] * 3),
    held=st.tuples(*[st.floats(0.0, 1.0)] * 3),
    equity=st.floats(-1e3, 1e9),
    gas=st.floats(0.0, 1e4),
)
def test_every_target_is_finite_capped_and_within_the_whole(
    any_genes: Make,
    data: st.DataObject,
    rates: tuple[float, float, float],
    held: tuple[float, float, float],
    equity: float,
    gas: float,
) -> None:
    g = data.draw(any_genes(STRATEGY))
    book = Book(equity, *(share * equity for share in held))
    target, state = decide(Features(*rates, gas), g, book, State())
    assert state == State()
    assert all(0.0 <= share <= g.max_share for share in shares(target))
    assert sum(shares(target)) <= 1.0 + 1e-9
    assert target.band in (HOLD, MOVE_BAND)
    for rate, share, before in zip(rates, shares(target), held, strict=True):
        assert share == 0.0 or apy(rate) >= g.minimum_apy - g.rebalance_threshold
        assert share == 0.0 or before > STAKE or apy(rate) >= g.minimum_apy
