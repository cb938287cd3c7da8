"""The float models stay within the stated distance of the exact markets, through any sequence of holding and trading."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena_simulation.model import LENDING, LENDING_PAR, SPOT, SPOT_DEPTH

RELATIVE = 1e-9
MODELS = {model.name: model for model in (SPOT, SPOT_DEPTH, LENDING, LENDING_PAR)}
moves = st.lists(
    st.tuples(st.integers(0, 40), st.one_of(st.just(0.0), st.floats(20.0, 300_000.0))), min_size=1, max_size=8
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(MODELS)),
    asset=st.sampled_from(["WETH", "WBTC", "SOL", "USDT", "DAI"]),
    prices=st.lists(st.floats(0.5, 120_000.0), min_size=3, max_size=3),
    rates=st.lists(st.floats(0.0, 1.2), min_size=5, max_size=5),
    gas=st.floats(0.0, 15.0),
    moves=moves,
)
def test_model_and_exact_market_agree(make_market, name, asset, prices, rates, gas, moves):
    model = MODELS[name]
    if "price" not in model.market._fields:
        asset = {"WETH": "USDT", "WBTC": "DAI", "SOL": "USDT"}.get(asset, asset)  # only a stablecoin counts one for one
    rows = 1 + sum(wait for wait, _ in moves)
    fields = {
        "price": [prices[row % 3] for row in range(rows)],
        "rate": [rates[row % 5] for row in range(rows)],
        "depth": [1e6 + 1e5 * (row % 7) for row in range(rows)],
        "gas": [gas * (1.0 + row % 2) for row in range(rows)],
    }
    fields = {field: fields[field] for field in model.market._fields}
    market = make_market(name, asset, fields)
    params = model.params()

    def at(row):
        return model.market(*(float(fields[field][row]) for field in model.market._fields))

    held, cash, exact, exact_cash, row, turnover, trades = model.state(), 0.0, market.open(), 0, 0, 0.0, 0
    seen = fields.get("price", [1.0])
    unit = max(seen) / market.asset.unit  # USD in one base unit of the asset
    growth = max(seen) / min(seen)  # what was rounded away as tokens may be worth more later
    for wait, target in moves:
        exact, _ = market.accrue(exact, row, row + wait)
        for step in range(row + 1, row + wait + 1):
            held = model.accrue(held, at(step), params) if model.accrue else held
        row += wait
        before = held
        held, change = model.trade(held, target, at(row), params, None)
        try:
            fill = market.trade(exact, round(target * 1e6), row)
        except ValidationError:
            fill = None
        if (fill is None) != (held == before):  # only at a threshold, by less than the stated distance
            size = abs(target - model.value(before, at(row), params))
            near = [params.dust, at(row).gas / (1.0 - 0.006) * 1.01, 1e6]
            assert any(abs(size - one) < 0.02 * one + 1e-4 for one in near)
            return
        if fill is not None:
            exact, exact_cash = fill.state, exact_cash + fill.cash_raw
            turnover, trades = turnover + fill.notional_raw / 1e6, trades + 1
        cash += change
        allowed = RELATIVE * (turnover + 1.0) + trades * growth * (5e-6 + 2.0 * unit)
        assert abs(cash - exact_cash / 1e6) <= allowed
        assert abs(model.value(held, at(row), params) - market.value(exact, row) / 1e6) <= allowed + unit


def test_the_model_does_not_trade_beyond_the_depth_where_the_exact_market_refuses():
    quote = SPOT.market(2000.0, 1.0)
    inside, _ = SPOT.trade(SPOT.state(), 1e7, quote, SPOT.params(), None)
    assert inside.units > 0.0
    assert SPOT.trade(SPOT.state(), 1e7 + 1.0, quote, SPOT.params(), None) == (SPOT.state(), 0.0)


@pytest.mark.parametrize("model", list(MODELS.values()), ids=lambda model: model.name)
def test_dust_and_costs_keep_the_model_still(model):
    quote = model.market(*[12.0 if field == "gas" else 1.0 for field in model.market._fields])
    params = model.params()._replace(dust=5.0)
    assert model.trade(model.state(), 4.999, quote, params, None) == (model.state(), 0.0)
    assert model.trade(model.state(), 11.9, quote, params, None) == (model.state(), 0.0)
    if "depth" not in model.market._fields:
        after, change = model.trade(model.state(), 20.0, quote, params, None)
        assert change == -20.0
        assert 0.0 < model.value(after, quote, params) <= 8.0


@pytest.mark.parametrize("model", [SPOT, SPOT_DEPTH, LENDING], ids=lambda model: model.name)
def test_a_price_of_zero_is_never_divided_by(model):
    quote = model.market(*[0.0 if field == "price" else 1.0 for field in model.market._fields])
    assert model.trade(model.state(5.0), 100.0, quote, model.params(), None) == (model.state(5.0), 0.0)


@pytest.mark.parametrize("model", [LENDING, LENDING_PAR], ids=lambda model: model.name)
def test_interest_is_the_new_rows_rate_for_one_step(model):
    quote = model.market(*[0.0876 if field == "rate" else 1.0 for field in model.market._fields])
    hour = model.accrue(model.state(1000.0), quote, model.params())
    day = model.accrue(model.state(1000.0), quote, model.params()._replace(step_seconds=86_400.0))
    assert hour.units == pytest.approx(1000.01, rel=1e-15)
    assert day.units == pytest.approx(1000.24, rel=1e-15)
