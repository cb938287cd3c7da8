"""Orders on a real node through the trading engine: the ledger equals the chain, and what must not be signed is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from aave_bench import DAY, ETH, LENDING, LOAN, USD, USDC, WETH, Bench
from router_exchange import RouterExchange

from treasury_arena.domain.assets import Asset
from treasury_arena.errors import (
    ChainUnavailableError,
    ConfigError,
    ExecutionError,
    TreasuryArenaError,
    ValidationError,
)
from treasury_arena.events.catalog import OrderFailed, OrderRejected, OrderSettled
from treasury_arena_aave.loop import STEP
from treasury_arena_aave.onchain import AccountOnChain, SupplyOnChain
from treasury_arena_evm.erc20 import Erc20
from treasury_arena_evm.errors import ChainError, FeeError, TokenError
from treasury_arena_evm.interfaces.aave import POOL
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_ROUTER02
from treasury_arena_evm.local.failing import FAULTS, failing
from treasury_arena_evm.session import Session
from treasury_arena_uniswap.chain import UniswapV3
from treasury_arena_uniswap.exchange import PoolExchange


@pytest.fixture
def bench(local_market: Any) -> Bench:
    return Bench(local_market)


@pytest.fixture
def make_bench(local_market: Any) -> Callable[..., Bench]:
    return lambda **more: Bench(local_market, **more)


class Breaking(RouterExchange):
    """An exchange that does its first so many swaps and then no more."""

    left = 0

    def _swap(self, *order: Any) -> Any:
        if not self.left:
            raise ExecutionError("the exchange is closed")
        self.left -= 1
        return super()._swap(*order)


# --- what happens


def test_lending_and_a_loop_of_one_account_leave_the_ledger_equal_to_the_chain(bench: Bench) -> None:
    for role, target, control in (
        ("usd", 8_000, ()),
        ("account", 6_000, (0.6,)),
        ("usd", 11_000.123456, ()),
        ("account", 4_000, (0.6,)),
        ("account", 8_000, (0.3,)),
        ("account", 5_000, (0.7,)),
        ("usd", 500, ()),
        ("account", 0, (0.7,)),
        ("usd", 0, ()),
    ):
        fill = bench.trade(role, target, *control)
        assert fill is not None, bench.journal.posted[-1]
        assert fill.cost_raw > 0  # gas, told in USD
        assert bench.loan.unfinished == ""
        bench.books_equal_the_chain()
        if role == "account" and target:
            assert bench.value("account") == pytest.approx(target, rel=0.003)
            assert bench.views()["ltv"] == pytest.approx(control[0], abs=0.0015)
        bench.chain.advance(DAY)
        bench.books_equal_the_chain()
    assert bench.account.positions == {"usd": (0, 0), "account": (0, 0, 0, 0, 0)}
    assert 19_900 * USD < bench.account.cash_raw < 20_010 * USD
    assert len(bench.journal.payloads(OrderSettled)) == 9


def test_a_loop_swaps_over_uniswaps_own_exchange(local_market: Any) -> None:
    who = local_market.users[0].signer
    bench = Bench(local_market, exchange=PoolExchange(UniswapV3(local_market.session, who), "WETH", "USDC", fee=500))
    for target, ltv in ((6_000, 0.6), (4_000, 0.3), (0, 0.0)):
        assert bench.trade("account", target, ltv) is not None, bench.journal.posted[-1]
        assert bench.loan.unfinished == ""
        bench.books_equal_the_chain()
        bench.chain.advance(DAY)
    assert bench.account.positions["account"] == (0, 0, 0, 0, 0)


def test_interest_is_posted_on_position_and_debt(bench: Bench) -> None:
    bench.trade("usd", 10_000)
    bench.trade("account", 5_000, 0.5)
    bench.books_equal_the_chain()
    before = {role: bench.markets[role].holdings(state) for role, state in bench.account.positions.items()}
    bench.account.interest.clear()
    bench.chain.advance(30 * DAY)
    bench.row += 2
    bench.equity()
    interest = bench.account.interest
    after = {role: bench.markets[role].holdings(state) for role, state in bench.account.positions.items()}
    assert interest["usd", "position", "USDC"] == after["usd"]["USDC"] - before["usd"]["USDC"] > USD
    assert interest["account", "position", "WETH"] == after["account"]["WETH"] - before["account"]["WETH"] > 0
    assert interest["account", "debt", "USDC"] == after["account"]["USDC"] - before["account"]["USDC"] < -USD


@pytest.mark.parametrize(("floor", "ltv"), [(1.05, 0.76), (1.3, 0.6)])
def test_no_step_goes_below_the_floor(make_bench: Callable[..., Bench], floor: float, ltv: float) -> None:
    bench = make_bench(health_min=floor)
    seen: list[float] = []

    def watch(receipt: Any) -> None:
        seen.append(bench.loan.aave.account(bench.who.address).health / 1e18)

    with bench.local.session.listening(watch):
        for target, control in ((5_000, ltv), (5_000, 0.2), (0, ltv)):
            assert bench.trade("account", target, control) is not None, bench.journal.posted[-1]
            assert bench.loan.unfinished == ""
    bench.books_equal_the_chain()
    assert len(seen) > 40
    assert min(seen) >= floor


def test_an_account_below_the_floor_may_still_delever(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(health_min=1.1)
    bench.trade("account", 5_000, 0.7)
    bench.move_price(1_800)
    bench.row += 2
    assert 1.0 < bench.views()["health"] < 1.1
    worth = bench.value("account")
    assert bench.trade("account", worth, 0.4) is not None
    assert bench.views()["health"] > 2.0
    assert bench.value("account") == pytest.approx(worth, rel=0.003)
    bench.books_equal_the_chain()


def test_a_sale_at_a_higher_loan_to_value_borrows_what_it_pays_out(bench: Bench) -> None:
    bench.trade("account", 8_000, 0.2)
    fill = bench.trade("account", 6_000, 0.65)
    assert fill is not None
    assert fill.cash_raw == pytest.approx(2_000 * USD, rel=0.01)
    assert bench.views()["ltv"] == pytest.approx(0.65, abs=0.0015)
    assert bench.value("account") == pytest.approx(6_000, abs=2)
    bench.books_equal_the_chain()


def test_without_a_control_the_shape_is_kept(bench: Bench) -> None:
    bench.trade("account", 8_000, 0.5)
    assert bench.trade("account", 3_000) is not None
    assert bench.views()["ltv"] == pytest.approx(0.5, abs=0.0015)
    assert bench.trade("account", 0) is not None
    assert bench.account.positions["account"] == bench.loan.open()
    bench.books_equal_the_chain()


def test_a_liquidation_while_it_is_held_is_booked_as_the_chain_did_it(bench: Bench) -> None:
    bench.trade("usd", 6_000)
    bench.trade("account", 8_000, 0.75)
    bench.books_equal_the_chain()
    lent = bench.account.positions["usd"][0]
    held, owed = bench.account.positions["account"][1], bench.account.positions["account"][3]
    bench.move_price(1_800)
    bench.liquidate()
    bench.row += 2
    equity = bench.equity()
    state = bench.account.positions["account"]
    assert state[3] == pytest.approx(owed / 2, rel=1e-3)
    assert (held - state[1]) * 1_800 / ETH == pytest.approx((owed - state[3]) / USD * 1.05, rel=1e-3)
    assert bench.account.interest["account", "position", "WETH"] < 0 < bench.account.interest["account", "debt", "USDC"]
    assert bench.account.positions["usd"][0] == lent  # what is lent secures no loan
    assert equity < 17_500 * USD
    bench.books_equal_the_chain()
    assert bench.trade("account", 0, 0.5) is not None
    bench.books_equal_the_chain()
    assert bench.account.positions["account"] == bench.loan.open()


def test_what_a_killed_process_left_of_allowances_is_taken_back_before_the_next_order(bench: Bench) -> None:
    taker, pool = bench.local.users[1].address, bench.local.aave.pool
    bench.loan.exchange.spender = taker  # type: ignore[attr-defined]
    left = [(symbol, spender) for symbol in ("USDC", "WETH") for spender in (pool, taker)]
    tokens = {symbol: Erc20(bench.local.session, bench.local.session.tokens.symbol(symbol)) for symbol, _ in left}
    for symbol, spender in left:
        tokens[symbol].approve(bench.who, spender, 7)
    bench.native = bench.chain.balance(bench.who.address)  # the books of the process that was killed had that gas
    assert bench.trade("account", 5_000, 0.5) is not None
    assert [tokens[symbol].allowance(bench.who.address, spender) for symbol, spender in left] == [0, 0, 0, 0]
    assert bench.loan.unfinished == ""
    bench.books_equal_the_chain()


@pytest.mark.parametrize("price", [1_000, 1_573])
def test_a_debt_that_a_liquidation_left_without_collateral_is_paid_from_cash(bench: Bench, price: int) -> None:
    bench.trade("account", 8_000, 0.75)
    bench.move_price(price)
    bench.liquidate()
    bench.row += 2
    bench.equity()
    state = bench.account.positions["account"]
    assert state[1] * price <= USD * ETH
    assert (state[3] > 5_000 * USD) is (price == 1_000)
    assert bench.value("account") < 0
    cash, owed = bench.account.cash_raw, state[3]
    assert bench.trade("account", 0, 0.75) is not None, bench.journal.posted[-1]
    assert bench.loan.unfinished == ""
    assert bench.on_chain("USDC", "variable_debt") == 0
    assert cash - bench.account.cash_raw == pytest.approx(owed, abs=USD)
    assert bench.allowance("USDC") == 0
    bench.books_equal_the_chain()
    assert bench.account.positions["account"] == bench.loan.open()
    assert bench.trade("account", 0, 0.75) is None


def test_a_loop_just_above_its_floor_is_delevered_in_few_rounds(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(health_min=1.1)
    bench.trade("account", 5_000, 0.74)
    bench.move_price(1_971)
    bench.row += 2
    bench.equity()
    assert 1.1 < bench.views()["health"] < 1.102
    seen: list[float] = []

    def watch(receipt: Any) -> None:
        if receipt.events(POOL.event("Withdraw"), bench.local.aave.pool):
            seen.append(bench.loan.aave.account(bench.who.address).health / 1e18)

    with bench.local.session.listening(watch):
        assert bench.trade("account", 0) is not None, bench.journal.posted[-1]
    assert bench.loan.unfinished == ""
    assert bench.account.positions["account"] == bench.loan.open()
    assert len(seen) <= 15  # 29 with the floor alone
    assert min(seen) >= 1.1 * (1.0 - STEP)
    bench.books_equal_the_chain()


# --- what fails


def test_an_order_that_fails_at_its_first_step_gives_everything_back(bench: Bench) -> None:
    for role, control in (("usd", ()), ("account", (0.5,))):
        intent_id = bench.submit(role, 5_000, *control)
        before = bench.chain.balance(bench.who.address)
        moved = bench.send_away("USDC")
        bench.native -= before - bench.chain.balance(bench.who.address)  # gas of the owner's own
        with pytest.raises(ExecutionError, match=r"market '(lending|loan)'"):
            bench.engine.execute_trade(str(intent_id))
        failed = bench.journal.payloads(OrderFailed)[-1]
        assert "\n" not in failed.reason
        assert (failed.cost_raw > 0) is (role == "account")  # the exchange's approval was mined
        token, maker = bench.local.token("USDC").address, bench.local.maker.address
        bench.chain.send(maker, token, ERC20.function("transfer"), bench.who.address, moved)
        bench.books_equal_the_chain()
        assert bench.trade(role, 5_000, *control) is not None
        bench.books_equal_the_chain()


def test_an_order_that_fails_later_is_settled_as_far_as_it_came(local_market: Any) -> None:
    exchange = Breaking(local_market.session, local_market.users[0].signer, "WETH", "USDC")
    bench = Bench(local_market, exchange=exchange)
    exchange.left = 2
    fill = bench.trade("account", 6_000, 0.7)
    assert fill is not None
    assert bench.loan.unfinished == "the exchange is closed"
    assert fill.cash_raw > -6_000 * USD  # what was borrowed and not swapped is cash
    bench.books_equal_the_chain()
    exchange.left = 100
    bench.chain.advance(DAY)
    assert bench.trade("account", 0, 0.7) is not None
    bench.books_equal_the_chain()
    assert bench.account.positions["account"] == bench.loan.open()


def test_a_coin_that_could_not_be_supplied_stays_in_the_position(bench: Bench) -> None:
    intent_id = bench.submit("account", 6_000, 0.5)
    bench.configure("setReserveFreeze", "WETH", True)
    fill = bench.engine.execute_trade(str(intent_id))
    assert fill.cash_raw == -6_000 * USD
    assert "frozen" in bench.loan.unfinished
    assert bench.account.positions["account"][4] > 2 * ETH
    bench.books_equal_the_chain()
    assert bench.value("account") == pytest.approx(6_000, rel=0.002)
    bench.configure("setReserveFreeze", "WETH", False)
    assert bench.trade("account", 7_000, 0.5) is not None
    assert bench.account.positions["account"][4] == 0
    assert bench.views()["ltv"] == pytest.approx(0.5, abs=0.0015)
    bench.books_equal_the_chain()
    assert bench.trade("account", 0) is not None
    bench.books_equal_the_chain()


class Failing:
    """Replaces a function: does it so many times, and then raises without doing it."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception, *, after: int = 0) -> None:
        self.error, self.left, self.replaced = error, after, getattr(owner, name)
        patch.setattr(owner, name, self)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.replaced(*arguments, **more)


@pytest.mark.parametrize("error", [ChainError("the node is gone for a moment"), ValueError("nonsense")])
@pytest.mark.parametrize("step", ["use_as_collateral", "_done"])
def test_a_supply_that_is_mined_is_booked_though_a_later_step_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    Failing(monkeypatch, bench.usd.aave, step, error)
    fill = bench.trade("usd", 5_000)
    assert fill is not None
    assert fill.cash_raw == -5_000 * USD
    assert str(error) in bench.usd.unfinished
    assert bench.journal.payloads(OrderFailed) == []
    assert bench.allowance("USDC") == 0
    bench.books_equal_the_chain()
    monkeypatch.undo()
    for target in (7_000, 2_000, 0):  # and the role goes on
        assert bench.trade("usd", target) is not None
        assert bench.usd.unfinished == ""
        bench.books_equal_the_chain()


def test_a_supply_left_on_as_collateral_is_switched_off_by_the_next_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, bench.usd.aave, "use_as_collateral", ChainError("gone"))
    bench.trade("usd", 5_000)
    assert bench.usd.aave.account(bench.who.address).collateral > 0
    monkeypatch.undo()
    bench.trade("usd", 6_000)
    assert bench.usd.aave.account(bench.who.address).collateral == 0


def test_a_withdrawal_that_is_mined_is_booked_though_a_read_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.trade("usd", 5_000)
    Failing(monkeypatch, bench.usd.aave, "_done", ChainError("gone"))
    for target, cash in ((2_000, 3_000), (0, 2_000)):
        fill = bench.trade("usd", target)
        assert fill is not None
        assert fill.cash_raw == pytest.approx(cash * USD, abs=USD)
        assert bench.usd.unfinished == "gone"
        bench.books_equal_the_chain()
    assert bench.account.positions["usd"] == bench.usd.open()


def test_a_pool_and_a_token_that_say_different_amounts_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.usd, "moved", lambda _: -4_999 * USD)
    fill = bench.trade("usd", 5_000)
    assert fill is not None
    assert (
        bench.usd.unfinished
        == f"the pool says {-5_000 * USD} base units moved, the token's own events say {-4_999 * USD}"
    )


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("error", [ChainError("the node is gone for a moment"), ValueError("nonsense")])
def test_a_loop_is_booked_as_far_as_it_came_whichever_read_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, after: int, error: Exception
) -> None:
    Failing(monkeypatch, bench.loan.aave, "_done", error, after=after)
    fill = bench.trade("account", 6_000, 0.6)
    assert fill is not None
    assert str(error) in bench.loan.unfinished
    assert fill.notional_raw >= 6_000 * USD
    assert 0.0 < fill.slippage_bps < 20.0  # the exchange's fee, by the swaps that were mined
    assert bench.journal.payloads(OrderFailed) == []
    bench.books_equal_the_chain()
    monkeypatch.undo()
    for target in (8_000, 0):  # and the role goes on
        assert bench.trade("account", target, 0.6) is not None
        assert bench.loan.unfinished == ""
        bench.books_equal_the_chain()
    assert bench.account.positions["account"] == bench.loan.open()


def test_a_repayment_is_booked_though_its_rest_of_an_allowance_cannot_be_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.trade("account", 6_000, 0.5)
    bench.books_equal_the_chain()
    approve = Erc20.approve

    def only_up(token: Erc20, who: Any, spender: str, amount: int) -> Any:
        if not amount:
            raise ChainError("gone")
        return approve(token, who, spender, amount)

    monkeypatch.setattr(Erc20, "approve", only_up)
    assert bench.trade("account", 0, 0.5) is not None
    assert bench.loan.unfinished == "gone"
    assert bench.account.positions["account"][3] == 0  # the debt is paid; the collateral is still there
    bench.books_equal_the_chain()
    monkeypatch.undo()
    assert bench.trade("account", 0, 0.5) is not None
    bench.books_equal_the_chain()
    assert bench.account.positions["account"] == bench.loan.open()


@pytest.mark.parametrize("error", [FeeError("gas is too dear"), ChainError("gone"), ValueError("nonsense")])
def test_no_approval_is_left_behind_whatever_happens(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    send = bench.local.session.send

    def only_tokens(who: Any, to: str, *arguments: Any, **more: Any) -> Any:
        if to == bench.local.aave.pool:
            assert bench.allowance("USDC") == 5_000 * USD
            raise error
        return send(who, to, *arguments, **more)

    monkeypatch.setattr(bench.local.session, "send", only_tokens)
    assert bench.trade("usd", 5_000) is None
    failed = bench.journal.payloads(OrderFailed)[0]
    assert str(error) in failed.reason
    assert failed.cost_raw > 0  # the approval and taking it back
    assert bench.allowance("USDC") == 0
    bench.books_equal_the_chain()


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("how", ["pause", "blockAccount"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after the approval"])
def test_a_token_that_stops_between_quote_and_transaction(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str, tells: bool, late: bool
) -> None:
    bench.guard("USDC", tells=tells)
    bench.trade("usd", 5_000)
    bench.books_equal_the_chain()
    whom = [bench.who.address] if how == "blockAccount" else []
    send = bench.local.session.send

    def stopped_first(who: Any, to: str, *arguments: Any, **more: Any) -> Any:
        if to == bench.local.aave.pool:
            bench.tell("USDC", how, *whom, True)
        return send(who, to, *arguments, **more)

    for target in (8_000, 1_000):
        intent_id = bench.submit("usd", target)
        if late:
            monkeypatch.setattr(bench.local.session, "send", stopped_first)
        else:
            bench.tell("USDC", how, *whom, True)
        with pytest.raises(ExecutionError, match=r"market 'lending': .*(paused|blocked)"):
            bench.engine.execute_trade(str(intent_id))
        monkeypatch.undo()
        assert bench.allowance("USDC") == 0
        bench.books_equal_the_chain()
        assert bench.trade("usd", target) is None  # and while it is so, nothing is quoted
        bench.tell("USDC", how, *whom, False)
        assert bench.trade("usd", target) is not None
        bench.books_equal_the_chain()


def test_a_loop_whose_debt_token_stops_is_booked_as_far_as_it_came(local_market: Any) -> None:
    class Stopping(RouterExchange):
        """The token is paused once the first swap is mined."""

        def _swap(self, *order: Any) -> Any:
            deal = super()._swap(*order)
            bench.tell("USDC", "pause", True)
            return deal

    bench = Bench(local_market, exchange=Stopping(local_market.session, local_market.users[0].signer, "WETH", "USDC"))
    bench.guard("USDC", tells=True)
    fill = bench.trade("account", 6_000, 0.5)
    assert fill is not None
    assert fill.cash_raw == -6_000 * USD
    assert "paused" in bench.loan.unfinished
    assert bench.account.positions["account"][3] == 0
    bench.books_equal_the_chain()


class Moving(RouterExchange):
    """An exchange whose price somebody moves before the last of so many swaps."""

    swaps, share, local = 0, 0.0, None

    def move(self, share: float) -> None:
        """Let a coin cost so much more."""
        maker, router = self.local.maker.address, self.router
        spent, got = (self.base, self.coin) if share > 0 else (self.coin, self.base)
        self.local.fund(spent.symbol, maker, 10**10 * USD if share > 0 else 5_000 * ETH)
        self.local.approve(maker, spent.symbol, router)
        first, _ = sorted((self.base, self.coin), key=lambda token: int(token.address, 16))
        pool = self.local.uniswap.pool("USDC", "WETH", self.fee)
        price = int(self.local.chain.call(pool, V3_POOL.function("slot0"))[0])
        root = (1.0 + share) ** (0.5 if first == self.coin else -0.5)
        order = (spent.address, got.address, self.fee, maker, 2**80, 0, int(price * root))
        self.local.chain.send(maker, router, V3_ROUTER02.function("exactInputSingle"), order)

    def _swap(self, *order: Any) -> Any:
        self.swaps -= 1
        deal = super()._swap(*order)
        if self.swaps == 0:
            self.move(self.share)
        return deal


@pytest.fixture
def moving(local_market: Any) -> Moving:
    exchange = Moving(local_market.session, local_market.users[0].signer, "WETH", "USDC")
    exchange.local = local_market
    return exchange


@pytest.mark.parametrize(("buys", "share"), [(True, 0.007), (False, -0.007)])
def test_an_order_whose_price_moved_by_more_than_the_slippage_since_its_quote_fails(
    local_market: Any, moving: Moving, buys: bool, share: float
) -> None:
    bench = Bench(local_market, exchange=moving)
    if not buys:
        assert bench.trade("account", 6_000, 0.0) is not None
    intent_id = str(bench.submit("account", 6_000 if buys else 0, 0.0))
    moving.move(share)
    moving.quote_buy(USD)  # whatever is asked of the exchange meanwhile
    sent = [payload.cash_raw for payload in bench.journal.payloads(OrderSettled)]
    with_collateral = bench.on_chain("WETH", "a_token")
    if buys:
        nonce = bench.nonce
        with pytest.raises(ExecutionError, match=r"price has moved since the quote: .* less 50 bps"):
            bench.engine.execute_trade(intent_id)
        assert bench.nonce == nonce
    else:
        # The collateral is out; what it would sell for is less than was quoted, so it stays in the wallet.
        assert bench.engine.execute_trade(intent_id).cash_raw == 0
        assert "price has moved since the quote" in bench.loan.unfinished
        assert bench.account.positions["account"][4] == pytest.approx(with_collateral, rel=1e-6)
    assert [payload.cash_raw for payload in bench.journal.payloads(OrderSettled)][len(sent) :] == ([] if buys else [0])
    bench.books_equal_the_chain()
    assert bench.trade("account", 6_000 if buys else 0, 0.0) is not None  # by the price as it is now
    bench.books_equal_the_chain()


def test_a_loop_stops_where_the_price_moves_away_from_its_quote(local_market: Any, moving: Moving) -> None:
    bench = Bench(local_market, exchange=moving)
    moving.swaps, moving.share = 2, 0.007
    fill = bench.trade("account", 6_000, 0.6)
    assert fill is not None
    assert "price has moved since the quote" in bench.loan.unfinished
    assert moving.swaps == 0
    bench.books_equal_the_chain()


def test_a_price_that_moved_by_less_is_taken(local_market: Any, moving: Moving) -> None:
    bench = Bench(local_market, exchange=moving)
    moving.swaps, moving.share = 1, 0.003
    assert bench.trade("account", 6_000, 0.6) is not None
    assert bench.loan.unfinished == ""
    bench.books_equal_the_chain()


# --- what is refused before signing


def refused(bench: Bench, role: str, target: float, *control: float) -> str:
    nonce, orders = bench.nonce, len(bench.journal.payloads(OrderRejected))
    assert bench.trade(role, target, *control) is None
    assert bench.nonce == nonce
    reasons = [payload.reason for payload in bench.journal.payloads(OrderRejected)][orders:]
    assert len(reasons) == 1
    assert len(reasons[0]) > 20
    assert "\n" not in reasons[0]
    bench.books_equal_the_chain()
    return reasons[0]


@pytest.mark.parametrize(
    ("role", "change", "said"),
    [
        ("usd", ("setReservePause", "USDC", True), "USDC: the reserve is paused"),
        ("usd", ("setReserveFreeze", "USDC", True), "USDC: the reserve is frozen"),
        ("usd", ("setSupplyCap", "USDC", 10_000_001), "supply cap would be exceeded"),
        ("account", ("setReservePause", "WETH", True), "WETH: the reserve is paused"),
        ("account", ("setReserveFreeze", "WETH", True), "WETH: the reserve is frozen"),
        ("account", ("setReserveFreeze", "USDC", True), "USDC: the reserve is frozen"),
        ("account", ("setReserveBorrowing", "USDC", False), "cannot be borrowed"),
        ("account", ("setBorrowCap", "USDC", 6_000_001), "borrow cap would be exceeded"),
        ("account", ("setSupplyCap", "WETH", 10_001), "supply cap would be exceeded"),
    ],
)
def test_what_the_contracts_would_refuse(bench: Bench, role: str, change: tuple[Any, ...], said: str) -> None:
    bench.configure(*change)
    assert said in refused(bench, role, 5_000, *((0.5,) if role == "account" else ()))


def test_a_reserve_without_cash(bench: Bench) -> None:
    bench.trade("usd", 5_000)
    bench.trade("account", 5_000, 0.3)
    local, maker = bench.local, bench.local.maker.address
    local.fund("WETH", maker, 50_000 * ETH)
    local.approve(maker, "WETH", local.aave.pool)
    pool, weth, usdc = local.aave.pool, local.token("WETH").address, local.token("USDC").address
    bench.chain.send(maker, pool, POOL.function("supply"), weth, 50_000 * ETH, maker, 0)
    there = local.balance("USDC", local.aave.reserve("USDC").a_token)
    bench.chain.send(maker, pool, POOL.function("borrow"), usdc, there - 100 * USD, 2, 0, maker)
    assert "not that much cash" in refused(bench, "usd", 0)
    assert "not that much cash" in refused(bench, "account", bench.value("account"), 0.6)
    assert bench.trade("usd", bench.value("usd") - 50) is not None


def test_the_health_floor_and_the_most_that_aave_lends(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(health_min=1.5)
    assert "more than 0.5500, the most that Aave lends against WETH above the health floor of 1.5" in refused(
        bench, "account", 5_000, 0.6
    )
    assert bench.trade("account", 5_000, 0.54) is not None
    assert bench.views()["health"] >= 1.5
    bench.loan._ltv_max = 4 * 10**17
    assert bench.trade("account", bench.value("account"), 0.9) is not None
    assert bench.views()["ltv"] == pytest.approx(0.4, abs=0.0015)  # cut, as the model does


@pytest.mark.parametrize(("ltv", "said"), [(1.5, "1.5000"), (1e9, "1e+09"), (1e300, "1e+300"), (1.7e308, "1.7e+308")])
def test_a_loan_to_value_beyond_measure_is_told_in_few_digits(bench: Bench, ltv: float, said: str) -> None:
    told = refused(bench, "account", 5_000, ltv)
    assert f"a loan-to-value of {said} is more than" in told
    assert len(told) < 300


def test_prices_from_the_future(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(price_age_seconds_max=DAY)
    bench.local.set_price("USDC", 10**8, answered=bench.chain.now)
    bench.local.set_price("WETH", 2_000 * 10**8, answered=bench.chain.now + 11 * DAY)
    said = r"the price of WETH is dated 950\d\d\d s in the future; its source cannot be believed"
    assert re.search(said, refused(bench, "account", 5_000, 0.5))
    bench.local.set_price("WETH", 2_000 * 10**8, answered=bench.chain.now + 30)  # clocks differ
    assert bench.trade("account", 5_000, 0.5) is not None


def test_old_prices(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(price_age_seconds_max=DAY)
    bench.local.set_price("WETH", 2_000 * 10**8, answered=bench.chain.now)
    bench.local.set_price("USDC", 10**8, answered=bench.chain.now)
    assert bench.trade("account", 5_000, 0.5) is not None
    bench.chain.advance(DAY)
    for role, target, control in (("usd", 1_000, ()), ("account", 6_000, (0.5,)), ("account", 0, (0.5,))):
        assert "s old; at most 86400 s are accepted" in refused(bench, role, target, *control)


def test_nothing_and_everything(bench: Bench) -> None:
    nonce = bench.nonce
    for role in ("usd", "account"):
        market = bench.markets[role]
        for target in (0, USD - 1):  # below dust
            assert market.trade(market.open(), target, 0) is None
        with pytest.raises(ValidationError, match="is negative"):
            market.trade(market.open(), -1, 0)
        for most in (10**24, 2**128, 2**256 - 1):
            with pytest.raises(ValidationError) as caught:
                market.trade(market.open(), most, 0, (0.5,) if role == "account" else ())
            assert "\n" not in str(caught.value)
    assert "fewer than" in refused(bench, "usd", 10**12)
    assert bench.nonce == nonce


def test_what_is_on_the_account_already_is_nobodys(bench: Bench) -> None:
    bench.trade("usd", 5_000)
    other = SupplyOnChain(LENDING, bench.local.session, bench.who, USDC, price_age_seconds_max=None)
    with pytest.raises(ValidationError, match=r"already has 5000\.0\d+ USDC on Aave .* use an account of its own"):
        other.trade(other.open(), 1_000 * USD, 0)
    bench.trade("account", 5_000, 0.5)
    with pytest.raises(ValidationError, match=r"already has 4\.99\d+ WETH on Aave"):
        bench.loan.trade(bench.loan.open(), 1_000 * USD, 0, (0.5,))
    bench.loan.dust = 10**12  # however small its collateral were
    with pytest.raises(
        ValidationError, match=r"already owes 49\d\d\.\d+ USDC on Aave that this position does not know of"
    ):
        bench.loan.trade(bench.loan.open(), 1_000 * USD, 0, (0.5,))


def test_another_debt_of_the_account_counts_in_every_step(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(health_min=1.3)
    bench.trade("account", 5_000, 0.5)
    bench.loan.aave.borrow(bench.who, "DAI", 500 * ETH)
    with pytest.raises(
        ValidationError, match=r"borrow USDC: the health factor would be 1\.\d+, below the floor of 1\.3"
    ):
        bench.loan.trade(bench.account.positions["account"], 5_000 * USD, 0, (0.6,))


def test_a_pool_that_cannot_swap(local_market: Any) -> None:
    bench = Bench(
        local_market, exchange=RouterExchange(local_market.session, local_market.users[0].signer, "WETH", "USDC", 123)
    )
    assert "cannot be swapped" in refused(bench, "account", 5_000, 0.5)


def test_markets_that_cannot_be(local_market: Any) -> None:
    session, who = local_market.session, local_market.users[0].signer
    exchange = RouterExchange(session, who, "WETH", "USDC")
    with pytest.raises(ConfigError, match="USDC has 18 decimals in the ledger and 6 on local"):
        SupplyOnChain(LENDING, session, who, Asset("USDC", 18, stable=True))
    with pytest.raises(ConfigError, match="WETH has 8 decimals in the ledger and 18 on local"):
        AccountOnChain(LOAN, session, who, Asset("WETH", 8), USDC, exchange)
    with pytest.raises(TokenError, match="unknown token 'USDT' on local; did you mean 'USDC'"):
        SupplyOnChain(LENDING, session, who, Asset("USDT", 6, stable=True))
    with pytest.raises(ConfigError, match="against itself"):
        AccountOnChain(LOAN, session, who, USDC, USDC, exchange)
    with pytest.raises(ValidationError, match="at least 1"):
        AccountOnChain(LOAN, session, who, WETH, USDC, exchange, health_min=0.9)


@pytest.mark.parametrize(("ltv", "target"), [(0.0, 2_500), (0.0, 0), (0.5, 0)])
def test_nothing_is_sold_far_below_aaves_price(bench: Bench, ltv: float, target: int) -> None:
    bench.trade("account", 5_000, ltv)
    bench.local.set_price("WETH", 4_000 * 10**8)  # the pool still gives 2,000
    assert bench.trade("account", 2 * target, ltv) is None
    assert "% below Aave's price of WETH" in bench.journal.payloads(OrderRejected)[-1].reason
    bench.books_equal_the_chain()
    bench.local.set_price("WETH", 2_000 * 10**8)
    assert bench.trade("account", 0, ltv) is not None
    bench.books_equal_the_chain()


def test_an_oracle_without_a_price_is_said_in_one_sentence(bench: Bench) -> None:
    bench.trade("account", 5_000, 0.5)
    bench.local.set_price("WETH", 0)
    with pytest.raises(ValidationError, match="market 'loan' cannot be valued: Aave's oracle has no price for WETH"):
        bench.value("account")


def test_a_price_of_zero_from_the_node_is_no_price(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.trade("account", 5_000, 0.5)
    usdc, call = bench.local.token("USDC").address.lower(), Session.call

    def zero(self: Session, to: str, function: Any, *arguments: Any, **more: Any) -> Any:
        asked = function.name == "getAssetPrice" and str(arguments[0]).lower() == usdc
        return 0 if asked else call(self, to, function, *arguments, **more)

    monkeypatch.setattr(Session, "call", zero)
    with pytest.raises(ValidationError, match="market 'loan' cannot be valued: Aave's oracle has no price for USDC"):
        bench.value("account")


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_position_that_cannot_be_read_is_told_in_one_sentence(bench: Bench, fault: str) -> None:
    bench.trade("usd", 3_000)
    bench.trade("account", 5_000, 0.5)
    for role, name in (("usd", "lending"), ("account", "loan")):
        market, state = bench.markets[role], bench.account.positions[role]
        reads = [lambda market=market, state=state: market.accrue(state, bench.row, bench.row)]
        reads.append(lambda market=market, state=state: market.trade(state, 1_000 * USD, bench.row))
        if role == "account":
            reads.append(lambda market=market, state=state: market.value(state, bench.row))
            reads.append(lambda market=market, state=state: market.views(state, bench.row))
        for read in reads:
            with (
                failing(bench.local.session, fault),
                pytest.raises(TreasuryArenaError, match=f"^market '{name}'") as told,
            ):
                read()
            assert "\n" not in str(told.value)
            if read is reads[0] and fault in ("gone", "busy"):
                assert isinstance(
                    told.value, ChainUnavailableError
                )  # not known, which is neither nothing nor a refusal
    bench.books_equal_the_chain()


def test_what_the_exchange_does_not_take_in_one_piece_goes_in_pieces(local_market: Any) -> None:
    """A loop is opened, its debt raised, lowered, and all of it sold, each over several orders."""
    who = local_market.users[0].signer
    exchange = PoolExchange(UniswapV3(local_market.session, who), "WETH", "USDC", fee=500, max_move_bps=2)
    bench = Bench(local_market, exchange=exchange)
    for target, ltv in ((8_000, 0.3), (None, 0.6), (None, 0.2), (0, 0.2)):
        orders = 0
        while orders < 40:
            goal = bench.value("account") if target is None else target
            if bench.trade("account", goal, ltv) is None:
                break
            orders += 1
            assert bench.loan.unfinished == ""
            bench.books_equal_the_chain()
            bench.move_price(1_900)
            bench.move_price(2_000)  # others bring the price back
        assert bench.journal.payloads(OrderRejected) == []
        assert 2 <= orders < 40
        if target != 0:
            assert bench.views()["ltv"] == pytest.approx(ltv, abs=0.02)
    assert bench.account.positions["account"] == bench.loan.open()
