"""The range provider's decisions: edge, volatility, width, re-centring, costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_markets import RANGE as POOL
from pool_markets import lending_spec, make_frame, range_spec

from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.strategy import FORCE, HOLD
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import prepare
from treasury_arena.testing.reference import LENDING
from treasury_arena_range.plugin import arena_strategies
from treasury_arena_range.strategy import (
    EXIT_BAND,
    RANGE,
    RANGE_TVL,
    Book,
    Features,
    Pool,
    State,
    Target,
    TvlFeatures,
    decide,
    decide_tvl,
    income,
    reach,
)

Make = Callable[..., Any]
EQUITY = 100_000.0
DEPTH = 1.0e8
QUIET = {"stretch": 0.0, "width_log2": -3.0, "share": 0.5, "fee_trust": 1.0, "slack": 0.05, "edge": 0.02}


def volume_for(apr: float, width: float = 0.125, own: float = 0.5 * EQUITY, fee: float = 0.0005) -> float:
    """USD an hour that pay `apr` on `own` USD in a range of the width, in a pool of DEPTH."""
    return apr / 8760.0 * (DEPTH * (1.0 - 1.0 / math.sqrt(1.0 + width)) + own) / fee


def ask(
    make: Make,
    apr: float = 0.3,
    *,
    daily: float = 0.0,
    rate: float = 0.05,
    gas: float = 0.0,
    held: float = 0.0,
    inside: float = 1.0,
    offset: float = 0.0,
    state: State | None = None,
    equity: float = EQUITY,
    **values: float,
) -> tuple[Target, State]:
    """Decide on the pool `low` paying `apr` before losses; what is not in the range is lent."""
    volatility = daily / math.sqrt(24.0)
    f = Features(1.0, DEPTH / 2.0, volume_for(apr), volatility, 1.0, DEPTH / 2.0, 0.0, 0.0, rate, gas)
    book = Book(equity, (1.0 - held) * equity, held * equity, inside, offset, 0.0, 0.0, 0.0)
    if state is None:
        state = State(1.0, 0.125, 0.0) if held else State()
    target, after = decide(f, make(RANGE, **{**QUIET, **values}), book, state)
    assert isinstance(target, Target)
    assert isinstance(after, State)
    return target, after


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    for strategy in (RANGE, RANGE_TVL):
        documented, declared = gene_tables(strategy, Path(__file__).parents[1] / "README.md")
        assert documented == declared


def test_the_plugin_offers_both_declarations() -> None:
    assert arena_strategies() == [RANGE, RANGE_TVL]
    assert next(iter(RANGE.roles)) == "usd"


@pytest.mark.parametrize("width", [0.01, 0.125, 1.0])
def test_fees_and_losses_equal_those_of_the_positions_own_arithmetic(genes: Make, width: float) -> None:
    """Liquidity from the token amounts, its share of the pool's, and half the second derivative of the value."""
    price, own, pool_liquidity, volume, volatility = 2_000.0, 40_000.0, 1.0e6, 3.0e5, 0.001
    lower, upper = math.sqrt(price / (1.0 + width)), math.sqrt(price * (1.0 + width))

    def value(p: float) -> float:
        root = math.sqrt(p)
        return p * (1.0 / root - 1.0 / upper) + root - lower

    liquidity = own / value(price)
    assert own / (2.0 * liquidity * math.sqrt(price)) == pytest.approx(reach(width))
    fees = 8760.0 * volume * 0.0005 * liquidity / (liquidity + pool_liquidity) / own
    step = 1e-3 * price
    bend = (value(price + step) - 2.0 * value(price) + value(price - step)) / step**2
    loss = -8760.0 * 0.5 * (volatility * price) ** 2 * bend * liquidity / own
    away = math.log(1.0 + width)
    turns = (volatility / away) ** 2
    expected = (0.7 * fees - loss - 8760.0 * turns * (0.5 * 0.0005 + 3.0 * 2.0 / own)) / (1.0 + 5.0 * turns)
    depth = 2.0 * pool_liquidity * math.sqrt(price)
    g = genes(RANGE, fee_trust=0.7, recentre=1.0, patience=4.0)
    got = income(Pool(depth, volume, volatility, 0.0005, 0.0, 0.0, 0.0), width, own, 2.0, g)
    assert got == pytest.approx(expected, rel=0.005)


def test_it_opens_a_range_when_the_edge_is_reached_and_lends_the_rest(genes: Make) -> None:
    assert ask(genes, 0.0701)[0] == (0.5, 0.5, pytest.approx(0.125, rel=1e-3), 0.0, 0.0, 0.15)
    assert ask(genes, 0.0699)[0] == (1.0, 0.0, 0.0, 0.0, 0.0, 0.15)


def test_a_range_that_is_held_may_lose_the_edge_by_the_slack(genes: Make) -> None:
    kept, state = ask(genes, 0.021, held=0.5)
    assert (kept.low, state.active) == (0.5, 1.0)
    left, state = ask(genes, 0.019, held=0.5)
    assert (left.low, left.usd, left.band, state) == (0.0, 1.0, EXIT_BAND, State())


def test_it_leaves_above_the_volatility_limit_and_returns_when_it_is_calm(genes: Make) -> None:
    limits = {"vol_limit": 0.05, "calm": 0.8, "edge": -0.1, "apr": 5.0}
    assert ask(genes, daily=0.0499, held=0.5, **limits)[0].low == 0.5
    assert ask(genes, daily=0.0501, held=0.5, **limits)[0].low == 0.0
    assert ask(genes, daily=0.0401, **limits)[0].low == 0.0
    assert ask(genes, daily=0.0399, **limits)[0].low == 0.5


def test_volatility_is_weighed_against_fees(genes: Make) -> None:
    """At 4 % a day a range of 12.5 % loses 365 x 0.0016 / (8 x 0.0572) = 1.28 a year to arbitrage."""
    assert ask(genes, 1.2, daily=0.04)[0].low == 0.0
    assert ask(genes, 2.0, daily=0.04)[0].low == 0.5


@pytest.mark.parametrize(("factor", "opens"), [(0.99, True), (1.01, False)])
def test_opening_has_to_earn_its_cost_over_the_horizon(genes: Make, factor: float, opens: bool) -> None:
    gain = 0.5 * EQUITY * (0.25 * 14.0 / 365.0 - 0.0005)
    assert (ask(genes, 0.3, gas=factor * gain / 6.0)[0].low == 0.5) is opens


def test_the_range_is_wider_when_the_market_is_wild_and_stays_as_set(genes: Make) -> None:
    opening, state = ask(genes, 3.0, daily=0.02, stretch=2.0)
    assert opening.low_width == pytest.approx(0.125 + 2.0 * 0.02, rel=1e-3)
    assert state.width == opening.low_width
    held, after = ask(genes, 3.0, daily=0.03, stretch=2.0, held=0.5, state=State(1.0, 0.165, 0.0))
    assert (held.low_width, after.width) == (0.0, 0.165)


@pytest.mark.parametrize(
    ("inside", "offset", "moves"), [(1.0, 0.79, False), (1.0, 0.8, True), (1.0, -0.8, True), (0.0, 1.2, True)]
)
def test_it_recentres_beyond_the_threshold(genes: Make, inside: float, offset: float, moves: bool) -> None:
    target, state = ask(genes, held=0.5, inside=inside, offset=offset, recentre=0.8, patience=0.0)
    assert (target.band == FORCE, target.low_width < 0.0, state.due) == (moves, moves, 0.0)
    assert target.low == 0.5


def test_it_waits_for_its_patience_and_trades_nothing_while_outside(genes: Make) -> None:
    state = State(1.0, 0.2, 0.0)
    for hour in range(1, 4):
        target, state = ask(genes, held=0.4, inside=0.0, offset=1.5, patience=3.0, state=state)
        assert (target.band, target.low_width, state) == (HOLD, 0.0, State(1.0, 0.2, float(hour)))
    target, after = ask(genes, held=0.4, inside=0.0, offset=1.5, patience=3.0, state=state)
    assert (target.band, after.due) == (FORCE, 0.0)
    assert target.low_width == -after.width == pytest.approx(-0.125, rel=1e-3)
    assert ask(genes, held=0.4, inside=1.0, offset=0.0, state=state)[1].due == 0.0


@pytest.mark.parametrize(("factor", "moves"), [(0.97, True), (1.02, False)])
def test_recentring_has_to_earn_its_cost(genes: Make, factor: float, moves: bool) -> None:
    gain = 0.5 * EQUITY * (0.3 * 14.0 / 365.0 - 0.5 * 0.0005)
    target, _ = ask(genes, held=0.5, inside=0.0, offset=2.0, patience=0.0, gas=factor * gain / 3.0)
    assert (target.band == FORCE) is moves


def test_closing_ignores_gas_unless_it_eats_the_range(genes: Make) -> None:
    assert ask(genes, 0.0, held=0.5, gas=1_000.0)[0].band == EXIT_BAND
    assert ask(genes, 0.0, held=0.001, gas=30.0)[0].band == HOLD
    assert ask(genes, 0.0, held=0.001, gas=20.0)[0].band == EXIT_BAND


@pytest.mark.parametrize(("gas", "band"), [(0.5, 0.15), (20.0, 0.2), (40.0, 0.4)])
def test_gas_widens_the_band(genes: Make, gas: float, band: float) -> None:
    lending, _ = ask(genes, 0.0, gas=gas, held=0.0, gas_limit=0.001, equity=EQUITY, state=State())
    assert lending.usd == 1.0
    f = Features(1.0, DEPTH, 0.0, 0.0, 1.0, DEPTH, 0.0, 0.0, 0.05, gas)
    target, _ = decide(f, genes(RANGE, gas_limit=0.001), Book(EQUITY, *[0.0] * 7), State())
    assert target.band == pytest.approx(band)


def test_the_tier_decides_the_pool(genes: Make) -> None:
    f = Features(1.0, DEPTH, 0.0, 0.0, 1.0, DEPTH / 2.0, volume_for(0.2, fee=0.003), 0.0, 0.05, 0.0)
    book = Book(EQUITY, EQUITY, *[0.0] * 6)
    high, _ = decide(f, genes(RANGE, **QUIET, tier=0.003), book, State())
    assert (high.low, high.low_width, high.high) == (0.0, 0.0, 0.5)
    assert high.high_width == pytest.approx(0.125, rel=1e-3)
    low, _ = decide(f, genes(RANGE, **QUIET, tier=0.0005), book, State())
    assert low.low == low.high == 0.0


def test_value_locked_counts_tenfold(genes: Make) -> None:
    book = Book(EQUITY, EQUITY, *[0.0] * 6)
    g = genes(RANGE, **QUIET)
    for apr in (0.0699, 0.0701):
        full = Features(4.0, DEPTH / 4.0, volume_for(apr), 0.0, 1.0, 1.0, 0.0, 0.0, 0.05, 0.0)
        locked = TvlFeatures(DEPTH / 10.0, volume_for(apr), 0.0, 1.0, 0.0, 0.0, 0.05, 0.0)
        assert decide(full, g, book, State()) == decide_tvl(locked, g, book, State())


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_it_never_trades(genes: Make, equity: float) -> None:
    target, _ = ask(genes, equity=equity)
    assert target == Target(0.0, 0.0, 0.0, 0.0, 0.0, HOLD)


def run(prices: list[float], folder: Path, genes_by_name: dict[str, float]) -> Any:
    """One agent over hand-made prices and a pool that pays well, in the interpreter."""
    frame = make_frame(len(prices), 1)
    columns = {name: frame[name] for name in frame.columns}
    columns |= {"WETH.price": np.array(prices), "low.volume": np.full(len(prices), 4.0e6)}
    columns |= {"low.liquidity": np.full(len(prices), 2.0e6), "USDC.lending_rate": np.full(len(prices), 0.02)}
    specs = {
        "usd": lending_spec("usdc_lending", "USDC"),
        "low": range_spec("eth_range", "low", POOL, 0.0005),
        "high": range_spec("eth_range_high", "high", POOL, 0.003),
    }
    kernel = prepare(RANGE, {"usd": LENDING, "low": POOL, "high": POOL}, specs, cache=folder)
    tables = kernel.tables(MarketFrame(frame.start, frame.step_seconds, columns))
    genome = RANGE.space.genome(genes_by_name)
    return interpret(kernel, tables, genome, low=0, high=len(prices), cash=EQUITY, sample=1)


def test_over_a_path_it_recentres_when_the_price_leaves_and_only_then(tmp_path: Path) -> None:
    settings = {**QUIET, "patience": 3.0, "recentre": 1.0, "vol_limit": 0.12, "calm": 1.0, "share": 0.5}
    still = [2_000.0 * (1.0 + 0.02 * math.sin(t / 20.0)) for t in range(500)]
    calm = run(still, tmp_path, settings)
    assert calm.trades[0] == 1.0
    assert calm.mean_share[0, 1] == pytest.approx(0.5, abs=0.03)
    assert calm.final[0] > EQUITY * (1.0 + 0.05 * 500 / 8760)
    ramps = [2_000.0 * 1.15 ** (t // 120 + min(t % 120, 60) / 60.0) for t in range(480)]
    climbing = run(ramps, tmp_path, settings)
    assert climbing.trades[0] == 1.0 + 4.0
    assert run(ramps, tmp_path, {**settings, "patience": 72.0}).trades[0] < 5.0


@given(
    data=st.data(),
    prices=st.tuples(*[st.floats(1e-3, 1e6)] * 2),
    pools=st.tuples(*[st.floats(0.0, 1e10)] * 4),
    volatility=st.tuples(*[st.floats(0.0, 1.0)] * 2),
    rate=st.floats(0.0, 2.0),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.tuples(*[st.floats(0.0, 0.4)] * 2),
    inside=st.sampled_from([0.0, 1.0]),
    offset=st.floats(-50.0, 50.0),
    state=st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0.01, 1.5), st.floats(0.0, 100.0)),
)
def test_every_target_is_valid(
    any_genes: Make,
    data: st.DataObject,
    prices: tuple[float, float],
    pools: tuple[float, float, float, float],
    volatility: tuple[float, float],
    rate: float,
    gas: float,
    equity: float,
    held: tuple[float, float],
    inside: float,
    offset: float,
    state: tuple[float, float, float],
) -> None:
    g = data.draw(any_genes(RANGE))
    f = Features(prices[0], pools[0], pools[1], volatility[0], prices[1], pools[2], pools[3], volatility[1], rate, gas)
    low, high = (share * equity for share in held)
    book = Book(equity, 0.2 * equity, low, inside, offset, high, inside, offset)
    target, after = decide(f, g, book, State(*state))
    assert check_target(RANGE, target) is None
    assert all(math.isfinite(value) for value in after)
    assert target.usd + target.low + target.high == pytest.approx(1.0 if equity > 1.0 else 0.0)
    assert max(target.low, target.high) <= g.share
    assert (target.high == 0.0) if g.tier < 0.5 else (target.low == 0.0)
    assert abs(target.low_width) + abs(target.high_width) <= 1.0 + 4.0 * max(volatility) * 5.0
