"""An agent with a vault role on a real node, and its ledger beside the chain."""

from __future__ import annotations

from typing import Any

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset
from treasury_arena.ledger import accounts
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena_erc4626.chain import VaultOnChain
from treasury_arena_evm.interfaces.tokens import ERC20

USDC = Asset("USDC", 6, stable=True)
USD = USDC.unit
SPEC = MarketSpec("vault", "erc4626.vault", "lending", "USDC", {})
HOUR = 3600
AGENT = "keeper-1"


def earn(market: Any, share: int = 1_000) -> None:
    """The local market's vault gains one part in `share`."""
    held = market.balance("USDC", market.vault)
    market.fund("USDC", market.maker.address, held // share)
    token = market.token("USDC").address
    market.chain.send(market.maker.address, token, ERC20.function("transfer"), market.vault, held // share)
    market.chain.advance(HOUR)


class Bench:
    """One agent with a vault role, whose ledger must say what the chain says."""

    def __init__(self, market: VaultOnChain, chain: Any, cash_usd: int = 20_000, limits: Limits | None = None) -> None:
        self.market, self.chain, self.journal = market, chain, MemoryJournal()
        self.engine = TradingEngine("arena", {"vault": market}, self.journal, limits, mode="local")
        self.symbol = market.base.symbol
        cash = cash_usd * market.base.unit
        self.account = Account(AGENT, "s", "proving", (), {"usd": 1.0}, 1.0, -1, 0, cash_raw=cash, base_raw=cash)
        self.journal.endow(AGENT, self.symbol, cash)
        self.outside = chain.balance(self.symbol, market.who.address) - cash

    def trade(self, target_usd: float, row: int) -> Any:
        intent = Intent(AGENT, "usd", "vault", round(target_usd * self.market.base.unit), row)
        return self.engine.trade(self.account, intent, self.engine.equity_raw(self.account, row, {"usd": "vault"}))

    def books_equal_the_chain(self) -> None:
        ledger, me = self.journal.ledger, self.market.who.address
        available = ledger.balance(accounts.agent_available(AGENT), self.symbol)
        assert available == self.account.cash_raw == self.chain.balance(self.symbol, me) - self.outside
        assert ledger.balance(accounts.agent_reserved(AGENT), self.symbol) == 0
        held = self.account.positions.get("usd", (0, 0))
        assert held[0] == self.market._ask("balanceOf", me)
        booked = ledger.balance(accounts.agent_position(AGENT, "usd"), self.symbol)
        assert booked + self.account.interest.get(("usd", "position", self.symbol), 0) == held[1]
        assert abs(held[1] - self.market._ask("maxWithdraw", me)) <= 1
        assert not any(ledger.totals().values())
