"""The looper's decisions: spread with hysteresis, leverage under a floor of health, costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_markets import ACCOUNT, make_frame, specs

from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.strategy import FORCE, HOLD
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.simulation.features import check_causal
from treasury_arena.simulation.interpret import interpret
from treasury_arena.simulation.kernel import prepare
from treasury_arena.testing.reference import LENDING
from treasury_arena_looper.plugin import arena_strategies
from treasury_arena_looper.strategy import (
    EXIT_BAND,
    FIRST_THRESHOLD,
    STRATEGY,
    Book,
    Features,
    State,
    Target,
    decide,
    yearly_growth,
)

Make = Callable[..., Any]
EQUITY = 100_000.0
PLAIN = {"leverage": 3.0, "share": 0.6, "enter": 0.02, "hysteresis": 0.01, "swap_cost": 0.0, "ltv_band": 0.05}
LTV = 1.0 - 1.0 / 3.0
THRESHOLD = 0.83


def ask(
    make: Make,
    supply: float = 0.12,
    borrow: float = 0.07,
    *,
    growth: float = 0.0,
    rate: float = 0.05,
    gas: float = 0.0,
    held: float = 0.0,
    ltv: float = 0.0,
    health: float | None = None,
    state: State | None = None,
    equity: float = EQUITY,
    **values: float,
) -> tuple[Target, State]:
    """Decide; with something held, in a settled loop whose threshold is known, unless `state` says otherwise."""
    if health is None:
        health = THRESHOLD / ltv if ltv > 0.0 else 100.0
    if state is None:
        state = State(1.0, THRESHOLD, ltv, ltv) if held else State()
    book = Book(equity, (1.0 - held) * equity, held * equity, health, ltv)
    target, after = decide(
        Features(supply, borrow, growth, rate, gas), make(STRATEGY, **{**PLAIN, **values}), book, state
    )
    assert isinstance(target, Target)
    assert isinstance(after, State)
    return target, after


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    documented, declared = gene_tables(STRATEGY, Path(__file__).parents[1] / "README.md")
    assert documented == declared


def test_the_plugin_offers_the_looper_and_what_is_cut_is_lent() -> None:
    assert arena_strategies() == [STRATEGY]
    assert next(iter(STRATEGY.roles)) == "usd"


@pytest.mark.parametrize("window", [1, 24, 168])
def test_growth_is_that_of_a_steadily_growing_price(window: int) -> None:
    price = 1.1 * np.exp(0.04 * np.arange(600) / 8760.0)
    growth = yearly_growth(price, window)
    assert growth[0] == 0.0
    assert growth[1:] == pytest.approx(0.04, rel=1e-4)
    check_causal(yearly_growth, price * (1.0 + 0.01 * np.sin(np.arange(600))), window)


def test_noise_of_the_price_hardly_shows_in_its_growth() -> None:
    noise = 1.0 + 0.0003 * np.random.default_rng(3).standard_normal(2_000)
    assert np.abs(yearly_growth(noise, 720)[1_440:]).max() < 0.001


def test_it_enters_at_exactly_its_spread(genes: Make) -> None:
    enough, state = ask(genes, 0.09 + 2.0**-20, 0.07)
    assert (enough.usd, enough.account, state.looping) == (0.4, 0.6, 1.0)
    assert ask(genes, 0.09 - 2.0**-20, 0.07)[0] == (1.0, 0.0, 0.0, 0.2)


def test_the_leverage_is_the_genes_where_health_allows(genes: Make) -> None:
    assert ask(genes, leverage=2.0)[0].account_ltv == 0.5
    state = State(0.0, 0.9, 0.0, 0.0)
    assert ask(genes, leverage=4.0, floor=1.05, cushion=0.05, state=state)[0].account_ltv == 0.75
    high = ask(genes, leverage=12.0, floor=1.05, cushion=0.05, state=state)[0].account_ltv
    assert high == pytest.approx(0.9 / (1.05 * 1.05))


def test_before_it_has_seen_a_threshold_it_is_careful(genes: Make) -> None:
    assert ask(genes, leverage=12.0, floor=1.5, cushion=0.1)[0].account_ltv == FIRST_THRESHOLD / (1.5 * 1.1)


def test_the_threshold_is_learnt_from_the_first_debt(genes: Make) -> None:
    _, state = ask(genes, held=0.6, ltv=0.6, health=0.9 / 0.6, state=State(1.0, 0.0, 0.6, 0.0))
    assert state.threshold == pytest.approx(0.9)
    _, state = ask(genes, state=state)
    assert state.threshold == pytest.approx(0.9)


def test_a_loop_is_kept_between_the_two_spreads(genes: Make) -> None:
    rich = {"rate": 0.0}
    assert ask(genes, 0.0801, 0.07, held=0.6, ltv=LTV, **rich)[0].account == 0.6
    target, state = ask(genes, 0.0799, 0.07, held=0.6, ltv=LTV, **rich)
    assert (target, state.looping) == (Target(1.0, 0.0, 0.0, EXIT_BAND), 0.0)
    assert state.threshold == pytest.approx(THRESHOLD)


def test_a_loop_has_to_beat_lending(genes: Make) -> None:
    """At three times, 12 % against 7 % earn 22 %."""
    earned = 3.0 * 0.12 - 2.0 * 0.07
    assert ask(genes, rate=earned - 0.001)[0].account == 0.6
    assert ask(genes, rate=earned + 0.001)[0].account == 0.0
    assert ask(genes, rate=earned + 0.009, held=0.6, ltv=LTV)[0].account == 0.6
    assert ask(genes, rate=earned + 0.011, held=0.6, ltv=LTV)[0].account == 0.0


@pytest.mark.parametrize(("factor", "enters"), [(0.99, True), (1.01, False)])
def test_entering_has_to_earn_the_round_trip_over_the_horizon(genes: Make, factor: float, enters: bool) -> None:
    advantage = 3.0 * 0.12 - 2.0 * 0.07 - 0.05
    gain = 0.6 * EQUITY * (advantage * 21.0 / 365.0 - 2.0 * 0.0005 * 3.0)
    target, _ = ask(genes, gas=factor * gain / 10.0, swap_cost=0.0005)
    assert (target.account == 0.6) is enters


def test_a_staked_coins_growth_counts_by_its_weight(genes: Make) -> None:
    staked = {"supply": 0.0, "borrow": 0.02, "growth": 0.045, "rate": 0.01}
    assert ask(genes, **staked, growth_weight=0.0)[0].account == 0.0
    assert ask(genes, **staked, growth_weight=1.0)[0].account == 0.6


def test_below_the_floor_it_repays_at_once_and_moves_nothing_else(genes: Make) -> None:
    target, state = ask(genes, held=0.5, ltv=0.8, health=1.0499, floor=1.05, cushion=0.05, leverage=12.0)
    threshold = 1.0499 * 0.8
    assert (target.usd, target.account, target.band) == (0.5, 0.5, FORCE)
    assert target.account_ltv == pytest.approx(threshold / (1.05 * 1.05))
    assert (state.looping, state.asked, state.reached) == (1.0, target.account_ltv, 0.0)
    above, _ = ask(genes, held=0.6, ltv=0.8, health=1.0501, floor=1.05, cushion=0.05, leverage=12.0)
    assert above.band == 0.2


def test_the_floor_comes_before_gas_and_spread(genes: Make) -> None:
    target, _ = ask(genes, 0.0, 0.5, held=0.5, ltv=0.8, health=1.01, gas=10_000.0)
    assert target.band == FORCE
    assert 0.0 < target.account_ltv < 0.8


def test_a_loan_that_drifted_is_brought_back_when_it_pays(genes: Make) -> None:
    grown = {"held": 0.6, "ltv": LTV + 0.051, "floor": 1.01}
    target, state = ask(genes, **grown)
    assert (target.account, target.account_ltv, target.band) == (0.6, LTV, FORCE)
    assert (state.asked, state.reached) == (LTV, 0.0)
    assert ask(genes, **{**grown, "ltv": LTV + 0.049})[0].band == 0.2
    assert ask(genes, **grown, gas=5_000.0)[0].band == 0.2


def test_it_borrows_more_only_after_the_loan_shrank_or_the_threshold_rose(genes: Make) -> None:
    capped = State(1.0, THRESHOLD, LTV, 0.55)
    assert ask(genes, held=0.6, ltv=0.55, state=capped)[0].band == 0.2
    shrunk = State(1.0, THRESHOLD, LTV, 0.62)
    assert ask(genes, held=0.6, ltv=0.55, state=shrunk)[0].band == FORCE
    cautious = State(1.0, 0.0, 0.55, 0.55)
    assert ask(genes, held=0.6, ltv=0.55, state=cautious)[0].band == FORCE


def test_leaving_ignores_gas_unless_it_eats_the_account(genes: Make) -> None:
    assert ask(genes, 0.0, held=0.6, ltv=LTV, gas=1_000.0)[0].band == EXIT_BAND
    assert ask(genes, 0.0, held=0.001, ltv=LTV, gas=25.1)[0].band == HOLD
    assert ask(genes, 0.0, held=0.001, ltv=LTV, gas=24.9)[0].band == EXIT_BAND


@pytest.mark.parametrize(("gas", "band"), [(1.0, 0.2), (400.0, 0.4)])
def test_gas_widens_the_band(genes: Make, gas: float, band: float) -> None:
    g = genes(STRATEGY, **PLAIN)
    target, _ = decide(Features(0.0, 0.0, 0.0, 0.05, gas), g, Book(EQUITY, 0.0, 0.0, 100.0, 0.0), State())
    assert (target.usd, target.band) == (1.0, pytest.approx(band))


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_it_never_trades(genes: Make, equity: float) -> None:
    assert ask(genes, equity=equity)[0] == Target(0.0, 0.0, 0.0, HOLD)


def run(folder: Path, values: dict[str, float], **columns: Any) -> Any:
    """One agent over hand-made rates and prices, in the interpreter."""
    rows = len(next(iter(columns.values())))
    frame = make_frame(rows, 1, gas=0.1)
    quiet = {"DAI.price": 1.0, "DAI.rate": 0.12, "USDC.borrow": 0.07, "USDC.rate": 0.03}
    table = {name: frame[name] for name in frame.columns} | {k: np.full(rows, v) for k, v in quiet.items()}
    table |= {name.replace("_", "."): np.array(values, dtype=float) for name, values in columns.items()}
    kernel = prepare(STRATEGY, {"usd": LENDING, "account": ACCOUNT}, specs(), cache=folder)
    tables = kernel.tables(MarketFrame(frame.start, frame.step_seconds, table))
    genome = STRATEGY.space.genome({"smoothing": 24.0, **values})
    return interpret(kernel, tables, genome, low=0, high=rows, cash=EQUITY, sample=1)


def test_over_a_path_it_loops_while_the_spread_lasts(tmp_path: Path) -> None:
    values = {**PLAIN, "share": 1.0, "swap_cost": 0.0003}
    steady = run(tmp_path, values, DAI_rate=[0.12] * 1_000)
    assert steady.trades[0] == 1.0
    assert steady.final[0] == pytest.approx(EQUITY * (1.0 + 0.22 * 1_000 / 8760 - 3 * 0.0003), rel=5e-4)
    turning = run(tmp_path, values, DAI_rate=[0.12] * 500 + [0.05] * 500)
    assert turning.trades[0] == 2.0
    assert turning.mean_share[0, 1] == pytest.approx(0.5, abs=0.03)


def test_over_a_path_a_spread_that_wavers_within_the_hysteresis_costs_nothing(tmp_path: Path) -> None:
    wave = [0.09 + 0.008 * math.sin(t / 100.0) for t in range(1_500)]
    assert run(tmp_path, {**PLAIN, "hysteresis": 0.02}, DAI_rate=wave).trades[0] <= 2.0
    assert run(tmp_path, {**PLAIN, "hysteresis": 0.001}, DAI_rate=wave).trades[0] > 4.0


def test_over_a_path_a_falling_collateral_is_delevered_in_time(tmp_path: Path) -> None:
    fall = [1.0] * 100 + [1.0 - 0.002 * t for t in range(1, 101)] + [0.8] * 100
    values = {**PLAIN, "leverage": 5.0, "floor": 1.05, "cushion": 0.05, "ltv_band": 0.2, "share": 1.0}
    careful = run(tmp_path, values, DAI_price=fall)
    assert 3.0 <= careful.trades[0] <= 10.0
    assert 0.1 * EQUITY < careful.final[0] < 0.6 * EQUITY


@given(
    data=st.data(),
    rates=st.tuples(*[st.floats(0.0, 5.0)] * 4),
    growth=st.floats(-5.0, 5.0),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.floats(-0.5, 1.0),
    lent=st.floats(0.0, 1.0),
    ltv=st.floats(0.0, 1.2),
    threshold=st.floats(0.5, 0.95),
    state=st.tuples(st.sampled_from([0.0, 1.0]), *[st.floats(0.0, 1.0)] * 3),
)
def test_every_target_is_valid(
    any_genes: Make,
    data: st.DataObject,
    rates: tuple[float, float, float, float],
    growth: float,
    gas: float,
    equity: float,
    held: float,
    lent: float,
    ltv: float,
    threshold: float,
    state: tuple[float, float, float, float],
) -> None:
    g = data.draw(any_genes(STRATEGY))
    health = min(threshold / ltv, 100.0) if ltv > 0.0 else 100.0
    book = Book(equity, lent * equity, held * equity, health, ltv)
    target, after = decide(Features(rates[0], rates[1], growth, rates[2], gas), g, book, State(*state))
    assert check_target(STRATEGY, target) is None
    assert all(math.isfinite(value) for value in after)
    assert 0.0 <= target.account_ltv <= max(1.0 - 1.0 / g.leverage, 0.0)
    if equity > 1.0 and ltv > 0.001 and health < g.floor:
        assert target.band == FORCE
        assert target.account_ltv <= ltv
