"""The tactical trader's decisions: cheap in, dear out, size by discount, smoothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.strategy import HOLD
from treasury_arena_tactical.plugin import arena_strategies
from treasury_arena_tactical.strategy import EXIT_BAND, STRATEGY, Book, Features, State, Target, decide

Make = Callable[..., Any]
QUICK = {"smoothing": 1.0, "buy_below": 1.0, "sell_above": 1.5}


def ask(make: Make, eth: float, btc: float, s: State = State(), **values: float) -> tuple[Target, State]:  # noqa: B008
    target, state = decide(
        Features(eth * 2_000.0, 2_000.0, btc * 5e4, 5e4, 0.0),
        make(STRATEGY, **{**QUICK, **values}),
        Book(1e4, 0.0, 0.0, 0.0),
        s,
    )
    return target, state


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    documented, declared = gene_tables(STRATEGY, Path(__file__).parents[1] / "README.md")
    assert documented == declared


def test_the_plugin_offers_the_trader_with_the_owners_size_and_leverage() -> None:
    (strategy,) = arena_strategies()
    defaults = strategy.space.values(strategy.space.default)
    assert strategy is STRATEGY
    assert (defaults["position_size"], defaults["max_leverage"], defaults["window"]) == (0.25, 2.0, 2160.0)


def test_no_gene_can_buy_above_where_it_sells() -> None:
    space = STRATEGY.space
    assert space.high[space.names.index("buy_below")] <= space.low[space.names.index("sell_above")]


def test_it_buys_just_below_the_ratio_and_not_at_it(genes: Make) -> None:
    assert ask(genes, 1.0, 1.2)[0] == Target(0.0, 0.0, 1.0, 0.05)
    target, state = ask(genes, 0.9999, 1.2)
    assert target.eth == pytest.approx(0.25, rel=1e-3)
    assert target.btc == 0.0
    assert target.usd == pytest.approx(0.75, rel=1e-3)
    assert (state.eth_in, state.btc_in) == (1.0, 0.0)


def test_between_the_ratios_it_keeps_what_it_has(genes: Make) -> None:
    held = State(1.2, 1.2, 1.0, 0.0)
    target, state = ask(genes, 1.2, 1.2, held)
    assert (target.eth, target.btc) == (0.25, 0.0)
    assert state == held


def test_it_sells_above_the_ratio_and_not_at_it(genes: Make) -> None:
    held = State(1.5, 1.5, 1.0, 1.0)
    assert ask(genes, 1.5, 1.5, held)[0].eth == 0.25
    target, state = ask(genes, 1.51, 1.4, held)
    assert (target.eth, target.btc) == (0.0, 0.25)
    assert state.eth_in == 0.0


def test_the_position_grows_with_the_discount_up_to_the_leverage(genes: Make) -> None:
    sizes = [ask(genes, ratio, 1.2)[0].eth for ratio in (0.99, 0.95, 0.9, 0.8, 0.6)]
    assert sizes == sorted(sizes)
    assert sizes[2] == pytest.approx(0.25 * 1.5)
    assert sizes[3] == pytest.approx(0.5)
    assert sizes[4] == pytest.approx(0.5)


def test_two_levered_positions_are_scaled_to_the_whole_equity(genes: Make) -> None:
    target, _ = ask(genes, 0.5, 0.5, position_size=0.5, max_leverage=3.0)
    assert (target.eth, target.btc, target.usd) == pytest.approx((0.5, 0.5, 0.0))


def test_leverage_of_one_keeps_the_position_size(genes: Make) -> None:
    assert ask(genes, 0.5, 0.9, max_leverage=1.0)[0][:2] == (0.25, 0.25)


def test_smoothing_starts_at_the_first_ratio_and_then_lags(genes: Make) -> None:
    _, state = ask(genes, 1.3, 1.3, smoothing=24.0)
    assert state.eth_ratio == pytest.approx(1.3)
    _, state = ask(genes, 0.7, 1.3, state, smoothing=24.0)
    assert state.eth_ratio == pytest.approx(1.3 - 0.6 / 24.0)
    assert state.eth_in == 0.0


def test_an_average_of_zero_counts_as_fair(genes: Make) -> None:
    target, state = decide(
        Features(2_000.0, 0.0, 5e4, 5e4, 0.0), genes(STRATEGY, **QUICK), Book(1e4, 0.0, 0.0, 0.0), State()
    )
    assert (target.eth, state.eth_ratio) == (0.0, 1.0)


def test_a_cycle_is_bought_low_and_sold_high_in_two_trips(genes: Make, walk: Make) -> None:
    ratios = [1.25 + 0.6 * math.cos(2.0 * math.pi * t / 1000.0) for t in range(2000)]
    features = [Features(2_000.0 * r, 2_000.0, 5e4 * 1.3, 5e4, 0.0) for r in ratios]
    prices = {"eth": [2_000.0 * r for r in ratios], "btc": [65_000.0] * 2000}
    rows = walk(STRATEGY, genes(STRATEGY, smoothing=6.0), features, prices=prices, fee=0.001)
    held = [row["eth"] > 0.0 for row in rows]
    assert sum(a != b for a, b in pairwise(held)) == 4
    assert sum(row["traded"] for row in rows) < 60
    assert rows[-1]["equity"] > 11_000.0


def test_a_ratio_that_trembles_at_the_buying_point_trades_once(genes: Make, walk: Make) -> None:
    features = [Features(2_000.0 * (1.0 + 0.01 * (-1) ** t), 2_000.0, 6e4, 5e4, 0.0) for t in range(200)]
    prices = {"eth": [f.eth for f in features], "btc": [f.btc for f in features]}
    rows = walk(STRATEGY, genes(STRATEGY, **QUICK), features, prices=prices)
    assert sum(row["traded"] for row in rows) == 2  # lending at the first row, ETH at the first dip
    assert rows[-1]["eth"] > 0.2


@pytest.mark.parametrize(("gas", "band"), [(2.0, 0.1), (6.0, 0.18), (60.0, 1.8)])
def test_gas_widens_the_band_when_it_is_more_than_its_part_of_the_drift(genes: Make, gas: float, band: float) -> None:
    g = genes(STRATEGY, band=0.1, gas_limit=0.01, max_leverage=1.0)
    target, _ = decide(Features(1_800.0, 2_000.0, 45e3, 5e4, gas), g, Book(10_000.0, 0.0, 0.0, 0.0), State())
    assert min(target[:3]) > 0.0
    assert target.band == pytest.approx(band)


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_it_never_trades(genes: Make, equity: float) -> None:
    target, _ = decide(
        Features(1_800.0, 2_000.0, 45e3, 5e4, 1.0), genes(STRATEGY), Book(equity, 0.0, 0.0, 0.0), State()
    )
    assert target.band == HOLD


def test_the_last_coins_are_sold_whatever_the_gas(genes: Make) -> None:
    g = genes(STRATEGY, band=0.1, gas_limit=0.01)
    holding, _ = decide(Features(4_000.0, 2_000.0, 1e5, 5e4, 50.0), g, Book(1_000.0, 20.0, 0.0, 980.0), State())
    assert (holding[:3], holding.band) == ((0.0, 0.0, 1.0), EXIT_BAND)
    out, _ = decide(Features(4_000.0, 2_000.0, 1e5, 5e4, 50.0), g, Book(1_000.0, 0.0, 0.0, 0.0), State())
    assert out == pytest.approx((0.0, 0.0, 1.0, 5.0))


@given(
    data=st.data(),
    f=st.tuples(*[st.floats(1e-6, 1e7)] * 4),
    ratios=st.tuples(*[st.floats(0.0, 100.0)] * 2),
    flags=st.tuples(*[st.sampled_from([0.0, 1.0])] * 2),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.tuples(*[st.floats(0.0, 1.0)] * 3),
)
def test_every_target_is_finite_and_within_the_whole(
    any_genes: Make,
    data: st.DataObject,
    f: tuple[float, float, float, float],
    ratios: tuple[float, float],
    flags: tuple[float, float],
    gas: float,
    equity: float,
    held: tuple[float, float, float],
) -> None:
    g = data.draw(any_genes(STRATEGY))
    book = Book(equity, *(share * equity for share in held))
    target, state = decide(Features(*f, gas), g, book, State(*ratios, *flags))
    assert all(math.isfinite(x) for x in (*target[:3], *state))
    assert target.band >= min(EXIT_BAND, g.band)
    assert all(0.0 <= share <= 1.0 for share in target[:3])
    assert sum(target[:3]) == pytest.approx(1.0, abs=1e-9)
    assert {state.eth_in, state.btc_in} <= {0.0, 1.0}
