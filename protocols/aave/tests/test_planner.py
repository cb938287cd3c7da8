"""Live orders of lending on a real node: every step signed and mined, books equal to the chain, refusals before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aave_bench import ASSETS, DAY, LENDING, USD, USDC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import StepKind
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.errors import ChainUnavailableError, ConfigError, ValidationError
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_evm.interfaces.aave import CONFIGURATOR, POOL, SCALED_TOKEN
from treasury_arena_evm.local.desk import Desk, desk
from treasury_arena_evm.local.market import LocalMarket

CASH = 50_000 * USD


@pytest.fixture
def make_desk(local_market: LocalMarket) -> Callable[..., Desk]:
    def make(**places: Any) -> Desk:
        who = local_market.users[0]
        made = desk(local_market, AaveProtocol(), LENDING, ASSETS, USDC, who, **places)
        local_market.fund("USDC", who.address, 2 * CASH)
        made.fund("a", CASH)
        made.fund("b", CASH)
        return made

    return make


def cash(made: Desk) -> int:
    return sum(amount for (name, _), amount in made.books.items() if ":available" in name or ":reserved" in name)


def outside(made: Desk, market: LocalMarket) -> int:
    return market.balance("USDC", made.who.address) - cash(made)


def a_tokens(made: Desk, market: LocalMarket) -> int:
    token = market.aave.reserve("USDC").a_token
    return int(market.chain.call(token, SCALED_TOKEN.function("balanceOf"), made.who.address))


def equal_to_the_chain(made: Desk, market: LocalMarket, rest: int) -> None:
    assert cash(made) == market.balance("USDC", made.who.address) - rest
    assert not any(made.allowances(market.aave.pool))
    made.reconcile()
    assert made.differences() == {"USDC": (0, 0)}
    assert sum(made.holding(agent).held.get("USDC", 0) for agent in "ab") == a_tokens(made, market)


def secured(made: Desk, market: LocalMarket) -> int:
    return int(market.chain.call(market.aave.pool, POOL.function("getUserAccountData"), made.who.address)[0])


def test_every_step_is_mined_and_the_books_equal_the_chain(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    rest = outside(made, local_market)
    for target in (10_000, 25_000, 4_000, 0):
        plan = made.order("a", target * USD)
        assert plan is not None
        assert plan.reduces is (target in (4_000, 0))
        assert abs(made.planner.value(made.holding("a")) - target * USD) < 1_000  # interest of some blocks
        assert made.order("a", target * USD + USD // 2) is None  # below dust
        local_market.chain.advance(30 * DAY)
        equal_to_the_chain(made, local_market, rest)
        assert secured(made, local_market) == 0
    assert [step.kind for step in made.steps] == [
        *("approve", "supply", "supply", "approve", "supply", "withdraw", "withdraw"),
    ]
    assert a_tokens(made, local_market) == 0
    assert cash(made) > 2 * CASH
    assert made.gas["supply"] < 230_000
    assert made.gas["withdraw"] < 260_000


def test_holders_share_one_address_and_the_last_takes_everything(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    rest = outside(made, local_market)
    made.order("a", 10_000 * USD)
    made.order("b", 5_000 * USD)
    local_market.chain.advance(30 * DAY)
    equal_to_the_chain(made, local_market, rest)
    first, second = (made.planner.value(made.holding(agent)) for agent in "ab")
    assert 10_000 * USD < first < 2 * second + 2 * USD
    made.order("a", 0)
    equal_to_the_chain(made, local_market, rest)
    assert abs(made.planner.value(made.holding("b")) - second) < USD
    made.order("b", 0)
    equal_to_the_chain(made, local_market, rest)
    assert a_tokens(made, local_market) == 0


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    orders=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 40_000 * USD), st.sampled_from([0, 1, 30])), max_size=5
    )
)
def test_any_sequence_of_targets_keeps_the_books_equal_to_the_chain(
    make_desk: Callable[..., Desk], local_market: LocalMarket, orders: list[tuple[str, int, int]]
) -> None:
    with local_market.chain.isolated():
        made = make_desk()
        rest = outside(made, local_market)
        for agent, target, days in [*orders, ("a", 0, 0), ("b", 0, 0)]:
            if target - made.planner.value(made.holding(agent)) > made.holding(agent).cash_raw:
                continue
            made.order(agent, target)
            if days:
                local_market.chain.advance(days * DAY)
            equal_to_the_chain(made, local_market, rest)
        assert a_tokens(made, local_market) == 0


def configure(market: LocalMarket, function: str, *arguments: object) -> None:
    token = market.token("USDC").address
    market.chain.send(
        market.owner.address, market.aave.configurator, CONFIGURATOR.function(function), token, *arguments
    )


@pytest.mark.parametrize(
    ("function", "argument", "targets", "said"),
    [
        ("setReservePause", True, (20_000, 0), "29 RESERVE_PAUSED"),
        ("setReserveFreeze", True, (20_000,), "28 RESERVE_FROZEN"),
        ("setSupplyCap", 1, (20_000,), "51 SUPPLY_CAP_EXCEEDED"),
    ],
)
def test_what_the_pool_refuses_is_refused_at_plan_and_at_bind(
    make_desk: Callable[..., Desk],
    local_market: LocalMarket,
    function: str,
    argument: object,
    targets: tuple[int, ...],
    said: str,
) -> None:
    made = make_desk()
    made.order("a", 10_000 * USD)
    plans = [made.planner.plan(made.holding("a"), target * USD, ()) for target in targets]
    configure(local_market, function, argument)
    for target, plan in zip(targets, plans, strict=True):
        with pytest.raises(ValidationError, match=said):
            made.planner.plan(made.holding("a"), target * USD, ())
        assert plan is not None
        step = next(step for step in plan.steps if step.kind in (StepKind.SUPPLY, StepKind.WITHDRAW))
        with pytest.raises(ValidationError, match=said):
            made.bind(step, {})


def test_a_reserve_without_cash_cannot_pay(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    made, market = make_desk(), local_market
    made.order("a", 10_000 * USD)
    a_token, token = market.aave.reserve("USDC").a_token, market.token("USDC").address
    loan = market.balance("USDC", a_token) - 5_000 * USD
    market.chain.send(
        market.maker.address, market.aave.pool, POOL.function("borrow"), token, loan, 2, 0, market.maker.address
    )
    with pytest.raises(ValidationError, match="not that much cash"):
        made.planner.plan(made.holding("a"), 0, ())
    assert made.order("a", 6_000 * USD) is not None


def test_a_price_that_is_old_or_missing_is_refused(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    made = make_desk()
    local_market.set_price("USDC", 10**8, answered=local_market.chain.now - 100_000)
    with pytest.raises(ValidationError, match=r"the price of USDC is \d+ s old"):
        made.planner.plan(made.holding("a"), 5_000 * USD, ())
    local_market.set_price("USDC", 0)
    with pytest.raises(ValidationError, match="no price for USDC"):
        made.planner.plan(made.holding("a"), 5_000 * USD, ())


def test_what_is_not_configured_rightly_is_named(
    make_desk: Callable[..., Desk], local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, provider = local_market.aave.pool, local_market.aave.provider
    for places, said in (
        ({"pol": pool}, r"live\.markets\.lending\.pol is no setting of this market; did you mean 'pool'"),
        ({"pool": provider}, "but the market's provider says"),
        ({"data_provider": pool}, "but the market's provider says"),
        ({"provider": pool}, r"live\.markets\.lending\.provider is no Aave market"),
        ({"health_min": 0.5}, "health_min = 0.5 must be a number from 1 to 100"),
        ({"price_age_seconds_max": -1}, "must be a whole number"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_desk(**places)
    assert make_desk(pool=pool, provider=provider, data_provider=local_market.aave.data_provider)
    who = local_market.users[0]
    with pytest.raises(ConfigError, match="lends WETH, but cash is USDC"):
        desk(local_market, AaveProtocol(), MarketSpec("m", "aave.supply", "lending", "WETH", {}), ASSETS, USDC, who)
    with pytest.raises(ConfigError, match=r"no model 'aave.suply'; did you mean 'aave.supply'"):
        desk(local_market, AaveProtocol(), MarketSpec("m", "aave.suply", "lending", "USDC", {}), ASSETS, USDC, who)

    def silent(*_: object) -> None:
        from treasury_arena_evm.transport import LostError

        raise LostError("no answer")

    monkeypatch.setattr(local_market.session._transport, "request", silent)
    with pytest.raises(ChainUnavailableError, match="no answer"):
        make_desk()
