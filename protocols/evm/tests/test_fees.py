"""What is offered for gas: from the last blocks, with room for growth, never above the cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.errors import ConfigError
from treasury_arena_evm.errors import FeeError
from treasury_arena_evm.fees import GWEI, FeePolicy, Fees, bumped_within, suggest


def history(base: int, tips: list[int], used: list[float] | None = None) -> dict:
    return {
        "baseFeePerGas": [hex(base)] * (len(tips) + 1),
        "gasUsedRatio": used or [0.5] * len(tips),
        "reward": [[hex(tip)] for tip in tips],
    }


def test_median_tip_and_twice_the_base_fee():
    fees = suggest(history(10 * GWEI, [3 * GWEI, 1 * GWEI, 2 * GWEI]), FeePolicy())
    assert fees == Fees(22 * GWEI, 2 * GWEI)
    assert fees.fields == {"maxFeePerGas": 22 * GWEI, "maxPriorityFeePerGas": 2 * GWEI}


def test_empty_blocks_tell_nothing_of_tips():
    policy = FeePolicy(tip_min_raw=7)
    assert suggest(history(GWEI, [0, 5 * GWEI, 0], [0.0, 0.9, 0.001]), policy).tip_raw == 5 * GWEI
    assert suggest(history(GWEI, [5 * GWEI], [0.0]), policy).tip_raw == 7
    assert suggest({"baseFeePerGas": [5]}, policy).tip_raw == 7  # a chain without history


def test_the_cap_cuts_the_room_but_refuses_a_price_above_it():
    policy = FeePolicy(cap_raw=12 * GWEI)
    assert suggest(history(10 * GWEI, [1 * GWEI]), policy) == Fees(12 * GWEI, 1 * GWEI)
    assert suggest(history(11 * GWEI, [1 * GWEI]), policy).cap_raw == 12 * GWEI
    with pytest.raises(
        FeeError, match=r"gas costs 12\.5 gwei now \(11\.5 base fee, 1 tip\), more than the cap of 12 gwei"
    ):
        suggest(history(23 * GWEI // 2, [1 * GWEI]), policy)


@given(st.integers(0, 10**13), st.lists(st.integers(0, 10**12), max_size=10), st.integers(1, 10**13))
def test_never_above_the_cap_and_always_enough_for_the_next_block(base, tips, cap):
    policy = FeePolicy(cap_raw=cap, tip_min_raw=1)
    try:
        fees = suggest(history(base, tips), policy)
    except FeeError:
        assert base + max(tips, default=0) > cap or base + 1 > cap
    else:
        assert base + fees.tip_raw <= fees.cap_raw <= cap


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_replacement_rises_by_more_than_a_tenth(base, tip):
    fees = Fees(base + tip, tip)
    higher = fees.bumped()
    assert higher.cap_raw * 10 >= fees.cap_raw * 11
    assert higher.tip_raw * 10 >= fees.tip_raw * 11
    assert higher.cap_raw > fees.cap_raw
    assert higher.tip_raw > fees.tip_raw


def test_a_replacement_stays_below_the_cap():
    assert bumped_within(Fees(80, 8), FeePolicy(cap_raw=90)) == Fees(90, 9)
    with pytest.raises(FeeError, match="replacing the transaction needs"):
        bumped_within(Fees(80, 8), FeePolicy(cap_raw=89))


@pytest.mark.parametrize(("cap", "tip"), [(1, 2), (5, -1)])
def test_impossible_fees(cap, tip):
    with pytest.raises(ConfigError, match="must lie between"):
        Fees(cap, tip)
