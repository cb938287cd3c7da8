"""The volatility targeter's decisions: inverse to volatility, capped, filtered by trend."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.strategy import HOLD
from treasury_arena_voltarget.plugin import arena_strategies
from treasury_arena_voltarget.strategy import EXIT_BAND, STRATEGY, Book, Features, State, Target, decide

Make = Callable[..., Any]


def ask(make: Make, annual: float, distance: float = 0.0, **values: float) -> Target:
    f = Features(annual / math.sqrt(8760.0), distance, 0.0)
    target, state = decide(f, make(STRATEGY, **values), Book(1e4, 0.0, 0.0), State())
    assert state == State()
    assert isinstance(target, Target)
    return target


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    documented, declared = gene_tables(STRATEGY, Path(__file__).parents[1] / "README.md")
    assert documented == declared


def test_the_plugin_offers_the_allocator() -> None:
    (strategy,) = arena_strategies()
    assert strategy is STRATEGY
    assert strategy.space.values(strategy.space.default)["target_volatility"] == 0.3


@pytest.mark.parametrize("annual", [0.4, 0.6, 0.9, 1.5])
def test_the_share_is_the_target_over_the_volatility(genes: Make, annual: float) -> None:
    target = ask(genes, annual, target_volatility=0.3, cap=1.0)
    assert target.eth == pytest.approx(0.3 / annual)
    assert target.usd == pytest.approx(1.0 - 0.3 / annual)


def test_doubling_the_volatility_halves_the_share(genes: Make) -> None:
    assert ask(genes, 1.2).eth == pytest.approx(ask(genes, 0.6).eth / 2.0)


def test_the_cap_holds_in_calm_markets(genes: Make) -> None:
    assert ask(genes, 0.2, target_volatility=0.3, cap=0.7).eth == 0.7
    assert ask(genes, 0.0, target_volatility=0.1, cap=0.7).eth == 0.7
    assert ask(genes, 0.3 / 0.7 * 1.001, target_volatility=0.3, cap=0.7).eth < 0.7


def test_the_filter_takes_its_share_of_the_position_in_a_fall(genes: Make) -> None:
    settings = {"target_volatility": 0.3, "cap": 1.0, "trend_filter": 0.6}
    shares = [ask(genes, 0.6, d, **settings).eth for d in (0.2, 0.0, -0.025, -0.05, -0.5)]
    assert shares == pytest.approx([0.5, 0.5, 0.35, 0.2, 0.2])


def test_without_the_filter_the_trend_does_not_matter(genes: Make) -> None:
    assert ask(genes, 0.6, -0.5, trend_filter=0.0) == ask(genes, 0.6, 0.5, trend_filter=0.0)


def test_a_whole_filter_leaves_nothing_and_no_remainder(genes: Make) -> None:
    g = genes(STRATEGY, trend_filter=1.0, band=0.3)
    f = Features(0.006, -0.06, 50.0)
    holding, _ = decide(f, g, Book(1_000.0, 20.0, 980.0), State())
    assert holding == Target(0.0, 1.0, EXIT_BAND)
    out, _ = decide(f, g, Book(1_000.0, 0.0, 0.0), State())
    assert (out.usd, out.band) == (1.0, 50.0 / (1_000.0 * g.gas_limit))


def test_the_portfolio_comes_near_its_target_volatility(genes: Make, walk: Make) -> None:
    rng = np.random.default_rng(3)
    sigma = np.repeat([0.004, 0.012, 0.007], 1000)
    changes = rng.normal(0.0, 1.0, 3000) * sigma
    prices = (2_000.0 * np.exp(np.cumsum(changes))).tolist()
    features = [Features(float(s), 0.0, 0.0) for s in sigma]
    g = genes(STRATEGY, target_volatility=0.3, cap=1.0, band=0.02)
    rows = walk(STRATEGY, g, features, prices={"eth": prices})
    equity = np.log([row["equity"] for row in rows])
    for part in (slice(50, 1000), slice(1050, 2000), slice(2050, 3000)):
        assert np.diff(equity[part]).std() * math.sqrt(8760.0) == pytest.approx(0.3, rel=0.1)


def test_volatility_that_trembles_inside_the_band_causes_no_trades(genes: Make, walk: Make) -> None:
    annual = [0.6 * (1.0 + 0.05 * (-1) ** t) for t in range(300)]
    features = [Features(a / math.sqrt(8760.0), 0.0, 0.0) for a in annual]
    prices = {"eth": [2_000.0] * 300}
    trades = [
        sum(row["traded"] for row in walk(STRATEGY, genes(STRATEGY, band=band), features, prices=prices))
        for band in (0.02, 0.2)
    ]
    assert trades == [300, 1]


@pytest.mark.parametrize(("gas", "band"), [(4.0, 0.1), (6.0, 0.12), (60.0, 1.2)])
def test_gas_widens_the_band_when_it_is_more_than_its_part_of_the_drift(genes: Make, gas: float, band: float) -> None:
    g = genes(STRATEGY, band=0.1, gas_limit=0.01)
    target, _ = decide(Features(0.006, 0.0, gas), g, Book(10_000.0, 0.0, 0.0), State())
    assert target.band == pytest.approx(band)


def test_only_roles_that_change_pay_gas(genes: Make) -> None:
    g = genes(STRATEGY, cap=0.5, target_volatility=1.0, band=0.02, gas_limit=0.01)
    target, _ = decide(Features(0.0, 0.0, 10.0), g, Book(10_000.0, 5_000.5, 2_000.0), State())
    assert (target.eth, target.band) == pytest.approx((0.5, 0.1))


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_it_never_trades(genes: Make, equity: float) -> None:
    target, _ = decide(Features(0.006, 0.0, 1.0), genes(STRATEGY), Book(equity, 0.0, 0.0), State())
    assert target.band == HOLD


@given(
    data=st.data(),
    volatility=st.floats(0.0, 10.0),
    distance=st.floats(-20.0, 20.0),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.tuples(*[st.floats(0.0, 1.0)] * 2),
)
def test_every_target_is_finite_and_within_the_whole(
    any_genes: Make,
    data: st.DataObject,
    volatility: float,
    distance: float,
    gas: float,
    equity: float,
    held: tuple[float, float],
) -> None:
    g = data.draw(any_genes(STRATEGY))
    book = Book(equity, *(share * equity for share in held))
    target, _ = decide(Features(volatility, distance, gas), g, book, State())
    assert all(math.isfinite(x) for x in target[:2])
    assert target.band >= min(EXIT_BAND, g.band)
    assert 0.0 <= target.eth <= g.cap
    assert target.eth + target.usd == pytest.approx(1.0, abs=1e-9)
    assert 0.0 <= target.usd <= 1.0
