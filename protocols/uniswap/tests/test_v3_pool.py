"""The v3 pool as a whole: solvent through any sequence of calls, refusing with the contract's reasons, changing nothing then."""

from __future__ import annotations

import copy
from math import isqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena_uniswap.exact import RefusedError, V3Pool
from treasury_arena_uniswap.exact.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO, Q96, sqrt_ratio_at_tick
from treasury_arena_uniswap.exact.ticks import TickTable

OWNERS = ("ann", "bob")
MOST = 2**128 - 1


def everything(pool):
    """All of a pool's state as plain values."""
    return (
        {name: value for name, value in vars(pool).items() if name not in ("ticks", "positions")},
        {tick: [getattr(entry, name) for name in entry.__slots__] for tick, entry in pool.ticks.at.items()},
        dict(pool.ticks.words),
        {key: [getattr(held, name) for name in held.__slots__] for key, held in pool.positions.items()},
    )


def make(price=Q96, fee=3000, spacing=60, wide=10**18):
    pool = V3Pool(fee, spacing)
    pool.initialize(price)
    if wide:
        end = 887_272 // spacing * spacing
        pool.mint("wide", -end, end, wide)
    return pool


bound = st.integers(-40, 40)
calls = st.one_of(
    st.tuples(st.just("mint"), st.sampled_from(OWNERS), bound, bound, st.integers(0, 10**20)),
    st.tuples(st.just("burn"), st.sampled_from(OWNERS), bound, bound, st.integers(0, 10**20)),
    st.tuples(
        st.just("collect"), st.sampled_from(OWNERS), bound, bound, st.sampled_from([0, 10, MOST]), st.integers(0, MOST)
    ),
    st.tuples(
        st.just("swap"),
        st.booleans(),
        st.one_of(st.integers(-5, 5), st.integers(-(10**17), 10**17)),
        st.one_of(st.none(), bound),
    ),
    st.tuples(st.just("protocol"), st.sampled_from([0, 4, 5, 10, 3, 11]), st.sampled_from([0, 4, 7, 10])),
    st.tuples(st.just("collect_protocol"), st.sampled_from([0, 1, MOST]), st.integers(0, 10**17)),
)


def apply(pool, call, spacing):
    """What the call moves into the pool, per token."""
    name, *rest = call
    if name in ("mint", "burn", "collect"):
        owner, low, high, *amounts = rest
        found = getattr(pool, name)(owner, low * spacing, high * spacing, *amounts)
        return {"mint": found, "burn": (0, 0), "collect": (-found[0], -found[1])}[name]
    if name == "swap":
        zero_for_one, amount, limit = rest
        result = pool.swap(zero_for_one, amount, None if limit is None else sqrt_ratio_at_tick(limit * spacing))
        return result.amount0, result.amount1
    if name == "protocol":
        pool.set_fee_protocol(*rest)
        return 0, 0
    paid = pool.collect_protocol(*rest)
    return -paid[0], -paid[1]


@settings(max_examples=120, deadline=None)
@given(sequence=st.lists(calls, max_size=25), spacing=st.sampled_from([1, 10, 60]))
def test_a_pool_can_always_pay_everybody(sequence, spacing):
    pool = make(spacing=spacing, wide=0)
    held0, held1 = pool.mint("wide", -spacing * 100, spacing * 100, 10**18)
    for call in sequence:
        before = everything(copy.deepcopy(pool))
        try:
            came0, came1 = apply(pool, call, spacing)
        except RefusedError:
            assert everything(pool) == before
            continue
        held0, held1 = held0 + came0, held1 + came1
        inside = [
            held.liquidity
            for (_, low, high), held in pool.positions.items()
            if low <= pool.tick < high and held.liquidity
        ]
        assert pool.liquidity == sum(inside)
        assert sqrt_ratio_at_tick(pool.tick) <= pool.sqrt_price_x96
    for (owner, low, high), held in list(pool.positions.items()):
        if held.liquidity:
            owed = pool.owed(owner, low, high)
            gave = pool.burn(owner, low, high, held.liquidity)
            assert (held.owed0, held.owed1) == (owed[0] + gave[0], owed[1] + gave[1])
        paid = pool.collect(owner, low, high, MOST, MOST)
        held0, held1 = held0 - paid[0], held1 - paid[1]
    assert (pool.liquidity, pool.ticks.at, pool.ticks.words) == (0, {}, {})
    left0, left1 = held0 - pool.protocol_fees0, held1 - pool.protocol_fees1
    assert 0 <= left0 < 10**4
    assert 0 <= left1 < 10**4


@settings(deadline=None)
@given(amount=st.integers(-(10**16), 10**16).filter(bool), zero_for_one=st.booleans())
def test_a_quote_is_the_swap_and_changes_nothing(amount, zero_for_one):
    pool = make()
    pool.mint("ann", -120, 60, 10**19)
    before = everything(copy.deepcopy(pool))
    quote = pool.quote(zero_for_one, amount)
    assert everything(pool) == before
    assert pool.swap(zero_for_one, amount) == quote


@settings(deadline=None)
@given(amount=st.integers(1, 10**17), fee=st.sampled_from([0, 100, 500, 10_000]))
def test_there_and_back_never_gains(amount, fee):
    pool = make(fee=fee)
    there = pool.swap(True, amount)
    if there.amount1:
        back = pool.swap(False, -there.amount1)
        assert -back.amount0 <= amount


def test_fees_go_to_those_in_range_by_their_share_and_to_the_protocol():
    pool = make(fee=10_000, spacing=200, wide=0)
    pool.mint("ann", -200, 200, 3 * 10**18)
    pool.mint("bob", -200, 200, 10**18)
    pool.mint("far", 400, 600, 10**18)
    pool.set_fee_protocol(0, 4)
    pool.swap(True, 10**15)
    ann, bob = (pool.owed(owner, -200, 200) for owner in ("ann", "bob"))
    assert ann[0] == 3 * bob[0] + 2 == 7_499_999_999_999
    assert (ann[1], bob[1], pool.protocol_fees0) == (0, 0, 0)
    pool.swap(False, 10**15)
    assert pool.owed("ann", -200, 200)[1] == 7_499_999_999_999 * 3 // 4
    assert pool.protocol_fees1 == 10**13 // 4
    assert pool.owed("far", 400, 600) == (0, 0)
    assert pool.collect_protocol(MOST, MOST) == (0, 10**13 // 4 - 1)
    assert pool.protocol_fees1 == 1


def test_crossing_a_tick_takes_its_liquidity_along():
    pool = make(wide=10**15)
    pool.mint("ann", -60, 60, 10**18)
    result = pool.swap(True, 10**18, sqrt_ratio_at_tick(-120))
    assert [tick for tick, _ in result.crossed] == [-60]
    assert (pool.liquidity, pool.sqrt_price_x96) == (10**15, sqrt_ratio_at_tick(-120))
    pool.swap(False, 10**18, sqrt_ratio_at_tick(0))
    assert pool.liquidity == 10**15 + 10**18


def test_a_swap_to_exactly_a_tick_below_stands_under_it():
    pool = make()
    pool.swap(True, 10**18, sqrt_ratio_at_tick(-60))
    assert pool.tick == -60
    pool.mint("ann", -120, -60, 10**18)
    assert pool.liquidity == 10**18
    other = make()
    other.mint("ann", -60, 60, 10**18)
    other.swap(True, 10**18, sqrt_ratio_at_tick(-60))
    assert (other.tick, other.liquidity) == (-61, 10**18)


@given(
    ticks=st.sets(st.integers(-600, 600), max_size=12),
    tick=st.integers(-700, 700),
    spacing=st.sampled_from([1, 10]),
    downwards=st.booleans(),
)
def test_the_next_tick_is_sought_in_one_word(ticks, tick, spacing, downwards):
    table = TickTable(spacing)
    for place in ticks:
        table.change(place * spacing, 1, False, 0, 0, 0)
    place = tick // spacing if downwards else tick // spacing + 1
    word = range(place // 256 * 256, place // 256 * 256 + 256)
    if downwards:
        inside = [one for one in ticks if one in word and one <= place]
        expected = (max(inside), True) if inside else (word[0], False)
    else:
        inside = [one for one in ticks if one in word and one >= place]
        expected = (min(inside), True) if inside else (word[-1], False)
    assert table.next_within_word(tick, downwards) == (expected[0] * spacing, expected[1])


REFUSALS = [
    (lambda pool: pool.initialize(Q96), "AI"),
    (lambda pool: pool.swap(True, 0), "AS"),
    (lambda pool: pool.swap(True, 1, pool.sqrt_price_x96), "SPL"),
    (lambda pool: pool.swap(True, 1, MIN_SQRT_RATIO), "SPL"),
    (lambda pool: pool.swap(False, 1, pool.sqrt_price_x96), "SPL"),
    (lambda pool: pool.swap(False, 1, MAX_SQRT_RATIO), "SPL"),
    (lambda pool: pool.swap(False, 1 << 255), ""),
    (lambda pool: pool.mint("ann", 60, 60, 1), "TLU"),
    (lambda pool: pool.mint("ann", -887_280, 60, 1), "TLM"),
    (lambda pool: pool.mint("ann", -60, 887_280, 1), "TUM"),
    (lambda pool: pool.mint("ann", -60, 60, 0), ""),
    (lambda pool: pool.mint("ann", -60, 61, 1), ""),
    (lambda pool: pool.mint("ann", -60, 60, 1 << 127), ""),
    (lambda pool: pool.mint("ann", -60, 60, (1 << 127) - 1), "LO"),
    (lambda pool: pool.burn("ann", -60, 60, 1), "LS"),
    (lambda pool: pool.burn("ann", -60, 60, 0), "NP"),
    (lambda pool: pool.burn("wide", -60, 60, 0), "NP"),
    (lambda pool: pool.set_fee_protocol(3, 0), ""),
    (lambda pool: pool.set_fee_protocol(4, 11), ""),
]


@pytest.mark.parametrize(("call", "reason"), REFUSALS)
def test_refusals_carry_the_contracts_reason_and_change_nothing(call, reason):
    pool = make()
    before = everything(copy.deepcopy(pool))
    with pytest.raises(RefusedError) as refused:
        call(pool)
    assert refused.value.reason == reason
    assert everything(pool) == before


@pytest.mark.parametrize("call", ["swap", "mint", "burn", "collect", "set_fee_protocol", "collect_protocol"])
def test_a_pool_without_a_price_refuses_everything(call):
    arguments = {"swap": (True, 1), "mint": ("ann", -60, 60, 1), "burn": ("ann", -60, 60, 1)}
    arguments |= {"collect": ("ann", -60, 60, 1, 1), "set_fee_protocol": (0, 0), "collect_protocol": (0, 0)}
    with pytest.raises(RefusedError, match="revert reason 'LOK'"):
        getattr(V3Pool(3000, 60), call)(*arguments[call])


def test_a_swap_beyond_the_liquidity_is_partial():
    pool = make(price=isqrt(1 << 192), wide=0)
    pool.mint("ann", -60, 60, 10**18)
    result = pool.swap(True, 10**30)
    assert (result.sqrt_price_x96, result.liquidity) == (MIN_SQRT_RATIO + 1, 0)
    assert 0 < result.amount0 < 10**16


@pytest.mark.parametrize(("zero_for_one", "end"), [(True, MIN_SQRT_RATIO + 1), (False, MAX_SQRT_RATIO - 1)])
@pytest.mark.parametrize("spacing", [1, 60, 16_383])
def test_a_swap_beyond_the_liquidity_goes_to_the_end_of_prices(zero_for_one, end, spacing):
    """The last word of the bitmap reaches beyond the last tick that there is."""
    pool = make(spacing=spacing, wide=0)
    pool.mint("ann", -spacing, spacing, 10**18)
    result = pool.swap(zero_for_one, 10**40)
    assert (result.sqrt_price_x96, result.liquidity) == (end, 0)


def test_a_position_from_the_lowest_tick_to_the_highest():
    pool = make(spacing=1, wide=0)
    assert pool.mint("ann", -887_272, 887_272, 10**18) == (10**18, 10**18)
    for lower, upper, reason in ((-887_273, 0, "TLM"), (0, 887_273, "TUM")):
        with pytest.raises(RefusedError) as refused:
            pool.mint("ann", lower, upper, 1)
        assert refused.value.reason == reason


def test_a_tick_carries_all_of_its_liquidity_and_not_one_more():
    pool = make(wide=0)
    most = pool.ticks.liquidity_max
    pool.mint("ann", -60, 60, most)
    for lower, upper in ((-60, 120), (-120, 60)):
        with pytest.raises(RefusedError) as refused:
            pool.mint("ann", lower, upper, 1)
        assert refused.value.reason == "LO"
    pool.burn("ann", -60, 60, 1)
    pool.mint("bob", -60, 120, 1)
