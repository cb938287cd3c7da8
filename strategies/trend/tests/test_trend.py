"""The trend follower's decisions: long in a rise, flat in a fall, and the drawdown fuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.strategy import HOLD
from treasury_arena_trend.plugin import arena_strategies
from treasury_arena_trend.strategy import EXIT_BAND, STRATEGY, Book, Features, State, Target, decide

Make = Callable[..., Any]
WINDOW = 72


def ask(
    make: Make,
    eth: float,
    btc: float,
    *,
    drawdown: float = 0.0,
    reference: float = 1.0,
    blown: float = 0.0,
    **values: float,
) -> tuple[Target, State]:
    """Decide on settled trends: the smoothed distances equal the present ones."""
    target, state = decide(
        Features(eth, btc, 0.0),
        make(STRATEGY, **values),
        Book(1e4, 100.0, 0.0, 0.0, drawdown),
        State(eth, btc, reference, blown),
    )
    return target, state


def distances(prices: Sequence[float]) -> list[float]:
    return [math.log(p / np.mean(prices[max(0, t - WINDOW + 1) : t + 1])) for t, p in enumerate(prices)]


def follow(walk: Make, g: Any, eth: Sequence[float]) -> list[dict[str, float]]:
    features = [Features(d, -1.0, 0.0) for d in distances(eth)]
    rows: list[dict[str, float]] = walk(STRATEGY, g, features, prices={"eth": eth, "btc": [1.0] * len(eth)}, fee=0.001)
    return rows


def path(*pieces: tuple[int, float]) -> list[float]:
    """Prices from 2,000 that change by the given rate per hour for the given hours."""
    rates = np.concatenate([np.full(hours, rate) for hours, rate in pieces])
    prices: list[float] = (2_000.0 * np.exp(np.cumsum(rates))).tolist()
    return prices


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    documented, declared = gene_tables(STRATEGY, Path(__file__).parents[1] / "README.md")
    assert documented == declared


def test_the_plugin_offers_the_trend_follower() -> None:
    (strategy,) = arena_strategies()
    assert strategy is STRATEGY
    assert strategy.space.values(strategy.space.default)["window"] == 336.0


def test_full_exposure_far_above_the_average_split_by_weight(genes: Make) -> None:
    target, _ = ask(genes, 0.5, 0.5, exposure=0.8, eth_weight=0.75)
    assert (target.eth, target.btc, target.usd) == pytest.approx((0.6, 0.2, 0.2))


def test_flat_at_and_below_the_hurdle(genes: Make) -> None:
    for distance in (0.02, 0.0, -0.3):
        target, _ = ask(genes, distance, distance, hurdle=0.02)
        assert target == Target(0.0, 0.0, 1.0, EXIT_BAND)
    assert ask(genes, 0.021, -0.3, hurdle=0.02)[0].eth > 0.0


def test_share_grows_in_proportion_between_hurdle_and_full(genes: Make) -> None:
    settings = {"tilt": 10.0, "hurdle": 0.01, "exposure": 1.0, "eth_weight": 1.0}
    shares = [ask(genes, d, -1.0, **settings)[0].eth for d in (0.01, 0.035, 0.06, 0.11, 0.2)]
    assert shares == pytest.approx([0.0, 0.25, 0.5, 1.0, 1.0])


def test_each_coin_answers_to_its_own_trend(genes: Make) -> None:
    target, _ = ask(genes, -0.1, 0.5, exposure=0.6, eth_weight=0.5)
    assert (target.eth, target.btc, target.usd) == pytest.approx((0.0, 0.3, 0.7))


def test_the_trend_is_an_exponential_average_with_the_gene_as_speed(genes: Make) -> None:
    g = genes(STRATEGY, speed=0.1)
    state = State()
    for _ in range(20):
        _, state = decide(Features(0.08, -0.04, 0.0), g, Book(1e4, 0.0, 0.0, 0.0, 0.0), state)
    assert state.eth == pytest.approx(0.08 * (1.0 - 0.9**20))
    assert state.btc == pytest.approx(-0.04 * (1.0 - 0.9**20))


def test_long_in_a_rise_and_flat_after_a_fall(genes: Make, walk: Make) -> None:
    g = genes(STRATEGY, window=WINDOW, exposure=0.8, eth_weight=1.0, fuse=0.4)
    rows = follow(walk, g, path((400, 0.003), (300, -0.003)))
    assert rows[399]["eth"] > 0.7
    assert rows[699]["eth"] == 0.0
    assert rows[699]["usd"] > 0.99
    assert rows[399]["equity"] > 15_000.0
    assert rows[699]["equity"] > 0.8 * rows[399]["equity"]


def test_a_falling_market_is_never_entered(genes: Make, walk: Make) -> None:
    rows = follow(walk, genes(STRATEGY, window=WINDOW, hurdle=0.0), path((500, -0.002)))
    assert max(row["eth"] for row in rows) == 0.0


def test_the_band_decides_how_often_it_trades(genes: Make, walk: Make) -> None:
    rng = np.random.default_rng(5)
    prices = (2_000.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.006, 800)))).tolist()
    trades = [
        sum(row["traded"] for row in follow(walk, genes(STRATEGY, window=WINDOW, band=band), prices))
        for band in (0.02, 0.1, 0.3)
    ]
    assert trades[0] > 2 * trades[1] > 2 * trades[2] > 0


def test_the_fuse_blows_at_exactly_its_drawdown(genes: Make) -> None:
    held, state = ask(genes, 0.5, 0.5, drawdown=0.24, fuse=0.25)
    assert (state.blown, held.eth > 0.0) == (0.0, True)
    for drawdown in (0.25, 0.5, 1.0, 1.5):
        target, state = ask(genes, 0.5, 0.5, drawdown=drawdown, fuse=0.25)
        assert state.blown == 1.0
        assert target == Target(0.0, 0.0, 1.0, EXIT_BAND)


def test_a_blown_fuse_waits_for_both_trends_to_end_and_then_counts_afresh(genes: Make) -> None:
    _, state = ask(genes, 0.5, -0.5, drawdown=0.3, blown=1.0, fuse=0.2)
    assert (state.blown, state.reference) == (1.0, 1.0)
    _, state = ask(genes, -0.5, 0.5, drawdown=0.1, blown=1.0, fuse=0.2)
    assert state.blown == 1.0
    target, state = ask(genes, -0.5, -0.5, drawdown=0.3, blown=1.0, fuse=0.2)
    assert (state.blown, target.eth) == (0.0, 0.0)
    assert state.reference == pytest.approx(0.7)
    again, state = ask(genes, 0.5, -0.5, drawdown=0.3, reference=state.reference, fuse=0.2)
    assert (state.blown, again.eth > 0.0) == (0.0, True)
    _, state = ask(genes, 0.5, -0.5, drawdown=0.45, reference=0.7, fuse=0.2)
    assert state.blown == 1.0


def test_a_crash_is_cut_off_near_the_fuse(genes: Make, walk: Make) -> None:
    prices = path((300, 0.003), (10, -0.03), (300, -0.0005))
    slow = {"window": WINDOW, "exposure": 1.0, "eth_weight": 1.0, "speed": 0.005, "tilt": 40.0, "hurdle": 0.0}
    worst = [
        min(row["equity"] for row in follow(walk, genes(STRATEGY, **slow, fuse=f), prices)[300:]) for f in (0.05, 0.4)
    ]
    peak = max(row["equity"] for row in follow(walk, genes(STRATEGY, **slow, fuse=0.05), prices))
    assert worst[0] > 0.9 * peak
    assert worst[1] < 0.85 * peak


@pytest.mark.parametrize(("gas", "band"), [(2.0, 0.1), (6.0, 0.18), (60.0, 1.8)])
def test_gas_widens_the_band_when_it_is_more_than_its_part_of_the_drift(genes: Make, gas: float, band: float) -> None:
    g = genes(STRATEGY, band=0.1, gas_limit=0.01)
    target, _ = decide(Features(0.5, 0.5, gas), g, Book(10_000.0, 0.0, 0.0, 0.0, 0.0), State(1.0, 1.0, 1.0, 0.0))
    assert min(target[:3]) > 0.0
    assert target.band == pytest.approx(band)


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_it_never_trades(genes: Make, equity: float) -> None:
    target, _ = decide(Features(0.5, 0.5, 1.0), genes(STRATEGY), Book(equity, 0.0, 0.0, 0.0, 0.0), State())
    assert target.band == HOLD


def test_the_last_coins_are_sold_whatever_the_gas(genes: Make) -> None:
    g = genes(STRATEGY, band=0.1, gas_limit=0.01)
    holding, _ = decide(Features(-0.5, -0.5, 50.0), g, Book(1_000.0, 20.0, 0.0, 980.0, 0.0), State())
    assert (holding[:3], holding.band) == ((0.0, 0.0, 1.0), EXIT_BAND)
    out, _ = decide(Features(-0.5, -0.5, 50.0), g, Book(1_000.0, 0.0, 0.0, 0.0, 0.0), State())
    assert out == pytest.approx((0.0, 0.0, 1.0, 5.0))


@given(
    data=st.data(),
    f=st.tuples(*[st.floats(-20.0, 20.0)] * 2),
    trends=st.tuples(*[st.floats(-20.0, 20.0)] * 2),
    drawdown=st.floats(0.0, 3.0),
    reference=st.floats(-2.0, 1.0),
    blown=st.sampled_from([0.0, 1.0]),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.tuples(*[st.floats(0.0, 1.0)] * 3),
)
def test_every_target_is_finite_and_within_the_whole(
    any_genes: Make,
    data: st.DataObject,
    f: tuple[float, float],
    trends: tuple[float, float],
    drawdown: float,
    reference: float,
    blown: float,
    gas: float,
    equity: float,
    held: tuple[float, float, float],
) -> None:
    g = data.draw(any_genes(STRATEGY))
    eth, btc, usd = (share * equity for share in held)
    book = Book(equity, eth, btc, usd, drawdown)
    target, state = decide(Features(*f, gas), g, book, State(*trends, reference, blown))
    assert all(math.isfinite(x) for x in (*target[:3], *state))
    assert target.band >= min(EXIT_BAND, g.band)
    assert all(0.0 <= share <= 1.0 for share in target[:3])
    assert target.eth + target.btc <= g.exposure + 1e-9
    assert sum(target[:3]) == pytest.approx(1.0, abs=1e-9)
    assert state.blown == 0.0 or target.eth + target.btc == 0.0
