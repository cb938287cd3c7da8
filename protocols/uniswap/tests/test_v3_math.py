"""Ticks, price moves and swap steps, against published numbers and plain fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena_uniswap.exact import RefusedError
from treasury_arena_uniswap.exact.amounts import amounts_for_liquidity, liquidity_for_amounts
from treasury_arena_uniswap.exact.sqrt_price_math import (
    amount0_delta,
    amount1_delta,
    next_sqrt_price_from_input,
    next_sqrt_price_from_output,
)
from treasury_arena_uniswap.exact.swap_math import PIPS, compute_swap_step
from treasury_arena_uniswap.exact.tick_math import (
    FACTORS,
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    Q96,
    max_liquidity_per_tick,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)

ONE = 10**18
ticks = st.integers(MIN_TICK, MAX_TICK)
prices = st.one_of(
    st.integers(MIN_SQRT_RATIO, MAX_SQRT_RATIO - 1), st.integers(MIN_TICK, MAX_TICK - 1).map(sqrt_ratio_at_tick)
)
liquidities = st.integers(1, 2**120)


def test_the_ends_of_the_range_of_prices():
    assert MIN_SQRT_RATIO == 4295128739
    assert MAX_SQRT_RATIO == 1461446703485210103287273052203988822378723970342
    assert sqrt_ratio_at_tick(0) == Q96
    assert FACTORS[0] == 0xFFFCB933BD6FAD37AA2D162D1A594001


@pytest.mark.parametrize("tick", [50, -50, 250_000, -250_000, 738_203, MAX_TICK])
def test_a_tick_is_a_ten_thousandth(tick):
    root = Fraction(sqrt_ratio_at_tick(tick), Q96)
    assert float(root) == pytest.approx(math.exp(tick / 2 * math.log1p(1e-4)), rel=1e-10)


@given(tick=st.integers(MIN_TICK, MAX_TICK - 1))
def test_a_price_lies_at_the_greatest_tick_not_above_it(tick):
    price = sqrt_ratio_at_tick(tick)
    assert tick_at_sqrt_ratio(price) == tick
    assert price < sqrt_ratio_at_tick(tick + 1)
    if tick > MIN_TICK:
        assert tick_at_sqrt_ratio(price - 1) == tick - 1


@pytest.mark.parametrize("tick", [MIN_TICK - 1, MAX_TICK + 1])
def test_ticks_outside_the_range_are_refused(tick):
    with pytest.raises(RefusedError, match="revert reason 'T'"):
        sqrt_ratio_at_tick(tick)


@pytest.mark.parametrize("price", [0, MIN_SQRT_RATIO - 1, MAX_SQRT_RATIO])
def test_prices_outside_the_range_are_refused(price):
    with pytest.raises(RefusedError) as refused:
        tick_at_sqrt_ratio(price)
    assert refused.value.reason == "R"


@pytest.mark.parametrize(
    ("spacing", "most"),
    [
        (10, 1917569901783203986719870431555990),
        (60, 11505743598341114571880798222544994),
        (200, 38350317471085141830651933667504588),
    ],
)
def test_the_liquidity_of_one_tick_is_limited(spacing, most):
    assert max_liquidity_per_tick(spacing) == most
    assert most * (2 * (MAX_TICK // spacing) + 1) < 2**128


def test_published_price_move():
    assert next_sqrt_price_from_input(Q96, ONE, ONE // 10, False) == 87150978765690771352898345369


@pytest.mark.parametrize("exact_in", [True, False])
@pytest.mark.parametrize(
    ("zero_for_one", "percent", "paid", "got"), [(True, 99, 10_102, 10_000), (False, 101, 10_001, 9_901)]
)
def test_the_very_amount_that_reaches_a_price_reaches_it(zero_for_one, percent, paid, got, exact_in):
    """Rounded as the contract does: the price that the amount alone leads to lies beside the target, on either side of it."""
    target = Q96 * percent // 100
    remaining = paid if exact_in else -got
    move = next_sqrt_price_from_input if exact_in else next_sqrt_price_from_output
    assert move(Q96, 1_000_007, abs(remaining), zero_for_one) != target
    assert compute_swap_step(Q96, target, 1_000_007, remaining, 0) == (target, paid, got, 0)
    short = compute_swap_step(Q96, target, 1_000_007, remaining - 1 if exact_in else remaining + 1, 0)
    assert short[0] > target if zero_for_one else short[0] < target


def test_published_swap_step():
    target = isqrt((101 << 192) // 100)
    assert compute_swap_step(Q96, target, 2 * ONE, ONE, 600) == (
        target,
        9975124224178055,
        9925619580021728,
        5988667735148,
    )


@given(low=prices, high=prices, liquidity=liquidities)
def test_amounts_between_prices_are_the_fractions_rounded(low, high, liquidity):
    low, high = min(low, high), max(low, high)
    token0 = Fraction(liquidity * Q96 * (high - low), high * low)
    token1 = Fraction(liquidity * (high - low), Q96)
    for exact, function in ((token0, amount0_delta), (token1, amount1_delta)):
        assert function(low, high, liquidity, False) == function(high, low, liquidity, False) == exact.__floor__()
        assert function(low, high, liquidity, True) == exact.__ceil__()


@given(price=prices, liquidity=liquidities, amount=st.integers(0, 2**110), zero_for_one=st.booleans())
def test_an_input_never_buys_more_than_it_is_worth(price, liquidity, amount, zero_for_one):
    try:
        moved = next_sqrt_price_from_input(price, liquidity, amount, zero_for_one)
    except RefusedError:
        return
    assert moved <= price if zero_for_one else moved >= price
    needed = (amount0_delta if zero_for_one else amount1_delta)(moved, price, liquidity, True)
    assert needed <= amount


@given(price=prices, liquidity=liquidities, amount=st.integers(0, 2**110), zero_for_one=st.booleans())
def test_an_output_is_never_given_for_less(price, liquidity, amount, zero_for_one):
    try:
        moved = next_sqrt_price_from_output(price, liquidity, amount, zero_for_one)
    except RefusedError:
        return
    given_up = (amount1_delta if zero_for_one else amount0_delta)(moved, price, liquidity, False)
    assert given_up >= amount


@given(
    price=prices,
    target=prices,
    liquidity=st.one_of(st.just(0), liquidities),
    remaining=st.integers(-(2**110), 2**110).filter(bool),
    fee=st.sampled_from([0, 100, 500, 3000, 10_000, 999_999]),
)
def test_a_swap_step_keeps_its_promises(price, target, liquidity, remaining, fee):
    reached, paid, got, charged = compute_swap_step(price, target, liquidity, remaining, fee)
    assert min(price, target) <= reached <= max(price, target)
    if remaining > 0:
        assert paid + charged <= remaining
    else:
        assert got <= -remaining
    if reached != target:
        assert paid + charged == remaining if remaining > 0 else got == -remaining
    assert charged * (PIPS - fee) >= paid * fee
    down = price >= target
    assert paid >= (amount0_delta if down else amount1_delta)(reached, price, liquidity, True)
    assert got <= (amount1_delta if down else amount0_delta)(reached, price, liquidity, False)


@pytest.mark.parametrize("function", [next_sqrt_price_from_input, next_sqrt_price_from_output])
def test_no_liquidity_moves_no_price(function):
    with pytest.raises(RefusedError, match="only where there is liquidity"):
        function(Q96, 0, 1, True)


@given(
    price=prices,
    low=st.integers(-40_000, 40_000),
    width=st.integers(1, 40_000),
    amount0=st.integers(0, 2**90),
    amount1=st.integers(0, 2**90),
)
def test_liquidity_for_amounts_costs_no_more_than_the_amounts(price, low, width, amount0, amount1):
    bounds = sqrt_ratio_at_tick(low), sqrt_ratio_at_tick(low + width)
    liquidity = liquidity_for_amounts(price, *bounds, amount0, amount1)
    needed0, needed1 = amounts_for_liquidity(price, *bounds, liquidity, up=True)
    assert needed0 <= amount0
    assert needed1 <= amount1
    assert amounts_for_liquidity(price, *bounds, liquidity) <= (needed0, needed1)
