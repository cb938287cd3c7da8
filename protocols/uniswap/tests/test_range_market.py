"""What a range does: earns inside, waits outside, loses what it must, is kept, resized and re-centred as the control says."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from treasury_arena.errors import SizeRefusedError

USDC = 10**6
FLAT = {"liquidity": 1e7, "volume": 4e7, "gas": 0.5}


def market_of(make_market, prices, params=None, **changes):
    fields = {"price": prices, **{name: [value] * len(prices) for name, value in {**FLAT, **changes}.items()}}
    return make_market("uniswap.range", fields, params)


def bought(market, usd=100_000, width=0.2, row=0):
    fill = market.trade(market.open(), usd * USDC, row, (width,))
    assert fill is not None
    return fill


@pytest.mark.parametrize("token0", [0.0, 1.0])
def test_a_range_opens_around_the_price_for_what_it_is_given(make_market, token0):
    market = market_of(make_market, [2000.0], {"coin_is_token0": token0})
    fill = bought(market)
    assert fill.cash_raw == -100_000 * USDC
    # Half of it is swapped, at 5 basis points and into a virtual reserve of L sqrt(P); gas for a swap and a mint.
    expected = 1.0 + 50_000 * 0.0005 + 50_000**2 / (1e7 * math.sqrt(2000.0))
    assert fill.cost_raw / USDC == pytest.approx(expected, rel=0.01)
    assert market.views(fill.state, 0)["inside"] == 1.0
    assert abs(market.views(fill.state, 0)["offset"]) < 0.01
    held = market.holdings(fill.state)
    assert held["WETH"] / 1e18 * 2000.0 == pytest.approx(50_000, rel=0.01)
    low, high = (fill.state[1], fill.state[2]) if token0 else (-fill.state[2], -fill.state[1])
    assert (1.0001**high * 1e12, 1.0001**low * 1e12) == pytest.approx((2400.0, 2000.0 / 1.2), rel=1e-3)
    assert low % 10 == high % 10 == 0


@pytest.mark.parametrize("token0", [0.0, 1.0])
def test_holding_it_loses_what_the_price_takes_and_earns_in_range_only(make_market, token0):
    prices = [2000.0, 2100.0, 2600.0, 2600.0, 1500.0]
    market = market_of(make_market, prices, {"coin_is_token0": token0})
    state = bought(market).state
    hodl = market.holdings(state)
    seen = []
    for row in range(1, 5):
        before = market.holdings(state)
        state, legs = market.accrue(state, row - 1, row)
        moved = {asset: market.holdings(state)[asset] - before[asset] for asset in before}
        assert {leg.asset: leg.amount for leg in legs if leg.account == "position"} == {
            k: v for k, v in moved.items() if v
        }
        kept = (hodl["WETH"] / 1e18 * prices[row] + hodl["USDC"] / 1e6) * 1e6
        seen.append((market.views(state, row)["inside"], market.value(state, row) / kept, market.holdings(state)))
    assert [inside for inside, _, _ in seen] == [1.0, 0.0, 0.0, 0.0]
    own = state[0] / 1e12
    income = 4e7 * 0.0005 * own / (1e7 + own)
    assert seen[0][1] > 0.995
    assert seen[1][2]["WETH"] / 1e18 * 2100.0 == pytest.approx(income / 2, rel=1e-9)
    assert seen[1][2] == seen[2][2]
    assert seen[3][2]["USDC"] / 1e6 == pytest.approx(income / 2, rel=1e-6)
    # The loss against holding, from the formula of a range that was left at its upper end.
    root, up = math.sqrt(2000.0), math.sqrt(2000.0 * 1.2)
    assert seen[1][1] == pytest.approx(
        (up - root / math.sqrt(1.2)) * own / (hodl["WETH"] / 1e18 * 2600.0 + hodl["USDC"] / 1e6), rel=2e-3
    )


def test_a_range_is_kept_while_the_price_is_inside_and_the_width_is_the_same(make_market):
    market = market_of(make_market, [2000.0, 2100.0, 2600.0])
    state, _ = market.accrue(bought(market).state, 0, 1)
    value = market.value(state, 1)
    assert market.trade(state, value, 1, (0.2,)) is None
    assert market.trade(state, value, 1, (0.0,)) is None
    assert market.trade(state, value, 1) is None
    more = market.trade(state, value + 10_000 * USDC, 1, (0.2,))
    assert more.state[1:3] == state[1:3]
    assert more.state[0] > state[0]
    less = market.trade(state, value // 2, 1, (0.2,))
    assert less.state[1:3] == state[1:3]
    assert market.value(less.state, 1) == pytest.approx(value / 2, rel=1e-9)


@pytest.mark.parametrize(("width", "row"), [(0.1, 1), (-0.2, 1), (0.2, 2), (-0.1, 2)])
def test_another_width_a_wish_or_leaving_it_re_centre_the_range(make_market, width, row):
    market = market_of(make_market, [2000.0, 2100.0, 2600.0])
    state, _ = market.accrue(bought(market).state, 0, row)
    value = market.value(state, row)
    fill = market.trade(state, value, row, (width,))
    assert fill.cash_raw == 0
    assert abs(market.views(fill.state, row)["offset"]) < 0.02
    assert market.value(fill.state, row) == value - fill.cost_raw
    assert fill.notional_raw > fill.cost_raw > 3 * USDC // 2
    assert fill.state[5] < 10**12
    assert market.trade(fill.state, market.value(fill.state, row), row, (width,)) is None


def test_out_of_range_it_can_be_left_alone_and_sold(make_market):
    market = market_of(make_market, [2000.0, 2600.0])
    state, _ = market.accrue(bought(market).state, 0, 1)
    value = market.value(state, 1)
    assert market.trade(state, value, 1, (0.0,)) is None
    half = market.trade(state, value // 2, 1, (0.0,))
    assert half.state[1:3] == state[1:3]
    gone = market.trade(half.state, 0, 1, (0.0,))
    assert gone.state == market.open()
    assert gone.cash_raw == pytest.approx(value / 2, rel=1e-4)


def test_a_sale_stands_alone_where_re_centring_moves_the_price_too_far(make_market):
    """Whoever must sell can, in the books as in the search; the range is left where it is, and no gas is paid for moving it."""
    rows = {"price": [2000.0, 2150.0], "liquidity": [2e6, 1e5], "volume": [0.0, 0.0], "gas": [0.5, 0.5]}
    market = make_market("uniswap.range", rows)
    state, _ = market.accrue(bought(market, 190_000, 0.05).state, 0, 1)
    value = market.value(state, 1)
    with pytest.raises(SizeRefusedError, match=r"moves the price by more than 2\.00%"):
        market.trade(state, value, 1, (-0.05,))
    for width in (-0.05, 0.05, 0.1):
        both, alone = (market.trade(state, value // 2, 1, (asked,)) for asked in (width, 0.0))
        assert both == alone
        assert both.state[1:3] == state[1:3]
        assert both.cash_raw > 0.49 * value
    with pytest.raises(SizeRefusedError):
        market.trade(state, value + 10**10, 1, (-0.05,))


def test_nothing_opens_without_a_width(make_market):
    market = market_of(make_market, [2000.0])
    assert market.trade(market.open(), 1000 * USDC, 0, (0.0,)) is None
    assert market.trade(market.open(), 1000 * USDC, 0) is None


def test_the_protocols_part_is_not_earned(make_market):
    earned = []
    for part in (0.0, 4.0):
        market = market_of(make_market, [2000.0, 2000.0], {"fee_protocol": part})
        state = bought(market).state
        earned.append(market.value(market.accrue(state, 0, 1)[0], 1) - market.value(state, 1))
    assert earned[1] / earned[0] == pytest.approx(0.75, rel=1e-6)


def test_fees_are_invested_with_a_purchase_and_paid_out_with_a_sale(make_market):
    market = market_of(make_market, [2000.0, 2000.0])
    state, _ = market.accrue(bought(market).state, 0, 1)
    assert state[3] > 0 < state[4]
    more = market.trade(state, market.value(state, 1) + 1000 * USDC, 1, (0.2,))
    assert more.state[3:5] == (0, 0)
    assert max(more.state[5] * 2000.0 / 1e12, more.state[6]) < 10
    sold = market.trade(state, 0, 1, (0.2,))
    assert sold.state == market.open()
    assert sold.cash_raw + sold.cost_raw == market.value(state, 1)


@pytest.mark.parametrize("token0", [0.0, 1.0])
def test_a_sale_keeps_its_share_of_liquidity_and_fees_rounded_up(make_market, token0):
    market = market_of(make_market, [2000.0, 2003.0], {"coin_is_token0": token0})
    state, _ = market.accrue(bought(market, usd=70_001).state, 0, 1)
    value = market.value(state, 1)
    once = market.trade(state, value - 1_234_567_891, 1, (0.2,)).state  # its fees are settled now
    value, uneven = market.value(once, 1), 0
    assert once[5] > 0 < once[6]
    for target in (value // 2, value // 3 + 1, value - 7_654_321, 2_000_003):
        after = market.trade(once, target, 1, (0.2,)).state
        for number in (0, 5, 6):  # liquidity, coins and base units owed
            share = Fraction(once[number] * target, value)
            assert after[number] == math.ceil(share)
            uneven += share.denominator > 1
    assert uneven > 6


@pytest.mark.parametrize("token0", [0.0, 1.0])
def test_a_sold_coin_is_kept_to_the_target_rounded_up(make_market, token0):
    fields = {"price": [3000.0], "liquidity": [1e7], "gas": [0.0]}
    market = make_market("uniswap.spot", fields, {"coin_is_token0": token0})
    for target in (10_000 * USDC + 1, 777_777_777, 1_000_000):
        fill = market.trade((50 * 10**18,), target, 0)
        # A coin of 18 decimals at 3,000 USD: one base unit of USDC is a third of 10^9 coins' units.
        assert fill.state == (math.ceil(Fraction(target * 10**9, 3)),)
        assert market.value(fill.state, 0) == target


def test_gas_is_charged_in_whole_base_units_rounded_up(make_market):
    for gas, raw in ((0.3, 300_000), (0.3000001, 300_001), (0.25, 250_000), (1e-9, 1), (0.0, 0)):
        fields = {"price": [3000.0], "liquidity": [1e7], "gas": [gas]}
        fill = make_market("uniswap.spot", fields).trade((0,), 1_000 * USDC, 0)
        assert sum(leg.amount for leg in fill.legs if leg.account == "gas") == raw
