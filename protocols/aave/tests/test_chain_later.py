"""The adapter and its markets on Aave 3.6.0, compiled from sources: quoted and booked in the arithmetic of 3.5, to the wei."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from aave_bench import ASSETS, DAY, ETH, LENDING, LOAN, USD, USDC, Bench

from treasury_arena.errors import ValidationError
from treasury_arena_aave.chain import AaveMarket
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.wad_ray import MAX_UINT256
from treasury_arena_aave.origin.deploy import deploy
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_aave.reading import USER
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.interfaces.aave import CONFIGURATOR, POOL, SCALED_TOKEN
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.desk import desk
from treasury_arena_evm.local.market import LocalMarket


@pytest.fixture
def later(local_market: LocalMarket) -> LocalMarket:
    """The local market with 3.6.0 in the place of its Aave, and a maker's supply and debt in every reserve."""
    at, old = deploy(local_market), local_market.aave
    reserves = {
        symbol: attrs.evolve(old.reserve(symbol), a_token=found.a_token, variable_debt=found.debt_token)
        for symbol, found in at.reserves.items()
    }
    aave = attrs.evolve(
        old,
        provider=at.provider,
        pool=at.pool,
        configurator=at.configurator,
        data_provider=at.data_provider,
        oracle=at.oracle,
        reserves=reserves,
    )
    market = LocalMarket(local_market.chain, attrs.evolve(local_market.description, aave=aave))
    maker = market.maker.address
    for symbol, supplied, borrowed in (
        ("WETH", 10_000 * ETH, 2_000 * ETH),
        ("USDC", 10_000_000 * USD, 6_000_000 * USD),
        ("DAI", 10_000_000 * ETH, 0),
    ):
        market.fund(symbol, maker, supplied)
        market.approve(maker, symbol, at.pool)
        token = market.token(symbol).address
        market.chain.send(maker, at.pool, POOL.function("supply"), token, supplied, maker, 0)
        if borrowed:
            market.chain.send(maker, at.pool, POOL.function("borrow"), token, borrowed, 2, 0, maker)
    return market


def equal(market: LocalMarket, aave: AaveMarket, who: Any) -> None:
    """The exact pool that is read says what the contracts say, of the account and of both of its tokens."""
    pool = aave.pool(who.address)
    assert pool.account(USER) == attrs.evolve(aave.account(who.address), zero_ltv=pool.account(USER).zero_ltv)
    for symbol in ("USDC", "WETH"):
        reserve = market.aave.reserve(symbol)
        for token, owed in ((reserve.a_token, False), (reserve.variable_debt, True)):
            there = int(market.chain.call(token, SCALED_TOKEN.function("balanceOf"), who.address))
            assert there == (pool.debt_of(symbol, USER) if owed else pool.balance_of(symbol, USER))


def test_every_operation_is_quoted_to_the_wei(later: LocalMarket) -> None:
    aave, who = AaveMarket(later.session, price_age_seconds_max=None), later.users[0].signer
    assert aave.version.name == "3.5"
    for operation, symbol, amount in (
        ("supply", "WETH", 100 * ETH),
        ("borrow", "USDC", 100_000 * USD + 1),
        ("repay", "USDC", 33_333_333_333),
        ("withdraw", "WETH", 10 * ETH + 7),
        ("borrow", "USDC", 12_345_678_901),
        ("repay", "USDC", MAX_UINT256),
        ("withdraw", "WETH", MAX_UINT256),
    ):
        later.chain.advance(DAY // 3)
        done = getattr(aave, operation)(who, symbol, amount)
        assert (done.version, done.quote.version, done.account.version) == ("3.5", "3.5", "3.5")
        if amount != MAX_UINT256:
            assert done.amount_raw == done.quote.result.amount == amount
        equal(later, aave, who)
        later.chain.advance(DAY)
        equal(later, aave, who)
    assert aave.account(who.address).debt == 0


def test_a_gift_of_tokens_is_no_cash(later: LocalMarket) -> None:
    aave, token = AaveMarket(later.session, price_age_seconds_max=None), later.token("USDC").address
    before = aave.pool(later.users[0].address).reserves["USDC"].cash
    gift = ERC20.function("transfer"), later.aave.reserve("USDC").a_token, 1_000 * USD
    later.chain.send(later.users[1].address, token, *gift)
    assert aave.pool(later.users[0].address).reserves["USDC"].cash == before == 4_000_000 * USD


def test_what_is_refused_before_signing(later: LocalMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    aave, who = AaveMarket(later.session, price_age_seconds_max=None), later.users[0].signer
    aave.supply(who, "WETH", 10 * ETH)
    sent = later.session.request("eth_getTransactionCount", who.address, "latest")
    with pytest.raises(RefusalError, match=r"the collateral does not cover the loan \(Aave 3\.5"):
        aave.borrow(who, "USDC", 16_200 * USD)
    with pytest.raises(ValidationError, match="below the floor of"):
        aave.borrow(who, "USDC", 15_950 * USD)
    with pytest.raises(ValidationError, match=r"the e-modes of Aave 3\.5 and later are not modelled"):
        aave.set_emode(who, 1)
    weth, owner = later.token("WETH").address, later.owner.address
    later.chain.send(owner, later.aave.configurator, CONFIGURATOR.function("setReserveFreeze"), weth, True)
    for act in (lambda: aave.borrow(who, "USDC", USD), lambda: aave.withdraw(who, "WETH", ETH)):
        with pytest.raises(ValidationError, match=r"the collateral WETH is frozen; what Aave .* is not modelled"):
            act()
    assert later.session.request("eth_getTransactionCount", who.address, "latest") == sent
    call = later.session.call

    def newer(to: str, function: Any, *arguments: Any, **more: Any) -> Any:
        return 11 if function.name == "POOL_REVISION" else call(to, function, *arguments, **more)

    monkeypatch.setattr(later.session, "call", newer)
    with pytest.raises(ChainError, match=r"revision 11; the adapter knows revisions 1 to 3 .* and 10 \(Aave 3\.6\)"):
        AaveMarket(later.session)


def test_lending_and_a_loop_leave_the_ledger_equal_to_the_chain(later: LocalMarket) -> None:
    bench = Bench(later)
    for role, target, control in (
        ("usd", 8_000, ()),
        ("account", 6_000, (0.6,)),
        ("account", 4_000, (0.3,)),
        ("account", 8_000, (0.7,)),
        ("usd", 500, ()),
        ("account", 0, (0.7,)),
        ("usd", 0, ()),
    ):
        fill = bench.trade(role, target, *control)
        assert fill is not None, bench.journal.posted[-1]
        assert bench.markets[role].unfinished == ""
        bench.books_equal_the_chain()
        if role == "account" and target:
            assert bench.views()["ltv"] == pytest.approx(control[0], abs=0.0015)
        bench.chain.advance(DAY)
        bench.books_equal_the_chain()
    assert bench.account.positions == {"usd": (0, 0), "account": (0, 0, 0, 0, 0)}


def test_live_orders_of_lending_and_of_a_loop_leave_the_books_equal_to_the_chain(later: LocalMarket) -> None:
    who, cash = later.users[0], 50_000 * USD
    coin = ERC20.function("transfer"), later.maker.address, later.balance("WETH", who.address)
    later.chain.send(who.address, later.token("WETH").address, *coin)
    later.fund("USDC", who.address, cash)
    for spec, orders in (
        (LENDING, ((8_000, ()), (3_000, ()), (0, ()))),
        (LOAN, ((6_000, (0.6,)), (4_000, (0.3,)), (8_000, (0.7,)), (0, (0.7,)))),
    ):
        made = desk(later, AaveProtocol(), spec, ASSETS, USDC, who)
        made.fund("a", cash)
        for target, control in orders:
            assert made.order("a", target * USD, *control) is not None
            later.chain.advance(DAY)
            made.reconcile()
            assert set(made.differences().values()) == {(0, 0)}
            health = later.chain.call(later.aave.pool, POOL.function("getUserAccountData"), who.address)[5]
            assert health >= 105 * 10**16
            assert abs(made.planner.value(made.holding("a")) - target * USD) <= target * USD // 50
        assert not any(made.allowances(later.aave.pool, later.uniswap.router02))
