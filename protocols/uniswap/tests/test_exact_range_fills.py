"""Every rounding and threshold of liquidity in a range, beside fractions and the contract's own pool.

How much to swap is the model's decision and taken from there; prices, gas and volumes are fractions that a float holds
exactly.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from exact_pools import ETH, GAS, PIPS, PRICES, Q128, USD, Side, market, pool_at, posted, without_zeros

from treasury_arena_uniswap.exact.tick_math import sqrt_ratio_at_tick
from treasury_arena_uniswap.range_market import Held

TWO, THREE = 500_001, 750_002  # gas of two actions and of three
ORDERS = pytest.mark.parametrize("token0", [0.0, 1.0])


def lp(token0, *, prices=PRICES, liquidity=1e6, gas=GAS, volume=4e7, **params):
    fields = {"price": prices, "liquidity": liquidity, "volume": volume, "gas": gas}
    fields = {name: value if isinstance(value, list) else [value] * len(prices) for name, value in fields.items()}
    return market("uniswap.range", fields, {"coin_is_token0": token0, "dust": 0.0, **params})


def width_of(asked):
    return math.floor(Fraction(asked) * ETH + Fraction(1, 2))


def held_at(trading, row, usd=10_000, width=0.2):
    """A range opened at row 0 and held up to a row."""
    return Held(*trading.accrue(trading.trade(trading.open(), usd * USD + 1, 0, (width,)).state, 0, row)[0])


@ORDERS
@pytest.mark.parametrize("size", [700_007, 10_000_000_001, 12_345_678_901])
def test_a_range_opens_with_what_the_pool_mints_and_its_rest_is_owed(token0, size):
    trading = lp(token0)
    fill, side = trading.trade(trading.open(), size, 0, (0.2,)), Side(trading, token0, 0)
    ranged = Held(lower=fill.state[1], upper=fill.state[2], width=width_of(0.2))
    after, fee, moved = side.invested(ranged, 0, size - TWO)
    assert 0 < moved < size
    side.check(fill, Held(), after, -size, TWO, fee, size)


@ORDERS
@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("size", [5_000_001, 1_234_567_891])
def test_a_purchase_invests_what_is_owed_too(token0, row, size):
    trading = lp(token0, dust=1.0)
    held, side = held_at(trading, row), Side(trading, token0, row)
    fill = trading.trade(tuple(held), side.value(held) + size, row, (0.0,))
    touched = side.touched(held)
    after, fee, moved = side.invested(touched, touched.owed_coin, touched.owed_base + size - TWO)
    side.check(fill, held, after, -size, TWO, fee, max(size, moved))


@ORDERS
@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("size", [5_000_001, 1_234_567_891, None])
def test_a_sale_burns_and_swaps_its_share_and_books_the_swaps_fee(token0, row, size):
    trading = lp(token0, dust=1.0)
    held, side = held_at(trading, row), Side(trading, token0, row)
    value = side.value(held)
    assert trading.value(tuple(held), row) == value
    size = size or value
    fill = trading.trade(tuple(held), value - size, row, (0.0,))
    after, got, fee, moved = side.sold(held, value - size)
    assert moved < size
    side.check(fill, held, after, got - TWO, TWO, fee, size)
    assert fee > 0 or row == 2  # above its range a position has no coins, but for fees


@ORDERS
@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize(("usd", "dust"), [(10_000, 500.0), (3, 0.5)])
def test_a_range_that_is_re_centred_invests_all_there_is(token0, row, usd, dust):
    trading = lp(token0, dust=dust)
    held, side = held_at(trading, row, usd), Side(trading, token0, row)
    for move in (0, -int(0.8 * dust * USD), int(0.8 * dust * USD)):  # less than dust: only a purchase is made besides
        fill = trading.trade(tuple(held), side.value(held) + move, row, (-0.1,))
        ranged = Held(lower=fill.state[1], upper=fill.state[2], width=width_of(0.1))
        coin, base = side.tokens(held)
        more = max(0, move)
        after, fee, moved = side.invested(ranged, coin, base + more - THREE)
        side.check(fill, held, after, -more, THREE, fee, max(moved, more))


@ORDERS
def test_a_sale_comes_before_re_centring_and_both_are_paid(token0):
    trading = lp(token0)
    held, side = held_at(trading, 1), Side(trading, token0, 1)
    value = side.value(held)
    for target in (value // 2, value - 7_000_000):
        fill = trading.trade(tuple(held), target, 1, (-0.1,))
        sold, got, fee, moved = side.sold(held, target)
        ranged = Held(lower=fill.state[1], upper=fill.state[2], width=width_of(0.1))
        coin, base = side.tokens(sold)
        after, second, again = side.invested(ranged, coin, base - THREE)
        side.check(fill, held, after, got - TWO, TWO + THREE, fee + second, max(moved + again, value - target))


def test_what_would_not_pay_for_re_centring_keeps_its_range():
    trading = lp(1.0)
    held, side = held_at(trading, 1), Side(trading, 1.0, 1)
    for target in (700_000, 0):
        sold, got, fee, _ = side.sold(held, target)
        fill = trading.trade(tuple(held), target, 1, (-0.1,))
        side.check(fill, held, sold, got - TWO, TWO, fee, side.value(held) - target)


def test_thresholds_of_opening_and_re_centring():
    trading = lp(1.0)
    assert [trading.trade((0,) * 9, TWO + less, 0, (0.2,)) for less in (-1, 0, 1)] == [None] * 3
    small = lp(1.0, dust=1.0)
    assert small.trade((0,) * 9, 999_999, 0, (0.2,)) is None
    assert small.trade((0,) * 9, 1_000_000, 0, (0.2,)).cash_raw == -1_000_000  # though less than dust is left after gas
    held, side = held_at(trading, 1), Side(trading, 1.0, 1)
    value = side.value(held)
    for dust, made in ((value - THREE, False), (value - THREE - 1, True)):
        fill = lp(1.0, dust=dust / USD).trade(tuple(held), value, 1, (-0.1,))
        assert (fill is not None) == made
    assert trading.trade(tuple(held), value, 1, (0.2,)) is None  # the width it was asked for, to 18 decimals
    # Coins alone, and gas of all but a unit: the swap's fee is more than that.
    held = held_at(trading, 3)
    value = Side(trading, 1.0, 3).value(held)
    assert lp(1.0, gas=(value - 1.5) / 3 / USD).trade(tuple(held), value, 3, (-0.1,)) is None


@ORDERS
def test_a_sale_that_gas_eats_up_is_not_made_and_one_of_a_unit_more_is(token0):
    held = held_at(lp(token0), 1)
    free = lp(token0, gas=0.0)
    value = free.value(tuple(held), 1)
    got = free.trade(tuple(held), value - 5 * USD, 1, (0.0,)).cash_raw
    assert lp(token0, gas=(got - 0.5) / 2 / USD).trade(tuple(held), value - 5 * USD, 1, (0.0,)) is None
    assert lp(token0, gas=(got - 1.5) / 2 / USD).trade(tuple(held), value - 5 * USD, 1, (0.0,)).cash_raw == 1
    for least, dust in ((1_000_000, 1.0), (7_813, 2.0**-7)):  # 7,812.5 rounds half up
        trading = lp(token0, gas=0.0, dust=dust)
        assert trading.trade(tuple(held), value + least - 1, 1, (0.0,)) is None
        assert trading.trade(tuple(held), value + least, 1, (0.0,)).cash_raw == -least
        assert trading.trade(tuple(held), value - least + 1, 1, (0.0,)) is None
        assert trading.trade(tuple(held), value - least, 1, (0.0,)).notional_raw == least
    assert free.trade(tuple(held), value, 1, (0.0,)) is None


@ORDERS
@pytest.mark.parametrize("part", [0.0, 4.0, 7.0])
def test_fees_grow_by_half_a_rows_volume_in_each_token_rounded_down(token0, part):
    # 68,804,687.5 rounds half up; 40,000,000,007,812.5 too, and half of it down. The coins of the first row's
    # half, rounded down, are one less than a multiple of 2,000: one more would pay a unit more of fee.
    volumes = [1e9, 68.0 + 103 / 128, 4e7 + 2.0**-7, 1e9]
    trading = lp(token0, prices=[3_000.0, 3_010.5, 2_990.25, 3_700.0], volume=volumes, fee_protocol=part)
    start = Held(*trading.trade(trading.open(), 10_000 * USD, 0, (0.2,)).state)
    growth = [0, 0]
    for row, half in ((1, 34_402_344), (2, 20_000_000_003_906)):
        coins = math.floor(half * 10**12 / Fraction([3_000.0, 3_010.5, 2_990.25][row]))
        for side, amount in enumerate((coins, half)):
            fee = amount * PIPS // 10**6
            fee -= fee // int(part) if part else 0
            growth[side] += fee * Q128 // (trading._liquidity(row) + start.liquidity)
    after, legs = trading.accrue(tuple(start), 0, 3)  # the last row is beyond the range
    root = trading._sqrt_price(3)
    assert after == tuple(start._replace(growth_coin=growth[0], growth_base=growth[1], sqrt_price_x96=root))
    was, now = trading.holdings(tuple(start)), trading.holdings(after)
    coin, base = (now[symbol] - was[symbol] for symbol in ("WETH", "USDC"))
    expected = {
        ("position", "WETH"): coin,
        ("position", "USDC"): base,
        ("world", "WETH"): -coin,
        ("world", "USDC"): -base,
    }
    assert posted(legs) == without_zeros(expected)
    assert trading.accrue(after, 3, 3) == (after, ())


def test_a_pool_without_liquidity_earns_nothing():
    trading = lp(1.0, liquidity=[1e6, 0.0, 0.0, 0.0])
    assert held_at(trading, 1)[3:5] == (0, 0)


@pytest.mark.parametrize("tick", [-200, 0, 200])
def test_a_price_is_inside_from_the_lower_tick_to_just_below_the_upper_as_in_the_pool(tick):
    for price in (sqrt_ratio_at_tick(tick) - 1, sqrt_ratio_at_tick(tick), sqrt_ratio_at_tick(tick) + 1):
        pool = pool_at(price)
        pool.mint("me", -200, 200, 10**18)
        assert lp(1.0)._inside(Held(10**18, -200, 200), price) == (pool.liquidity > 0)


@ORDERS
@pytest.mark.parametrize(("row", "coin", "base"), [(2, ETH, 10**6), (3, 0, 10**17)])
def test_no_more_is_swapped_than_there_is(token0, row, coin, base):
    # Beyond its ends a range takes one token; the model's answer, a float, is at times more than all of the other.
    trading = lp(token0, liquidity=1e13, gas=0.0)
    side, beyond = Side(trading, token0, row), 0
    held = held_at(trading, row)._replace(growth_coin=0, growth_base=0, owed_base=0)
    for more in range(base, 2 * base, base // 37):
        owed = held._replace(owed_coin=coin and coin + 997 * more)
        swap = side.wish(owed.owed_coin, more, owed)
        beyond += int(swap * 1e6) > more if swap >= 0.0 else int(-swap * 1e18) > owed.owed_coin
        after, _, _ = side.invested(owed, owed.owed_coin, more)
        assert trading.trade(tuple(owed), side.value(owed) + more, row, (0.0,)).state == tuple(after)
    assert beyond
