"""Float models and exact markets stay within the stated distance through any sequence of holding and trading."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treasury_arena.errors import ValidationError
from treasury_arena_uniswap.model import SPOT, SPOT_TVL
from treasury_arena_uniswap.range_model import RANGE, RANGE_TVL, snapped

RELATIVE = 1e-9
MODELS = {model.name: model for model in (SPOT, SPOT_TVL, RANGE, RANGE_TVL)}
DECIMALS = {"WETH": 18, "WBTC": 8, "SOL": 9}
moves = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.one_of(st.just(0.0), st.floats(50.0, 300_000.0)),
        st.sampled_from([0.05, 0.05, 0.3, -0.05, -0.01, 0.0, 9.0]),
    ),
    min_size=1,
    max_size=8,
)
step_of_price = st.one_of(st.floats(0.97, 1.03), st.floats(0.97, 1.03), st.floats(0.8, 1.25))
depth_of_row = st.one_of(st.floats(6.0, 7.5), st.floats(6.0, 9.5)).map(lambda power: 10.0**power)
# The price leaves the range by a gap, into a pool that has become shallow.
GAP = {
    "asset": "WETH",
    "start": 2_000.0,
    "walk": [1.075] * 5,
    "depths": [1e8, 5e6, 5e6, 5e6, 5e6],
    "gas": 0.0,
    "token0": 1.0,
    "tier": (0.0005, 10.0),
    "fee_protocol": 0.0,
}


@settings(max_examples=300, deadline=None)
@example(name="uniswap.range", moves=[(0, 190_000.0, 0.05), (1, 170_000.0, -0.05), (1, 80_000.0, 0.05)], **GAP)
@example(name="uniswap.range", moves=[(0, 190_000.0, 0.05), (1, 170_000.0, 0.05), (1, 0.0, 0.05)], **GAP)
@example(name="uniswap.range_tvl", moves=[(0, 190_000.0, 0.05), (1, 170_000.0, 0.05), (2, 300_000.0, -0.05)], **GAP)
@given(
    name=st.sampled_from(sorted(MODELS)),
    asset=st.sampled_from(sorted(DECIMALS)),
    start=st.floats(2.0, 120_000.0),
    walk=st.lists(step_of_price, min_size=5, max_size=5),
    depths=st.lists(depth_of_row, min_size=5, max_size=5),
    gas=st.floats(0.0, 15.0),
    token0=st.sampled_from([0.0, 1.0]),
    tier=st.sampled_from([(0.0001, 1.0), (0.0005, 10.0), (0.003, 60.0), (0.01, 200.0)]),
    fee_protocol=st.sampled_from([0.0, 4.0, 10.0]),
    moves=moves,
)
def test_model_and_exact_market_agree(
    make_market, name, asset, start, walk, depths, gas, token0, tier, fee_protocol, moves
):
    model = MODELS[name]
    rows = 1 + sum(wait for wait, _, _ in moves)
    prices = [start]
    for row in range(rows):
        prices.append(min(max(prices[-1] * walk[row % 5], 0.1), 1e7))
    reserves = [depths[row % 5] for row in range(rows)]
    fields = {
        "price": prices[:rows],
        "liquidity": [depth / price**0.5 for depth, price in zip(reserves, prices, strict=False)],
        "tvl": [depth / 5.0 for depth in reserves],
        "volume": [depth / 40.0 * (1.0 + row % 3) for row, depth in enumerate(reserves)],
        "gas": [gas * (1.0 + row % 2) for row in range(rows)],
    }
    fields = {field: fields[field] for field in model.market._fields}
    given_params = {"fee": tier[0], "coin_is_token0": token0}
    if model.kind == "range":
        apart = float(DECIMALS[asset] - 6)
        given_params |= {"spacing": tier[1], "decimals_apart": apart, "fee_protocol": fee_protocol}
    market = make_market(name, fields, given_params, asset)
    params = model.params()._replace(**given_params)

    def at(row):
        return model.market(*(float(fields[field][row]) for field in model.market._fields))

    held, cash, exact, exact_cash, row, turnover, units = model.state(), 0.0, market.open(), 0, 0, 0.0, 2
    unit = max(prices) / market.asset.unit  # USD in one base unit of the asset
    growth = max(prices) / min(prices)
    for wait, target, width in moves:
        exact, _ = market.accrue(exact, row, row + wait)
        for step in range(row + 1, row + wait + 1):
            held = model.accrue(held, at(step), params) if model.accrue else held
        row += wait
        units += wait if model.kind == "range" else 0
        before, control = held, (width,) if model.control else ()
        held, change = model.trade(held, target, at(row), params, model.control(width) if model.control else None)
        try:
            fill = market.trade(exact, round(target * 1e6), row, control)
        except ValidationError:
            fill = None
        if (fill is None) != (held == before):  # only at a threshold, by less than the stated distance
            size = abs(target - model.value(before, at(row), params))
            costs = at(row).gas * 3.0
            assert size < params.dust + costs + 0.02 * size + 0.1 or model.value(before, at(row), params) < costs + 2.0
            return
        if fill is not None:
            exact, exact_cash = fill.state, exact_cash + fill.cash_raw
            turnover, units = turnover + fill.notional_raw / 1e6, units + 6
        cash += change
        allowed = RELATIVE * (turnover + 1.0) + units * growth * (2e-6 + 2.0 * unit)
        assert abs(cash - exact_cash / 1e6) <= allowed
        assert abs(model.value(held, at(row), params) - market.value(exact, row) / 1e6) <= allowed
        for view, function in model.views.items():
            assert function(held, at(row), params) == pytest.approx(market.views(exact, row)[view], abs=1e-6)


def test_the_pool_pays_what_its_depth_allows():
    quote, params = SPOT.market(2000.0, 1e7, 0.0), SPOT.params()
    state, cash = SPOT.trade(SPOT.state(), 1e6, quote, params, None)
    depth = 1e7 * 2000.0**0.5
    assert cash == -1e6
    assert state.units == pytest.approx(999_500 / 2000.0 / (1.0 + 999_500 / depth), rel=1e-15)
    assert SPOT.value(state, quote, params) < 1e6 * (1.0 - 0.0005 - 0.9e6 / depth)


def test_a_trade_that_moves_the_price_too_far_is_not_made(make_market):
    quote, params = SPOT.market(2000.0, 1e5, 0.0), SPOT.params()
    assert SPOT.trade(SPOT.state(), 1e5, quote, params, None) == (SPOT.state(), 0.0)
    assert SPOT.trade(SPOT.state(100.0), 0.0, quote, params, None) == (SPOT.state(100.0), 0.0)
    market = make_market("uniswap.spot", {"price": [2000.0], "liquidity": [1e5], "gas": [0.0]})
    with pytest.raises(ValidationError, match=r"moves the price by more than 2\.00%"):
        market.trade(market.open(), 10**11, 0)
    with pytest.raises(ValidationError, match=r"swapping 100\.0+ WETH moves the price"):
        market.trade((100 * 10**18,), 0, 0)


@pytest.mark.parametrize("model", list(MODELS.values()), ids=lambda model: model.name)
def test_nothing_is_divided_by_a_price_or_a_liquidity_of_zero(model):
    control = model.control(0.1) if model.control else None
    for zero in ("price", "liquidity", "tvl"):
        quote = model.market(*[0.0 if field == zero else 1.0 for field in model.market._fields])
        if zero in model.market._fields:
            assert model.trade(model.state(), 100.0, quote, model.params(), control) == (model.state(), 0.0)
        assert model.value(model.state(), quote, model.params()) == 0.0
        if model.accrue:
            assert model.accrue(model.state(), quote, model.params()) == model.state()
            assert [view(model.state(), quote, model.params()) for view in model.views.values()] == [0.0, 0.0]


@given(
    price=st.floats(1e-6, 1e9),
    width=st.floats(1e-6, 1e4),
    spacing=st.sampled_from([1.0, 10.0, 60.0, 200.0]),
    apart=st.sampled_from([-6.0, 0.0, 2.0, 12.0]),
)
def test_a_snapped_range_lies_around_the_price_on_usable_ticks(price, width, spacing, apart):
    low, high = snapped(price, width, spacing, apart)
    assert low % spacing == high % spacing == 0.0
    assert -887_272.0 <= low < high <= 887_272.0
    raw = price / 10.0**apart
    assert 1.0001**low <= raw * (1 + 1e-9)
    assert raw * (1 - 1e-9) <= 1.0001**high or high > 887_000
    if width > 0.05 and high < 880_000 and low > -880_000:
        assert 1.0001**high / raw == pytest.approx(1.0 + width, rel=0.011)
