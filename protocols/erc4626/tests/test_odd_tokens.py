"""Vaults of odd tokens on a real node: what works leaves the books equal to the chain, the rest is refused before signing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from vault_bench import AGENT, Bench

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ExecutionError
from treasury_arena.events.catalog import OrderFailed, OrderRejected
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena_erc4626.chain import VaultOnChain
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.local.deploy import deploy_vault
from treasury_arena_evm.local.market import LocalMarket

PLAIN = ("PlainToken", 18)


class OddBench(Bench):
    """A vault of the odd token with a million in it, and an agent with 20,000."""

    def __init__(self, local: LocalMarket, kind: str, decimals: int, *more: object, offset: int = 0) -> None:
        local = local.with_odd_token(kind, decimals, *more)
        chain, token, maker, who = local.chain, local.token("ODD"), local.maker.address, local.users[0]
        odd = Asset("ODD", decimals, stable=True)
        local.fund("ODD", who.address, 50_000 * odd.unit)
        local.fund("ODD", maker, 2_000_000 * odd.unit)
        self.address = deploy_vault(chain, local.owner.address, token, offset)
        local.approve(maker, "ODD", self.address)
        chain.send(maker, self.address, ERC4626.function("deposit"), 1_000_000 * odd.unit, maker)
        spec = MarketSpec("vault", "erc4626.vault", "lending", "ODD", {})
        settings = {"native_price": 2_000 * odd.unit}
        market = VaultOnChain(spec, local.session, who.signer, odd, self.address, **settings)
        super().__init__(market, local, limits=Limits(trade_raw_min=odd.unit))
        self.row = 0

    def order(self, target: float) -> Any:
        self.row += 1
        return self.trade(target, self.row)

    def earn(self, whole: int) -> None:
        maker, token = self.chain.maker.address, self.chain.token("ODD").address
        self.chain.chain.send(maker, token, ERC20.function("transfer"), self.address, whole * self.market.base.unit)
        self.look()

    def look(self) -> None:
        self.row += 1
        self.engine.equity_raw(self.account, self.row, {"usd": "vault"})

    def sent(self) -> int:
        return int(self.chain.chain.rpc("eth_getTransactionCount", self.market.who.address, "latest"), 16)

    def allowance(self) -> int:
        token = self.chain.token("ODD").address
        return int(self.chain.chain.call(token, ERC20.function("allowance"), self.market.who.address, self.address))


@pytest.mark.parametrize("offset", [0, 6])
@pytest.mark.parametrize(
    ("kind", "decimals"),
    [("PlainToken", decimals) for decimals in (0, 2, 6, 8, 18, 27)] + [("SilentToken", 6), ("GuardedToken", 8)],
)
def test_what_merely_differs_works(local_market: LocalMarket, kind: str, decimals: int, offset: int) -> None:
    bench = OddBench(local_market, kind, decimals, *([True] if kind == "GuardedToken" else []), offset=offset)
    for target in (5_000, 12_000, 7_000, 7_500, 0):
        fill = bench.order(target)
        assert fill is not None, bench.journal.posted[-1]
        assert bench.market.unfinished == ""
        bench.books_equal_the_chain()
        assert bench.allowance() == 0
        bench.earn(1_000)
        bench.books_equal_the_chain()
    assert bench.account.positions["usd"] == (0, 0)
    assert bench.account.cash_raw > 20_000 * bench.market.base.unit


def refused(bench: OddBench, said: str) -> None:
    """More, less and nothing of it are refused in one sentence, nothing is signed, and what is held keeps its value."""
    sent, worth = bench.sent(), bench.market.value(bench.account.positions["usd"], 0)
    for target in (8_000, 2_000, 0):
        before = len(bench.journal.payloads(OrderRejected))
        assert bench.order(target) is None
        (reason,) = [payload.reason for payload in bench.journal.payloads(OrderRejected)[before:]]
        assert re.search(said, reason), reason
        assert "\n" not in reason
    assert bench.sent() == sent
    assert bench.market.value(bench.account.positions["usd"], 0) == worth


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("FeeToken", r"ODD at 0x\w+ takes a fee on transfer: of \d+ base units"),
        ("SharesToken", r"ODD at 0x\w+ is rebasing \(it answers sharesOf\)"),
        ("FalseToken", r"ODD at 0x\w+ refuses the transfer: it returns false"),
    ],
)
def test_what_the_books_cannot_follow_is_refused(local_market: LocalMarket, kind: str, said: str) -> None:
    bench = OddBench(local_market, *PLAIN)
    assert bench.order(5_000) is not None
    bench.chain.turn("ODD", kind)
    refused(bench, said)
    bench.chain.turn("ODD", "PlainToken")
    assert bench.order(0) is not None
    bench.books_equal_the_chain()


def test_a_token_that_grows_by_itself_is_refused(local_market: LocalMarket) -> None:
    bench = OddBench(local_market, *PLAIN)
    bench.chain.turn("ODD", "GrowingToken")
    sent = bench.sent()
    assert bench.order(5_000) is None
    assert "is rebasing: balances change by themselves within a year" in bench.journal.payloads(OrderRejected)[0].reason
    assert bench.sent() == sent


@pytest.mark.parametrize("tells", [True, False], ids=["tells", "silent"])
@pytest.mark.parametrize("whom", ["", "us", "the vault"], ids=["paused", "we are blocked", "the vault is blocked"])
def test_a_token_that_is_paused_or_blocks(local_market: LocalMarket, whom: str, tells: bool) -> None:
    bench = OddBench(local_market, "GuardedToken", 6, tells)
    assert bench.order(5_000) is not None
    address = {"us": bench.market.who.address, "the vault": bench.address}.get(whom, "")
    what = ("blockAccount", address) if whom else ("pause",)
    bench.chain.tell("ODD", *what, True)
    told = rf"is blocked by its issuer for the (sender|recipient) {address}" if whom else "is paused by its issuer"
    refused(bench, told if tells else f"refuses the transfer: {'blocked' if whom else 'paused'}")
    bench.look()
    bench.books_equal_the_chain()
    bench.chain.tell("ODD", *what, False)
    assert bench.order(0) is not None
    bench.books_equal_the_chain()


@pytest.mark.parametrize(("target", "most"), [(8_000, 2), (2_000, 1), (0, 1)], ids=["deposit", "withdrawal", "all"])
def test_a_token_that_stops_in_the_middle_of_an_order(
    local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch, target: int, most: int
) -> None:
    """Paused in front of each transaction in turn: the exact bytes are tried, and no allowance stays."""
    bench = OddBench(local_market, "GuardedToken", 6, False)
    assert bench.order(5_000) is not None
    session, send = bench.market.session, bench.market.session.send
    unit, count, stop = bench.market.base.unit, 0, 0

    def stopping(who: Any, to: str, function: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal count
        if count == stop:
            bench.chain.tell("ODD", "pause", True)
        count += 1
        return send(who, to, function, *arguments, **more)

    while stop < most:
        bench.row += 1
        failed, count = len(bench.journal.payloads(OrderFailed)), 0
        intent = Intent(AGENT, "usd", "vault", target * unit, bench.row)
        equity = bench.engine.equity_raw(bench.account, bench.row, {"usd": "vault"})
        intent_id = bench.engine.submit_trade(bench.account, intent, equity)
        with monkeypatch.context() as patched:
            patched.setattr(session, "send", stopping)
            with pytest.raises(ExecutionError, match=r"market 'vault': .*paused"):
                bench.engine.execute_trade(str(intent_id))
        assert len(bench.journal.payloads(OrderFailed)) == failed + 1
        assert bench.allowance() == 0
        bench.books_equal_the_chain()
        bench.chain.tell("ODD", "pause", False)
        stop += 1
    assert bench.order(target) is not None
    bench.books_equal_the_chain()
