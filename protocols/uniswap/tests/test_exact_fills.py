"""Every rounding and threshold of the pool market and of a coin held outright, beside fractions and the pool itself.

Prices, gas and moves are fractions that a float holds exactly.
"""

from __future__ import annotations

import math
from fractions import Fraction
from math import isqrt

import pytest
from exact_pools import GAS, PIPS, USD, market, pool_at, posted, swapped, without_zeros

from treasury_arena.errors import SizeRefusedError, ValidationError
from treasury_arena_uniswap.exact.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO

Q96 = 2**96
EACH = Fraction(3_000 * 10**6, 10**18)
"""Base units of USDC for one of WETH at 3,000 USD."""


def spot(token0, *, gas=0.0, liquidity=1e7, price=3_000.0, **params):
    fields = {"price": [price], "liquidity": [liquidity], "gas": [gas]}
    return market("uniswap.spot", fields, {"coin_is_token0": token0, "dust": 0.0, **params})


def dear(price, token0, liquidity=1e7, **params):
    """A coin of 8 decimals against DAI's 18, where prices reach the ends of the ticks."""
    fields = {"price": [price], "liquidity": [liquidity], "gas": [0.0]}
    return market("uniswap.spot", fields, {"coin_is_token0": token0, **params}, "WBTC", "DAI")


@pytest.mark.parametrize("price", [3_000.0, 2_999.8125, 1.0, 2.0**-10, 65_536.0])
def test_the_pools_price_and_liquidity_are_roots_rounded_down(price):
    each = Fraction(price) * 10**6 / 10**18
    for token0, ratio in ((1.0, each), (0.0, 1 / each)):
        found = spot(token0, price=price)._sqrt_price(0)
        assert found**2 <= ratio * 2**192 < (found + 1) ** 2
    found = spot(1.0, price=price, liquidity=123.4375)._liquidity(0)
    assert found**2 <= Fraction(123.4375) ** 2 * 10**24 < (found + 1) ** 2
    fields = {"price": [price], "tvl": [1e6 + 0.25], "gas": [0.0]}
    found = market("uniswap.spot_tvl", fields, {"concentration": 11.5})._liquidity(0)
    assert found**2 <= (Fraction(11.5) * Fraction(1e6 + 0.25) / 2) ** 2 / Fraction(price) * 10**24 < (found + 1) ** 2


def test_prices_end_one_unit_within_the_ends_of_the_ticks():
    def price_of(root):  # of the middle between two roots
        return float(Fraction(2**194, (2 * root + 1) ** 2 * 10**10))

    assert dear(price_of(MIN_SQRT_RATIO + 1), 0.0)._sqrt_price(0) == MIN_SQRT_RATIO + 1
    with pytest.raises(ValidationError, match="outside the range of ticks"):
        dear(price_of(MIN_SQRT_RATIO), 0.0)._sqrt_price(0)
    end = float(Fraction(MAX_SQRT_RATIO**2, 2**192 * 10**10))
    below, above = math.nextafter(end, 0.0), math.nextafter(end, math.inf)
    assert MAX_SQRT_RATIO * (1 - 2**-50) < dear(below, 1.0)._sqrt_price(0) < MAX_SQRT_RATIO
    with pytest.raises(ValidationError, match="outside the range of ticks"):
        dear(above, 1.0)._sqrt_price(0)


@pytest.mark.parametrize("token0", [0.0, 1.0])
@pytest.mark.parametrize("move", [250_002, 1_000_001, 7_777_777_777])
def test_a_purchase_is_the_pools_swap_of_all_but_gas(token0, move):
    trading, held = spot(token0, gas=GAS), 10**18 + 7
    value = math.floor(held * EACH)
    fill = trading.trade((held,), value + move, 0)
    pool = pool_at(trading._sqrt_price(0), trading._liquidity(0))
    got, fee = swapped(pool, token0 == 0.0, move - 250_001)
    assert fill.state == (held + got,)
    assert trading.holdings(fill.state) == {"WETH": held + got}
    cost = value + move - math.floor((held + got) * EACH)
    assert cost >= 250_001 + fee
    assert (fill.notional_raw, fill.cost_raw, fill.slippage_bps) == (move, cost, 10_000.0 * (cost - 250_001) / move)
    expected = {
        ("cash", "USDC"): -move,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): 250_001,
        ("world", "USDC"): move - fee - 250_001,
        ("position", "WETH"): got,
        ("world", "WETH"): -got,
    }
    assert posted(fill.legs) == without_zeros(expected)


@pytest.mark.parametrize("token0", [0.0, 1.0])
@pytest.mark.parametrize("target", [0, 1, 1_000_000_001, 2_999_000_000])
def test_a_sale_keeps_the_targets_coins_rounded_up_and_swaps_the_rest(token0, target):
    trading, held = spot(token0, gas=GAS), 10**18 + 123_456_789
    value, kept = math.floor(held * EACH), math.ceil(target / EACH)
    fill = trading.trade((held,), target, 0)
    pool = pool_at(trading._sqrt_price(0), trading._liquidity(0))
    got, fee = swapped(pool, token0 == 1.0, held - kept)
    fee, cost, gas = math.floor(fee * EACH), value - math.floor(kept * EACH) - got + 250_001, 250_001
    assert fill.state == (kept,)
    assert (fill.notional_raw, fill.cost_raw) == (value - target, cost)
    assert fill.slippage_bps == 10_000.0 * (cost - gas) / (value - target)
    assert posted(fill.legs) == {
        ("cash", "USDC"): got - gas,
        ("fee", "USDC"): fee,
        ("gas", "USDC"): gas,
        ("world", "USDC"): -got - fee,
        ("position", "WETH"): kept - held,
        ("world", "WETH"): held - kept,
    }


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize(("dust", "least"), [(1.0, 1_000_000), (2.0**-7, 7_813)])  # 7,812.5 rounds half up
def test_a_coin_is_traded_for_dust_and_not_for_less(dust, least, way):
    trading, held = spot(1.0, dust=dust), (10**18,)
    assert trading.trade(held, 3_000 * USD + way * (least - 1), 0) is None
    assert trading.trade(held, 3_000 * USD + way * least, 0).notional_raw == least
    assert spot(1.0).trade(held, 3_000 * USD, 0) is None


def test_a_trade_is_not_made_for_its_gas_and_is_for_a_unit_more():
    trading = spot(1.0, gas=0.25, fee=0.0)
    assert trading.trade((0,), 250_000, 0) is None
    assert trading.trade((0,), 250_001, 0).cash_raw == -250_001
    got = spot(1.0).trade((10**18,), 2_999 * USD, 0).cash_raw
    for gas, cash in ((got - 0.5, None), (got - 1.5, 1)):  # rounded up
        fill = spot(1.0, gas=gas / USD).trade((10**18,), 2_999 * USD, 0)
        assert (fill and fill.cash_raw) == cash


def limit_of(price, target, liquidity, pips):
    """The most that takes the price as far as `target`, fee included, and what comes out for it."""
    each = Fraction(Q96 * abs(price - target), price * target), Fraction(abs(price - target), Q96)
    into, out = each if target < price else each[::-1]
    net = math.ceil(liquidity * into)
    fee = math.ceil(Fraction(net * pips, 10**6 - pips))
    return net + fee, math.floor(liquidity * out), fee


@pytest.mark.parametrize("token0", [0.0, 1.0])
@pytest.mark.parametrize("coin_in", [True, False])
@pytest.mark.parametrize("liquidity", [1e7, 1e24])  # in the second a unit of the price's root is many of an amount
def test_a_swap_moves_the_price_as_far_as_it_may_and_not_a_unit_further(token0, coin_in, liquidity):
    trading = spot(token0, liquidity=liquidity, max_move=1 / 32)
    price, depth = trading._sqrt_price(0), trading._liquidity(0)
    ratio = Fraction(32, 33) if coin_in == (token0 == 1.0) else Fraction(33, 32)
    most, out, fee = limit_of(price, isqrt(math.floor(price**2 * ratio)), depth, PIPS)
    assert trading._swap(coin_in, most, 0) == (out, fee)
    with pytest.raises(SizeRefusedError):
        trading._swap(coin_in, most + 1, 0)


@pytest.mark.parametrize(("token0", "target"), [(0.0, MIN_SQRT_RATIO + 1), (1.0, MAX_SQRT_RATIO - 1)])
def test_a_swap_moves_the_price_no_further_than_the_last_tick(token0, target):
    root = target * (11 if token0 == 0.0 else 9) // 10
    each = Fraction(root**2, 2**192) if token0 else Fraction(2**192, root**2)
    trading = dear(float(each / 10**10), token0, 1e24, max_move=1.0)
    most, out, fee = limit_of(trading._sqrt_price(0), target, trading._liquidity(0), PIPS)
    assert trading._swap(False, most, 0) == (out, fee)
    with pytest.raises(SizeRefusedError):
        trading._swap(False, most + 1, 0)


def test_a_swap_of_nothing_needs_no_liquidity():
    trading = spot(1.0, liquidity=0.0)
    assert trading._swap(True, 0, 0) == trading._swap(False, 0, 0) == (0, 0)
    with pytest.raises(ValidationError, match="no liquidity"):
        trading._swap(True, 1, 0)


@pytest.mark.parametrize(
    ("lost", "fee", "booked"),
    [(1_000, 799, 799), (1_000, 800, 800), (1_000, 801, 800), (200, 9, 0), (199, 9, 0), (0, 0, 0)],
)
def test_a_fee_is_no_more_than_what_is_lost_beside_gas(lost, fee, booked):
    # A coin for 3,000 USD less what is lost, 200 of it gas.
    cash = 3_000 * USD - lost
    fill = spot(1.0)._fill((10**18,), (0,), cash, 200, fee, 3_000 * USD, 0)
    expected = {
        ("cash", "USDC"): cash,
        ("fee", "USDC"): booked,
        ("gas", "USDC"): 200,
        ("world", "USDC"): -cash - booked - 200,
        ("position", "WETH"): -(10**18),
        ("world", "WETH"): 10**18,
    }
    assert posted(fill.legs) == without_zeros(expected)
    assert (fill.cost_raw, fill.slippage_bps) == (lost, 10_000.0 * max(0, lost - 200) / (3_000 * USD))


def test_a_base_unit_that_is_not_whole_is_not_counted():
    assert spot(1.0).value((10**18 + 333_333_333,), 0) == 3_000 * USD  # 3,000,000,000.999
    assert spot(1.0).value((10**18 + 333_333_334,), 0) == 3_000 * USD + 1
