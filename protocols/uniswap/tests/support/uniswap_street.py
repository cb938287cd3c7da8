"""A local market with an account of ours, somebody who trades against it, and books that must say what the chain says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, Asset, AssetTable
from treasury_arena.ledger import accounts
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_POSITIONS
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.exact.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO
from treasury_arena_uniswap.hands import HeldOnChain
from treasury_arena_uniswap.onchain import SpotOnChain
from treasury_arena_uniswap.parity.v3 import CALLER
from treasury_arena_uniswap.range_onchain import RangeOnChain

ASSETS = AssetTable(KNOWN_ASSETS)
USDC, WETH = ASSETS["USDC"], ASSETS["WETH"]
USD, ETH = USDC.unit, WETH.unit
CHAIN = {"spot": SpotOnChain, "range": RangeOnChain}
AGENT = "provider-1"
FREE = Limits(
    position_share_max=None, trade_share_max=None, trade_raw_min=None, daily_trades_max=None, slippage_bps_max=None
)
MOST = 2**128 - 1


class Street:
    """A local market with an account of ours in one pool, and somebody who trades against us."""

    def __init__(self, market: LocalMarket, coin: Asset = WETH, base: Asset = USDC) -> None:
        self.market, self.user, self.maker = market, market.users[0], market.maker.address
        self.coin, self.base = coin, base
        self.fund()
        for asset in (coin, base):
            for spender in (market.uniswap.caller, market.uniswap.router02):
                market.approve(self.maker, asset.symbol, spender)
        self.address = self.found()

    def found(self) -> str:
        """The pool's address."""
        return self.market.uniswap.pool("USDC", "WETH", 500)

    def fund(self) -> None:
        """What we and the maker trade with."""
        self.market.fund("USDC", self.user.address, 100_000 * USD)
        self.market.fund("USDC", self.maker, 50_000_000 * USD)
        self.market.fund("WETH", self.maker, 20_000 * ETH)

    @property
    def base_first(self) -> bool:
        """Whether the base asset is the pool's token0."""
        base, coin = (self.market.token(asset.symbol).address for asset in (self.base, self.coin))
        return int(base, 16) < int(coin, 16)

    def open(self, kind: str, name: str = "", **more: Any) -> Any:
        settings = {"native_price": 2_000 * self.base.unit, **more}
        spec = MarketSpec(name or kind, f"uniswap.{kind}", kind, self.coin.symbol, {}, coin=True)
        return CHAIN[kind](spec, self.market.session, self.user.signer, self.coin, self.base, **settings)

    def price(self) -> int:
        return int(self.market.chain.call(self.address, V3_POOL.function("slot0"))[0])

    def move_to(self, sqrt_price_x96: int) -> None:
        """Somebody trades until the pool's price is this one."""
        now = self.price()
        if now != sqrt_price_x96:
            order = (self.address, sqrt_price_x96 < now, 2**120, sqrt_price_x96)
            self.market.chain.send(self.maker, self.market.uniswap.caller, CALLER.function("swap"), *order)

    def move_by(self, share: float) -> None:
        """Somebody trades until a coin is worth so much more (or less)."""
        root = (1.0 + share) ** (-0.5 if self.base_first else 0.5)
        self.move_to(min(max(int(self.price() * root), MIN_SQRT_RATIO + 1), MAX_SQRT_RATIO - 1))

    def trade_there_and_back(self) -> None:
        """Others trade, which earns fees, and the price ends where it was."""
        here = self.price()
        self.move_by(0.001)
        self.move_to(here)
        self.market.chain.advance(3600)

    def sent(self) -> int:
        return int(self.market.chain.rpc("eth_getTransactionCount", self.user.address, "latest"), 16)

    def balance(self, symbol: str, owner: str = "") -> int:
        return self.market.balance(symbol, owner or self.user.address)

    def native(self) -> int:
        return self.market.session.native_balance(self.user.address)


class Books:
    """One agent's engine, journal and account over markets of the street's account."""

    def __init__(
        self,
        street: Street,
        markets: Mapping[str, Any],
        cash_usd: int = 60_000,
        strategy: str = "s",
        limits: Limits = FREE,
    ) -> None:
        self.street, self.markets, self.journal = street, dict(markets), MemoryJournal()
        self.engine = TradingEngine("arena", self.markets, self.journal, limits, mode="local")
        base = street.base
        cash = cash_usd * base.unit
        self.account = Account(
            AGENT, strategy, "proving", (), dict.fromkeys(self.markets, 1.0), 1.0, -1, 0, cash_raw=cash, base_raw=cash
        )
        self.journal.endow(AGENT, base.symbol, cash)
        self.outside = {symbol: street.balance(symbol) for symbol in street.market.tokens}
        self.outside[base.symbol] -= cash
        self.native = street.native()

    def intent(self, role: str, target_usd: float, row: int, *control: float) -> Intent:
        return Intent(AGENT, role, role, round(target_usd * self.street.base.unit), row, control)

    def trade(self, role: str, target_usd: float, row: int, *control: float) -> Any:
        equity = self.engine.equity_raw(self.account, row, {name: name for name in self.markets})
        return self.engine.trade(self.account, self.intent(role, target_usd, row, *control), equity)

    def held(self, role: str) -> HeldOnChain:
        return HeldOnChain(*self.account.positions.get(role, HeldOnChain()))

    def look(self, row: int) -> None:
        """Bring every position up to a row."""
        self.engine.equity_raw(self.account, row, {name: name for name in self.markets})

    def equal_the_chain(self, row: int | None = None) -> None:
        """ERC-20 balances and gas to the wei; what a range would pay out now, within 2 wei of what was booked.

        With a row the positions are brought up to it first: another order of the account may have moved the pool's price since.
        """
        if row is not None:
            self.look(row)
        ledger, account = self.journal.ledger, self.account
        base, coin = self.street.base.symbol, self.street.coin.symbol
        assert ledger.balance(accounts.agent_available(AGENT), base) == account.cash_raw
        assert ledger.balance(accounts.agent_reserved(AGENT), base) == 0
        wallet = {**dict.fromkeys(self.outside, 0), base: account.cash_raw}
        for role, market in self.markets.items():
            state = account.positions.get(role, market.open())
            for asset, amount in market.holdings(state).items():
                booked = ledger.balance(accounts.agent_position(AGENT, role), asset)
                assert booked + account.interest.get((role, "position", asset), 0) == amount
            if isinstance(market, SpotOnChain):
                wallet[market.asset.symbol] += state[0]
            elif isinstance(market, RangeOnChain):
                held = HeldOnChain(*state)
                wallet[base] += held.idle_base
                wallet[coin] += held.idle_coin
                for booked, there in zip((held.coin, held.base), self.burnt(market, held), strict=True):
                    assert abs(booked - there) <= 2
        for symbol, amount in wallet.items():
            assert self.street.balance(symbol) - self.outside[symbol] == amount, symbol
        assert self.native - self.street.native() == ledger.balance(accounts.GAS, "ETH")
        assert not any(ledger.totals().values())

    def burnt(self, market: RangeOnChain, held: HeldOnChain) -> tuple[int, int]:
        """What the position manager would pay for all of it, by its own arithmetic: a burn that is not sent."""
        if not held.token_id:
            return 0, 0
        me, until = self.street.user.address, self.street.market.chain.now + 600
        decrease = V3_POSITIONS.function("decreaseLiquidity")
        collect = V3_POSITIONS.function("collect")
        calls = [collect.encode((held.token_id, me, MOST, MOST))]
        if held.liquidity:
            calls.insert(0, decrease.encode((held.token_id, held.liquidity, 0, 0, until)))
        answers = market.session.call(market.uniswap.positions, V3_POSITIONS.function("multicall"), calls, sender=me)
        return market.sided(*collect.decode(answers[-1]))
