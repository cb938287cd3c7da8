"""The exact markets by hand: what a trade costs, what interest and liquidation do, and what is refused."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError, DataError, ValidationError
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import ReserveConfig
from treasury_arena_aave.exact.strategy import RateStrategy
from treasury_arena_aave.exact.versions import VERSIONS
from treasury_arena_aave.protocol import AaveProtocol

ASSETS = AssetTable(KNOWN_ASSETS)
USD, ETH, RAY = 10**6, 10**18, 10**27
HOUR = 3600
MODELS = {model.name: model for model in AaveProtocol().models}
SUPPLY = {"rate": 0.05, "price": 1.0, "supplied": 1e6, "borrowed": 8e5, "gas": 1.0}
ACCOUNT = {"price": 2000.0, "supply_rate": 0.02, "borrow_rate": 0.06, "gas": 0.5}


def market(model, asset, fields, params=None, rows=4, step=HOUR):
    columns = {f"x.{name}": np.array(np.broadcast_to(value, rows), float) for name, value in fields.items()}
    spec = MarketSpec("m", model, MODELS[model].kind, asset, {name: f"x.{name}" for name in fields}, params or {})
    return AaveProtocol().exact(spec, MarketFrame(0, step, columns), ASSETS, ASSETS["USDC"])


def supply(asset="USDC", fields=None, rows=4, **params):
    return market("aave.supply", asset, {**SUPPLY, **(fields or {})}, {"swap_fee": 0.0, **params}, rows)


def account(fields=None, rows=4, asset="WETH", **params):
    return market("aave.account", asset, {**ACCOUNT, **(fields or {})}, params, rows)


def deep(fields=None, rows=4, **params):
    fields = {**ACCOUNT, "supplied": 1e6, "borrowed": 8e5, **(fields or {})}
    return market("aave.account_reserve", "WETH", fields, params, rows)


def by_account(legs):
    return {(leg.account, leg.asset): leg.amount for leg in legs}


class TestSupply:
    def test_deposit_interest_and_withdrawal(self):
        lending = supply(fields={"supplied": 1e12, "borrowed": 8e11})  # so large that we do not matter
        fill = lending.trade(lending.open(), 10_001 * USD, 0)
        assert fill.state == (10_000 * USD, RAY)
        assert (fill.cost_raw, fill.cash_raw, fill.notional_raw, fill.slippage_bps) == (
            USD,
            -10_001 * USD,
            10_001 * USD,
            0,
        )
        state, legs = lending.accrue(fill.state, 0, 1)
        assert state[1] == pytest.approx(RAY + RAY * 0.05 * HOUR / 31_536_000, rel=1e-12)
        assert by_account(legs) == {("position", "USDC"): 57_077, ("world", "USDC"): -57_077}  # 10,000 x 5% / 8,760
        exit_ = lending.trade(state, 0, 1)
        assert exit_.state == lending.open()
        assert exit_.cash_raw == 10_000 * USD + 57_077 - USD

    def test_our_own_deposit_lowers_the_rate(self):
        lending = supply(optimal=0.9, slope1=0.06, slope2=1.0, base=0.0)
        # Usage falls from 80% to 40%: below the kink lenders earn its square.
        assert lending.rate((1_000_000 * USD, RAY), 1) == pytest.approx(0.05 * RAY / 4, rel=1e-9)
        assert lending.rate((0, RAY), 1) == pytest.approx(0.05 * RAY, rel=1e-15)
        full = supply(fields={"borrowed": 1.2e6})  # usage above one in the data counts as one
        assert full.rate((0, RAY), 1) == pytest.approx(0.05 * RAY, rel=1e-15)
        assert supply(fields={"borrowed": 0.0}).rate((USD, RAY), 1) == pytest.approx(0.05 * RAY, rel=1e-15)

    def test_a_withdrawal_beyond_the_cash_is_refused(self):
        lending = supply(fields={"borrowed": [8e5, 8e5, 999_990.0, 1e6]})
        held = lending.trade(lending.open(), 100_000 * USD, 0).state
        assert lending.trade(held, 0, 1) is not None
        with pytest.raises(ValidationError, match=r"the reserve has 10\.000000 USDC of cash .* has to wait"):
            lending.trade(held, 0, 2)
        assert lending.trade(held, lending.value(held, 2) - 10 * USD, 2) is not None
        with pytest.raises(ValidationError, match=r"has 0\.000000 USDC of cash"):
            lending.trade(held, 0, 3)

    def test_a_coin_is_bought_first(self):
        lending = supply("WETH", {"price": 2000.0}, swap_fee=0.001)
        fill = lending.trade(lending.open(), 10_000 * USD, 0)
        assert fill.state[0] == (10_000 * USD - 11 * USD) * ETH // (2_000 * USD)
        assert by_account(fill.legs)["fee", "USDC"] == 10 * USD
        assert fill.slippage_bps == 10.0

    def test_half_up_versions_never_give_a_unit_away(self):
        lending = supply(version=3.0, fields={"gas": 0.0}, dust=0.0)
        index = 19 * RAY // 10
        for amount in range(1, 60):
            there = lending.trade((0, index), amount, 0)
            assert lending.value(there.state, 0) <= amount
            back = lending.trade(there.state, 0, 0) if lending.value(there.state, 0) else None
            assert back is None or back.cash_raw <= amount

    @pytest.mark.parametrize(
        ("asset", "fields", "params", "error", "message"),
        [
            ("USDC", {}, {"swap_fee": 0.001}, ConfigError, "needs no swap"),
            ("USDC", {"price": 0.999}, {}, ConfigError, r"must be 1\.0"),
            ("USDC", {}, {"version": 2.0}, ConfigError, "no Aave version '2.0'"),
            ("USDC", {}, {"step_seconds": 60.0}, ConfigError, "a row every 3600 s"),
            ("USDC", {}, {"optimum": 0.9}, ConfigError, "did you mean 'optimal'"),
            ("USDC", {}, {"optimal": 0.0}, ConfigError, "no rate curve"),
            ("USDC", {"rate": [0.1, -0.1, 0.1, 0.1]}, {}, DataError, "at row 1"),
        ],
    )
    def test_markets_that_cannot_be(self, asset, fields, params, error, message):
        with pytest.raises(error, match=message):
            supply(asset, fields, **params)


class TestAccount:
    def test_a_loop_of_threefold_leverage(self):
        loop = account(ltv_max=0.8)
        fill = loop.trade(loop.open(), 10_000 * USD, 0, (2 / 3,))
        value, views = loop.value(fill.state, 0), loop.views(fill.state, 0)
        assert fill.cash_raw == -10_000 * USD
        # Gas 4 x 0.5; the swap is g = (10,000 - 2) / (1/3 + 0.0005), five basis points of it are lost.
        swapped = 9_998 / (1 / 3 + 0.0005)
        assert fill.notional_raw == pytest.approx(swapped * USD, rel=1e-9)
        assert fill.cost_raw == pytest.approx((2 + 0.0005 * swapped) * USD, abs=3)
        assert value == pytest.approx((9_998 - 0.0005 * swapped) * USD, abs=3)
        assert views["ltv"] == pytest.approx(2 / 3, rel=1e-9)
        assert views["health"] == pytest.approx(0.83 * 1.5, rel=1e-7)
        held = loop.holdings(fill.state)
        assert held["USDC"] == pytest.approx(-swapped * 2 / 3 * USD, rel=1e-9)
        assert held["WETH"] == pytest.approx(swapped / 2_000 * ETH, rel=1e-9)
        out = loop.trade(fill.state, 0, 0, (2 / 3,))
        assert out.state == loop.open()
        assert out.cash_raw == value - out.cost_raw > 0

    @pytest.mark.parametrize("fee", [5, 20, 100])
    def test_the_swap_is_never_paid_short(self, fee):
        loop = account({"gas": 0.0}, fee=fee / 10_000)
        for number in range(200):
            stake = 100 * USD + 7_654_321 * number
            fill = loop.trade(loop.open(), stake, 0, (0.6,))
            # Without gas the swap is all that costs: its share rounded up, and at most a unit that nothing could be bought for.
            share = -(-fill.notional_raw * fee // 10_000)
            assert share <= by_account(fill.legs)["fee", "USDC"] <= share + 1

    def test_interest_on_both_sides(self):
        loop = account(rows=8761)
        state = loop.trade(loop.open(), 10_000 * USD, 0, (0.5,)).state
        before, after = loop.holdings(state), loop.holdings(loop.accrue(state, 0, 8760)[0])
        assert after["WETH"] / before["WETH"] == pytest.approx((1 + 0.02 / 8760) ** 8760, rel=1e-9)
        assert after["USDC"] / before["USDC"] == pytest.approx(np.exp(0.06), rel=1e-9)

    def test_a_control_that_differs_is_followed_without_a_move(self):
        loop = account()
        state = loop.trade(loop.open(), 10_000 * USD, 0, (0.5,)).state
        value = loop.value(state, 0)
        assert loop.trade(state, value, 0, (0.51,)) is None  # within the slack
        down = loop.trade(state, value, 0, (0.25,))
        assert down.cash_raw == 0  # its costs come out of the position
        assert loop.views(down.state, 0)["ltv"] == pytest.approx(0.25, abs=1e-6)
        assert loop.value(down.state, 0) == pytest.approx(value - down.cost_raw, abs=2)
        up = loop.trade(state, value - USD // 2, 0, (0.75,))
        assert up.cash_raw == 0
        assert loop.views(up.state, 0)["ltv"] == pytest.approx(0.75, abs=1e-6)

    def test_without_a_control_the_loan_to_value_is_kept(self):
        loop = account()
        state = loop.trade(loop.open(), 10_000 * USD, 0, (0.6,)).state
        assert loop.views(loop.trade(state, 5_000 * USD, 0).state, 0)["ltv"] == pytest.approx(0.6, abs=1e-6)
        assert loop.trade(state, 0, 0).state == loop.open()
        assert loop.trade(state, loop.value(state, 0), 0) is None

    def test_the_control_is_cut_to_the_limit(self):
        loop = account()
        assert loop.views(loop.trade(loop.open(), 10_000 * USD, 0, (7.0,)).state, 0)["ltv"] == pytest.approx(0.8)
        assert loop.views(loop.trade(loop.open(), 10_000 * USD, 0, (-1.0,)).state, 0)["ltv"] == 0.0

    def test_a_sale_that_its_costs_eat_up_is_not_made(self):
        loop = account({"gas": 5.0})
        state = loop.trade(loop.open(), 10_000 * USD, 0, (0.5,)).state
        assert loop.trade(state, loop.value(state, 0) - 15 * USD, 0, (0.5,)) is None
        assert loop.trade(loop.open(), 19 * USD, 0, (0.5,)) is None

    @pytest.mark.parametrize(
        ("drop", "debt_left"),
        [(0.955, 0.5), (0.90, 0.0)],  # health above and below 0.95
    )
    def test_liquidation(self, drop, debt_left):
        loop = account({"price": [2000.0, 2000.0 * drop, 2000.0 * drop, 2000.0 * drop]})
        state = loop.trade(loop.open(), 10_000 * USD, 0, (0.8,)).state
        before = loop.holdings(state)
        after_state, legs = loop.accrue(state, 0, 1)
        after = loop.holdings(after_state)
        assert after["USDC"] == pytest.approx(before["USDC"] * debt_left, rel=1e-4, abs=2)
        repaid = (after["USDC"] - before["USDC"]) / USD
        assert before["WETH"] - after["WETH"] == pytest.approx(repaid * 1.05 / (2000.0 * drop) * ETH, rel=1e-4)
        assert by_account(legs)["debt", "USDC"] == after["USDC"] - before["USDC"]
        assert loop.views(after_state, 1)["health"] > 1.0

    def test_debt_that_nothing_secures_is_left_behind(self):
        loop = account({"price": [2000.0, 1000.0, 1000.0, 1000.0]})
        state = loop.trade(loop.open(), 10_000 * USD, 0, (0.8,)).state
        after, legs = loop.accrue(state, 0, 3)
        assert after == loop.open()
        assert by_account(legs)["debt", "USDC"] == -loop.holdings(state)["USDC"]
        assert loop.value(after, 3) == 0

    def test_a_small_account_is_closed_whole_in_later_versions_only(self):
        prices = {"price": [2000.0, 1910.0, 1910.0, 1910.0]}
        left = []
        for params in ({}, {"version": 3.0, "small": 0.0}):
            loop = account(prices, **params)
            state = loop.accrue(loop.trade(loop.open(), 400 * USD, 0, (0.8,)).state, 0, 1)[0]
            left.append(-loop.holdings(state)["USDC"] / USD)
        assert left[0] == 0.0
        assert left[1] == pytest.approx(0.5 * 0.8 * 398 / 0.2005, rel=0.01)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"ltv_max": 0.9}, "at most threshold"),
            ({"threshold": 0.83001}, "basis points"),
            ({"version": 3.0}, "small = 0"),
            ({"close_factor": 0.4}, "close_factor = 0.5"),
            ({"bonus": 0.21}, "more than there is"),
            ({"version": 3.6}, "market '.*': params.version: there is no Aave version"),
        ],
    )
    def test_markets_that_cannot_be(self, params, message):
        with pytest.raises(ConfigError, match=message):
            account(**params)
        with pytest.raises(ConfigError, match="against itself"):
            account(asset="USDC")


class TestAccountReserve:
    @pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
    @pytest.mark.parametrize("loan", [1, 50_000, 150_000, 199_000])
    def test_the_rate_is_the_one_that_the_pool_asks_with_our_loan(self, version, loan):
        """The oracle is the pool itself: the same reserve, with and without our loan."""
        pool = Pool(version, 1_700_000_000)
        curve = RateStrategy(9 * RAY // 10, RAY // 100, 6 * RAY // 100, RAY)
        config = ReserveConfig(6, ltv=7700, threshold=8000, bonus=10450, reserve_factor=1000)
        pool.list_reserve("USDC", config, curve, price=10**8)
        pool.list_reserve("WETH", attrs.evolve(config, decimals=18), curve, price=2_000 * 10**8)
        for who in ("others", "we"):
            pool.supply("WETH", who, 1_000 * ETH)
        pool.supply("USDC", "lender", 1_000_000 * USD)
        pool.borrow("USDC", "others", 800_000 * USD)
        observed = pool.reserves["USDC"].borrow_rate
        small = {} if version.later else {"small": 0.0}
        ours = deep(
            {"borrow_rate": observed / RAY},
            version=float(version.name),
            base=0.01,
            slope1=0.06,
            slope2=1.0,
            **small,
        )
        pool.borrow("USDC", "we", loan * USD)
        moved = pool.reserves["USDC"].borrow_rate
        assert moved > observed
        assert ours.borrow_rate(loan * USD, 0) == pytest.approx(moved, rel=1e-12)
        assert ours.borrow_rate(0, 0) == pytest.approx(observed, rel=1e-12)

    def test_a_larger_loan_costs_more_and_its_interest_is_booked(self):
        grown = []
        for stake in (1_000, 100_000):
            held = deep(fields={"supplied": 1e6, "borrowed": 8.5e5})
            state = held.trade(held.open(), stake * USD, 0, (0.5,)).state
            after, legs = held.accrue(state, 0, 1)
            owed = -held.holdings(state)["USDC"]
            assert by_account(legs)["debt", "USDC"] == owed + held.holdings(after)["USDC"]
            grown.append(-held.holdings(after)["USDC"] / owed - 1.0)
        assert grown[0] == pytest.approx(0.06 / 8_760, rel=0.01)
        assert grown[1] > 4.0 * grown[0]

    def test_where_nobody_has_borrowed_the_curve_says_what_a_loan_costs(self):
        empty = deep({"borrowed": 0.0, "borrow_rate": 0.0}, slope1=0.06)
        assert empty.borrow_rate(450_000 * USD, 0) == pytest.approx(0.03 * RAY, rel=1e-12)
        assert empty.borrow_rate(0, 0) == 0

    def test_a_loan_beyond_the_reserves_cash_is_refused_and_paying_back_is_not(self):
        held = deep({"borrowed": [9.9e5, 9.9e5, 1e6, 1e6]})
        with pytest.raises(
            ValidationError, match=r"the reserve has 10000\.0+ USDC to lend .* a debt of 1\d{4}\.\d+ cannot"
        ):
            held.trade(held.open(), 20_000 * USD, 0, (0.5,))
        state = held.trade(held.open(), 9_000 * USD, 0, (0.5,)).state
        state, _ = held.accrue(state, 0, 2)
        value = held.value(state, 2)
        with pytest.raises(ValidationError, match=r"the reserve has 0\.0+ USDC to lend"):
            held.trade(state, value, 2, (0.6,))
        assert held.trade(state, value, 2, (0.3,)) is not None
        assert held.trade(state, 0, 2, (0.0,)).state == held.open()

    def test_a_curve_that_is_none(self):
        with pytest.raises(ConfigError, match="is no rate curve"):
            deep(optimal=0.0)
        with pytest.raises(ConfigError, match=r"needs columns\.supplied"):
            market("aave.account_reserve", "WETH", ACCOUNT)


def test_unknown_models_and_fields_are_refused():
    spec = MarketSpec("m", "aave.suply", "lending", "USDC", {})
    with pytest.raises(ConfigError, match=r"did you mean 'aave\.supply'"):
        AaveProtocol().exact(spec, MarketFrame(0, HOUR, {"x": np.ones(2)}), ASSETS, ASSETS["USDC"])
    with pytest.raises(ConfigError, match=r"needs columns\.borrowed"):
        market("aave.supply", "USDC", {k: v for k, v in SUPPLY.items() if k != "borrowed"})
    with pytest.raises(ConfigError, match="reads no market field"):
        market("aave.supply", "USDC", {**SUPPLY, "depth": 1.0})
    lending = supply()
    with pytest.raises(ValidationError, match="cannot accrue"):
        lending.accrue(lending.open(), 2, 1)
