"""Every rounding and threshold of an account with debt in Aave's exact markets, in fixed numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from exact_markets import (
    CURVE,
    FEE,
    GAS,
    HOUR,
    NINETEEN,
    RAY,
    USD,
    YEAR,
    account,
    at_one,
    bought,
    check,
    deep,
    half_up,
    posted,
    roundings,
)
from published import compounded

from treasury_arena.errors import ValidationError
from treasury_arena_aave.exact.versions import VERSIONS

ALL = [3.0, 3.4, 3.5, 3.7]


@pytest.mark.parametrize("ltv", [0.0, 0.5, 0.625, 0.75, 0.9])
def test_a_purchase_borrows_the_most_whose_fee_rounded_up_is_covered(ltv):
    market, share = account({"gas": GAS}), min(Fraction(ltv), Fraction(3, 4))
    tries = set()
    for held, owed in ((0, 0), (5_000_003, int(5_000_003 * share))):
        for size in range(7_000_000, 9_000_000, 49_999):
            fill = market.trade(at_one(held, owed), held - owed + size, 0, (ltv,))
            gross, debt, fee, short = bought(held - owed + size, held, share, 250_001)
            tries.add(short)
            check(fill, (held, owed), (gross, debt), fee, 250_001, -size)
            assert fill.notional_raw == max(size, gross - held)
    assert tries == ({0} if ltv == 0.0 else {0, 1})


@pytest.mark.parametrize("ltv", [0.0, 0.5, 0.625, 0.75])
def test_a_sale_keeps_the_gross_rounded_down_and_pays_its_fee_rounded_up(ltv):
    market, held = account({"gas": GAS}), 9_000_007
    owed = int(held * Fraction(ltv))
    for target in (*range(1_000_000, 1_000_020), 0, 1):
        fill = market.trade(at_one(held, owed), target, 0, (ltv,))
        gross = math.floor(target / (1 - Fraction(ltv)))
        fee, size = math.ceil((held - gross) * FEE), held - owed - target
        check(fill, (held, owed), (gross, gross - target), fee, 250_001, size - fee - 250_001)
        assert fill.notional_raw == max(size, held - gross)


def test_without_a_control_a_sale_keeps_the_share_that_is_owed_rounded_down():
    # 2/3 owed: 666,666,666,666,666,666 of 10^18. A target of 2 x 10^6 stands for 5,999,999.999999999988 of collateral.
    market = account({"price": 1.0})
    fill = market.trade(at_one(9 * USD, 6 * USD), 2 * USD, 0)
    check(fill, (9 * USD, 6 * USD), (5_999_999, 3_999_999), 2_930, 0, USD - 2_930)


def test_the_loan_to_value_may_be_off_by_the_slack_and_not_by_a_unit_more():
    market, held = account(), 64 * USD
    for way in (1, -1):
        edge = 32 * USD + way * USD  # a 64th of 64 USD
        assert market.trade(at_one(held, edge), held - edge, 0, (0.5,)) is None
        over = edge + way
        fill = market.trade(at_one(held, over), held - over, 0, (0.5,))
        gross, debt, fee, _ = bought(held - over, held, Fraction(1, 2), 0)
        check(fill, (held, over), (gross, debt), fee, 0, 0)
        assert (gross < held) == (way > 0)
        assert fill.notional_raw == abs(gross - held)


@pytest.mark.parametrize("ltv", [0.25, 0.625])
def test_the_costs_of_another_loan_to_value_come_out_of_the_position(ltv):
    market, short = account({"gas": GAS}), set()
    for held in range(9_000_000, 9_000_040):
        owed = held // 2
        fill = market.trade(at_one(held, owed), held - owed, 0, (ltv,))
        gross, debt, fee, tries = bought(held - owed, held, Fraction(ltv), 250_001)
        short.add(tries)
        check(fill, (held, owed), (gross, debt), fee, 250_001, 0)
    assert short == {0, 1}


def test_collateral_that_is_right_to_the_unit_is_kept_and_off_by_one_is_sold():
    market = account()
    # 0.75 of 4,000,003 is 3,000,002.25: the debt is paid down to 3,000,002 and nothing is swapped.
    before = (4_000_003, 3_200_000)
    check(market.trade(at_one(*before), 1_000_001, 0, (0.75,)), before, (4_000_003, 3_000_002), 0, 0, -199_998)
    # Of 4,000,001 a little more than a unit is too much; the fee of a unit is earned by five more, at a quarter each.
    before = (4_000_001, 3_200_000)
    check(market.trade(at_one(*before), 1_000_000, 0, (0.75,)), before, (3_999_994, 2_999_995), 1, 0, -199_999)
    # At a price of 0.75 a token is left over: 5,333,337 are worth 4,000,002.75, one more 4,000,003.5.
    fill = account({"price": 0.75}).trade(at_one(5_333_338, 3_200_000), 1_000_001, 0, (0.75,))
    assert fill.state == at_one(5_333_337, 3_000_002)


def test_another_loan_to_value_that_leaves_nothing_is_not_set_up():
    # One unit less the fee on 3 is 0.998 of collateral: none.
    assert account().trade(at_one(3, 2), 1, 0, (0.0,)) is None
    assert account({"gas": 0.25}).trade(at_one(900_000, 650_000), 250_000, 0, (0.0,)) is None


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize(("dust", "least"), [(1.0, 1_000_000), (2.0**-7, 7_813), (0.0, 3)])  # 7,812.5 rounds half up
def test_an_account_is_moved_by_dust_and_not_by_less(dust, least, way):
    market, held = account(dust=dust), at_one(10 * USD, 0)
    # Without dust a move of 2 is below its costs: its fee is 1, and one unit more may be left over for nothing.
    assert market.trade(held, 10 * USD + way * (least - (1 if dust else 2)), 0, (0.0,)) is None
    cash = posted(market.trade(held, 10 * USD + way * least, 0, (0.0,)).legs)["cash", "USDC"]
    assert cash == (-least if way > 0 else least - math.ceil(least * FEE))
    # Another loan-to-value is set up below dust too, a larger or smaller value is not.
    fill = market.trade(held, 10 * USD + way * (least - 1 if dust else 0), 0, (0.5,))
    check(fill, (10 * USD, 0), bought(10 * USD, 10 * USD, Fraction(1, 2), 0)[:2], *_fee_of(10 * USD, 0.5), 0)


def _fee_of(held, ltv):
    return bought(held, held, Fraction(ltv), 0)[2], 0


def test_a_move_that_its_costs_eat_up_is_not_made_and_one_of_a_unit_more_is():
    market, held = account({"gas": 0.25}), at_one(10 * USD, 0)
    # Gas 250,000 and 245 for 250,245 sold; 250,246 leave one unit.
    assert math.ceil(250_245 * FEE) == math.ceil(250_246 * FEE) == 245
    assert market.trade(held, 10 * USD - 250_245, 0, (0.0,)) is None
    check(market.trade(held, 10 * USD - 250_246, 0, (0.0,)), (10 * USD, 0), (10 * USD - 250_246, 0), 245, 250_000, 1)
    # 250,001 would buy nothing at all: the unit above gas is the fee's.
    assert market.trade(held, 10 * USD + 250_001, 0, (0.0,)) is None
    check(market.trade(held, 10 * USD + 250_002, 0, (0.0,)), (10 * USD, 0), (10 * USD + 1, 0), 1, 250_000, -250_002)


def test_a_sale_that_its_costs_eat_up_is_none_but_another_loan_to_value_is_set_up():
    market, held = account({"gas": 0.25}), at_one(10 * USD, 5 * USD)
    assert market.trade(held, 5 * USD - 200_000, 0, (0.5,)) is None
    fill = market.trade(held, 5 * USD - 200_000, 0, (0.625,))
    gross, debt, fee, _ = bought(5 * USD, 10 * USD, Fraction(5, 8), 250_000)
    check(fill, (10 * USD, 5 * USD), (gross, debt), fee, 250_000, 0)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("target", [0, 1_000_003, 4_000_001, 7_999_999])
def test_tokens_and_debt_of_a_grown_account_move_as_the_version_rounds(version, target):
    market, index = account({"price": 0.75}, version=version), Fraction(19, 10)
    supplied, withdrawn, balance, borrowed, repaid, debt = roundings(version)
    scaled, scaled_debt = 7_000_001, 2_500_003
    tokens, owed = balance(scaled * index), debt(scaled_debt * index)
    held = tokens * 3 // 4
    state = (scaled, NINETEEN, scaled_debt, NINETEEN)
    assert market.value(state, 0) == held - owed
    assert market.holdings(state) == {"USDT": tokens, "USDC": -owed}
    if target > held - owed:
        gross, due, fee, _ = bought(target, held, Fraction(1, 2), 0)
        cash, amount = held - owed - target, (gross - held) * 4 // 3
        options = [scaled + supplied((amount - less) / index) for less in range(4)]
        lent = max(s for s in options if balance(s * index) - tokens <= amount)
    else:
        gross, due = 2 * target, target
        fee, amount = math.ceil((held - gross) * FEE), tokens - gross * 4 // 3
        cash = held - owed - target - fee
        options = [scaled - withdrawn((amount + more) / index) for more in range(4)] if amount < tokens else [0]
        lent = max(s for s in options if tokens - balance(s * index) >= amount)
    if due > owed:
        options = [scaled_debt + borrowed((due - owed + more) / index) for more in range(4)]
        loan = min(s for s in options if debt(s * index) - owed >= due - owed)
    else:
        options = [scaled_debt - repaid((owed - due - less) / index) for less in range(4)] if due else [0]
        loan = min(s for s in options if owed - debt(s * index) <= owed - due)
    fill = market.trade(state, target, 0, (0.5,))
    assert fill.state == (lent, NINETEEN if lent else RAY, loan, NINETEEN if loan else RAY)
    gained, raised = balance(lent * index) - tokens, debt(loan * index) - owed
    assert posted(fill.legs) == {
        ("cash", "USDC"): cash,
        ("fee", "USDC"): fee,
        ("debt", "USDC"): -raised,
        ("world", "USDC"): raised - cash - fee,
        ("position", "USDT"): gained,
        ("world", "USDT"): -gained,
    }


@pytest.mark.parametrize("version", ALL)
def test_both_indexes_grow_row_by_row_the_collaterals_half_up(version):
    rates = {"supply_rate": [0.5, 1 / 16, 1 / 8, 3 / 16], "borrow_rate": [0.5, 1 / 8, 1 / 4, 3 / 8]}
    market, lent, owed = account(rates, version=version), NINETEEN + 1, NINETEEN + 7
    for row in range(1, 4):
        earned = RAY + math.floor(Fraction(rates["supply_rate"][row]) * RAY * HOUR / YEAR)
        lent = half_up(Fraction(earned * lent, RAY))
        due = compounded(version, int(Fraction(rates["borrow_rate"][row]) * RAY), HOUR)
        owed = half_up(Fraction(due * owed, RAY))
    before = (9_000_001, NINETEEN + 1, 4_000_003, NINETEEN + 7)
    after, legs = market.accrue(before, 0, 3)
    assert after == (9_000_001, lent, 4_000_003, owed)
    _, _, balance, _, _, debt = roundings(version)
    gained = balance(9_000_001 * Fraction(lent, RAY)) - balance(9_000_001 * Fraction(NINETEEN + 1, RAY))
    raised = debt(4_000_003 * Fraction(owed, RAY)) - debt(4_000_003 * Fraction(NINETEEN + 7, RAY))
    assert posted(legs) == {
        ("position", "USDT"): gained,
        ("world", "USDT"): -gained,
        ("debt", "USDC"): -raised,
        ("world", "USDC"): raised,
    }


# Half of a debt of 4,000,000,021 is half up in 3.0, and with the bonus 2,100,000,011.55; later it is
# rounded down, and with the bonus 2,100,000,010.5, half up until 3.7 rounds that down too.
TAKEN = {3.0: (2_000_000_011, 2_100_000_012), 3.4: (2_000_000_010, 2_100_000_011), 3.7: (2_000_000_010, 2_100_000_010)}


@pytest.mark.parametrize("version", ALL)
def test_a_health_of_one_is_safe_and_a_unit_of_debt_more_is_liquidated(version):
    market = account(version=version)
    safe = at_one(5_000_000_000, 4_000_000_000)
    assert market.views(safe, 0)["health"] == 1.0
    assert market.accrue(safe, 0, 1) == (safe, ())
    repaid, seized = TAKEN.get(version, TAKEN[3.4])
    after, legs = market.accrue(at_one(5_000_000_000, 4_000_000_021), 0, 1)
    assert after == at_one(5_000_000_000 - seized, 4_000_000_021 - repaid)
    assert posted(legs) == {
        ("position", "USDT"): -seized,
        ("world", "USDT"): seized,
        ("debt", "USDC"): repaid,
        ("world", "USDC"): -repaid,
    }
    assert market.accrue(at_one(5_000_000_000, 4_000_000_001), 0, 1)[0][0] < 2_900_000_001


@pytest.mark.parametrize("version", ALL)
def test_debt_that_no_collateral_is_left_for_is_nobodys(version):
    # 1,000 USD pay for 952.38 of 990 at a bonus of 5%.
    after, legs = account(version=version).accrue(at_one(1_000 * USD, 990 * USD), 0, 1)
    assert after == at_one(0, 0)
    assert posted(legs)["debt", "USDC"] == 990 * USD


def test_a_price_below_the_oracles_last_digit_counts_as_that_digit():
    # 10,000 tokens at 10^-8 USD, times 0.8, over one millionth of a USD.
    assert account({"price": 1e-9}).views(at_one(10_000 * USD, 1), 0)["health"] == 80.0


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("supplied", "borrowed", "own"),
    [
        (1e6, 5e5, 1_000 * USD + 1),
        (1e6, 9e5, 400_000 * USD),
        (1e6, 1.25e6, 7),
        (2.0, 3.0, 5),
        (0.0, 5.0, 10),
        (1.0, 0, 1),
    ],
)
def test_a_loan_costs_the_observed_rate_times_the_curves_with_it_rounded_down(version, supplied, borrowed, own):
    market = deep({"supplied": supplied, "borrowed": borrowed, "borrow_rate": 1 / 16}, version=version)
    total, lent, rules = int(supplied * USD), int(borrowed * USD), VERSIONS[f"{version:.1f}"]
    usual, both = min(lent, total), min(lent + own, total)
    _, without = CURVE.rates(total - usual, usual, 0, rules)
    _, with_ours = CURVE.rates(total - both, both, 0, rules)
    assert market.borrow_rate(own, 0) == math.floor(Fraction(RAY, 16) * Fraction(with_ours, without))


def test_a_loan_takes_all_cash_there_is_and_not_a_unit_more():
    state, target = at_one(20 * USD, 0), 20 * USD
    gross, debt, fee, _ = bought(target, target, Fraction(1, 2), 0)
    fill = deep({"supplied": debt / USD, "borrowed": 0.0}).trade(state, target, 0, (0.5,))
    check(fill, (target, 0), (gross, debt), fee, 0, 0)
    with pytest.raises(ValidationError, match="cannot be had"):
        deep({"supplied": (debt - 1) / USD, "borrowed": 0.0}).trade(state, target, 0, (0.5,))
    # Keeping or paying back what is owed asks for no cash.
    empty = deep({"supplied": 0.0, "borrowed": 0.0})
    assert empty.trade(at_one(20 * USD, 10 * USD), 5 * USD, 0, (0.5,)).state == at_one(10 * USD, 5 * USD)
    assert empty.trade(at_one(20 * USD, 8 * USD), 8 * USD, 0, (0.5,)).state == at_one(16 * USD, 8 * USD)
    with pytest.raises(ValidationError, match="cannot be had"):
        empty.trade(at_one(20 * USD, 10 * USD), 11 * USD, 0, (0.5,))
