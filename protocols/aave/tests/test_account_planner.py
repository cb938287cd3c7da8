"""Live orders of a loan on a real node: loops, delevering and the way out, books equal to the chain, refusals before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from aave_bench import ASSETS, DAY, LENDING, LOAN, USD, USDC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import Holding, PlannedStep, StepKind
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_aave.account_planner import AccountPlanner
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_evm.interfaces.aave import CONFIGURATOR, POOL, SCALED_TOKEN
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_ROUTER02
from treasury_arena_evm.local.desk import Desk, desk
from treasury_arena_evm.local.market import LocalMarket

CASH = 50_000 * USD
ETH = 10**18


@pytest.fixture
def make_desk(local_market: LocalMarket) -> Callable[..., Desk]:
    def make(**places: Any) -> Desk:
        who = local_market.users[0]
        made = desk(local_market, AaveProtocol(), LOAN, ASSETS, USDC, who, **places)
        # The account has no coin of its own, so that what is in the wallet is the position's.
        held = local_market.balance("WETH", who.address)
        if held:
            token = local_market.token("WETH").address
            local_market.chain.send(who.address, token, ERC20.function("transfer"), local_market.maker.address, held)
        local_market.fund("USDC", who.address, CASH)
        made.fund("a", CASH)
        return made

    return make


def cash(made: Desk) -> int:
    return sum(amount for (name, _), amount in made.books.items() if ":available" in name or ":reserved" in name)


def outside(made: Desk, market: LocalMarket) -> int:
    return market.balance("USDC", made.who.address) - cash(made)


def on_aave(made: Desk, market: LocalMarket) -> tuple[int, int]:
    """(collateral, debt) by the tokens' own balances."""
    tokens = market.aave.reserve("WETH").a_token, market.aave.reserve("USDC").variable_debt
    return tuple(  # type: ignore[return-value]
        int(market.chain.call(token, SCALED_TOKEN.function("balanceOf"), made.who.address)) for token in tokens
    )


def health(made: Desk, market: LocalMarket) -> float:
    return float(market.chain.call(market.aave.pool, POOL.function("getUserAccountData"), made.who.address)[5] / 10**18)


def equal_to_the_chain(made: Desk, market: LocalMarket, rest: int) -> None:
    assert cash(made) == market.balance("USDC", made.who.address) - rest
    assert not any(made.allowances(market.aave.pool, market.uniswap.router02))
    made.reconcile()
    assert made.differences() == {"USDC": (0, 0), "WETH": (0, 0)}
    coins, debt = on_aave(made, market)
    held = made.holding("a")
    assert held.held.get("WETH", 0) == coins + market.balance("WETH", made.who.address)
    assert held.owed.get("USDC", 0) == debt


def ltv(made: Desk, market: LocalMarket) -> float:
    coins, debt = on_aave(made, market)
    return debt / (coins * 2_000 * USD / ETH) if coins else 0.0


def test_both_models_of_a_loan_have_its_planner(local_market: LocalMarket) -> None:
    for model in ("aave.account", "aave.account_reserve"):
        spec = attrs.evolve(LOAN, model=model)
        assert isinstance(
            desk(local_market, AaveProtocol(), spec, ASSETS, USDC, local_market.users[0]).planner, AccountPlanner
        )


def test_loops_up_and_down_and_out(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    made = make_desk()
    rest = outside(made, local_market)
    for target, at, reduces in (
        (10_000, 0.6, False),
        (6_000, 0.6, True),
        (6_000, 0.3, True),
        (6_000, 0.7, False),
        (12_000, 0.7, False),
        (0, 0.7, True),
    ):
        plan = made.order("a", target * USD, at)
        assert plan is not None
        assert plan.reduces is reduces, (target, at)
        assert abs(made.planner.value(made.holding("a")) - target * USD) < 0.012 * 12_000 * USD
        if target:
            assert abs(ltv(made, local_market) - at) < 0.003
            assert made.order("a", made.planner.value(made.holding("a")), at) is None
        assert health(made, local_market) >= 1.05
        equal_to_the_chain(made, local_market, rest)
        local_market.chain.advance(DAY)
        made.reconcile()
    assert on_aave(made, local_market) == (0, 0)
    assert local_market.balance("WETH", made.who.address) == 0
    assert made.holding("a").held == made.holding("a").owed == {}
    assert {step.kind for step in made.steps} == {"approve", "supply", "borrow", "swap", "withdraw", "repay", "revoke"}
    assert made.gas["borrow"] < 290_000
    assert made.gas["repay"] < 210_000
    assert made.gas["swap"] < 200_000


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    orders=st.lists(
        st.tuples(
            st.integers(0, 15_000 * USD), st.sampled_from([(), (0.0,), (0.35,), (0.7,)]), st.sampled_from([0, 20])
        ),
        max_size=4,
    )
)
def test_any_sequence_of_targets_keeps_the_books_equal_to_the_chain(
    make_desk: Callable[..., Desk], local_market: LocalMarket, orders: list[tuple[int, tuple[float, ...], int]]
) -> None:
    with local_market.chain.isolated():
        made = make_desk()
        rest = outside(made, local_market)
        for target, control, days in [*orders, (0, (), 0)]:
            made.order("a", target, *control)
            assert health(made, local_market) >= 1.05
            equal_to_the_chain(made, local_market, rest)
            if days:
                local_market.chain.advance(days * DAY)
            made.reconcile()
        assert on_aave(made, local_market) == (0, 0)
        assert local_market.balance("WETH", made.who.address) == 0


def carried_out_until(made: Desk, target: int, at: float, kind: str, times: int) -> None:
    """An order whose plan ends before the `times`-th step of a kind, but for the allowances taken back."""
    plan = made.planner.plan(made.holding("a"), target, (at,))
    assert plan is not None
    made.books["agent:a:reserved", "USDC"] = made.books.get(("agent:a:reserved", "USDC"), 0) + plan.cash_raw
    made.books["agent:a:available", "USDC"] -= plan.cash_raw
    gained: dict[str, int] = {}
    seen, failed = 0, False
    for step in plan.steps:
        seen += step.kind == kind
        failed = failed or seen == times
        if not failed or step.kind is StepKind.REVOKE:
            made.carry_out("a", step, gained)
    made.books["agent:a:available", "USDC"] += made.books.pop(("agent:a:reserved", "USDC"))


@pytest.mark.parametrize(
    ("first", "kind", "times"),
    [(None, "supply", 2), (0.7, "repay", 1), (0.7, "swap", 1)],
)
def test_an_order_that_stopped_half_way_is_put_right_by_the_next(
    make_desk: Callable[..., Desk], local_market: LocalMarket, first: float | None, kind: str, times: int
) -> None:
    for target in (8_000 * USD, 0):
        with local_market.chain.isolated():
            made = make_desk()
            rest = outside(made, local_market)
            if first is not None:
                made.order("a", 10_000 * USD, first)
                made.reconcile()
            carried_out_until(made, 8_000 * USD if first is None else 3_000 * USD, 0.6, kind, times)
            equal_to_the_chain(made, local_market, rest)
            assert health(made, local_market) >= 1.05
            for _ in range(3):
                made.order("a", target, 0.6)
                equal_to_the_chain(made, local_market, rest)
            assert local_market.balance("WETH", made.who.address) == 0
            if target:
                assert abs(ltv(made, local_market) - 0.6) < 0.003
            else:
                assert on_aave(made, local_market) == (0, 0)


@pytest.mark.parametrize("has_cash", [True, False])
def test_below_the_floor_it_delevers_order_by_order(
    make_desk: Callable[..., Desk], local_market: LocalMarket, has_cash: bool
) -> None:
    made = make_desk(max_move_bps=1_000, slippage_bps=200)
    rest = outside(made, local_market)
    made.order("a", 10_000 * USD, 0.75)
    made.reconcile()
    local_market.set_price("WETH", 1_850 * 10**8)
    last = health(made, local_market)
    assert 1.0 < last < 1.05
    free = made.books["agent:a:available", "USDC"]
    if not has_cash:
        made.books["agent:a:available", "USDC"] = 0
        rest += free
    for _ in range(4):
        plan = made.order("a", made.planner.value(made.holding("a")), 0.4)
        if plan is None:
            break
        assert plan.reduces
        assert len(plan.steps) < 100
        assert health(made, local_market) > last
        last = health(made, local_market)
        equal_to_the_chain(made, local_market, rest)
    assert last > 1.9


@pytest.mark.parametrize("goal", [0.1, 0.7])
def test_a_shape_whose_swap_is_too_large_is_gone_to_in_steps(
    make_desk: Callable[..., Desk], local_market: LocalMarket, goal: float
) -> None:
    """The pool moves by no more than 4 bps an order: the loan-to-value goes half the way, and half of that."""
    made = make_desk()
    rest = outside(made, local_market)
    made.order("a", 30_000 * USD, 0.4)
    made.reconcile()
    tight = desk(local_market, AaveProtocol(), LOAN, ASSETS, USDC, made.who, max_move_bps=4, slippage_bps=200)
    tight.books = made.books
    began = last = abs(ltv(tight, local_market) - goal)
    assert tight.order("a", tight.planner.value(tight.holding("a")), goal) is not None
    last = abs(ltv(tight, local_market) - goal)
    assert 0.1 * began < last < 0.9 * began
    equal_to_the_chain(tight, local_market, rest)


def configure(market: LocalMarket, symbol: str, function: str, *arguments: object) -> None:
    token = market.token(symbol).address
    market.chain.send(
        market.owner.address, market.aave.configurator, CONFIGURATOR.function(function), token, *arguments
    )


def steps_of(made: Desk, target: int, at: float, kind: StepKind) -> list[PlannedStep]:
    plan = made.planner.plan(made.holding("a"), target, (at,))
    assert plan is not None
    return [step for step in plan.steps if step.kind is kind]


@pytest.mark.parametrize(
    ("symbol", "function", "argument", "said"),
    [
        ("WETH", "setReservePause", True, "29 RESERVE_PAUSED"),
        ("WETH", "setReserveFreeze", True, "28 RESERVE_FROZEN"),
        ("USDC", "setReservePause", True, "29 RESERVE_PAUSED"),
        ("USDC", "setBorrowCap", 1, "50 BORROW_CAP_EXCEEDED"),
        ("WETH", "setSupplyCap", 1, "51 SUPPLY_CAP_EXCEEDED"),
    ],
)
def test_what_the_pool_refuses_is_refused(
    make_desk: Callable[..., Desk], local_market: LocalMarket, symbol: str, function: str, argument: object, said: str
) -> None:
    made = make_desk()
    kind = StepKind.SUPPLY if symbol == "WETH" else StepKind.BORROW
    step = steps_of(made, 10_000 * USD, 0.6, kind)[0]
    configure(local_market, symbol, function, argument)
    with pytest.raises(ValidationError, match=said):
        made.planner.plan(made.holding("a"), 10_000 * USD, (0.6,))
    local_market.fund("WETH", made.who.address, 5 * ETH)
    with pytest.raises(ValidationError, match=said):
        made.bind(step, {"WETH": 5 * ETH})


def test_the_health_floor_holds_at_plan_and_at_bind(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    made = make_desk(health_min=1.5)
    with pytest.raises(
        ValidationError, match=r"a loan-to-value of 0\.7000 is more than 0\.5473.* health floor of 1\.5"
    ):
        made.planner.plan(made.holding("a"), 10_000 * USD, (0.7,))
    borrow = steps_of(made, 10_000 * USD, 0.5, StepKind.BORROW)[0]
    made.order("a", 10_000 * USD, 0.5)
    with pytest.raises(ValidationError, match=r"borrow USDC: the health factor would be .*, below the floor of 1\.5"):
        made.bind(borrow, {})
    assert made.order("a", 3_000 * USD, 0.5)


def test_a_swap_that_became_worse_than_the_slippage_is_refused(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made, market = make_desk(), local_market
    (swap, *_) = steps_of(made, 10_000 * USD, 0.6, StepKind.SWAP)
    dear = 1_500_000 * USD
    market.fund("USDC", market.maker.address, dear)
    market.approve(market.maker.address, "USDC", market.uniswap.router02)
    order = (market.token("USDC").address, market.token("WETH").address, 500, market.maker.address, dear, 0, 0)
    market.chain.send(market.maker.address, market.uniswap.router02, V3_ROUTER02.function("exactInputSingle"), order)
    with pytest.raises(ValidationError, match=r"fewer than \d+: the price moved since the plan by more than 50 bps"):
        made.bind(swap, {})
    market.fund("USDC", made.who.address, 300_000 * USD)
    with pytest.raises(ValidationError, match="would move the price of"):
        made.planner.plan(Holding(10**15), 250_000 * USD, (0.0,))


def test_an_account_of_somebody_else_is_not_touched(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    made = make_desk()
    made.order("a", 10_000 * USD, 0.6)
    made.reconcile()
    made.fund("b", CASH)
    local_market.fund("USDC", made.who.address, CASH)
    for stranger in (Holding(CASH), Holding(CASH, {"WETH": ETH})):
        with pytest.raises(ValidationError, match="use an address of its own"):
            made.planner.plan(stranger, 5_000 * USD, (0.6,))
    assert made.planner.value(Holding(CASH)) == 0


def test_lending_beside_a_loan_secures_nothing(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    made = make_desk()
    made.order("a", 10_000 * USD, 0.6)
    lending = desk(local_market, AaveProtocol(), LENDING, ASSETS, USDC, made.who)
    local_market.fund("USDC", made.who.address, CASH)
    lending.fund("b", CASH)
    before = health(made, local_market)
    lending.order("b", 20_000 * USD)
    assert abs(health(made, local_market) - before) < 1e-4
    lending.reconcile()
    assert lending.differences() == {"USDC": (0, 0)}


def test_what_is_not_configured_rightly_is_named(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    for places, said in (
        ({"routr": local_market.uniswap.router02}, r"live\.markets\.loan\.routr is no setting.*did you mean 'router'"),
        ({"fee": 501}, "there is no pool of"),
        ({"ltv_max": 2.0}, "ltv_max = 2.0 must be a number from 0 to 1"),
        ({"wallet": 1}, "wallet = 1 must be true or false"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_desk(**places)
    spec = MarketSpec("m", "aave.account", "account", "USDC", {})
    with pytest.raises(ConfigError, match="borrows USDC against itself"):
        desk(local_market, AaveProtocol(), spec, ASSETS, USDC, local_market.users[0])


def test_a_debt_that_a_liquidation_left_without_collateral_is_paid_from_cash(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made, market = make_desk(), local_market
    rest = outside(made, market)
    made.order("a", 10_000 * USD, 0.75)
    made.reconcile()
    market.set_price("WETH", 1_000 * 10**8)
    keeper, weth, usdc = market.maker.address, market.token("WETH").address, market.token("USDC").address
    market.fund("USDC", keeper, 100_000 * USD)
    market.approve(keeper, "USDC", market.aave.pool)
    call = POOL.function("liquidationCall"), weth, usdc, made.who.address, 2**256 - 1, False
    market.chain.send(keeper, market.aave.pool, *call)
    market.set_price("WETH", 2_000 * 10**8)
    made.reconcile()
    coins, debt = on_aave(made, market)
    assert coins * 2_000 * USD < USD * ETH
    assert debt > 5_000 * USD
    free = made.books["agent:a:available", "USDC"]
    with pytest.raises(
        ValidationError, match=r"are owed, more than the collateral is worth, and the holder has no cash"
    ):
        made.planner.plan(attrs.evolve(made.holding("a"), cash_raw=0), 0, (0.75,))
    plan = made.order("a", 0, 0.75)
    assert plan is not None
    assert plan.reduces
    assert {step.kind for step in plan.steps} == {StepKind.APPROVE, StepKind.REPAY, StepKind.REVOKE}
    assert on_aave(made, market)[1] == 0
    assert free - made.books["agent:a:available", "USDC"] == pytest.approx(debt, abs=USD)
    equal_to_the_chain(made, market, rest)


def test_coins_that_an_order_left_are_taken_whole_though_interest_came_meanwhile(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    """Booked less supplied is less than what lies in the wallet by the interest that the books have not seen: none stays."""
    made, market = make_desk(), local_market
    rest = outside(made, market)
    made.order("a", 8_000 * USD, 0.5)
    made.reconcile()
    plan = made.planner.plan(made.holding("a"), 5_000 * USD, (0.4,))
    assert plan is not None
    first = plan.steps[0]
    assert first.kind is StepKind.WITHDRAW
    made.carry_out("a", first, {})
    left = market.balance("WETH", made.who.address)
    assert left > ETH
    market.chain.advance(600)
    tidy = made.order("a", 5_000 * USD, 0.4)
    assert tidy is not None
    assert [step.amount_raw for step in tidy.steps if step.kind is StepKind.SUPPLY] == [left]
    assert market.balance("WETH", made.who.address) == 0
    equal_to_the_chain(made, market, rest)
    made.order("a", 0, 0.0)
    assert market.balance("WETH", made.who.address) == 0
    assert on_aave(made, market) == (0, 0)
    equal_to_the_chain(made, market, rest)


@pytest.mark.parametrize("symbol", ["USDC", "WETH"])
def test_a_price_of_zero_from_the_node_is_said_in_one_sentence(
    make_desk: Callable[..., Desk], local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch, symbol: str
) -> None:
    made = make_desk()
    made.order("a", 10_000 * USD, 0.5)
    holding, asset = made.holding("a"), local_market.token(symbol).address.lower()
    reader, call = made.planner.reader, type(made.planner.reader).call

    def zero(self: Any, to: str, function: Any, *arguments: Any, **more: Any) -> Any:
        asked = function.name == "getAssetPrice" and str(arguments[0]).lower() == asset
        return 0 if asked else call(self, to, function, *arguments, **more)

    monkeypatch.setattr(type(reader), "call", zero)
    told = f"cannot be valued: Aave's oracle has no price for {symbol}"
    with pytest.raises(ValidationError, match=told):
        made.planner.value(holding)
    with pytest.raises(ValidationError, match=told):
        made.planner.plan(holding, 5_000 * USD, (0.5,))
