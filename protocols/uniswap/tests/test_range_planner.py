"""Live orders of a range of liquidity on a real node: minted, enlarged, moved, reduced and closed, books equal to the chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uniswap_street import ASSETS, USD, USDC, Street

from treasury_arena.contracts.chain import Holding, PlannedStep, StepKind
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.errors import ConfigError, SizeRefusedError, ValidationError
from treasury_arena_evm.abi import Interface
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS
from treasury_arena_evm.liquidity import token_of
from treasury_arena_evm.local.desk import Desk, desk
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.protocol import UniswapProtocol
from treasury_arena_uniswap.range_planner import RangePlanner
from treasury_arena_uniswap.reading import Held

CASH = 50_000 * USD
RANGE = MarketSpec("range", "uniswap.range", "range", "WETH", {}, coin=True)


def opened(market: LocalMarket, **places: Any) -> Desk:
    who = market.users[0]
    if held := market.balance("WETH", who.address):  # what is in the wallet is the positions'
        token = market.token("WETH").address
        market.chain.send(who.address, token, ERC20.function("transfer"), market.maker.address, held)
    made = desk(market, UniswapProtocol(), RANGE, ASSETS, USDC, who, **places)
    market.fund("USDC", who.address, 2 * CASH)
    made.fund("a", CASH)
    made.fund("b", CASH)
    return made


@pytest.fixture
def make_desk(local_market: LocalMarket) -> Callable[..., Desk]:
    return lambda **places: opened(local_market, **places)


def cash(made: Desk) -> int:
    return sum(amount for (name, _), amount in made.books.items() if ":available" in name or ":reserved" in name)


def ranges(made: Desk, agent: str = "a") -> list[Held]:
    """The positions that an agent's books know of, as the chain has them."""
    planner = made.planner
    assert isinstance(planner, RangePlanner)
    return [planner.manager.position(n) for asset in made.holding(agent).held if (n := token_of(asset)) is not None]


def equal_to_the_chain(made: Desk, market: LocalMarket, rest: int) -> None:
    assert cash(made) == market.balance("USDC", made.who.address) - rest
    assert not any(made.allowances(market.uniswap.router02, market.uniswap.positions))
    differences = made.differences()
    assert set(differences.values()) == {(0, 0)}, differences  # liquidity and coins to the unit, without reconciliation
    owned = sum(held.liquidity > 0 for agent in "ab" for held in ranges(made, agent))
    balance = made.session.call(market.uniswap.positions, V3_POSITIONS.function("balanceOf"), made.who.address)
    assert owned == balance


@pytest.mark.parametrize("usdc_first", [True, False])
def test_a_range_is_minted_enlarged_moved_reduced_and_closed(
    make_local_market: Callable[..., LocalMarket], usdc_first: bool
) -> None:
    market = make_local_market(usdc_first=usdc_first)
    made, street = opened(market), Street(market)
    rest = market.balance("USDC", made.who.address) - cash(made)

    def order(agent: str, target: int, *control: float) -> list[str]:
        before = made.planner.value(made.holding(agent))
        plan = made.order(agent, target * USD, *control)
        assert plan is not None
        assert plan.reduces is (target * USD < before)
        assert 0 <= plan.slippage_bps < 50
        equal_to_the_chain(made, market, rest)
        worth = made.planner.value(made.holding(agent))
        assert abs(worth - target * USD) < 0.004 * max(target, 20_000) * USD, worth
        return [str(step.kind) for step in plan.steps if step.kind not in (StepKind.APPROVE, StepKind.REVOKE)]

    assert order("a", 10_000, 0.1) == ["swap", "mint"]
    (first,) = ranges(made)
    assert first.inside
    assert order("b", 5_000, 0.02) == ["swap", "mint"]  # one market, a range for each holder
    assert order("a", 20_000) == ["swap", "mint"]
    (second,) = ranges(made)
    assert (second.token_id, second.lower, second.upper) == (first.token_id, first.lower, first.upper)
    assert second.liquidity > 1.9 * first.liquidity
    assert order("a", 20_000, 0.04) == ["burn", "swap", "mint"]
    (third,) = ranges(made)
    assert third.token_id != first.token_id
    assert third.upper - third.lower < first.upper - first.lower
    assert made.planner.plan(made.holding("a"), made.planner.value(made.holding("a")), (0.04,)) is None
    street.trade_there_and_back()
    (earned,) = ranges(made)
    assert earned.fees0 > 0
    assert earned.fees1 > 0
    assert order("a", 8_000) == ["collect", "swap"]
    (fourth,) = ranges(made)
    assert min(fourth.fees0, fourth.fees1) == 0  # all fees are cash now, but for those of the sale itself
    assert order("a", 0) == ["burn", "swap"]
    assert order("b", 0) == ["burn", "swap"]
    assert made.holding("a").held == made.holding("b").held == {}
    assert cash(made) > 2 * CASH - 300 * USD
    assert 200_000 < made.gas["mint"] < 500_000
    assert 100_000 < made.gas["burn"] < 350_000
    assert 100_000 < made.gas["collect"] < 350_000


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(0, 40_000 * USD),
            st.sampled_from([(), (0.02,), (0.1,), (-0.1,), (0.0,)]),
            st.sampled_from([0.0, 0.03, -0.03]),
        ),
        max_size=5,
    )
)
def test_any_sequence_of_orders_keeps_the_books_equal_to_the_chain(
    local_market: LocalMarket, orders: list[tuple[str, int, tuple[float, ...], float]]
) -> None:
    with local_market.chain.isolated():
        made, street = opened(local_market), Street(local_market)
        rest = local_market.balance("USDC", made.who.address) - cash(made)
        for agent, target, control, move in [*orders, ("a", 0, (), 0.0), ("b", 0, (), 0.0)]:
            if target - made.planner.value(made.holding(agent)) > made.holding(agent).cash_raw:
                continue
            made.order(agent, target, *control)
            equal_to_the_chain(made, local_market, rest)
            if move:
                street.move_by(move)
        for agent in "ab":  # all but what is not worth selling
            assert not ranges(made, agent)
            assert made.planner.value(made.holding(agent)) == 0
        assert local_market.balance("WETH", made.who.address) < 2 * 10**15


def test_a_range_has_the_very_ticks_that_are_asked_for(
    make_local_market: Callable[..., LocalMarket],
) -> None:
    found = []
    for usdc_first in (True, False):
        made = opened(make_local_market(usdc_first=usdc_first))
        made.order("a", 10_000 * USD, 0.1, -203_000.0, -199_000.0)
        (held,) = ranges(made)
        found.append((held.lower, held.upper))
        here = made.planner.value(made.holding("a"))
        assert made.planner.plan(made.holding("a"), here, (0.1, -203_000.0, -199_000.0)) is None
        assert made.planner.plan(made.holding("a"), here, (0.1, -202_990.0, -199_000.0)) is not None
    assert found == [(199_000, 203_000), (-203_000, -199_000)]


def test_a_control_that_is_no_range_is_refused(make_desk: Callable[..., Desk]) -> None:
    planner = make_desk().planner
    for control, said in (
        ((float("nan"),), "is not made of finite numbers"),
        ((0.1, float("inf"), 0.0), "is not made of finite numbers"),
        ((0.1, 0.0), r"\(width\) or \(width, low tick, high tick\)"),
        ((0.1, -203_000.5, -199_000.0), "has no ticks"),
        ((0.1, -203_005.0, -199_000.0), "tick 203005 is not a multiple of 10"),
        ((0.1, -199_000.0, -203_000.0), "must be ascending"),
    ):
        with pytest.raises(ValidationError, match=said):
            planner.plan(Holding(CASH), 10_000 * USD, control)
    assert planner.plan(Holding(CASH), 10_000 * USD, ()) is None  # no range is held, and none is asked for
    with pytest.raises(ValidationError, match="cannot be"):
        planner.plan(Holding(CASH), -1, (0.1,))


def step_of(made: Desk, kind: StepKind, target: int, *control: float) -> PlannedStep:
    plan = made.planner.plan(made.holding("a"), target, control)
    assert plan is not None
    return next(step for step in plan.steps if step.kind is kind)


def test_a_price_that_moved_beyond_the_slippage_is_refused(local_market: LocalMarket) -> None:
    made, street = opened(local_market, slippage_bps=30), Street(local_market)
    made.order("a", 10_000 * USD, 0.1)
    steps = [
        step_of(made, StepKind.MINT, 20_000 * USD),
        step_of(made, StepKind.COLLECT, 5_000 * USD),
        step_of(made, StepKind.BURN, 0),
    ]
    assert made.bind(steps[1], {}) is not None
    street.move_by(0.006)
    for step in steps:
        with pytest.raises(ValidationError, match=r"has moved by \d+ bps since the quote, more than 30"):
            made.bind(step, {})
    bound = made.bind(step_of(made, StepKind.BURN, 0), {})
    assert bound is not None
    assert bound.expects["deadline"] == made.session.now + 120
    assert int(bound.expects["min0_raw"]) > 0
    assert int(bound.expects["min1_raw"]) > 0


def test_an_allowance_that_another_order_left_is_not_taken(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made, manager = make_desk(), local_market.uniswap.positions
    local_market.fund("WETH", made.who.address, 10**18)
    local_market.approve(made.who.address, "WETH", manager, 10**18)
    plan = made.planner.plan(made.holding("a"), 10_000 * USD, (0.1, -210_000.0, -205_000.0))  # a range of USDC alone
    assert plan is not None
    assert [(step.kind, step.asset) for step in plan.steps[:2]] == [(StepKind.APPROVE, "USDC"), (StepKind.MINT, "USDC")]
    made.carry_out("a", plan.steps[0], {})
    bound = made.bind(plan.steps[1], {})
    assert bound is not None
    assert bound.spends == {"USDC": 10_000 * USD, "WETH": 0}


def test_a_token_that_somebody_gave_is_nobodys_and_one_that_is_gone_is_told(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    rest = local_market.balance("USDC", made.who.address) - cash(made)
    made.order("a", 10_000 * USD, 0.1)
    worth, manager = made.planner.value(made.holding("a")), local_market.uniswap.positions
    chain, maker = local_market.chain, local_market.maker.address
    transfer = Interface("function transferFrom(address from, address to, uint256 tokenId)").function("transferFrom")
    given = chain.call(manager, V3_POSITIONS.function("tokenOfOwnerByIndex"), maker, 0)
    chain.send(maker, manager, transfer, maker, made.who.address, given)
    assert made.planner.value(made.holding("a")) == worth
    pool = made.session.call(manager, V3_POSITIONS.function("positions"), given)[4]
    told = {asset: there for asset, (there, _) in made.differences().items() if there}
    assert list(told) == ([f"UNI-V3-{given}"] if pool == 500 else [])
    chain.send(made.who.address, manager, transfer, made.who.address, maker, given)
    equal_to_the_chain(made, local_market, rest)
    (held,) = ranges(made)
    chain.send(made.who.address, manager, transfer, made.who.address, maker, held.token_id)
    with pytest.raises(ValidationError, match=rf"position {held.token_id} belongs to {maker}"):
        made.planner.value(made.holding("a"))
    assert f"UNI-V3-{held.token_id}" not in made.planner.holdings()


def test_what_the_pool_cannot_do_is_refused(
    make_desk: Callable[..., Desk], make_local_market: Callable[..., LocalMarket], local_market: LocalMarket
) -> None:
    made = make_desk(max_move_bps=3)
    local_market.fund("USDC", made.who.address, 10**8 * USD)
    with pytest.raises(SizeRefusedError, match=r"would move the price of .* more than 3; split it"):
        made.planner.plan(Holding(CASH), CASH, (0.1,))
    empty = opened(make_local_market(liquid=False))
    with pytest.raises(ValidationError, match="is empty at its price"):
        empty.planner.plan(Holding(CASH), 10_000 * USD, (0.1,))


def test_a_closed_range_in_one_token_alone_needs_no_swap(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made, street = make_desk(), Street(local_market)
    made.order("a", 10_000 * USD, 0.01)
    street.move_by(0.05)  # the range is all USDC now
    plan = made.planner.plan(made.holding("a"), 0, ())
    assert plan is not None
    assert [step.kind for step in plan.steps] == [StepKind.BURN]
    made.order("a", 0)
    assert not ranges(made)
    assert made.planner.value(made.holding("a")) == 0


def test_what_is_not_configured_rightly_is_named(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    at = local_market.uniswap
    for places, said in (
        ({"manager": at.positions}, r"live\.markets\.range\.manager is no setting of this market"),
        ({"positions": "0x12"}, r"positions = '0x12' must be an address"),
        ({"fee": 501}, "there is no pool of"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_desk(**places)
    given = {"positions": at.positions, "tick_lens": at.tick_lens, "router": at.router02}
    assert make_desk(**given).order("a", 1_000 * USD, 0.1) is not None
    itself = MarketSpec("m", "uniswap.range", "range", "USDC", {})
    with pytest.raises(ConfigError, match="puts USDC against itself"):
        desk(local_market, UniswapProtocol(), itself, ASSETS, USDC, local_market.users[0])
