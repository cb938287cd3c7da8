"""An agent on a real node: lending and a looped account through the trading engine, and its ledger beside the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

from router_exchange import RouterExchange

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import Fill
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.ledger import accounts
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.runner import LiveRunner, StrategyDesk
from treasury_arena_aave.model import ACCOUNT, SUPPLY
from treasury_arena_aave.onchain import AccountOnChain, SupplyOnChain
from treasury_arena_evm.interfaces.aave import CONFIGURATOR, POOL, SCALED_TOKEN
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_ROUTER02
from treasury_arena_evm.local.deploy import QUIRKY, deploy_quirky

ASSETS = AssetTable(KNOWN_ASSETS)
USDC, WETH = ASSETS["USDC"], ASSETS["WETH"]
USD, ETH = USDC.unit, WETH.unit
DAY = 86_400
AGENT = "looper-1"
LENDING = MarketSpec("lending", SUPPLY.name, SUPPLY.kind, "USDC", {})
LOAN = MarketSpec("loan", ACCOUNT.name, ACCOUNT.kind, "WETH", {}, coin=True)
FEE = 500


class Bench:
    """One agent with two roles, ``usd`` and ``account``, whose ledger must say what the chain says.

    Odd rows are for looking at the books, even ones for trading: a row means nothing to a chain.
    """

    def __init__(self, local: Any, cash_usd: int = 20_000, exchange: Any = None, **more: Any) -> None:
        self.local, self.chain = local, local.chain
        self.who = local.users[0].signer
        cash = cash_usd * USD
        local.fund("USDC", self.who.address, 2 * cash)
        settings = {"native_price": 2_000 * USD, "price_age_seconds_max": None, **more}
        swaps = exchange or RouterExchange(local.session, self.who, "WETH", "USDC", FEE)
        self.usd = SupplyOnChain(LENDING, local.session, self.who, USDC, **settings)
        self.loan = AccountOnChain(LOAN, local.session, self.who, WETH, USDC, swaps, **settings)
        self.markets = {"usd": self.usd, "account": self.loan}
        self.journal = MemoryJournal()
        self.engine = TradingEngine("arena", {"lending": self.usd, "loan": self.loan}, self.journal, mode="local")
        limits = dict.fromkeys(self.markets, 1.0)
        self.account = Account(AGENT, "s", "proving", (), limits, 1.0, -1, 0, cash_raw=cash, base_raw=cash)
        self.journal.endow(AGENT, "USDC", cash)
        self.outside = {symbol: local.balance(symbol, self.who.address) for symbol in ("USDC", "WETH")}
        self.outside["USDC"] -= cash
        self.native = self.chain.balance(self.who.address)
        self.row = 0

    @property
    def roles(self) -> dict[str, str]:
        return {"usd": "lending", "account": "loan"}

    @property
    def nonce(self) -> int:
        return int(self.chain.rpc("eth_getTransactionCount", self.who.address, "latest"), 16)

    def equity(self) -> int:
        return self.engine.equity_raw(self.account, self.row, self.roles)

    def submit(self, role: str, target_usd: float, *control: float) -> str | None:
        self.row += 2 - self.row % 2
        intent = Intent(AGENT, role, self.roles[role], round(target_usd * USD), self.row, control)
        return self.engine.submit_trade(self.account, intent, self.equity())

    def trade(self, role: str, target_usd: float, *control: float) -> Fill | None:
        self.row += 2 - self.row % 2
        intent = Intent(AGENT, role, self.roles[role], round(target_usd * USD), self.row, control)
        return self.engine.trade(self.account, intent, self.equity())

    def value(self, role: str) -> float:
        return self.markets[role].value(self.account.positions[role], self.row) / USD

    def views(self) -> Mapping[str, float]:
        return self.loan.views(self.account.positions["account"], self.row)

    def on_chain(self, symbol: str, kind: str) -> int:
        token = getattr(self.local.aave.reserve(symbol), kind)
        return int(self.chain.call(token, SCALED_TOKEN.function("balanceOf"), self.who.address))

    def books_equal_the_chain(self) -> None:
        """Bring the books up to now, and hold them against the chain: ERC-20s and gas exactly, what grows to 2 units."""
        self.row += 1 + self.row % 2
        self.equity()
        ledger, account, me = self.journal.ledger, self.account, self.who.address
        available = ledger.balance(accounts.agent_available(AGENT), "USDC")
        assert available == account.cash_raw == self.local.balance("USDC", me) - self.outside["USDC"]
        assert ledger.balance(accounts.agent_reserved(AGENT), "USDC") == account.reserved_raw == 0
        idle = account.positions.get("account", self.loan.open())[4]
        assert idle == self.local.balance("WETH", me) - self.outside["WETH"]
        for role, name, asset, there in (
            ("usd", "position", "USDC", self.on_chain("USDC", "a_token")),
            ("account", "position", "WETH", self.on_chain("WETH", "a_token") + idle),
            ("account", "debt", "USDC", -self.on_chain("USDC", "variable_debt")),
        ):
            of = {"position": accounts.agent_position, "debt": accounts.agent_debt}[name]
            booked = ledger.balance(of(AGENT, role), asset) + account.interest.get((role, name, asset), 0)
            assert abs(booked - there) <= 2, (role, name, booked, there)
        assert ledger.balance(accounts.GAS, "ETH") == self.native - self.chain.balance(me)
        assert not any(ledger.totals().values())

    def runner(self, strategy: Strategy, roles: Sequence[str], features: Any) -> LiveRunner:
        models = {"usd": SUPPLY, "account": ACCOUNT}
        desk = StrategyDesk(
            strategy,
            {role: self.roles[role] for role in roles},
            {role: models[role] for role in roles},
            features,
            frozenset({"account"} & set(roles)),
        )
        self.account.strategy = strategy.name
        return LiveRunner(self.engine, {strategy.name: desk}, 0, DAY // 2, Watchdog(5.0))

    def configure(self, function: str, symbol: str, *arguments: Any) -> None:
        owner, asset = self.local.owner.address, self.local.token(symbol).address
        self.chain.send(owner, self.local.aave.configurator, CONFIGURATOR.function(function), asset, *arguments)

    def move_price(self, price: int) -> None:
        """The coin's price in USD, in the oracle and, by a maker's swap, in the pool."""
        self.local.set_price("WETH", price * 10**8)
        maker, router = self.local.maker.address, self.local.uniswap.router02
        weth, usdc = self.local.token("WETH"), self.local.token("USDC")
        first = int(usdc.address, 16) < int(weth.address, 16)
        ratio = (ETH, price * USD) if first else (price * USD, ETH)
        limit = isqrt((ratio[0] << 192) // ratio[1])
        falls = price * USD * ETH < 2_000 * USD * ETH
        spent, got = (weth, usdc) if falls else (usdc, weth)
        self.local.fund(spent.symbol, maker, 5_000 * ETH if falls else 10_000_000 * USD)
        self.local.approve(maker, spent.symbol, router)
        order = (spent.address, got.address, FEE, maker, 5_000 * ETH if falls else 10_000_000 * USD, 0, limit)
        self.chain.send(maker, router, V3_ROUTER02.function("exactInputSingle"), order)

    def liquidate(self) -> None:
        """A keeper repays as much of the agent's debt as Aave allows."""
        keeper, pool = self.local.maker.address, self.local.aave.pool
        self.local.fund("USDC", keeper, 100_000 * USD)
        self.local.approve(keeper, "USDC", pool)
        addresses = self.local.token("WETH").address, self.local.token("USDC").address, self.who.address
        self.chain.send(keeper, pool, POOL.function("liquidationCall"), *addresses, 2**256 - 1, False)

    def allowance(self, symbol: str) -> int:
        """What Aave may take of the agent's."""
        token, pool = self.local.token(symbol).address, self.local.aave.pool
        return int(self.chain.call(token, ERC20.function("allowance"), self.who.address, pool))

    def guard(self, symbol: str, *, tells: bool) -> None:
        """Give a token's contract the code of one that can be paused and can block; who matters keeps what they hold."""
        token, owner = self.local.token(symbol), self.local.owner.address
        holders = [
            self.local.aave.reserve(symbol).a_token,
            *self.local.uniswap.pools.values(),
            self.local.maker.address,
        ]
        held = {holder: self.local.balance(symbol, holder) for holder in (*holders, self.who.address)}
        like = deploy_quirky(self.chain, owner, "GuardedToken", symbol, token.decimals, tells)
        self.chain.rpc("anvil_setCode", token.address, self.chain.rpc("eth_getCode", like, "latest"))
        self.tell(symbol, "pause", False)  # its slot had something else before
        for holder, amount in held.items():
            self.chain.send(owner, token.address, QUIRKY.function("mint"), holder, amount)

    def tell(self, symbol: str, function: str, *arguments: Any) -> None:
        """Say something to a guarded token, as its issuer."""
        owner, token = self.local.owner.address, self.local.token(symbol).address
        self.chain.send(owner, token, QUIRKY.function(function), *arguments)

    def send_away(self, symbol: str) -> int:
        """The owner's whole balance of a token to somebody else; how much it was."""
        amount = self.local.balance(symbol, self.who.address)
        token = self.local.token(symbol).address
        self.chain.send(self.who.address, token, ERC20.function("transfer"), self.local.maker.address, amount)
        return amount
