"""The v2 pair: its product never falls, shares never gain, refusals carry the contracts' reasons."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena_uniswap.exact import RefusedError, V2Pool
from treasury_arena_uniswap.exact.v2_pool import MINIMUM_LIQUIDITY, RESERVE_MAX, amount_in, amount_out

reserves = st.integers(10**4, 10**24)


def make(reserve0=10**12, reserve1=4 * 10**12, fee_to=None):
    pool = V2Pool(fee_to)
    pool.mint("ann", reserve0, reserve1)
    return pool


def test_the_first_shares_are_the_root_of_the_product():
    pool = make()
    assert pool.supply == 2 * 10**12
    assert pool.shares == {"": MINIMUM_LIQUIDITY, "ann": 2 * 10**12 - MINIMUM_LIQUIDITY}


def test_a_swap_that_keeps_the_product_exactly_is_whole_and_one_unit_more_is_not():
    """1,000 come in and count as 997: (999,991 + 997) * (1,004,000 - 1,000) is the product of the reserves."""
    with pytest.raises(RefusedError, match="too little came in"):
        make(999_991, 1_004_000).swap(1_000, 0, 0, 1_001)
    pool = make(999_991, 1_004_000)
    pool.swap(1_000, 0, 0, 1_000)
    assert (pool.reserve0, pool.reserve1) == (1_000_991, 1_003_000)


def test_what_an_output_costs_is_one_unit_more_also_where_it_divides():
    assert 997 * 1 * 1_000 % ((1_001 - 1) * 997) == 0
    assert amount_in(1, 997, 1_001) == 2


@given(reserve_in=reserves, reserve_out=reserves, amount=st.integers(1, 10**24))
def test_an_output_costs_no_less_than_it_brings(reserve_in, reserve_out, amount):
    out = amount_out(amount, reserve_in, reserve_out)
    assert out < reserve_out
    if out:
        assert amount_in(out, reserve_in, reserve_out) <= amount + 1


@given(
    swaps=st.lists(st.tuples(st.booleans(), st.integers(1, 10**11)), max_size=20),
    fee_to=st.sampled_from([None, "protocol"]),
)
def test_the_product_never_falls_and_providers_are_paid_the_fees(swaps, fee_to):
    pool = make(fee_to=fee_to)
    bob = pool.mint("bob", 10**12, 4 * 10**12)
    product = pool.reserve0 * pool.reserve1
    for zero_for_one, amount in swaps:
        try:
            pool.swap_exact_in(zero_for_one, amount)
        except RefusedError:
            continue
        assert pool.reserve0 * pool.reserve1 >= product
        product = pool.reserve0 * pool.reserve1
    supply, fees = pool.supply, sum(1 for _ in swaps)
    got0, got1 = pool.burn("bob", bob)
    assert got0 * got1 <= product
    if fee_to is None:
        assert pool.supply == supply - bob
    else:
        assert pool.shares.get("protocol", 0) >= 0 if fees else pool.shares.get("protocol", 0) == 0


def test_the_protocol_gets_a_sixth_of_the_growth():
    pool = make(fee_to="protocol")
    for _ in range(20):
        pool.swap_exact_out(True, 10**11)
        pool.swap_exact_in(False, 10**11)
    root = (pool.reserve0 * pool.reserve1) ** 0.5
    growth = root / 2e12 - 1.0
    pool.burn("ann", 10**6)
    assert pool.shares["protocol"] / pool.supply == pytest.approx(growth / (1.0 + growth) / 6.0, rel=1e-4)


REFUSALS = [
    (lambda pool: pool.swap(1, 0, 0, 0), "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"),
    (lambda pool: pool.swap(1, 0, 0, 4 * 10**12), "UniswapV2: INSUFFICIENT_LIQUIDITY"),
    (lambda pool: pool.swap(0, 0, 0, 1), "UniswapV2: INSUFFICIENT_INPUT_AMOUNT"),
    (lambda pool: pool.swap(10**6, 0, 0, 4 * 10**6), "UniswapV2: K"),
    (lambda pool: pool.swap(1 << 112, 0, 0, 1), "UniswapV2: OVERFLOW"),
    (lambda pool: pool.mint("bob", 0, 10), "UniswapV2: INSUFFICIENT_LIQUIDITY_MINTED"),
    (lambda pool: pool.burn("ann", 0), "UniswapV2: INSUFFICIENT_LIQUIDITY_BURNED"),
    (lambda pool: pool.burn("bob", 1), "ds-math-sub-underflow"),
    (lambda pool: pool.swap_exact_in(True, 0), "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT"),
    (lambda pool: pool.swap_exact_out(True, 0), "UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT"),
    (lambda pool: pool.swap_exact_out(True, 5 * 10**12), "ds-math-sub-underflow"),
]


@pytest.mark.parametrize(("call", "reason"), REFUSALS)
def test_refusals_carry_the_contracts_reason_and_change_nothing(call, reason):
    pool = make()
    before = copy.deepcopy(vars(pool))
    with pytest.raises(RefusedError) as refused:
        call(pool)
    assert refused.value.reason == reason
    assert vars(pool) == before


@pytest.mark.parametrize("side", [0, 1])
def test_a_reserve_may_fill_112_bits_and_no_more(side):
    room = RESERVE_MAX - (10**12, 4 * 10**12)[side]
    pool = make()
    pool.swap(*((room, 0, 0, 1) if side == 0 else (0, room, 1, 0)))
    assert (pool.reserve0, pool.reserve1)[side] == 2**112 - 1
    with pytest.raises(RefusedError) as refused:
        make().swap(*((room + 1, 0, 0, 1) if side == 0 else (0, room + 1, 1, 0)))
    assert refused.value.reason == "UniswapV2: OVERFLOW"
    full = make(RESERVE_MAX, RESERVE_MAX)
    assert (full.reserve0, full.supply) == (RESERVE_MAX, RESERVE_MAX)


def test_an_empty_pair_refuses():
    pool = V2Pool()
    with pytest.raises(RefusedError, match="the pair is empty"):
        pool.swap_exact_in(True, 1)
    with pytest.raises(RefusedError, match="the first liquidity is too small"):
        pool.mint("ann", 10, 10)
    with pytest.raises(RefusedError, match="the pair is empty"):
        pool.burn("ann", 0)
