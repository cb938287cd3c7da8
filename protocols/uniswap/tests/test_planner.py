"""Live orders of a coin on a real node: swaps signed and mined, books equal to the chain, refusals before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uniswap_street import ASSETS, USD, USDC, Street

from treasury_arena.contracts.chain import Holding, PlannedStep, StepKind
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, SizeRefusedError, ValidationError
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.orders import planned
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.desk import Desk, desk
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.protocol import UniswapProtocol

CASH = 50_000 * USD
SPOT = MarketSpec("spot", "uniswap.spot", "spot", "WETH", {}, coin=True)


def opened(market: LocalMarket, **places: Any) -> Desk:
    who = market.users[0]
    if held := market.balance("WETH", who.address):  # what is in the wallet is the position's
        token = market.token("WETH").address
        market.chain.send(who.address, token, ERC20.function("transfer"), market.maker.address, held)
    made = desk(market, UniswapProtocol(), SPOT, ASSETS, USDC, who, **places)
    market.fund("USDC", who.address, 2 * CASH)
    made.fund("a", CASH)
    made.fund("b", CASH)
    return made


@pytest.fixture
def make_desk(local_market: LocalMarket) -> Callable[..., Desk]:
    return lambda **places: opened(local_market, **places)


def cash(made: Desk) -> int:
    return sum(amount for (name, _), amount in made.books.items() if ":available" in name or ":reserved" in name)


def outside(made: Desk, market: LocalMarket) -> int:
    return market.balance("USDC", made.who.address) - cash(made)


def equal_to_the_chain(made: Desk, market: LocalMarket, rest: int) -> None:
    assert cash(made) == market.balance("USDC", made.who.address) - rest
    assert not any(made.allowances(market.uniswap.router02))
    assert made.differences() == {"WETH": (0, 0)}  # to the wei, without reconciliation
    coins = sum(made.holding(agent).held.get("WETH", 0) for agent in "ab")
    assert coins == market.balance("WETH", made.who.address)


@pytest.mark.parametrize("usdc_first", [True, False])
def test_every_swap_is_mined_and_the_books_equal_the_chain(
    make_local_market: Callable[..., LocalMarket], usdc_first: bool
) -> None:
    market = make_local_market(usdc_first=usdc_first)
    made = opened(market)
    rest = outside(made, market)
    for agent, target in (("a", 10_000), ("b", 20_000), ("a", 25_000), ("a", 4_000), ("a", 0), ("b", 0)):
        before = made.planner.value(made.holding(agent))
        plan = made.order(agent, target * USD)
        assert plan is not None
        assert plan.reduces is (target * USD < before)
        assert 0 <= plan.slippage_bps < 50
        worth = made.planner.value(made.holding(agent))
        assert abs(worth - target * USD) < 0.003 * max(target, 25_000) * USD
        equal_to_the_chain(made, market, rest)
    assert made.holding("a").held == made.holding("b").held == {}
    assert cash(made) > 2 * CASH - 300 * USD
    assert made.gas["swap"] < 200_000
    assert made.gas["approve"] < 60_000


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    orders=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 45_000 * USD), st.sampled_from([0.0, 0.02, -0.02])), max_size=5
    )
)
def test_any_sequence_of_targets_keeps_the_books_equal_to_the_chain(
    local_market: LocalMarket, orders: list[tuple[str, int, float]]
) -> None:
    with local_market.chain.isolated():
        made, street = opened(local_market), Street(local_market)
        rest = outside(made, local_market)
        for agent, target, move in [*orders, ("a", 0, 0.0), ("b", 0, 0.0)]:
            if target - made.planner.value(made.holding(agent)) > made.holding(agent).cash_raw:
                continue
            made.order(agent, target)
            equal_to_the_chain(made, local_market, rest)
            if move:
                street.move_by(move)
        assert local_market.balance("WETH", made.who.address) == 0


def swap_of(made: Desk, target: int) -> PlannedStep:
    plan = made.planner.plan(made.holding("a"), target, ())
    assert plan is not None
    return next(step for step in plan.steps if step.kind is StepKind.SWAP)


def test_a_price_that_moved_beyond_the_slippage_is_refused(local_market: LocalMarket) -> None:
    made, street = opened(local_market, slippage_bps=30), Street(local_market)
    made.order("a", 10_000 * USD)
    buy, sell = swap_of(made, 20_000 * USD), swap_of(made, 0)
    street.move_by(0.002)
    step = made.bind(buy, {})
    assert step is not None
    planned = int(buy.details["out_raw"])
    assert step.expects["min_out_raw"] == planned * 9_970 // 10_000  # the plan's limit is the tighter one
    assert made.bind(sell, {}) is not None
    street.move_by(0.002)
    with pytest.raises(ValidationError, match=r"fewer than \d+: the price moved since the plan by more than 30 bps"):
        made.bind(buy, {})
    street.move_by(-0.01)
    with pytest.raises(ValidationError, match="the price moved since the plan by more than 30 bps"):
        made.bind(sell, {})
    step = made.bind(buy, {})
    assert step is not None
    assert int(step.expects["min_out_raw"]) > planned  # a better price is not given away


def test_a_clock_behind_the_chain_gives_no_deadline(make_desk: Callable[..., Desk]) -> None:
    made = make_desk()
    swap, now = swap_of(made, 10_000 * USD), made.session.now
    step = made.planner.bind(swap, int(swap.amount_raw), now)
    assert step is not None
    assert step.expects["deadline"] == now + 120
    with pytest.raises(
        ValidationError, match=r"the deadline \d+ is not after the chain's time \d+; the clock is 500 s behind"
    ):
        made.planner.bind(swap, int(swap.amount_raw), now - 500)


def test_what_the_pool_cannot_do_is_refused(
    make_desk: Callable[..., Desk], make_local_market: Callable[..., LocalMarket], local_market: LocalMarket
) -> None:
    made = make_desk()
    local_market.fund("USDC", made.who.address, 10**8 * USD)
    with pytest.raises(ValidationError, match=r"would move the price of .* more than 200; split it"):
        made.planner.plan(Holding(0), 2_000_000 * USD, ())
    with pytest.raises(ValidationError, match="has not the liquidity to swap"):
        made.planner.plan(Holding(0), 10**15 * USD, ())
    empty = opened(make_local_market(liquid=False))
    with pytest.raises(ValidationError, match="is empty at its price"):
        empty.planner.plan(Holding(CASH), 10_000 * USD, ())
    with pytest.raises(ValidationError, match="is empty at its price"):
        swap_of(empty, 5_000 * USD)


def test_an_order_beyond_the_largest_move_is_planned_in_pieces_both_ways(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk(max_move_bps=3)
    rest = outside(made, local_market)

    def order(target: int, row: int) -> int:
        """Planned as the order engine does, and carried out; the target of the piece."""
        holding = made.holding("a")
        intent = Intent("a", "only", "spot", target, row)
        plan, refused, piece = planned(made.planner, holding, made.planner.value(holding), intent)
        assert plan is not None, refused
        assert refused == ""
        assert made.order("a", piece.target_raw) is not None
        equal_to_the_chain(made, local_market, rest)
        return piece.target_raw

    with pytest.raises(SizeRefusedError, match="more than 3; split it"):
        made.planner.plan(Holding(CASH), CASH, ())
    first = order(CASH, 1)
    assert CASH // 2**6 < first < CASH
    second = order(CASH, 2)
    assert first < second < CASH  # the next decision goes on
    with pytest.raises(SizeRefusedError, match="more than 3; split it"):
        made.planner.plan(made.holding("a"), 0, ())
    left = order(0, 3)
    assert 0 < left < second


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [("FeeToken", (), "takes a fee on transfer"), ("FalseToken", (), "returns false"), ("SharesToken", (), "rebasing")],
)
def test_odd_tokens_are_refused(
    make_local_market: Callable[..., LocalMarket], kind: str, more: tuple[object, ...], said: str
) -> None:
    from odd_street import OddStreet

    street = OddStreet(make_local_market())
    odd: Asset = street.coin
    spec = MarketSpec("spot", "uniswap.spot", "spot", odd.symbol, {}, coin=True)
    assets = {"USDC": USDC, odd.symbol: odd}
    made = desk(street.market, UniswapProtocol(), spec, assets, USDC, street.user, fee=500)
    made.fund("a", CASH)
    made.order("a", 1_000 * USD)
    street.market.turn(odd.symbol, kind, *more)
    for target in (0, 5_000 * USD):
        with pytest.raises(ValidationError):
            made.order("a", target)
    with pytest.raises(ValidationError, match=said):
        made.order("a", 5_000 * USD)


def test_what_is_not_configured_rightly_is_named(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    router = local_market.uniswap.router02
    for places, said in (
        ({"routes": router}, r"live\.markets\.spot\.routes is no setting of this market; did you mean 'router'"),
        ({"fee": 501}, "there is no pool of"),
        ({"fee": "500"}, "fee = '500' must be a whole number"),
        ({"slippage_bps": 1_001}, "slippage_bps = 1001 must be"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_desk(**places)
    given = {"factory": local_market.uniswap.factory, "quoter": local_market.uniswap.quoter, "router": router}
    assert make_desk(**given).order("a", 1_000 * USD) is not None
    itself = MarketSpec("m", "uniswap.spot", "spot", "USDC", {})
    with pytest.raises(ConfigError, match="trades USDC against itself"):
        desk(local_market, UniswapProtocol(), itself, ASSETS, USDC, local_market.users[0])


def test_coins_in_the_wallet_are_claimed_by_no_market_alone(make_desk: Callable[..., Desk]) -> None:
    """Ranges keep some there as well: what is booked anywhere is held against the wallet together."""
    made = make_desk()
    made.order("a", 10_000 * USD)
    assert made.planner.holdings() == {}
    assert made.planner.wallet() == {"WETH"}
