"""The peg reverter's decisions: buy at the discount, sell at the recovery, stop, costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.decision import check_target
from treasury_arena.contracts.strategy import HOLD
from treasury_arena_peg.plugin import arena_strategies
from treasury_arena_peg.strategy import ENTRY_BAND, EXIT_BAND, STRATEGY, Book, Features, State, Target, decide

Make = Callable[..., Any]
EQUITY = 100_000.0
PLAIN = {"discount": 0.005, "recovery": 0.8, "smoothing": 1.0, "max_share": 0.5, "stop": 0.03, "swap_cost": 0.0}


def ask(
    make: Make,
    price: float,
    *,
    gas: float = 0.0,
    held: float = 0.0,
    state: State | None = None,
    equity: float = EQUITY,
    **values: float,
) -> tuple[Target, State]:
    """Decide at a price; with something held, in the middle of a trade unless `state` says otherwise."""
    if state is None:
        state = State(price, 1.0, 5.0, 0.0) if held else State()
    book = Book(equity, (1.0 - held) * equity, held * equity)
    target, after = decide(Features(price, gas), make(STRATEGY, **{**PLAIN, **values}), book, state)
    assert isinstance(target, Target)
    assert isinstance(after, State)
    return target, after


def follow(walk: Make, g: Any, prices: list[float], **costs: float) -> list[dict[str, float]]:
    features = [Features(price, costs.get("gas", 0.0)) for price in prices]
    rows: list[dict[str, float]] = walk(STRATEGY, g, features, prices={"usdt": prices}, **costs)
    return rows


def test_the_readme_documents_every_gene_as_declared(gene_tables: Make) -> None:
    documented, declared = gene_tables(STRATEGY, Path(__file__).parents[1] / "README.md")
    assert documented == declared


def test_the_plugin_offers_the_reverter() -> None:
    assert arena_strategies() == [STRATEGY]
    assert next(iter(STRATEGY.roles)) == "usd"


def test_it_buys_at_its_discount_and_lends_before(genes: Make) -> None:
    assert ask(genes, 0.9951)[0] == Target(1.0, 0.0, ENTRY_BAND)
    target, state = ask(genes, 0.9949)
    assert (target, state.holding) == (Target(0.5, 0.5, ENTRY_BAND), 1.0)


def test_it_sells_at_the_recovery_and_keeps_in_between(genes: Make) -> None:
    assert ask(genes, 0.9989, held=0.5)[0].usdt == 0.5
    target, state = ask(genes, 0.9991, held=0.5)
    assert (target, state.holding, state.hours) == (Target(1.0, 0.0, EXIT_BAND), 0.0, 0.0)
    assert ask(genes, 0.9989)[0].usdt == 0.0
    assert ask(genes, 1.0005, held=0.5, recovery=1.2)[0].usdt == 0.5
    assert ask(genes, 1.0011, held=0.5, recovery=1.2)[0].usdt == 0.0


def test_both_the_smoothed_and_the_present_price_must_be_low(genes: Make) -> None:
    low = State(0.990, 0.0, 0.0, 0.0)
    assert ask(genes, 0.9945, smoothing=3.0, state=low)[0].usdt == 0.5
    assert ask(genes, 0.9955, smoothing=3.0, state=low)[0].usdt == 0.0
    spike = State(0.9990, 0.0, 0.0, 0.0)
    assert ask(genes, 0.9900, smoothing=3.0, state=spike)[0].usdt == 0.0


def test_the_price_is_smoothed_with_the_gene_as_time_constant(genes: Make) -> None:
    _, state = ask(genes, 0.99)
    assert state.price == 0.99
    for _ in range(6):
        _, state = ask(genes, 1.0, smoothing=4.0, state=state)
    assert state.price == pytest.approx(1.0 - 0.01 * 0.75**6)


def test_the_stop_is_met_at_its_depth_and_waits_for_the_recovery(genes: Make) -> None:
    assert ask(genes, 0.9651, held=0.5)[0].usdt == 0.5
    target, state = ask(genes, 0.9649, held=0.5)
    assert (target, state.stopped) == (Target(1.0, 0.0, EXIT_BAND), 1.0)
    waiting, state = ask(genes, 0.985, state=state)
    assert (waiting.usdt, state.stopped) == (0.0, 1.0)
    recovered, state = ask(genes, 0.9995, state=state)
    assert (recovered.usdt, state.stopped) == (0.0, 0.0)
    assert ask(genes, 0.985, state=state)[0].usdt == 0.5


def test_a_coin_that_fell_too_deep_is_never_bought(genes: Make) -> None:
    target, state = ask(genes, 0.9)
    assert (target.usdt, state.stopped) == (0.0, 1.0)


def test_its_patience_ends(genes: Make) -> None:
    state = State(0.99, 1.0, 2.0 * 24.0 - 1.0, 0.0)
    kept, state = ask(genes, 0.99, held=0.5, patience_days=2.0, state=state)
    assert (kept.usdt, state.hours, state.stopped) == (0.5, 48.0, 0.0)
    left, state = ask(genes, 0.99, held=0.5, patience_days=2.0, state=state)
    assert (left.usdt, left.band, state.stopped) == (0.0, EXIT_BAND, 1.0)


@pytest.mark.parametrize(("factor", "buys"), [(0.99, True), (1.01, False)])
def test_a_purchase_has_to_promise_its_costs_with_margin(genes: Make, factor: float, buys: bool) -> None:
    gain = 0.006 - 0.001
    gas = (gain / 1.5 - 2.0 * 0.0003) * 0.5 * EQUITY / 4.0
    assert (ask(genes, 0.994, gas=factor * gas, swap_cost=0.0003, margin=1.5)[0].usdt == 0.5) is buys


def test_a_small_agent_does_not_trade_where_a_large_one_does(genes: Make) -> None:
    assert ask(genes, 0.99, gas=2.0, equity=100_000.0)[0].usdt == 0.5
    assert ask(genes, 0.99, gas=2.0, equity=1_000.0)[0].usdt == 0.0


def test_selling_ignores_gas_unless_it_eats_the_position(genes: Make) -> None:
    assert ask(genes, 1.0, gas=1_000.0, held=0.5)[0].band == EXIT_BAND
    assert ask(genes, 1.0, gas=51.0, held=0.001)[0].band == HOLD
    assert ask(genes, 1.0, gas=49.0, held=0.001)[0].band == EXIT_BAND


@pytest.mark.parametrize(("gas", "band"), [(1.0, ENTRY_BAND), (200.0, 0.2)])
def test_gas_widens_the_band_of_lending(genes: Make, gas: float, band: float) -> None:
    target, _ = decide(Features(1.0, gas), genes(STRATEGY), Book(EQUITY, 0.0, 0.0), State())
    assert (target.usd, target.band) == (1.0, pytest.approx(band))


@pytest.mark.parametrize("equity", [1.0, 5e-324, 0.0, -5.0])
def test_without_equity_it_never_trades(genes: Make, equity: float) -> None:
    assert ask(genes, 0.99, equity=equity)[0] == Target(0.0, 0.0, HOLD)


def test_over_a_path_a_depeg_that_recovers_is_earned(genes: Make, walk: Make) -> None:
    g = genes(STRATEGY, **PLAIN)
    path = [1.0] * 50 + [0.99] * 50 + [1.0] * 50
    rows = follow(walk, g, path, fee=0.0003)
    assert sum(row["traded"] for row in rows) == 3.0
    assert rows[99]["usdt"] == pytest.approx(0.5, abs=0.01)
    assert rows[-1]["equity"] == pytest.approx(10_000.0 * (1.0 + 0.5 * 0.01), abs=15.0)
    assert rows[-1]["usdt"] == 0.0


def test_over_a_path_a_depeg_that_lasts_is_left(genes: Make, walk: Make) -> None:
    falling = [1.0] * 20 + [1.0 - 0.001 * t for t in range(100)] + [0.9] * 200
    rows = follow(walk, genes(STRATEGY, **PLAIN), falling)
    assert max(row["usdt"] for row in rows) == pytest.approx(0.5, abs=0.01)
    assert rows[-1]["usdt"] == 0.0
    assert rows[-1]["equity"] > 10_000.0 * (1.0 - 0.5 * 0.033)


def test_over_a_path_a_wobble_within_the_levels_causes_no_trade(genes: Make, walk: Make) -> None:
    wobble = [1.0 - 0.004 * (t % 2) for t in range(200)]
    assert sum(row["traded"] for row in follow(walk, genes(STRATEGY, **PLAIN), wobble)) == 1.0
    held = [0.994] + [0.9945 - 0.003 * (t % 2) for t in range(200)]
    assert sum(row["traded"] for row in follow(walk, genes(STRATEGY, **PLAIN), held)) == 1.0


@given(
    data=st.data(),
    price=st.floats(1e-3, 10.0),
    smoothed=st.floats(0.0, 10.0),
    gas=st.floats(0.0, 1e4),
    equity=st.floats(-1e3, 1e9),
    held=st.floats(0.0, 1.0),
    state=st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0.0, 2_000.0), st.sampled_from([0.0, 1.0])),
)
def test_every_target_is_valid(
    any_genes: Make,
    data: st.DataObject,
    price: float,
    smoothed: float,
    gas: float,
    equity: float,
    held: float,
    state: tuple[float, float, float],
) -> None:
    g = data.draw(any_genes(STRATEGY))
    book = Book(equity, (1.0 - held) * equity, held * equity)
    target, after = decide(Features(price, gas), g, book, State(smoothed, *state))
    assert check_target(STRATEGY, target) is None
    assert all(math.isfinite(value) for value in after)
    assert target.usdt in (0.0, g.max_share)
    assert target.usdt == 0.0 or after.stopped == 0.0
    assert target.usd + target.usdt == pytest.approx(1.0 if equity > 1.0 else 0.0)
