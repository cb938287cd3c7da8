"""Vaults on a real node: the laws of every fidelity, orders through the trading engine, and refusals before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from vault_bench import AGENT, SPEC, USD, USDC, Bench, earn

from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, ExecutionError, TreasuryArenaError, UnknownOutcomeError, ValidationError
from treasury_arena.events.catalog import OrderFailed, OrderQuarantined, OrderRejected, OrderSettled
from treasury_arena.ledger import accounts
from treasury_arena.testing.conformance import FidelityConformance, Holder, MarketHolder
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena_erc4626.chain import VaultOnChain
from treasury_arena_evm import session as session_module
from treasury_arena_evm.errors import ChainError
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.failing import FAULTS, failing
from treasury_arena_evm.transport import LostError


@pytest.fixture
def make_vault(local_market: Any) -> Callable[..., VaultOnChain]:
    def make(**more: Any) -> VaultOnChain:
        who = local_market.users[0]
        local_market.fund("USDC", who.address, 50_000 * USD)
        return VaultOnChain(
            SPEC, local_market.session, who.signer, USDC, local_market.vault, native_price=2_000 * USD, **more
        )

    return make


class TestFidelity(FidelityConformance):
    @pytest.fixture
    def holder(self, make_vault: Callable[..., VaultOnChain], local_market: Any) -> Holder:
        return MarketHolder(make_vault(), "chain", lambda: earn(local_market))


def test_orders_through_the_engine_leave_the_ledger_equal_to_the_chain(
    make_vault: Callable[..., VaultOnChain], local_market: Any
) -> None:
    bench = Bench(make_vault(), local_market)
    for row, target in enumerate((5_000, 12_000.123456, 7_000, 7_500, 0)):
        fill = bench.trade(target, row)
        assert fill is not None
        assert fill.cost_raw > 0  # gas, told in USD
        bench.books_equal_the_chain()
        earn(local_market)
    assert bench.account.positions["usd"] == (0, 0)
    assert bench.account.cash_raw > 20_000 * USD
    assert len(bench.journal.payloads(OrderSettled)) == 5
    wei = bench.journal.ledger.balance(accounts.GAS, "ETH")
    assert wei > 0


def test_what_the_vault_earns_is_posted_as_interest(make_vault: Callable[..., VaultOnChain], local_market: Any) -> None:
    bench = Bench(make_vault(), local_market)
    bench.trade(10_000, 0)
    before = bench.account.positions["usd"][1]
    earn(local_market, 100)
    equity = bench.engine.equity_raw(bench.account, 1, {"usd": "vault"})
    gained = bench.account.interest["usd", "position", "USDC"]
    assert gained == bench.account.positions["usd"][1] - before > 90 * USD
    assert equity == 20_000 * USD + gained - (10_000 * USD - before)
    bench.books_equal_the_chain()


def test_an_order_that_the_chain_refuses_fails_and_gives_everything_back(
    make_vault: Callable[..., VaultOnChain], local_market: Any
) -> None:
    bench = Bench(make_vault(), local_market)
    token, me = local_market.token("USDC").address, bench.market.who.address
    intent_id = bench.engine.submit_trade(bench.account, Intent(AGENT, "usd", "vault", 5_000 * USD, 0), 20_000 * USD)
    # Between quote and transaction somebody moves the money away.
    moved = local_market.balance("USDC", me)
    local_market.chain.send(me, token, ERC20.function("transfer"), local_market.maker.address, moved)
    with pytest.raises(Exception, match="market 'vault'"):
        bench.engine.execute_trade(str(intent_id))
    local_market.chain.send(local_market.maker.address, token, ERC20.function("transfer"), me, moved)
    failed = bench.journal.payloads(OrderFailed)[0]
    assert "vault" in failed.reason
    assert failed.cost_raw > 0  # the approval was mined
    assert bench.journal.ledger.balance(accounts.GAS, "ETH") > 0
    bench.books_equal_the_chain()
    assert bench.trade(5_000, 1) is not None
    bench.books_equal_the_chain()


def allowance(market: VaultOnChain) -> int:
    token = market.session.tokens.symbol("USDC").address
    return int(market.session.call(token, ERC20.function("allowance"), market.who.address, market.vault))


def test_no_approval_is_left_behind_whatever_happens(
    make_vault: Callable[..., VaultOnChain], local_market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(make_vault(), local_market)
    bench.trade(5_000, 0)
    assert allowance(bench.market) == 0

    def refuse(*_: object) -> None:
        raise ChainError("the node is gone for a moment")

    monkeypatch.setattr(bench.market, "_send", refuse)
    assert bench.trade(9_000, 1) is None
    assert "gone for a moment" in bench.journal.payloads(OrderFailed)[0].reason
    assert allowance(bench.market) == 0
    bench.books_equal_the_chain()


@pytest.mark.parametrize("error", [ChainError("gone"), ValueError("nonsense")])
def test_what_is_mined_is_booked_though_a_later_step_fails(
    make_vault: Callable[..., VaultOnChain], local_market: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bench = Bench(make_vault(), local_market)
    sends = bench.market._send

    def sent_and_lost(*arguments: Any) -> Any:
        sends(*arguments)
        raise error

    monkeypatch.setattr(bench.market, "_send", sent_and_lost)
    fill = bench.trade(5_000, 0)
    assert fill is not None
    assert fill.cash_raw == -5_000 * USD
    assert str(error) in bench.market.unfinished
    assert bench.journal.payloads(OrderFailed) == []
    bench.books_equal_the_chain()
    assert allowance(bench.market) == 0
    monkeypatch.undo()
    assert bench.trade(0, 1) is not None
    assert bench.market.unfinished == ""
    bench.books_equal_the_chain()


def nonce(bench: Bench) -> int:
    return int(bench.market.session.request("eth_getTransactionCount", bench.market.who.address, "pending"), 16)


class Outage:
    """A node that answers nothing of some methods for a while."""

    def __init__(self, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session, self.down = session, set[str]()
        request = session._transport.request

        def answered(method: str, *params: Any) -> Any:
            if method in self.down:
                raise LostError(f"{method}: no answer")
            return request(method, *params)

        monkeypatch.setattr(session._transport, "request", answered)


@pytest.mark.parametrize(
    "down", [{"eth_getTransactionReceipt"}, {"eth_getTransactionReceipt", "eth_call"}, {"eth_sendRawTransaction"}]
)
def test_an_order_whose_receipt_is_lost_is_found_out_later_and_not_done_twice(
    make_vault: Callable[..., VaultOnChain], local_market: Any, monkeypatch: pytest.MonkeyPatch, down: set[str]
) -> None:
    bench = Bench(make_vault(), local_market)
    monkeypatch.setattr(session_module, "RESOLVE_SECONDS", 0.05)
    outage = Outage(local_market.session, monkeypatch)
    send = bench.market._send

    def sent_into_the_dark(*arguments: Any) -> Any:
        outage.down = set(down)
        return send(*arguments)

    monkeypatch.setattr(bench.market, "_send", sent_into_the_dark)
    assert bench.trade(5_000, 0) is None
    assert len(bench.journal.payloads(OrderQuarantined)) == 1
    assert bench.account.reserved_raw == 5_000 * USD
    outage.down = set()
    monkeypatch.setattr(session_module, "RESOLVE_SECONDS", 10.0)
    sent = nonce(bench)
    bench.engine.ask_again()
    assert bench.account.reserved_raw == 0
    assert [event.cash_raw for event in bench.journal.payloads(OrderSettled)] == [-5_000 * USD]
    bench.books_equal_the_chain()
    assert local_market.session.unresolved == {}
    assert nonce(bench) - sent <= (1 if "eth_sendRawTransaction" in down else 0)
    monkeypatch.undo()
    assert bench.trade(0, 1) is not None
    bench.books_equal_the_chain()


def test_nothing_is_signed_while_a_transaction_is_open(
    make_vault: Callable[..., VaultOnChain], local_market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, session = Bench(make_vault(), local_market), local_market.session
    monkeypatch.setattr(session_module, "RESOLVE_SECONDS", 0.05)
    monkeypatch.setattr(session_module, "WAIT_SECONDS_MIN", 0.05)
    send = bench.market._send

    def unmined(*arguments: Any) -> Any:
        local_market.chain.rpc("evm_setAutomine", False)
        return send(*arguments)

    monkeypatch.setattr(bench.market, "_send", unmined)
    assert bench.trade(5_000, 0) is None
    (told,) = bench.journal.payloads(OrderQuarantined)
    assert "neither mined nor superseded yet" in told.reason
    with pytest.raises(UnknownOutcomeError, match="nothing is signed"):
        session.send(bench.market.who, bench.market.vault, ERC20.function("transfer"), bench.market.who.address, 1)
    local_market.chain.rpc("evm_setAutomine", True)
    local_market.chain.mine()
    monkeypatch.setattr(session_module, "RESOLVE_SECONDS", 10.0)
    bench.engine.ask_again()
    assert [event.cash_raw for event in bench.journal.payloads(OrderSettled)] == [-5_000 * USD]
    bench.books_equal_the_chain()


def test_another_order_of_the_market_does_not_make_an_unknown_one_forgotten(
    make_vault: Callable[..., VaultOnChain], local_market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deposit is mined, and the node goes away before the market can read what it is worth."""
    bench = Bench(make_vault(), local_market)
    outage = Outage(local_market.session, monkeypatch)
    send = bench.market._send

    def sent_then_dark(*arguments: Any) -> Any:
        receipt = send(*arguments)
        outage.down = {"eth_call"}
        return receipt

    monkeypatch.setattr(bench.market, "_send", sent_then_dark)
    assert bench.trade(5_000, 0) is None
    assert len(bench.journal.payloads(OrderQuarantined)) == 1
    outage.down = set()
    before = nonce(bench)
    with pytest.raises(ExecutionError, match="another order's outcome is not known yet"):
        bench.market.settle("another", (0, 0), bench.market.trade((0, 0), 1_000 * USD, 0), 0)
    monkeypatch.setattr(bench.market, "_send", send)
    bench.engine.ask_again()
    assert nonce(bench) == before
    assert [event.cash_raw for event in bench.journal.payloads(OrderSettled)] == [-5_000 * USD]
    bench.books_equal_the_chain()


def test_a_vault_that_became_dearer_since_the_quote_is_not_bought(
    make_vault: Callable[..., VaultOnChain], local_market: Any
) -> None:
    bench = Bench(make_vault(), local_market)
    intent = Intent(AGENT, "usd", "vault", 5_000 * USD, 0)
    intent_id = str(bench.engine.submit_trade(bench.account, intent, 20_000 * USD))
    earn(local_market, 100)  # one percent more assets for the same shares
    with pytest.raises(ExecutionError, match="price moved since the quote"):
        bench.engine.execute_trade(intent_id)
    assert allowance(bench.market) == 0
    bench.books_equal_the_chain()


def test_what_a_vault_keeps_of_a_deposit_is_the_cost_and_the_limit_on_slippage_judges_it(
    make_vault: Callable[..., VaultOnChain], local_market: Any
) -> None:
    """A vault that takes one percent of what comes in: its shares are there, but pay back less."""
    market = make_vault()
    ask = market._ask

    def with_a_fee(name: str, *given: Any) -> Any:
        found = ask(name, *given)
        return found * 99 // 100 if name == "previewDeposit" else found

    market._ask = with_a_fee  # type: ignore[method-assign]
    fill = market.trade(market.open(), 5_000 * USD, 0)
    assert fill is not None
    assert abs(fill.cost_raw - 50 * USD) <= 1
    assert fill.slippage_bps == pytest.approx(100.0, abs=0.01)
    bench = Bench(market, local_market, limits=Limits(slippage_bps_max=50))
    assert bench.trade(5_000, 0) is None
    (refused,) = bench.journal.payloads(OrderRejected)
    assert refused.code == "slippage"
    bench.books_equal_the_chain()


@pytest.mark.parametrize("bps", [0, -1, 1_001, 1.5, float("nan")])
def test_a_slippage_that_cannot_be_is_refused(make_vault: Callable[..., VaultOnChain], bps: Any) -> None:
    with pytest.raises(ValidationError, match=f"a slippage.* {bps}"):
        make_vault(slippage_bps=bps)


def test_what_a_killed_process_left_of_an_allowance_is_taken_back_before_the_next_order(
    make_vault: Callable[..., VaultOnChain], local_market: Any
) -> None:
    bench = Bench(make_vault(), local_market)
    bench.trade(5_000, 0)
    token = local_market.token("USDC").address
    local_market.session.send(
        bench.market.who, token, ERC20.function("approve"), bench.market.vault, 700 * USD
    )  # mined, and the process ends here
    bench.market = bench.engine.markets["vault"] = make_vault()
    bench.outside += 50_000 * USD
    assert allowance(bench.market) == 700 * USD
    assert bench.trade(4_000, 1) is not None  # a withdrawal, that gives no allowance of its own
    assert allowance(bench.market) == 0
    assert bench.market.unfinished == ""
    bench.books_equal_the_chain()


def test_a_closed_vault_is_refused(make_vault: Callable[..., VaultOnChain], local_market: Any) -> None:
    bench = Bench(make_vault(), local_market)
    ask = bench.market._ask
    bench.market._ask = lambda name, *given: 7 if name == "maxDeposit" else ask(name, *given)  # type: ignore[method-assign]
    assert bench.trade(5_000, 0) is None
    assert "the vault takes 7 base units now" in bench.journal.payloads(OrderRejected)[0].reason
    bench.books_equal_the_chain()


@pytest.mark.parametrize(("target", "said"), [(60_000, "more than the share 1.0"), (10**12, "USDC")])
def test_more_than_there_is_is_refused_before_signing(
    make_vault: Callable[..., VaultOnChain], local_market: Any, target: int, said: str
) -> None:
    bench = Bench(make_vault(), local_market)
    sent = local_market.session.request("eth_getTransactionCount", bench.market.who.address, "latest")
    assert bench.trade(target, 0) is None
    refused = bench.journal.payloads(OrderRejected)[0]
    assert said in refused.reason
    assert len(refused.reason) > 20
    assert local_market.session.request("eth_getTransactionCount", bench.market.who.address, "latest") == sent
    bench.books_equal_the_chain()


def test_a_vault_of_another_asset_is_refused(local_market: Any) -> None:
    other = Asset("DAI", 18, stable=True)
    with pytest.raises(ConfigError, match="holds the token"):
        VaultOnChain(SPEC, local_market.session, local_market.users[0].signer, other, local_market.vault)


def test_an_address_that_is_no_vault_is_named(local_market: Any) -> None:
    for address in (local_market.aave.pool, local_market.users[1].address):
        with pytest.raises(ConfigError, match=f"market 'vault': {address} is no ERC-4626 vault on local"):
            VaultOnChain(SPEC, local_market.session, local_market.users[0].signer, USDC, address)


def test_other_decimals_than_the_ledgers_are_refused(local_market: Any) -> None:
    wrong = Asset("USDC", 18, stable=True)
    with pytest.raises(ConfigError, match="USDC has 18 decimals in the ledger and 6 on local"):
        VaultOnChain(SPEC, local_market.session, local_market.users[0].signer, wrong, local_market.vault)


def test_a_negative_target_is_refused(make_vault: Callable[..., VaultOnChain]) -> None:
    market = make_vault()
    with pytest.raises(ValidationError, match="is negative"):
        market.trade(market.open(), -1, 0)


@pytest.mark.parametrize("target", [1.5, True, 1e9, "7"])
def test_a_target_that_is_no_whole_number_is_refused(make_vault: Callable[..., VaultOnChain], target: Any) -> None:
    vault = make_vault()
    with pytest.raises(ValidationError, match=r"the target in base units is .*; expected a whole number \(int\)"):
        vault.trade(vault.open(), target, 0)


def test_simulation_mode_does_not_touch_a_chain(make_vault: Callable[..., VaultOnChain]) -> None:
    with pytest.raises(ValidationError, match="trades on the venue 'local'"):
        TradingEngine("arena", {"vault": make_vault()}, MemoryJournal())


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_vault_that_cannot_be_read_is_told_in_one_sentence(
    make_vault: Callable[..., VaultOnChain], local_market: Any, fault: str
) -> None:
    bench = Bench(make_vault(), local_market)
    bench.trade(5_000, 0)
    market, state = bench.market, bench.account.positions["usd"]
    for read in (lambda: market.value(state, 0), lambda: market.accrue(state, 0, 1), lambda: market.trade(state, 0, 0)):
        with failing(local_market.session, fault), pytest.raises(TreasuryArenaError, match="market 'vault'") as told:
            read()
        assert "\n" not in str(told.value)
    bench.books_equal_the_chain()
