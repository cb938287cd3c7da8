"""The exact venues: fills by hand, what always balances, and what is refused."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import ConfigError, DataError, ValidationError

USD = 1_000_000
PRICE = {"price": [2000.0], "gas": [2.0]}


def by_account(fill):
    return {(leg.account, leg.asset): leg.amount for leg in fill.legs}


def assert_balanced(legs):
    sums = Counter()
    for leg in legs:
        sums[leg.asset] += leg.amount
        assert isinstance(leg.amount, int)
    assert all(total == 0 for total in sums.values())


@given(size=st.integers(10 * USD, 300_000 * USD), part=st.integers(1, 99))
def test_each_cost_is_rounded_up_by_itself_on_the_way_in_and_out(make_market, size, part):
    """5 basis points of fee, 1 of half spread, half a percent of impact per 10 million USD of depth, 2 USD of gas."""

    def costs(moved):
        fee = Fraction(5, 10_000) * moved
        slippage = moved * (Fraction(1, 10_000) + Fraction(5, 1_000) * Fraction(moved, 10_000_000 * USD))
        return math.ceil(fee) + math.ceil(slippage) + 2 * USD

    market = make_market("simulation.spot", "WETH", PRICE)
    bought = market.trade(market.open(), size, 0)
    assert bought.cost_raw == costs(size)
    worth = market.value(bought.state, 0)
    sold = market.trade(bought.state, worth * part // 100, 0)
    moved = worth - worth * part // 100
    assert (sold.cost_raw if sold else None) == (costs(moved) if costs(moved) < moved and moved >= USD else None)


@pytest.mark.parametrize("row", [-1, 1, 10**9])
def test_a_row_that_the_data_do_not_have_is_refused(make_market, row):
    market = make_market("simulation.spot", "WETH", PRICE)
    with pytest.raises(ValidationError, match=f"there is no row {row}; the data have 1"):
        market.trade(market.open(), 100 * USD, row)


class TestSpotByHand:
    def test_purchase_pays_fee_spread_impact_and_gas_out_of_what_moves(self, make_market):
        # 10,000 USD: fee 5, half spread 1, impact 0.005 * 10,000 / 10,000,000 of 10,000 = 0.05, gas 2.
        market = make_market("simulation.spot", "WETH", PRICE)
        fill = market.trade(market.open(), 10_000 * USD, 0)
        assert fill.cost_raw == 8_050_000
        assert fill.cash_raw == -10_000 * USD
        assert fill.state == (4_995_975_000_000_000_000,)  # 9,991.95 / 2,000
        assert by_account(fill) == {
            ("cash", "USDC"): -10_000_000_000,
            ("fee", "USDC"): 5_000_000,
            ("gas", "USDC"): 2_000_000,
            ("world", "USDC"): 9_993_000_000,
            ("position", "WETH"): 4_995_975_000_000_000_000,
            ("world", "WETH"): -4_995_975_000_000_000_000,
        }
        assert fill.notional_raw == 10_000 * USD
        assert fill.slippage_bps == pytest.approx(6.05)
        assert market.value(fill.state, 0) == 9_991_950_000

    def test_sale_returns_less_and_ends_at_the_target(self, make_market):
        market = make_market("simulation.spot", "WETH", PRICE)
        fill = market.trade((5 * 10**18,), 6_000 * USD, 0)
        assert fill.state == (3 * 10**18,)
        assert fill.cash_raw == (4_000 * USD) - 2_000_000 - 400_000 - 8_000 - 2_000_000
        assert market.value(fill.state, 0) == 6_000 * USD

    def test_impact_grows_with_the_share_of_the_depth_taken(self, make_market):
        deep = {"price": [2000.0, 2000.0], "gas": [0.0, 0.0], "depth": [1e7, 1e6]}
        market = make_market("simulation.spot_depth", "WETH", deep, {"fee": 0.0, "half_spread": 0.0})
        costs = [market.trade(market.open(), 100_000 * USD, row).cost_raw for row in (0, 1)]
        assert costs == [5 * USD, 50 * USD]  # 0.005 * 1% and 0.005 * 10% of 100,000

    def test_gas_below_one_base_unit_is_rounded_up(self, make_market):
        fields = {"price": [2000.0], "gas": [1e-9]}
        market = make_market("simulation.spot", "WETH", fields, {"fee": 0.0, "half_spread": 0.0, "impact": 0.0})
        assert market.trade(market.open(), 100 * USD, 0).cost_raw == 1

    def test_holding_an_asset_earns_nothing(self, make_market):
        market = make_market("simulation.spot", "WETH", {"price": [2000.0, 2100.0], "gas": [2.0, 2.0]})
        assert market.accrue((10**18,), 0, 1) == ((10**18,), ())
        assert market.value((10**18,), 1) == 2100 * USD
        assert market.holdings((10**18,)) == {"WETH": 10**18}

    def test_value_is_rounded_down(self, make_market):
        market = make_market("simulation.spot", "WBTC", {"price": [99_999.99], "gas": [0.0]})
        assert market.value((1,), 0) == 999  # 0.0009999999 USD


class TestLendingByHand:
    def test_base_asset_is_deposited_without_a_swap(self, make_market):
        market = make_market("simulation.lending_par", "USDC", {"rate": [0.05], "gas": [0.5]}, {"actions": 2.0})
        fill = market.trade(market.open(), 1_000 * USD, 0)
        assert by_account(fill) == {
            ("cash", "USDC"): -1_000_000_000,
            ("gas", "USDC"): 1_000_000,
            ("position", "USDC"): 999_000_000,
        }
        assert fill.slippage_bps == 0.0
        assert market.value(fill.state, 0) == 999_000_000

    def test_other_asset_is_bought_then_lent(self, make_market):
        fields = {"rate": [0.02], "price": [2500.0], "gas": [1.0]}
        market = make_market("simulation.lending", "WETH", fields, {"swap_fee": 0.001})
        fill = market.trade(market.open(), 10_000 * USD, 0)
        assert by_account(fill) == {
            ("cash", "USDC"): -10_000_000_000,
            ("fee", "USDC"): 10_000_000,
            ("gas", "USDC"): 1_000_000,
            ("world", "USDC"): 9_989_000_000,
            ("position", "WETH"): 3_995_600_000_000_000_000,  # 9,989 / 2,500
            ("world", "WETH"): -3_995_600_000_000_000_000,
        }
        out = market.trade(fill.state, 0, 0)
        assert out.state == market.open()
        assert out.cash_raw == 9_989_000_000 - 9_989_000 - 1_000_000

    def test_a_year_of_hours_compounds_the_linear_apr_of_each_hour(self, make_market):
        rows = 8761
        market = make_market("simulation.lending_par", "USDC", {"rate": [0.05] * rows, "gas": [0.0] * rows})
        fill = market.trade(market.open(), 1_000_000 * USD, 0)
        state, legs = market.accrue(fill.state, 0, rows - 1)
        with localcontext() as context:
            context.prec = 60
            expected = Decimal(10**12) * (1 + Decimal.from_float(0.05) / 8760) ** 8760
        assert market.value(state, rows - 1) == int(expected)  # 1,051,270.95 USD
        assert [(leg.account, leg.asset) for leg in legs] == [("position", "USDC"), ("world", "USDC")]
        assert_balanced(legs)

    def test_the_step_to_a_row_earns_the_rate_of_that_row(self, make_market):
        market = make_market("simulation.lending_par", "USDC", {"rate": [9.0, 8.5546875, 9.0], "gas": [0.0] * 3})
        state = market.trade(market.open(), 1_000 * USD, 0).state
        grown, legs = market.accrue(state, 0, 1)
        assert legs[0].amount == 976_562  # 8.5546875 / 8760 = 1 / 1024 of 1,000 USD, rounded down
        assert market.value(grown, 1) == 1_000_976_562

    def test_an_empty_position_earns_nothing(self, make_market):
        market = make_market("simulation.lending_par", "USDC", {"rate": [0.1, 0.1], "gas": [0.0, 0.0]})
        assert market.accrue(market.open(), 0, 1) == (market.open(), ())
        assert market.value(market.open(), 1) == 0

    def test_interest_too_small_for_a_posting_is_not_lost(self, make_market):
        rows = 2001
        market = make_market("simulation.lending_par", "USDC", {"rate": [0.001] * rows, "gas": [0.0] * rows})
        state = market.trade(market.open(), 2 * USD, 0).state
        state, legs = market.accrue(state, 0, 1)
        assert legs == ()  # 0.23 base units
        state, legs = market.accrue(state, 1, 2000)
        assert legs[0].amount == 456


def test_a_state_means_the_same_in_every_frame_that_holds_its_rows(make_market):
    rates, gas = [0.03, 0.9, 0.11, 0.5, 0.07], [0.0] * 5
    whole = make_market("simulation.lending_par", "USDC", {"rate": rates, "gas": gas})
    later = make_market("simulation.lending_par", "USDC", {"rate": rates[2:], "gas": gas[2:]})
    state = whole.trade(whole.open(), 123_456 * USD, 0).state
    middle, _ = whole.accrue(state, 0, 2)
    assert later.value(middle, 0) == whole.value(middle, 2)
    assert later.accrue(middle, 0, 2) == whole.accrue(middle, 2, 4)


@given(
    asset=st.sampled_from(["USDC", "USDT", "DAI"]),
    rates=st.lists(st.floats(0.0, 2.0), min_size=2, max_size=30),
    held=st.integers(1, 10**24),
    data=st.data(),
)
def test_splitting_an_interval_changes_neither_state_nor_postings(make_market, asset, rates, held, data):
    last = len(rates) - 1
    market = make_market("simulation.lending_par", asset, {"rate": rates, "gas": [0.0] * len(rates)})
    cuts = sorted(data.draw(st.sets(st.integers(0, last))) | {0, last})
    state = (held,)
    whole, whole_legs = market.accrue(state, 0, last)
    posted = Counter()
    for low, high in pairwise(cuts):
        before = market.holdings(state)[asset]
        state, legs = market.accrue(state, low, high)
        assert_balanced(legs)
        position = sum(leg.amount for leg in legs if leg.account == "position")
        assert market.holdings(state)[asset] == before + position
        assert position >= 0
        posted.update({(leg.account, leg.asset): leg.amount for leg in legs})
    assert state == whole
    assert posted == Counter({(leg.account, leg.asset): leg.amount for leg in whole_legs})


@given(
    kind=st.sampled_from(["simulation.spot", "simulation.spot_depth", "simulation.lending"]),
    asset=st.sampled_from(["WETH", "WBTC", "SOL", "USDT", "DAI"]),
    base=st.sampled_from(["USDC", "USDe"]),
    price=st.floats(0.01, 2e5),
    gas=st.floats(0.0, 50.0),
    first=st.integers(0, 400_000),
    second=st.integers(0, 400_000),
    fraction=st.integers(0, 999_999),
)
def test_every_fill_balances_and_keeps_its_promises(
    make_market, kind, asset, base, price, gas, first, second, fraction
):
    fields = {"price": [price], "gas": [gas]}
    fields |= {"depth": [2e6]} if kind.endswith("depth") else {"rate": [0.1]} if kind.endswith("lending") else {}
    market = make_market(kind, asset, fields, base=base)
    state = market.open()
    for target in (first * USD + fraction, second * USD + fraction, 0):
        target *= market.base.unit // USD
        worth = market.value(state, 0)
        fill = market.trade(state, target, 0)
        if fill is None:
            continue
        assert_balanced(fill.legs)
        position = sum(leg.amount for leg in fill.legs if leg.account == "position")
        assert market.holdings(fill.state)[asset] == market.holdings(state)[asset] + position
        assert fill.notional_raw == abs(target - worth)
        assert 0 <= fill.cost_raw < fill.notional_raw
        assert fill.slippage_bps >= 0.0
        after = market.value(fill.state, 0)
        assert after <= target
        if target > worth:
            assert fill.cash_raw == worth - target
        else:
            assert fill.cash_raw == worth - target - fill.cost_raw
        # Nothing is gained by rounding, and no more than a base unit of either asset is lost to it.
        unit = -(-int(price * 10**18) * market.base.unit // (10**18 * market.asset.unit))
        lost = worth - after - fill.cash_raw - fill.cost_raw
        assert -1 <= lost <= unit + 2
        state = fill.state


class TestThresholds:
    def test_dust(self, make_market):
        market = make_market("simulation.spot", "WETH", {"price": [2000.0], "gas": [0.0]}, {"dust": 5.0})
        assert market.trade(market.open(), 4_999_999, 0) is None
        assert market.trade(market.open(), 5_000_000, 0) is not None

    def test_a_move_that_its_costs_would_eat_up_is_not_made(self, make_market):
        costless = {"fee": 0.0, "half_spread": 0.0, "impact": 0.0}
        market = make_market("simulation.spot", "WETH", {"price": [2000.0], "gas": [12.0]}, costless)
        assert market.trade(market.open(), 12_000_000, 0) is None
        fill = market.trade(market.open(), 12_000_001, 0)
        assert fill is not None
        assert fill.cost_raw == 12_000_000

    def test_no_move_is_no_fill_without_dust(self, make_market):
        market = make_market("simulation.lending_par", "USDC", {"rate": [0.1], "gas": [0.0]}, {"dust": 0.0})
        assert market.trade(market.open(), 0, 0) is None

    def test_depth(self, make_market):
        market = make_market("simulation.spot", "WETH", PRICE, {"depth_usd": 50_000.0})
        assert market.trade(market.open(), 50_000 * USD, 0) is not None
        with pytest.raises(
            ValidationError, match=r"50000\.000001 USDC exceeds the market's depth of 50000\.000000 at 2024"
        ):
            market.trade(market.open(), 50_000 * USD + 1, 0)

    def test_negative_target(self, make_market):
        market = make_market("simulation.spot", "WETH", PRICE)
        with pytest.raises(ValidationError, match="target -1 is negative"):
            market.trade(market.open(), -1, 0)

    @pytest.mark.parametrize(("low", "high"), [(1, 0), (-1, 0), (0, 2)])
    def test_rows_outside(self, make_market, low, high):
        market = make_market("simulation.lending_par", "USDC", {"rate": [0.1, 0.1], "gas": [0.0, 0.0]})
        with pytest.raises(ValidationError, match=f"from row {low} to row {high}"):
            market.accrue((10**30,), low, high)


class TestRefusedMarkets:
    def test_spot_of_the_base_asset(self, make_market):
        with pytest.raises(ConfigError, match="trades USDC against itself"):
            make_market("simulation.spot", "USDC", PRICE)

    def test_swap_fee_on_the_base_asset(self, make_market):
        fields = {"rate": [0.1], "price": [1.0], "gas": [0.0]}
        with pytest.raises(ConfigError, match="set swap_fee = 0"):
            make_market("simulation.lending", "USDC", fields)
        market = make_market("simulation.lending", "USDC", fields, {"swap_fee": 0.0})
        assert market.trade(market.open(), 100 * USD, 0).cost_raw == 0

    def test_price_of_the_base_asset(self, make_market):
        fields = {"rate": [0.1], "price": [0.999], "gas": [0.0]}
        with pytest.raises(ConfigError, match=r"must be 1\.0"):
            make_market("simulation.lending", "USDC", fields, {"swap_fee": 0.0})

    @pytest.mark.parametrize("asset", ["USDC", "USDT"])
    def test_stablecoins_at_par(self, make_market, asset):
        assert make_market("simulation.lending_par", asset, {"rate": [0.1], "gas": [0.0]}).open() == (0,)

    def test_a_coin_at_par(self, make_market):
        with pytest.raises(ConfigError, match=r"counts WETH one for one as USDC, which only holds for a stablecoin"):
            make_market("simulation.lending_par", "WETH", {"rate": [0.1], "gas": [0.0]})

    def test_another_step(self, make_market):
        fields = {"rate": [0.1], "gas": [0.0]}
        with pytest.raises(ConfigError, match="a row every 60 s"):
            make_market("simulation.lending_par", "USDC", fields, step_seconds=60)
        market = make_market("simulation.lending_par", "USDC", fields, {"step_seconds": 60.0}, step_seconds=60)
        assert market.open() == (0,)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"feee": 0.1}, "no parameter 'feee'; did you mean 'fee'"),
            ({"fee": -0.1}, "must be a finite number of at least 0"),
            ({"fee": float("nan")}, "must be a finite number of at least 0"),
            ({"fee": float("inf")}, "must be a finite number of at least 0"),
            ({"fee": 1.0}, r"params\.fee = 1 is a share of the trade; expected less than 1"),
            ({"half_spread": 2.0}, r"params\.half_spread = 2 is a share"),
            ({"impact": 1.5}, r"params\.impact = 1\.5 is a share"),
            ({"depth_usd": 0.0}, r"depth_usd = 0\.0 must be positive"),
        ],
    )
    def test_parameters(self, make_market, params, message):
        with pytest.raises(ConfigError, match=message):
            make_market("simulation.spot", "WETH", PRICE, params)

    @pytest.mark.parametrize(
        ("model", "fields", "message"),
        [
            (
                "simulation.spot",
                {"price": [1.0, 0.0], "gas": [0.0, 0.0]},
                r"'X.price' is 0\.0 at row 1 \(2024-01-01 01",
            ),
            ("simulation.spot", {"price": [1.0], "gas": [-1.0]}, "'gas.usd' is -1.0 at row 0"),
            ("simulation.spot_depth", {"price": [1.0], "gas": [0.0], "depth": [0.0]}, "'X.depth' is 0.0"),
            ("simulation.lending_par", {"rate": [-0.01], "gas": [0.0]}, "'X.lending_rate' is -0.01"),
        ],
    )
    def test_rows(self, make_market, model, fields, message):
        with pytest.raises(DataError, match=message):
            make_market(model, "WETH", fields)
