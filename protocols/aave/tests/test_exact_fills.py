"""Every rounding and threshold of a supply in Aave's exact markets and of the four moves, in fixed numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from exact_markets import CURVE, GAS, HOUR, NINETEEN, RAY, USD, YEAR, half_up, posted, roundings, supply

from treasury_arena.errors import ValidationError
from treasury_arena_aave.bound import Holding
from treasury_arena_aave.exact.versions import VERSIONS


# ---------------------------------------------------------------- the four moves
@pytest.mark.parametrize("version", [3.0, 3.4, 3.5, 3.7])
@pytest.mark.parametrize("index", [RAY, 4 * RAY // 3, NINETEEN, 5 * RAY // 2, 7 * RAY])
def test_a_move_is_the_nearest_that_is_not_in_the_holders_favour(version, index):
    lending, ray = supply(version=version), Fraction(index, RAY)
    supplied, withdrawn, balance, borrowed, repaid, debt = roundings(version)
    for scaled in range(12):
        held, has, owes = Holding(scaled, index), balance(scaled * ray), debt(scaled * ray)
        for amount in range(25):
            less, more = range(max(0, amount - 3), amount + 1), range(amount, amount + 4)
            lent = [scaled + supplied(asked / ray) for asked in less]
            assert lending._lend(held, amount).scaled == max(s for s in lent if balance(s * ray) - has <= amount)
            due = [scaled + borrowed(asked / ray) for asked in more]
            assert lending._owe(held, amount).scaled == min(s for s in due if debt(s * ray) - owes >= amount)
            left = [max(0, scaled - withdrawn(asked / ray)) for asked in more]
            left = [s for s in left if has - balance(s * ray) >= amount] if amount < has else [0]
            assert lending._take(held, amount).scaled == max(left)
            left = [scaled - repaid(asked / ray) for asked in less] if amount < owes else [0]
            assert lending._pay(held, amount).scaled == min(s for s in left if owes - debt(s * ray) <= amount)


@pytest.mark.parametrize("version", [3.0, 3.4])
def test_half_up_a_second_try_takes_back_the_unit_that_the_first_gives_away(version):
    lending = supply(version=version)
    # 3 / 1.9 rounds to 2, worth 3.8 or 4, one more than was paid; for 2 it is 1.05 or 1, worth 2.
    assert lending._lend(Holding(0, NINETEEN), 3) == Holding(1, NINETEEN)
    # 10 / 1.9 rounds to 5 of 10, which leaves 9.5 or 10 of 19: only 9 taken; for 11 it is 6, which leaves 8.
    assert lending._take(Holding(10, NINETEEN), 10) == Holding(4, NINETEEN)
    # 10 / 1.9 rounds to 5: 5 and 5 owe 19, only 9 more than 9.5 or 10; for 11 it is 6, and they owe 20.9 or 21.
    assert lending._owe(Holding(5, NINETEEN), 10) == Holding(11, NINETEEN)
    # 3 / 1.9 rounds to 2 of 10, which owe 15.2 or 15 of 19: 4 paid with 3; for 2 it is 1.
    assert lending._pay(Holding(10, NINETEEN), 3) == Holding(9, NINETEEN)


@pytest.mark.parametrize("version", [3.0, 3.4])
@pytest.mark.parametrize("index", [616, 618, 650, 800, 1_234, 9_999])
def test_no_move_is_in_the_holders_favour_at_an_index_of_many_rays(version, index):
    """A unit of scaled debt or supply is then many base units, and half an index is given away at once."""
    lending = supply(version=version)
    for amount in range(1, 60):
        held = Holding(1_000, index * RAY // 100)
        has, owes = lending._balance(held), lending._owed(held)
        assert lending._balance(lending._lend(held, amount)) - has <= amount
        assert has - lending._balance(lending._take(held, amount)) >= amount
        assert lending._owed(lending._owe(held, amount)) - owes >= amount
        assert owes - lending._owed(lending._pay(held, amount)) <= amount


# ---------------------------------------------------------------- a supply
@pytest.mark.parametrize("version", [3.0, 3.4, 3.5, 3.7])
def test_a_supply_pays_fee_and_gas_rounded_up_and_lends_the_tokens_rounded_down(version):
    lending = supply({"price": 0.75, "gas": GAS}, version=version, swap_fee=0.0005)
    rounded, _, balance, *_ = roundings(version)
    index, held, before = Fraction(19, 10), 1_000_003, balance(1_000_003 * Fraction(19, 10))
    value = before * 3 // 4
    assert lending.value((held, NINETEEN), 0) == value
    assert lending.holdings((held, NINETEEN)) == {"USDT": before}
    for size in (3_000_001, 3_002_000, 3_000_003, 3_000_008, 7_654_321):
        fill = lending.trade((held, NINETEEN), value + size, 0)
        fee, gas = math.ceil(Fraction(size, 2_000)), 250_001
        tokens = math.floor(Fraction(4 * (size - fee - gas), 3))
        options = [held + rounded((tokens - less) / index) for less in range(4)]
        scaled = max(s for s in options if balance(s * index) - before <= tokens)
        gained = balance(scaled * index) - before
        assert fill.state == (scaled, NINETEEN)
        assert posted(fill.legs) == {
            ("cash", "USDC"): -size,
            ("fee", "USDC"): fee,
            ("gas", "USDC"): gas,
            ("world", "USDC"): size - fee - gas,
            ("position", "USDT"): gained,
            ("world", "USDT"): -gained,
        }
        assert (fill.notional_raw, fill.cost_raw, fill.slippage_bps) == (size, fee + gas, 10_000.0 * fee / size)


@pytest.mark.parametrize("version", [3.0, 3.4, 3.5, 3.7])
def test_a_withdrawal_leaves_the_targets_tokens_rounded_down(version):
    lending = supply({"price": 0.75, "gas": GAS}, version=version, swap_fee=0.0005)
    _, rounded, balance, *_ = roundings(version)
    index, held, before = Fraction(19, 10), 9_000_001, balance(9_000_001 * Fraction(19, 10))
    for target in (0, 1, 1_000_000, 1_000_001, 7_654_321):
        fill = lending.trade((held, NINETEEN), target, 0)
        size = before * 3 // 4 - target
        fee, gas, out = math.ceil(Fraction(size, 2_000)), 250_001, before - math.floor(Fraction(4 * target, 3))
        options = [held - rounded((out + more) / index) for more in range(4)] if out < before else [0]
        scaled = max(s for s in options if before - balance(s * index) >= out)
        left = balance(scaled * index)
        assert fill.state == ((scaled, NINETEEN) if scaled else (0, RAY))
        assert posted(fill.legs) == {
            ("cash", "USDC"): size - fee - gas,
            ("fee", "USDC"): fee,
            ("gas", "USDC"): gas,
            ("world", "USDC"): -size,
            ("position", "USDT"): left - before,
            ("world", "USDT"): before - left,
        }


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize(("dust", "least"), [(1.0, 1_000_000), (2.0**-7, 7_813), (0.0, 1)])  # 7,812.5 rounds half up
def test_a_supply_is_moved_by_dust_and_not_by_less(dust, least, way):
    lending = supply(dust=dust)
    assert lending.trade((5 * USD, RAY), 5 * USD + way * (least - 1), 0) is None
    assert lending.trade((5 * USD, RAY), 5 * USD + way * least, 0).state == (5 * USD + way * least, RAY)


@pytest.mark.parametrize("way", [1, -1])
def test_a_supply_is_not_moved_for_its_costs_and_is_for_a_unit_more(way):
    # The fee on 500,001 at 1/2 is 250,001 and gas 250,000: all of it.
    lending = supply({"gas": 0.25}, swap_fee=0.5)
    assert lending.trade((5 * USD, RAY), 5 * USD + way * 500_001, 0) is None
    assert posted(lending.trade((5 * USD, RAY), 5 * USD + way * 500_002, 0).legs)["fee", "USDC"] == 250_001


def test_a_withdrawal_takes_all_cash_there_is_and_not_a_unit_more():
    for cash, supplied in ((7_813, 2.0**-7), (10 * USD, 10.0)):  # 7,812.5 rounds half up
        lending = supply({"supplied": supplied, "borrowed": 0.0})
        assert lending.trade((20 * USD, RAY), 20 * USD - cash, 0).state == (20 * USD - cash, RAY)
        with pytest.raises(ValidationError, match="has to wait"):
            lending.trade((20 * USD, RAY), 20 * USD - cash - 1, 0)


RESERVES = [  # USD supplied and borrowed without us, our own
    (1e6, 5e5, 1_000 * USD + 1),
    (1e6, 9e5, 400_000 * USD),
    (1e6, 1.25e6, 7 * USD),  # more borrowed than there is, also with ours
    (2.0, 3.0, 5),
    (1e6, 1.25e6, 300_000 * USD),  # with ours there is cash
    (0.0, 5.0, 10 * USD),
    (1e6, 0.0, 10 * USD),
]


@pytest.mark.parametrize(("supplied", "borrowed", "own"), RESERVES)
@pytest.mark.parametrize("version", [3.0, 3.4, 3.5, 3.7])
def test_lenders_earn_the_observed_rate_times_the_curves_with_our_deposit_rounded_down(
    version, supplied, borrowed, own
):
    lending = supply({"supplied": supplied, "borrowed": borrowed}, version=version)
    total, lent = int(supplied * USD), int(borrowed * USD)
    usual, rules = min(lent, total), VERSIONS[f"{version:.1f}"]
    without, _ = CURVE.rates(total - usual, usual, 0, rules)
    both = min(lent, total + own)
    with_ours, _ = CURVE.rates(total + own - both, both, 0, rules)
    expected = Fraction(RAY, 16) * (Fraction(with_ours, without) if without else 1)
    assert lending.rate((own, RAY), 0) == math.floor(expected)


@pytest.mark.parametrize("version", [3.0, 3.5])
def test_a_supplys_index_grows_row_by_row_at_the_rows_own_rate_half_up(version):
    rates, index, scaled = [0.5, 1 / 16, 1 / 8, 3 / 16], NINETEEN, 777_777_777
    lending = supply({"rate": rates}, version=version)
    balance = roundings(version)[2]
    before = balance(scaled * Fraction(index, RAY))
    for row in range(1, 4):
        rate = lending.rate((scaled, index), row)
        assert 0 < rate < int(rates[row] * RAY)
        index = half_up(Fraction((RAY + math.floor(Fraction(rate * HOUR, YEAR))) * index, RAY))
    state, legs = lending.accrue((scaled, NINETEEN), 0, 3)
    assert state == (scaled, index)
    gained = balance(scaled * Fraction(index, RAY)) - before
    assert posted(legs) == {("position", "USDT"): gained, ("world", "USDT"): -gained}
    assert lending.accrue((0, RAY), 0, 3) == ((0, RAY), ())
