"""What sets the versions apart, each against the published formulas in fractions and on both sides of its thresholds."""

from __future__ import annotations

import random
from fractions import Fraction

import attrs
import published
import pytest
from aave_pools import CURVE, NOW, RAY, USDC, WBTC, WETH

from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.interest import compounded_by_exponent, compounded_by_powers
from treasury_arena_aave.exact.liquidation import Side, closable, liquidation_amounts
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import ReserveConfig
from treasury_arena_aave.exact.versions import VERSIONS
from treasury_arena_aave.exact.wad_ray import MAX_UINT128, MAX_UINT256
from treasury_arena_aave.origin.deploy import code_of as code_of_origin
from treasury_arena_aave.parity import code_of

DAY, YEAR = 86_400, 31_536_000
everywhere = pytest.mark.parametrize("name", VERSIONS)
later = pytest.mark.parametrize("name", ["3.4", "3.5", "3.7"])


def refused(code, call, *args, **more):
    with pytest.raises(RefusalError) as caught:
        call(*args, **more)
    assert caught.value.code == code
    return caught.value


def gaps():
    """Rates of 0.01% to 300% a year and gaps of 60 days to a year."""
    draw = random.Random(1)
    return [(int(RAY * 10 ** draw.uniform(-4.0, 0.5)), draw.randint(60 * DAY, 365 * DAY)) for _ in range(400)]


def test_compounding_by_exponent_is_the_published_one_to_the_ray():
    other = 0
    for rate, seconds in gaps():
        assert compounded_by_exponent(rate, seconds) == published.by_exponent(rate, seconds)
        # The sample tells where the sixth is taken.
        x = rate * seconds // YEAR
        third = published.half_up(Fraction(x * x, RAY)) // 6
        other += compounded_by_exponent(rate, seconds) != RAY + x + published.half_up(
            Fraction(x * (x // 2 + third), RAY)
        )
    assert other >= 10


def test_compounding_by_powers_is_the_published_one_to_the_ray():
    for rate, seconds in gaps():
        assert compounded_by_powers(rate, seconds) == published.by_powers(rate, seconds)
    # Where the exact third power of a rate a second just reaches a whole ray, that of the whole second power does not.
    short = 0
    for whole in range(10**5, 10**7, 10**5):
        rate = round((whole * YEAR**3 * RAY**2) ** (1 / 3))
        for near in (rate + (rate >> 46), rate + (rate >> 40)):
            assert compounded_by_powers(near, 365 * DAY) == published.by_powers(near, 365 * DAY)
            third = published.half_up(Fraction(published.half_up(Fraction(near**2, RAY)) * near, RAY)) // YEAR**3
            squared = published.half_up(Fraction(near**2, RAY)) // YEAR**2
            short += third != published.half_up(Fraction(squared * near, RAY)) // YEAR
    assert short >= 10


@everywhere
def test_indexes_and_the_treasurys_part_grow_as_published(make_pool, name):
    draw, alike = random.Random(2), {"3.0": 0, "3.4": 0, "3.5": 0}
    for rate, seconds in gaps()[:100]:
        pool = make_pool(VERSIONS[name])
        pool.supply("USDC", "lender", 10**15)
        lent, owed, debt = draw.randint(RAY, 4 * RAY), draw.randint(RAY, 4 * RAY), draw.randint(1, 10**13)
        earns, factor = rate // 2, pool.configs["USDC"].reserve_factor
        pool.reserves["USDC"] = attrs.evolve(
            pool.reserves["USDC"],
            liquidity_index=lent,
            borrow_index=owed,
            liquidity_rate=earns,
            borrow_rate=rate,
            debt_scaled=debt,
        )
        pool.advance(NOW + seconds)
        pool.supply("USDC", "lender", 10**6)
        reserve = pool.reserves["USDC"]
        index = published.half_up(Fraction(published.linear(earns, seconds) * lent, RAY))
        assert reserve.liquidity_index == index

        expected = {}
        for one in (*alike, name):
            after = published.half_up(Fraction(published.compounded(float(one), rate, seconds) * owed, RAY))
            expected[one] = after, published.treasury(float(one), debt, owed, after, factor, index)
        assert (reserve.borrow_index, reserve.accrued) == expected[name]
        for one in alike:
            alike[one] += expected[one] == expected[name]
    # Each version's growth is its own: another one's hardly ever gives the same numbers.
    assert all(alike[one] <= 80 for one in alike if one != ("3.5" if name == "3.7" else name)), alike


@everywhere
def test_a_liquidation_rounds_as_published(name):
    draw, same = random.Random(3), Side(10**8, 10**6)
    alike = dict.fromkeys(VERSIONS, 0)
    for _ in range(300):
        cover, bonus, fee = draw.randint(10**3, 10**12), draw.randint(10_100, 11_500), draw.randint(1, 3_000)
        held = draw.choice([10**13, draw.randint(cover // 2, cover)])
        found = liquidation_amounts(cover, held, same, same, bonus, fee, VERSIONS[name])
        assert attrs.astuple(found) == published.taken(float(name), cover, held, bonus, fee)
        for one in alike:
            alike[one] += published.taken(float(one), cover, held, bonus, fee) == attrs.astuple(found)
    assert all((alike[one] == 300) is (one == name or {one, name} == {"3.0", "3.4"}) for one in alike), alike


@everywhere
def test_what_all_collateral_pays_for_to_the_unit(name):
    same = Side(10**8, 10**6)
    # 1,000 / 1.05 is 952.38.
    found = liquidation_amounts(10**6, 1_000, same, same, 10_500, 0, VERSIONS[name])
    assert (found.debt, found.collateral) == (952 if name in ("3.0", "3.4") else 953, 1_000)


@later
def test_a_debt_of_exactly_half_of_all_debts_is_closed_whole_to_the_unit(name):
    dollars, ether, total = Side(10**8, 10**18), Side(2_000 * 10**8, WETH), 10_000 * 10**8
    # Worth 5,000 USD in the oracle's 8 decimals, rounded down in 3.4 and up since; half of all debts comes out at 5,000 sharp.
    debt = 5_000 * 10**18 + (1 if name == "3.4" else -1)
    args = 12_000 * WETH // 2_000, dollars, ether, total, 97 * 10**16, VERSIONS[name]
    assert closable(debt, *args) == debt
    assert closable(debt + 10**10, *args) == 5_000 * 10**18


def fallen(name, price, decimals=6):
    """Ten WETH and a debt of 10,000 USD, a month old; WETH earns, for somebody owes that too."""
    pool, unit = Pool(VERSIONS[name], NOW), 10**decimals
    pool.list_reserve("USDC", ReserveConfig(decimals, 7700, 8000, 10450), CURVE, 10**8)
    pool.list_reserve("WETH", ReserveConfig(18, 8000, 8250, 10500, 1500, 1000), CURVE, 2_000 * 10**8)
    pool.supply("USDC", "lender", 10**6 * unit)
    pool.supply("WETH", "borrower", 10 * WETH)
    pool.borrow("USDC", "borrower", 10_000 * unit)
    pool.borrow("WETH", "lender", WETH)
    pool.set_price("WETH", price * 10**8)
    return pool


@everywhere
def test_who_takes_the_supply_of_a_liquidated_account(name):
    """Up to 3.4 its reserve is not touched: only burning collateral brings indexes and the treasury's part up to now."""
    for receives in (True, False):
        pool = fallen(name, 1_150)
        pool.advance(NOW + 30 * DAY)
        before = pool.reserves["WETH"]
        done = pool.liquidate("WETH", "USDC", "borrower", "keeper", 100 * USDC, receive_supply=receives)
        assert done.fee > 0
        after = pool.reserves["WETH"]
        if receives and name in ("3.0", "3.4"):
            assert after == before
        else:
            assert after.updated == NOW + 30 * DAY
            assert after.liquidity_index > before.liquidity_index
            assert after.accrued > before.accrued


@later
def test_a_debt_may_be_left_at_a_thousand_dollars_and_not_below(name):
    """A wei below 1,000 USD is 999.99999999 to the oracle's decimals until 3.4, which rounds down, and 1,000 since."""
    unit = 10**18
    for left, passes in ((1_000 * unit, True), (1_000 * unit - 1, name != "3.4"), (1_000 * unit - 10**10, False)):
        pool = fallen(name, 1_150, decimals=18)
        args = "WETH", "USDC", "borrower", "keeper", 10_000 * unit - left
        if passes:
            assert pool.liquidate(*args).debt == 10_000 * unit - left
        else:
            assert refused("dust", pool.liquidate, *args).signature == "MustNotLeaveDust()"


@everywhere
def test_a_loan_of_more_than_all_that_was_supplied(make_pool, name):
    """Since 3.1 its amount is invalid; what is supplied and lent out already still is a lack of cash."""
    pool = make_pool(VERSIONS[name])
    pool.supply("USDC", "lender", 1_000 * USDC)
    pool.supply("WETH", "borrower", 10 * WETH)
    pool.borrow("USDC", "borrower", 100 * USDC)
    error = refused("0x11" if name == "3.0" else "26", pool.borrow, "USDC", "borrower", 1_000 * USDC + 1)
    assert error.signature == ("Arithmetic()" if name == "3.0" else "InvalidAmount()")
    refused("0x11", pool.borrow, "USDC", "borrower", 1_000 * USDC)
    refused("0x11", pool.borrow, "USDC", "borrower", 900 * USDC + 1)
    pool.borrow("USDC", "borrower", 900 * USDC)
    # The amount is looked at before the cap, the collateral and the account.
    pool.configure("USDC", borrow_cap=1)
    refused("50" if name == "3.0" else "26", pool.borrow, "USDC", "nobody", 1_000 * USDC + 1)
    pool.configure("USDC", borrow_cap=0, borrowing=False)
    refused("30", pool.borrow, "USDC", "nobody", 1_000 * USDC + 1)


@everywhere
def test_a_repayment_that_leaves_no_scaled_unit_ends_the_debt(make_pool, name):
    """11 scaled units at an index of 1.9 owe 20.9; half up, 20 pay for all of them: no debt, and since 3.4 no flag either."""
    pool = make_pool(VERSIONS[name])
    pool.supply("USDC", "lender", 1_000 * USDC)
    pool.supply("WETH", "borrower", WETH)
    pool.borrow("USDC", "borrower", 11)
    pool.reserves["USDC"] = attrs.evolve(pool.reserves["USDC"], borrow_index=19 * RAY // 10)
    assert pool.debt_of("USDC", "borrower") == 21
    pool.repay("USDC", "borrower", 20)
    rounded_up = name in ("3.0", "3.4")
    assert (pool.debt_of("USDC", "borrower") == 0) is rounded_up
    assert pool.borrows("borrower") is (name != "3.4")


def test_the_same_in_a_liquidation(make_pool):
    for name in ("3.0", "3.4"):
        pool = make_pool(VERSIONS[name])
        pool.supply("USDC", "lender", 1_000 * USDC)
        pool.supply("WETH", "borrower", WETH)
        pool.borrow("USDC", "borrower", 11)
        pool.reserves["USDC"] = attrs.evolve(pool.reserves["USDC"], borrow_index=19 * RAY // 10)
        pool.set_price("USDC", 10**17)  # 21 base units are 21,000 USD
        pool.set_price("WETH", 24_000 * 10**8)
        assert pool.account("borrower").health < 95 * 10**16
        assert pool.liquidate("WETH", "USDC", "borrower", "keeper", 20).debt == 20
        assert pool.debt_of("USDC", "borrower") == 0
        assert pool.borrows("borrower") is (name == "3.0")


@everywhere
def test_collateral_that_nobody_has_is_not_switched_on_but_since_3_4_off(make_pool, name):
    pool = make_pool(VERSIONS[name])
    refused("43", pool.use_as_collateral, "WETH", "nobody", True)
    if name == "3.0":
        refused("43", pool.use_as_collateral, "WETH", "nobody", False)
    else:
        assert not pool.use_as_collateral("WETH", "nobody", False).amount
    pool.configure("WETH", paused=True)
    refused("43" if name == "3.0" else "29", pool.use_as_collateral, "WETH", "nobody", True)


@later
@pytest.mark.parametrize("worth", [0, 1])
def test_whether_other_collateral_secures_a_debt_goes_by_value_until_3_7_and_by_units_since(make_pool, name, worth):
    pool = make_pool(VERSIONS[name])
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    pool.supply("WETH", "borrower", 10 * WETH)
    pool.supply("WBTC", "borrower", 1)
    pool.borrow("USDC", "borrower", 10_000 * USDC)
    pool.set_price("WETH", 800 * 10**8)
    pool.set_price("WBTC", worth * WBTC or WBTC - 1)  # the unit is worth 10^-8 USD, or less than the oracle can say
    done = pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256)
    assert done.collateral + done.fee == 10 * WETH
    written_off = worth == 0 and name != "3.7"
    assert (done.burnt > 0) is written_off
    assert pool.reserves["USDC"].deficit == done.burnt
    assert pool.debt_of("USDC", "borrower") == (0 if written_off else 10_000 * USDC - done.debt)
    assert pool.borrows("borrower") is not written_off


@everywhere
def test_an_index_beyond_128_bits_is_refused_and_nothing_changes(make_pool, name):
    for field, rate, last in (
        ("liquidity_index", "liquidity_rate", 2**127 - 1),
        ("borrow_index", "borrow_rate", 2**126),
    ):
        for index, fits in ((last, True), (2**127, False)):
            pool = make_pool(VERSIONS[name])
            pool.supply("USDC", "lender", 1_000 * USDC)
            changes = {field: index, rate: RAY, "debt_scaled": 1}
            pool.reserves["USDC"] = before = attrs.evolve(pool.reserves["USDC"], **changes)
            pool.advance(NOW + YEAR)
            if fits:
                pool.supply("USDC", "lender", 10**15)
                assert 2**127 < getattr(pool.reserves["USDC"], field) <= MAX_UINT128
                continue
            error = refused("uint128", pool.supply, "USDC", "lender", 10**15)
            assert str(error) == (
                f"USDC: an index no longer fits in 128 bits (Aave {name}, SAFE_CAST_OVERFLOWED_UINT_DOWNCAST)"
            )
            assert pool.reserves["USDC"] == before


def test_the_contracts_own_words_are_known():
    assert code_of("SafeCast: value doesn't fit in 128 bits") == "uint128"
    # SafeCastOverflowedUintDowncast(uint8,uint256) and InconsistentEModeCategory(), as OpenZeppelin 5 and Aave 3.4 spell them.
    assert code_of_origin("0x6dfcc650" + f"{128:064x}" + f"{2**128:064x}") == "uint128"
    assert RefusalError("58", "3.4").signature == "InconsistentEModeCategory()"
