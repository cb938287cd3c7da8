"""The harvester's decisions: best net yield first, a largest share per protocol, stickiness, costs, the range."""

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

from treasury_arena.contracts.arithmetic import MOVE_BAND, STAKE
from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.strategy import FORCE, HOLD
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import prepare
from treasury_arena.testing.reference import LENDING
from treasury_arena_harvester.plugin import arena_strategies
from treasury_arena_harvester.strategy import (
    HARVESTER,
    HARVESTER_TVL,
    Book,
    Features,
    State,
    Target,
    TvlFeatures,
    decide,
    decide_tvl,
    pool_yield,
)

Make = Callable[..., Any]
EQUITY = 100_000.0
DEPTH = 1.0e8
WIDTH = 0.0625
PLAIN = {
    "minimum_advantage": 0.01,
    "aave_max": 0.5,
    "vault_max": 0.4,
    "pool_max": 0.3,
    "swap_cost": 0.0,
    "fee_trust": 1.0,
    "width_log2": -4.0,
}
Held = tuple[float, float, float, float, float]
EMPTY: Held = (0.0,) * 5


def volume_for(apr: float, own: float = 0.3 * EQUITY) -> float:
    """USD an hour that pay `apr` in a range of WIDTH, in a pool of DEPTH and no volatility."""
    return apr / 8760.0 * (DEPTH * (1.0 - 1.0 / math.sqrt(1.0 + WIDTH)) + own) / 0.0005


def ask(
    make: Make,
    rates: tuple[float, float, float, float] = (0.05, 0.0, 0.0, 0.0),
    pool: float = 0.0,
    held: Held = EMPTY,
    *,
    gas: float = 0.0,
    inside: float = 1.0,
    offset: float = 0.0,
    equity: float = EQUITY,
    volatility: float = 0.0,
    **values: float,
) -> Target:
    """Decide on lending rates (USDC, USDT, DAI, vault) and a pool that pays `pool` before losses."""
    f = Features(*rates, 1.0, DEPTH / 2.0, volume_for(pool), volatility, gas)
    book = Book(equity, *(share * equity for share in held), inside, offset)
    target, state = decide(f, make(HARVESTER, **{**PLAIN, **values}), book, State())
    assert isinstance(target, Target)
    assert state == State()
    return target


def shares(target: Target) -> Held:
    return target[:5]


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    for strategy in (HARVESTER, HARVESTER_TVL):
        documented, declared = gene_tables(strategy, Path(__file__).parents[1] / "README.md")
        assert documented == declared


def test_the_plugin_offers_both_declarations() -> None:
    assert arena_strategies() == [HARVESTER, HARVESTER_TVL]


def test_the_pools_yield_is_fees_less_arbitrage_and_recentring(genes: Make) -> None:
    g = genes(HARVESTER, **{**PLAIN, "fee_trust": 0.7, "caution": 2.0, "recentre": 0.8})
    variance, gas, own = 0.003**2, 2.0, 0.3 * EQUITY
    part = 1.0 - 1.0 / math.sqrt(1.0 + WIDTH)
    turns = variance / (0.8 * math.log(1.0 + WIDTH)) ** 2
    losses = 8760.0 * (2.0 * variance / (8.0 * part) + turns * (0.5 * 0.0005 + 3.0 * gas / own))
    expected = (0.7 * 0.5 - losses) / (1.0 + turns)
    got = pool_yield(DEPTH, volume_for(0.5), 0.003, gas, g, EQUITY)
    assert got == pytest.approx(expected, rel=1e-3)


def test_the_best_protocols_are_filled_first_up_to_their_shares(genes: Make) -> None:
    target = ask(genes, (0.05, 0.04, 0.03, 0.08), 0.2)
    assert shares(target) == pytest.approx((0.3, 0.0, 0.0, 0.4, 0.3))
    assert (target.pool_width, target.band) == (pytest.approx(WIDTH, rel=1e-3), MOVE_BAND)
    assert shares(ask(genes, (0.05, 0.04, 0.03, 0.08), 0.06)) == pytest.approx((0.3, 0.0, 0.0, 0.4, 0.3))
    assert shares(ask(genes, (0.07, 0.04, 0.03, 0.08), 0.06)) == pytest.approx((0.5, 0.0, 0.0, 0.4, 0.1))


@pytest.mark.parametrize(
    ("rates", "best"),
    [((0.05, 0.04, 0.03), 0), ((0.04, 0.05, 0.03), 1), ((0.03, 0.04, 0.05), 2), ((0.05, 0.05, 0.05), 0)],
)
def test_within_aave_the_best_market_counts(genes: Make, rates: tuple[float, float, float], best: int) -> None:
    target = ask(genes, (*rates, 0.0))
    assert [share > 0.0 for share in shares(target)] == [place == best for place in range(5)]
    assert target[best] == 0.5


def test_ties_go_to_aave_then_to_the_vault(genes: Make) -> None:
    assert shares(ask(genes, (0.05, 0.0, 0.0, 0.05))) == pytest.approx((0.5, 0.0, 0.0, 0.4, 0.0))
    assert shares(ask(genes, (0.05, 0.0, 0.0, 0.05), aave_max=1.0)) == (1.0, 0.0, 0.0, 0.0, 0.0)


def test_what_nobody_takes_stays_in_cash(genes: Make) -> None:
    assert shares(ask(genes, (0.011, 0.0, 0.0, 0.009))) == (0.5, 0.0, 0.0, 0.0, 0.0)
    assert ask(genes, (0.009, 0.0, 0.0, 0.009)) == (*EMPTY, pytest.approx(WIDTH, rel=1e-3), HOLD)


def test_another_place_must_beat_the_one_held_by_the_advantage(genes: Make) -> None:
    held = (0.5, 0.0, 0.0, 0.4, 0.0)
    kept = ask(genes, (0.05, 0.0599, 0.0, 0.05), held=held)
    assert (shares(kept), kept.band) == (pytest.approx(held), HOLD)
    moved = ask(genes, (0.05, 0.0601, 0.0, 0.05), held=held)
    assert (shares(moved), moved.band) == (pytest.approx((0.0, 0.5, 0.0, 0.4, 0.0)), MOVE_BAND)


def test_a_place_that_is_held_may_fall_to_nothing_before_cash_is_better(genes: Make) -> None:
    held = (0.5, 0.0, 0.0, 0.0, 0.0)
    assert ask(genes, (0.001, 0.0, 0.0, 0.0), held=held).band == HOLD
    assert ask(genes, (0.001, 0.0, 0.0, 0.0), held=held).usdc == 0.5


@pytest.mark.parametrize(("factor", "moves"), [(0.99, True), (1.01, False)])
def test_it_moves_when_the_gain_over_the_horizon_beats_the_cost(genes: Make, factor: float, moves: bool) -> None:
    gain = 0.4 * EQUITY * ((0.10 - 0.05) * 14.0 / 365.0 - 0.0005)
    rates, held = (0.05, 0.10, 0.0, 0.0), (0.4, 0.0, 0.0, 0.0, 0.0)
    target = ask(genes, rates, held=held, gas=factor * gain / 2.0, swap_cost=0.0005, aave_max=0.4)
    assert shares(target) == (0.0, 0.4, 0.0, 0.0, 0.0)
    assert (target.band == MOVE_BAND) is moves


def test_the_same_gas_stops_a_small_agent_and_not_a_large_one(genes: Make) -> None:
    assert ask(genes, gas=1.0, equity=1_000.0).band == HOLD
    assert ask(genes, gas=1.0, equity=100_000.0).band == MOVE_BAND


def test_a_protocol_may_outgrow_its_share_only_a_little(genes: Make) -> None:
    rates = (0.05, 0.0, 0.0, 0.05)
    assert ask(genes, rates, held=(0.51, 0.0, 0.0, 0.4, 0.0)).band == HOLD
    over = ask(genes, rates, held=(0.3, 0.23, 0.0, 0.4, 0.0), gas=1_000.0)
    assert (shares(over), over.band) == (pytest.approx((0.5, 0.0, 0.0, 0.4, 0.0)), MOVE_BAND)
    assert ask(genes, rates, 0.5, (0.2, 0.0, 0.0, 0.4, 0.33), gas=1_000.0).band == MOVE_BAND
    assert ask(genes, rates, held=(0.2, 0.0, 0.0, 0.43, 0.0), gas=1_000.0).band == MOVE_BAND


def test_a_small_remainder_is_not_topped_up(genes: Make) -> None:
    assert ask(genes, held=(0.5 - STAKE / 2.0, 0.0, 0.0, 0.0, 0.0)).band == HOLD
    assert ask(genes, held=(0.5 - STAKE * 2.0, 0.0, 0.0, 0.0, 0.0)).band == MOVE_BAND


def test_volatility_counts_against_the_pool_by_caution(genes: Make) -> None:
    wild = {"rates": (0.0, 0.0, 0.0, 0.0), "pool": 0.5, "volatility": 0.003}
    assert ask(genes, **wild, caution=0.5).pool == 0.3
    assert ask(genes, **wild, caution=4.0).pool == 0.0


HELD = (0.3, 0.0, 0.0, 0.4, 0.3)
RATES = (0.05, 0.0, 0.0, 0.06)


@pytest.mark.parametrize(
    ("inside", "offset", "moves"), [(1.0, 0.69, False), (1.0, 0.7, True), (1.0, -0.7, True), (0.0, 1.1, True)]
)
def test_a_range_beyond_the_threshold_is_recentred(genes: Make, inside: float, offset: float, moves: bool) -> None:
    target = ask(genes, RATES, 0.3, HELD, inside=inside, offset=offset, recentre=0.7)
    assert (target.band == FORCE, target.pool_width < 0.0) == (moves, moves)
    assert shares(target) == pytest.approx(HELD)


@pytest.mark.parametrize(("factor", "moves"), [(0.97, True), (1.03, False)])
def test_recentring_has_to_earn_its_cost(genes: Make, factor: float, moves: bool) -> None:
    gain = 0.3 * EQUITY * (0.3 * 14.0 / 365.0 - 0.5 * 0.0005)
    target = ask(genes, RATES, 0.3, HELD, inside=0.0, offset=1.5, gas=factor * gain / 3.0)
    assert (target.band == FORCE) is moves


def test_a_range_that_ran_out_and_does_not_pay_is_left(genes: Make) -> None:
    target = ask(genes, (0.05, 0.0, 0.0, 0.0), 0.004, (0.2, 0.0, 0.0, 0.0, 0.3), inside=0.0, offset=3.0, gas=2.0)
    assert (shares(target), target.band) == (pytest.approx((0.5, 0.0, 0.0, 0.0, 0.3)), MOVE_BAND)
    full = ask(genes, (0.05, 0.0, 0.0, 0.05), 0.004, (0.3, 0.0, 0.0, 0.4, 0.3), inside=0.0, offset=3.0, gas=2.0)
    assert (shares(full), full.band) == (pytest.approx((0.5, 0.0, 0.0, 0.4, 0.1)), MOVE_BAND)


def test_an_idle_range_that_is_not_worth_re_centring_earns_nothing_and_comes_last(genes: Make) -> None:
    """Inside it would earn 30 % a year; the vault is over its share, so money moves anyway."""
    held = (0.3, 0.0, 0.0, 0.45, 0.25)
    gas = 1.03 * 0.25 * EQUITY * (0.3 * 14.0 / 365.0) / 3.0
    idle = ask(genes, RATES, 0.3, held, inside=0.0, offset=1.5, gas=gas)
    assert (shares(idle), idle.band) == (pytest.approx((0.5, 0.0, 0.0, 0.4, 0.1)), MOVE_BAND)
    inside = ask(genes, RATES, 0.3, held, inside=1.0, offset=0.9, gas=gas)
    assert (shares(inside), inside.band) == (pytest.approx((0.3, 0.0, 0.0, 0.4, 0.3)), MOVE_BAND)


def test_what_loses_less_than_the_advantage_is_not_sold_for_cash(genes: Make) -> None:
    """Nothing is bought; what is sold has to gain the advantage as well."""
    held = (0.5, 0.0, 0.0, 0.0, 0.0)
    assert ask(genes, (-0.0099, 0.0, 0.0, 0.0), held=held).band == HOLD
    sold = ask(genes, (-0.0101, 0.0, 0.0, 0.0), held=held)
    assert (shares(sold), sold.band) == (EMPTY, MOVE_BAND)


def test_value_locked_counts_tenfold(genes: Make) -> None:
    g = genes(HARVESTER, **PLAIN)
    book = Book(EQUITY, *[0.0] * 7)
    full = Features(0.05, 0.04, 0.03, 0.02, 4.0, DEPTH / 4.0, volume_for(0.1), 0.001, 0.5)
    locked = TvlFeatures(0.05, 0.04, 0.03, 0.02, DEPTH / 10.0, volume_for(0.1), 0.001, 0.5)
    assert decide(full, g, book, State()) == decide_tvl(locked, g, book, State())


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_nothing_happens(genes: Make, equity: float) -> None:
    assert ask(genes, equity=equity) == Target(*EMPTY, 0.0, HOLD)
    locked = TvlFeatures(0.05, 0.04, 0.03, 0.02, 1.0, 1.0, 0.0, 0.5)
    target, _ = decide_tvl(locked, genes(HARVESTER), Book(equity, *[0.0] * 7), State())
    assert target == Target(*EMPTY, 0.0, HOLD)


def run(folder: Path, rows: int, values: dict[str, float], **columns: Any) -> Any:
    """One agent over hand-made rates, in the interpreter; what is not given pays nothing."""
    frame = make_frame(rows, 1, gas=0.1)
    table = {name: frame[name] for name in frame.columns}
    table |= {f"{asset}.lending_rate": np.zeros(rows) for asset in ("USDC", "USDT", "DAI", "VAULT")}
    table |= {"WETH.price": np.full(rows, 2_000.0), "low.volume": np.zeros(rows)}
    table |= {name.replace("__", "."): np.array(values, dtype=float) for name, values in columns.items()}
    lent = {"usdc": "USDC", "usdt": "USDT", "dai": "DAI", "vault": "VAULT"}
    specs = {role: lending_spec(HARVESTER.roles[role].market, asset) for role, asset in lent.items()}
    specs["pool"] = range_spec("eth_range", "low", POOL, 0.0005)
    kernel = prepare(HARVESTER, {**dict.fromkeys(lent, LENDING), "pool": POOL}, specs, cache=folder)
    tables = kernel.tables(MarketFrame(frame.start, frame.step_seconds, table))
    genome = HARVESTER.space.genome({**PLAIN, "smoothing": 24.0, **values})
    return interpret(kernel, tables, genome, low=0, high=rows, cash=EQUITY, sample=1)


def test_over_a_path_it_follows_the_best_protocol_and_then_keeps_still(tmp_path: Path) -> None:
    high, low = [0.12] * 400, [0.03] * 400
    outcome = run(
        tmp_path,
        800,
        {"aave_max": 1.0, "vault_max": 1.0},
        USDT__lending_rate=high + low,
        VAULT__lending_rate=low + high,
    )
    assert outcome.trades[0] == 2.0
    assert outcome.mean_share[0] == pytest.approx([0.0, 0.5, 0.0, 0.5, 0.0], abs=0.03)
    assert outcome.final[0] > EQUITY * (1.0 + 0.11 * 800 / 8760)


def test_over_a_path_yields_that_swap_places_within_the_advantage_cause_no_trades(tmp_path: Path) -> None:
    wave = np.sin(np.arange(1_000) / 40.0)
    rates = {"USDC__lending_rate": 0.06 + 0.003 * wave, "VAULT__lending_rate": 0.06 - 0.003 * wave}
    most = {"aave_max": 0.6, "vault_max": 0.6, "horizon_days": 60.0}
    assert run(tmp_path, 1_000, {**most, "minimum_advantage": 0.01}, **rates).trades[0] == 1.0
    assert run(tmp_path, 1_000, {**most, "minimum_advantage": 0.0}, **rates).trades[0] > 4.0


def test_over_a_path_it_earns_a_pools_fees_and_recentres_when_the_price_leaves(tmp_path: Path) -> None:
    price = 2_000.0 * np.exp(0.1 * np.minimum(np.arange(600) / 300.0, 1.0))
    outcome = run(tmp_path, 600, {}, WETH__price=price, low__volume=[3.0e6] * 600)
    assert outcome.mean_share[0, 4] == pytest.approx(0.3, abs=0.03)
    assert 2.0 <= outcome.trades[0] <= 5.0
    assert outcome.final[0] > EQUITY * 1.02


@given(
    data=st.data(),
    rates=st.tuples(*[st.floats(0.0, 5.0)] * 4),
    pool=st.tuples(st.floats(1e-3, 1e6), st.floats(0.0, 1e10), st.floats(0.0, 1e10), st.floats(0.0, 1.0)),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.tuples(*[st.floats(0.0, 0.2)] * 5),
    inside=st.sampled_from([0.0, 1.0]),
    offset=st.floats(-50.0, 50.0),
)
def test_every_target_is_valid_and_within_the_protocols_shares(
    any_genes: Make,
    data: st.DataObject,
    rates: tuple[float, float, float, float],
    pool: tuple[float, float, float, float],
    gas: float,
    equity: float,
    held: Held,
    inside: float,
    offset: float,
) -> None:
    g = data.draw(any_genes(HARVESTER))
    book = Book(equity, *(share * equity for share in held), inside, offset)
    target, _ = decide(Features(*rates, *pool, gas), g, book, State())
    assert check_target(HARVESTER, target) is None
    assert target.band in (HOLD, MOVE_BAND, FORCE)
    assert (target.pool_width < 0.0) is (target.band == FORCE)
    if target.band == MOVE_BAND:
        assert target.usdc + target.usdt + target.dai <= g.aave_max + 1e-9
        assert target.vault <= g.vault_max + 1e-9
        assert target.pool <= g.pool_max + 1e-9
