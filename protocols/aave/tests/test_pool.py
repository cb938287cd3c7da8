"""What users can do in a pool, what is refused with which number, and what always holds."""

from __future__ import annotations

import copy

import pytest
from aave_pools import CURVE, NOW, RAY, USDC, WBTC, WETH
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.liquidation import Side, closable
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import EMode, ReserveConfig
from treasury_arena_aave.exact.versions import V3_0, V3_4, V3_5, V3_7, VERSIONS
from treasury_arena_aave.exact.wad_ray import MAX_UINT256

YEAR = 31_536_000
everywhere = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)


def refused(code, call, *args, **more):
    with pytest.raises(RefusalError) as caught:
        call(*args, **more)
    assert caught.value.code == code
    return caught.value


@pytest.fixture
def pool(make_pool):
    """Lender with a million, borrower with ten WETH who owes ten thousand."""
    pool = make_pool()
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    pool.supply("WETH", "borrower", 10 * WETH)
    pool.borrow("USDC", "borrower", 10_000 * USDC)
    return pool


@everywhere
def test_a_year_of_interest(make_pool, version):
    pool = make_pool(version)
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    pool.supply("WETH", "borrower", 400 * WETH)
    result = pool.borrow("USDC", "borrower", 500_000 * USDC)
    assert (result.version, result.operation, result.amount) == (version.name, "borrow", 500_000 * USDC)
    reserve = pool.reserves["USDC"]
    assert reserve.borrow_rate == 35 * RAY // 1000  # 1% + 4% * 50/80
    assert reserve.liquidity_rate == 1575 * RAY // 100_000  # half of it, less the treasury's tenth
    pool.advance(NOW + YEAR)
    assert pool.balance_of("USDC", "lender") == 1_015_750 * USDC
    assert pool.debt_of("USDC", "borrower") == pytest.approx(500_000 * USDC * 1.035619645, rel=3e-6)
    pool.supply("USDC", "other", USDC)
    owed = pool.debt_of("USDC", "borrower") - 500_000 * USDC
    treasury = version.balance(pool.reserves["USDC"].accrued, pool.reserves["USDC"].liquidity_index)
    assert treasury == pytest.approx(owed / 10, abs=2)
    assert pool.mint_to_treasury("USDC").amount == treasury
    assert pool.balance_of("USDC", "treasury") == pytest.approx(treasury, abs=1)


@everywhere
def test_everything_can_be_paid_back_and_withdrawn(make_pool, version):
    pool = make_pool(version)
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    pool.supply("WETH", "borrower", 400 * WETH)
    pool.borrow("USDC", "borrower", 100_000 * USDC)
    pool.advance(NOW + 40 * 86_400)
    owed = pool.debt_of("USDC", "borrower")
    assert pool.repay("USDC", "borrower", MAX_UINT256).amount == owed > 100_000 * USDC
    assert pool.debt_of("USDC", "borrower") == 0
    assert not pool.borrows("borrower")
    assert pool.withdraw("WETH", "borrower", MAX_UINT256).amount == 400 * WETH
    assert not pool.collaterals["WETH", "borrower"]
    assert pool.account("borrower").health == MAX_UINT256
    held = pool.balance_of("USDC", "lender")
    assert pool.withdraw("USDC", "lender", MAX_UINT256).amount == held > 1_000_000 * USDC
    assert pool.supplies["USDC", "lender"] == 0


def test_account_and_health_factor(pool):
    account = pool.account("borrower")
    assert (account.version, account.collateral, account.debt) == ("3.0", 20_000 * 10**8, 10_000 * 10**8)
    assert (account.ltv, account.threshold, account.health) == (8000, 8250, 165 * 10**16)
    pool.set_price("WETH", 1_000 * 10**8)
    assert pool.account("borrower").health == 825 * 10**15
    assert pool.account("lender").health == MAX_UINT256


def test_refusals_of_lenders(pool):
    refused("26", pool.supply, "USDC", "lender", 0)
    refused("26", pool.withdraw, "USDC", "lender", 0)
    refused("32", pool.withdraw, "USDC", "lender", 1_000_001 * USDC)
    refused("0x11", pool.withdraw, "USDC", "lender", MAX_UINT256)  # ten thousand are lent out
    refused("35", pool.withdraw, "WETH", "borrower", 5 * WETH)
    refused("43", pool.use_as_collateral, "WBTC", "borrower", True)
    refused("35", pool.use_as_collateral, "WETH", "borrower", False)
    error = refused("39", pool.repay, "WETH", "borrower", 1)
    assert str(error) == "WETH: the user owes nothing here (Aave 3.0, 39 NO_DEBT_OF_SELECTED_TYPE)"
    assert error.signature == "NoDebtOfSelectedType()"


def test_a_withdrawal_takes_the_last_cash_but_no_more(pool):
    refused("0x11", pool.withdraw, "USDC", "lender", 990_000 * USDC + 1)
    pool.withdraw("USDC", "lender", 990_000 * USDC)
    assert pool.reserves["USDC"].cash == 0
    assert pool.reserves["USDC"].borrow_rate == 65 * RAY // 100
    refused("0x11", pool.borrow, "USDC", "borrower", 1)


def test_refusals_of_borrowers(pool):
    refused("34", pool.borrow, "USDC", "nobody", USDC)
    refused("36", pool.borrow, "USDC", "borrower", 6_000 * USDC + 1)
    pool.borrow("USDC", "borrower", 6_000 * USDC)
    pool.set_price("WETH", 1_900 * 10**8)
    refused("35", pool.borrow, "USDC", "borrower", 1)


@pytest.mark.parametrize(
    ("changes", "code", "calls"),
    [
        ({"paused": True}, "29", ("supply", "withdraw", "borrow", "repay")),
        ({"frozen": True}, "28", ("supply", "borrow")),
        ({"borrowing": False}, "30", ("borrow",)),
        ({"supply_cap": 1_000_001}, "51", ("supply",)),
        ({"borrow_cap": 10_001}, "50", ("borrow",)),
    ],
)
def test_reserves_that_are_paused_frozen_or_capped(pool, changes, code, calls):
    pool.configure("USDC", **changes)
    for name in ("supply", "withdraw", "borrow", "repay"):
        user = "lender" if name in ("supply", "withdraw") else "borrower"
        call = getattr(pool, name)
        if name in calls:
            refused(code, call, "USDC", user, 2 * USDC)
        else:
            call("USDC", user, 2 * USDC)
        if "cap" in str(changes) and name in calls:
            call("USDC", user, USDC)  # up to the cap


@everywhere
def test_caps_are_kept_to_the_base_unit(make_pool, version):
    pool = make_pool(version)
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    pool.supply("WETH", "borrower", 10 * WETH)
    pool.configure("USDC", supply_cap=1_000_001, borrow_cap=10_000)
    refused("51", pool.supply, "USDC", "lender", USDC + 1)
    pool.supply("USDC", "lender", USDC)
    refused("50", pool.borrow, "USDC", "borrower", 10_000 * USDC + 1)
    pool.borrow("USDC", "borrower", 10_000 * USDC)


@everywhere
def test_what_the_treasury_has_not_taken_yet_counts_for_the_cap_on_supplies(make_pool, version):
    pool = make_pool(version)
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    pool.supply("WETH", "borrower", 400 * WETH)
    pool.borrow("USDC", "borrower", 500_000 * USDC)
    pool.advance(NOW + YEAR)
    pool.supply("USDC", "other", USDC)
    lent = pool.balance_of("USDC", "lender") + pool.balance_of("USDC", "other")
    reserve = pool.reserves["USDC"]
    waits = version.balance(reserve.accrued, reserve.liquidity_index)
    assert waits > 1_000 * USDC
    pool.configure("USDC", supply_cap=1_100_000)
    refused("51", pool.supply, "USDC", "other", 1_100_000 * USDC - lent - waits // 2)
    pool.supply("USDC", "other", 1_100_000 * USDC - lent - waits - 2)


@everywhere
def test_a_loan_from_a_reserve_without_debt_costs_the_curves_base(make_pool, version):
    pool = make_pool(version)
    pool.supply("USDC", "lender", 1_000_000 * USDC)
    assert pool.reserves["USDC"].borrow_rate == RAY // 100
    assert pool.reserves["USDC"].liquidity_rate == 0


def test_an_inactive_reserve_and_one_that_cannot_be_closed(make_pool, pool):
    refused("18", pool.configure, "USDC", active=False)
    refused("18", pool.configure, "USDC", ltv=0, threshold=0, bonus=0)
    empty = make_pool()
    empty.configure("WBTC", active=False)
    refused("27", empty.supply, "WBTC", "lender", 1)


def test_an_asset_with_a_loan_to_value_of_zero(pool):
    pool.supply("WBTC", "borrower", WBTC)
    pool.configure("WBTC", ltv=0)
    refused("57", pool.withdraw, "WETH", "borrower", WETH // 10)  # the worthless collateral leaves first
    pool.withdraw("WBTC", "borrower", WBTC)
    pool.withdraw("WETH", "borrower", WETH // 10)
    pool.supply("WBTC", "new", WBTC)
    assert ("WBTC", "new") not in pool.collaterals
    refused("62", pool.use_as_collateral, "WBTC", "new", True)


def test_emode(pool):
    pool.set_category(1, EMode(9000, 9300, 10200))
    for asset in ("USDC", "WETH"):
        pool.configure(asset, emode=1)
    refused("36", pool.borrow, "USDC", "borrower", 7_000 * USDC)
    pool.set_emode("borrower", 1)
    assert pool.account("borrower").threshold == 9300
    pool.borrow("USDC", "borrower", 7_000 * USDC)
    refused("35", pool.set_emode, "borrower", 0)
    refused("58", pool.set_emode, "borrower", 2)
    refused("58", pool.borrow, "WBTC", "borrower", 1)
    pool.repay("USDC", "borrower", 8_000 * USDC)
    pool.set_emode("borrower", 0)
    assert pool.account("borrower").threshold == 8250


def test_an_emode_category_with_its_own_price(pool):
    pool.set_price("eth-usd", 1_000 * 10**8)
    pool.set_category(2, EMode(9000, 9300, 10200, "eth-usd"))
    pool.configure("WETH", emode=2)
    pool.supply("WETH", "lender", 100 * WETH)
    pool.repay("USDC", "borrower", MAX_UINT256)
    pool.set_emode("borrower", 2)
    assert pool.account("borrower").collateral == 10_000 * 10**8
    refused("36", pool.borrow, "WETH", "borrower", 9 * WETH + WETH // 10)
    pool.borrow("WETH", "borrower", 9 * WETH)


class TestLiquidation:
    def test_half_of_the_debt_with_bonus_and_fee(self, pool):
        pool.supply("WETH", "lender", WETH)
        pool.set_price("WETH", 1_200 * 10**8)  # health 0.99
        done = pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256)
        assert (done.version, done.debt) == ("3.0", 5_000 * USDC)
        total = 5_000 * WETH // 1_200 * 105 // 100  # 4.375 WETH
        assert done.collateral + done.fee == pytest.approx(total, abs=1)
        assert done.fee == pytest.approx(total * 5 // 105 // 10, abs=1)
        assert pool.debt_of("USDC", "borrower") == 5_000 * USDC
        assert pool.balance_of("WETH", "treasury") == done.fee
        assert pool.account("borrower").health > 10**18

    @everywhere
    def test_at_a_health_of_exactly_one_nobody_is_liquidated(self, make_pool, version):
        pool = make_pool(version)
        pool.supply("USDC", "lender", 1_000_000 * USDC)
        pool.supply("WETH", "borrower", 10 * WETH)
        pool.borrow("USDC", "borrower", 9_900 * USDC)
        pool.set_price("WETH", 1_200 * 10**8)
        assert pool.account("borrower").health == 10**18
        refused("45", pool.liquidate, "WETH", "USDC", "borrower", "keeper", USDC)
        pool.set_price("WETH", 1_200 * 10**8 - 1)
        assert pool.liquidate("WETH", "USDC", "borrower", "keeper", USDC).debt == USDC

    @everywhere
    def test_at_a_health_of_exactly_the_thresholds_all_of_it(self, version):
        owed, secured, limit = Side(10**8, USDC), Side(10**8, USDC), 95 * 10**16
        debt, collateral, total = 10_000 * USDC, 11_000 * USDC, 10_000 * 10**8
        assert closable(debt, collateral, owed, secured, total, limit, version) == debt
        assert closable(debt, collateral, owed, secured, total, limit + 1, version) == debt // 2

    def test_all_of_it_below_the_close_factor_threshold(self, pool):
        pool.set_price("WETH", 1_151 * 10**8)  # health 0.9496
        assert pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256).debt == 10_000 * USDC
        assert not pool.borrows("borrower")

    def test_collateral_that_does_not_cover_the_debt(self, pool):
        pool.set_price("WETH", 800 * 10**8)
        done = pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256)
        assert done.collateral + done.fee == 10 * WETH
        assert done.debt == pytest.approx(8_000 * USDC / 1.05, abs=1)
        assert pool.debt_of("USDC", "borrower") == 10_000 * USDC - done.debt  # bad debt stays in 3.0
        assert not pool.collaterals["WETH", "borrower"]

    @pytest.mark.parametrize("version", [V3_5, V3_7], ids=["3.5", "3.7"])
    def test_later_versions_write_bad_debt_off(self, make_pool, version):
        pool = make_pool(version)
        pool.supply("USDC", "lender", 1_000_000 * USDC)
        pool.supply("WBTC", "lender", WBTC)
        pool.supply("WETH", "borrower", 10 * WETH)
        pool.borrow("USDC", "borrower", 10_000 * USDC)
        pool.borrow("WBTC", "borrower", WBTC // 100)
        pool.set_price("WETH", 800 * 10**8)
        done = pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256)
        assert done.burnt == 10_000 * USDC - done.debt > 0
        assert pool.reserves["USDC"].deficit == done.burnt
        assert pool.reserves["WBTC"].deficit == WBTC // 100
        assert pool.account("borrower").debt == 0
        assert not pool.borrows("borrower")

    def test_later_versions_close_small_positions_whole_and_leave_no_dust(self, make_pool):
        pool = make_pool(V3_5)
        pool.supply("USDC", "lender", 1_000_000 * USDC)
        pool.supply("WETH", "small", WETH)
        pool.borrow("USDC", "small", 1_600 * USDC)
        pool.set_price("WETH", 1_930 * 10**8)
        refused("dust", pool.liquidate, "WETH", "USDC", "small", "keeper", 1_000 * USDC)
        refused("self", pool.liquidate, "WETH", "USDC", "small", "small", MAX_UINT256)
        assert pool.liquidate("WETH", "USDC", "small", "keeper", MAX_UINT256).debt == 1_600 * USDC

    @pytest.mark.parametrize("version", [V3_4, V3_5, V3_7], ids=["3.4", "3.5", "3.7"])
    @pytest.mark.parametrize(
        ("debt", "collateral", "total", "health", "expected"),
        [
            (10_000, 12_000, 10_000, 0.97, 5_000),  # one debt: half of it
            (10_000, 12_000, 10_000, 0.9500001, 5_000),
            (10_000, 12_000, 10_000, 0.95, 10_000),  # from 0.95 on down all of it
            (10_000, 12_000, 10_000, 0.5, 10_000),
            (8_000, 12_000, 10_000, 0.97, 5_000),  # half of all debts, not of this one
            (5_001, 12_000, 10_000, 0.97, 5_000),
            (5_000, 12_000, 10_000, 0.97, 5_000),  # no more than half of all debts: all of it
            (3_000, 12_000, 10_000, 0.97, 3_000),
            (2_000, 2_000, 2_000, 0.97, 1_000),  # 2,000 is not small
            (1_999, 2_500, 1_999, 0.97, 1_999),  # a small debt is closed whole
            (2_500, 1_999, 2_500, 0.97, 2_500),  # and one that little secures
        ],
    )
    def test_later_versions_close_half_of_all_debts(self, version, debt, collateral, total, health, expected):
        dollars, ether = Side(10**8, USDC), Side(2_000 * 10**8, WETH)
        args = (debt * USDC, collateral * WETH // 2_000, dollars, ether, total * 10**8, int(health * 10**18), version)
        assert closable(*args) == expected * USDC

    @pytest.mark.parametrize("version", [V3_4, V3_5, V3_7], ids=["3.4", "3.5", "3.7"])
    def test_later_versions_close_half_of_a_large_position_in_the_pool(self, make_pool, version):
        pool = make_pool(version)
        pool.supply("USDC", "lender", 1_000_000 * USDC)
        pool.supply("WETH", "borrower", 10 * WETH)
        pool.borrow("USDC", "borrower", 10_000 * USDC)
        pool.set_price("WETH", 1_200 * 10**8)  # health 0.99
        assert pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256).debt == 5_000 * USDC
        pool.set_price("WETH", 1_000 * 10**8)
        assert pool.account("borrower").health < 95 * 10**16
        assert pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256).debt == 5_000 * USDC
        assert not pool.borrows("borrower")

    def test_a_category_has_its_own_bonus(self, pool):
        pool.set_category(1, EMode(9000, 9300, 10200))
        for asset in ("USDC", "WETH"):
            pool.configure(asset, emode=1)
        pool.set_emode("borrower", 1)
        pool.set_price("WETH", 1_070 * 10**8)  # health 0.995
        done = pool.liquidate("WETH", "USDC", "borrower", "keeper", MAX_UINT256)
        assert done.collateral + done.fee == pytest.approx(5_000 * WETH // 1_070 * 102 // 100, abs=2)

    def test_supply_instead_of_the_token(self, pool):
        pool.set_price("WETH", 1_200 * 10**8)
        cash = pool.reserves["WETH"].cash
        done = pool.liquidate("WETH", "USDC", "borrower", "keeper", 100 * USDC, receive_supply=True)
        assert pool.balance_of("WETH", "keeper") == done.collateral
        assert pool.collaterals["WETH", "keeper"]
        assert pool.reserves["WETH"].cash == cash

    def test_refusals(self, pool):
        refused("45", pool.liquidate, "WETH", "USDC", "borrower", "keeper", USDC)
        pool.set_price("WETH", 1_200 * 10**8)
        refused("46", pool.liquidate, "USDC", "USDC", "borrower", "keeper", USDC)
        refused("47", pool.liquidate, "WETH", "WBTC", "borrower", "keeper", 1)
        pool.configure("WETH", paused=True)
        refused("29", pool.liquidate, "WETH", "USDC", "borrower", "keeper", USDC)


def test_bad_questions(pool):
    with pytest.raises(ValidationError, match="does not list 'WETJ': did you mean 'WETH'"):
        pool.supply("WETJ", "lender", 1)
    for amount in (-1, 1.5, True, 2**256):
        with pytest.raises(ValidationError, match="is not an amount"):
            pool.supply("USDC", "lender", amount)
    with pytest.raises(ValidationError, match="backwards"):
        pool.advance(NOW - 1)
    with pytest.raises(ValidationError, match="must be above zero"):
        pool.set_price("WETH", 0)
    with pytest.raises(ConfigError, match="already"):
        pool.list_reserve("USDC", ReserveConfig(6), CURVE, 10**8)
    with pytest.raises(ConfigError, match="impossible"):
        pool.set_category(1, EMode(9500, 9300, 10200))
    for fields in ({"ltv": 2}, {"threshold": 9800, "bonus": 10500}, {"bonus": 10500}, {"reserve_factor": 10_001}):
        with pytest.raises(ConfigError):
            ReserveConfig(6, **fields)


steps = st.lists(
    st.tuples(
        st.sampled_from(["supply", "withdraw", "borrow", "repay", "collateral", "price", "liquidate", "mint"]),
        st.sampled_from(["USDC", "WETH", "WBTC"]),
        st.sampled_from(["USDC", "WETH", "WBTC"]),
        st.sampled_from(["a", "b", "c"]),
        st.floats(0.0, 1.3),
        st.integers(0, 60 * 86_400),
    ),
    min_size=5,
    max_size=40,
)


def act(pool: Pool, step):
    name, asset, other, user, size, wait = step
    pool.advance(pool.now + wait)
    unit = pool.config(asset).unit
    everything = size > 1.2
    if name == "supply":
        return pool.supply(asset, user, int(size * 50 * unit))
    if name == "withdraw":
        return pool.withdraw(asset, user, MAX_UINT256 if everything else int(size * pool.balance_of(asset, user)))
    if name == "borrow":
        return pool.borrow(asset, user, int(size * pool.reserves[asset].cash))
    if name == "repay":
        return pool.repay(asset, user, MAX_UINT256 if everything else int(size * pool.debt_of(asset, user)))
    if name == "collateral":
        return pool.use_as_collateral(asset, user, size > 0.4)
    if name == "price":
        pool.set_price(asset, max(1, int(pool.prices[asset] * (0.6 + size * 0.6))))
        return None
    if name == "mint":
        return pool.mint_to_treasury(asset)
    return pool.liquidate(asset, other, user, "keeper", MAX_UINT256, receive_supply=size > 0.9)


def everything_of(pool: Pool):
    tables = (pool.reserves, pool.supplies, pool.debts, pool.collaterals, pool.borrowings, pool.emodes)
    return copy.deepcopy([{k: v for k, v in table.items() if v} for table in tables])


@everywhere
@settings(max_examples=40, deadline=None)
@given(plan=steps)
def test_whatever_happens(make_pool, version, plan):
    pool = make_pool(version)
    for asset, unit in (("USDC", USDC), ("WETH", WETH), ("WBTC", WBTC)):
        pool.supply(asset, "rich", 30 * unit)
    for step in plan:
        before, indexes = (
            everything_of(pool),
            {a: (r.liquidity_index, r.borrow_index) for a, r in pool.reserves.items()},
        )
        try:
            result = act(pool, step)
        except RefusalError:
            assert everything_of(pool) == before  # a refused operation changes nothing
            continue
        assert result is None or result.version == version.name
        for asset, reserve in pool.reserves.items():
            # Scaled balances sum to the totals; indexes never fall; the reserve can pay everybody up to rounding.
            assert reserve.supplied_scaled == sum(n for (a, _), n in pool.supplies.items() if a == asset)
            assert reserve.debt_scaled == sum(n for (a, _), n in pool.debts.items() if a == asset)
            assert reserve.liquidity_index >= indexes[asset][0]
            assert reserve.borrow_index >= indexes[asset][1]
            assert reserve.cash >= 0
            assert min([*pool.supplies.values(), *pool.debts.values(), 0]) == 0
            owned = version.balance(reserve.supplied_scaled + reserve.accrued, pool.income(asset))
            backing = reserve.cash + version.debt(reserve.debt_scaled, pool.debt_index(asset)) + reserve.deficit
            assert owned <= backing + len(plan) * (2 + pool.income(asset) // RAY)


def test_versions_agree_but_for_a_few_units(make_pool):
    pools = [make_pool(version) for version in VERSIONS.values()]
    for pool in pools:
        pool.supply("USDC", "lender", 1_000_003 * USDC + 1)
        pool.supply("WETH", "borrower", 400 * WETH + 7)
        pool.borrow("USDC", "borrower", 500_001 * USDC + 3)
        pool.advance(NOW + 3_333_333)
        pool.repay("USDC", "borrower", 77_777 * USDC)
    for asset in ("USDC", "WETH"):
        found = [pool.balance_of(asset, "lender") for pool in pools]
        owed = [pool.debt_of(asset, "borrower") for pool in pools]
        assert max(found) - min(found) <= 4
        assert max(owed) - min(owed) <= 3000  # compounding of 3.0 cuts the powers of the rate
    assert pools[0].version is V3_0


def indebted(make_pool, version, collateral, debt):
    """A borrower whose WETH is worth `collateral` and who owes `debt`, both in the price's own unit (1e-8 USD)."""
    pool = make_pool(version)
    pool.set_price("USDC", USDC)  # one base unit of USDC is one unit of value
    pool.supply("USDC", "lender", 10**9 * USDC)
    pool.supply("WETH", "borrower", WETH)
    pool.set_price("WETH", 10**6 * 10**8)
    if debt:
        pool.borrow("USDC", "borrower", debt)
    pool.set_price("WETH", collateral)
    return pool


@pytest.mark.parametrize(
    ("version", "needed"),
    [(V3_0, 12_500_000_001), (V3_4, 12_500_000_001), (V3_5, 12_500_000_002), (V3_7, 12_500_000_002)],
    ids=["3.0", "3.4", "3.5", "3.7"],
)
def test_the_collateral_that_a_debt_needs_to_the_unit(make_pool, version, needed):
    """10,000,000,001 at a loan-to-value of 0.8 needs 12,500,000,001.25: a half up before 3.5, and up since."""
    debt = 10_000_000_001
    refused("36", indebted(make_pool, version, needed - 1, 0).borrow, "USDC", "borrower", debt)
    pool = indebted(make_pool, version, needed, 0)
    pool.borrow("USDC", "borrower", debt)
    assert pool.account("borrower").debt == debt


@pytest.mark.parametrize(
    ("version", "code"), [(V3_0, "35"), (V3_4, "35"), (V3_5, "36"), (V3_7, "36")], ids=["3.0", "3.4", "3.5", "3.7"]
)
def test_a_loan_at_a_health_of_exactly_one(make_pool, version, code):
    """Before 3.5 the account must be above one before the loan; since, it must not be below one after it.

    Neither lets the loan pass, which is more than the loan-to-value allows; the reason differs.
    """
    debt = 825_000_000
    pool = indebted(make_pool, version, 1_000_000_000, debt if code == "35" else debt - 1)
    if code == "35":
        assert pool.account("borrower").health == 10**18
    refused(code, pool.borrow, "USDC", "borrower", 1)
    pool = indebted(make_pool, version, 1_000_000_000, debt)
    refused("35", pool.borrow, "USDC", "borrower", 1)
