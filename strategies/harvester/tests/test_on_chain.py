"""The harvester on a real node: it lends on Aave, fills vaults and a range, and the ledger says what the chain says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import Protocol
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.events.catalog import OrderFailed, OrderRejected, OrderSettled
from treasury_arena.ledger import accounts
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.runner import LiveRunner, StrategyDesk
from treasury_arena_aave.onchain import SupplyOnChain
from treasury_arena_erc4626.chain import VaultOnChain
from treasury_arena_evm.interfaces.aave import SCALED_TOKEN
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS, V3_ROUTER02
from treasury_arena_evm.local.deploy import deploy_vault
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_harvester.strategy import HARVESTER
from treasury_arena_uniswap.hands import HeldOnChain
from treasury_arena_uniswap.range_onchain import RangeOnChain

ASSETS = AssetTable(KNOWN_ASSETS)
USDC, WETH = ASSETS["USDC"], ASSETS["WETH"]
USD, ETH = USDC.unit, WETH.unit
AGENT = "harvester-1"
CASH = 60_000 * USD
KINDS = {"usdc": "aave.supply", "usdt": "erc4626.vault", "dai": "erc4626.vault", "vault": "erc4626.vault"}
FREE = Limits(
    position_share_max=None, trade_share_max=None, trade_raw_min=None, daily_trades_max=None, slippage_bps_max=None
)
MOST = 2**128 - 1


class Farm:
    """An agent with all five roles: Aave, three vaults and a range, of one account on the local market."""

    def __init__(self, local: LocalMarket) -> None:
        self.local, self.chain, self.me = local, local.chain, local.users[0].address
        session, who = local.session, local.users[0].signer
        local.fund("USDC", self.me, 2 * CASH)
        for symbol, amount in (("USDC", 50_000_000 * USD), ("WETH", 20_000 * ETH)):
            local.fund(symbol, local.maker.address, amount)
            local.approve(local.maker.address, symbol, local.uniswap.router02)
        others = [deploy_vault(local.chain, local.owner.address, local.token("USDC"), 6) for _ in range(2)]
        gas: dict[str, Any] = {"native_price": 2_000 * USD}

        def spec(role: str) -> MarketSpec:
            return MarketSpec(role, KINDS[role], "lending", "USDC", {})

        vaults = dict(zip(("usdt", "dai", "vault"), (*others, local.vault), strict=True))
        self.markets: dict[str, Any] = {
            "usdc": SupplyOnChain(spec("usdc"), session, who, USDC, price_age_seconds_max=None, **gas),
            **{role: VaultOnChain(spec(role), session, who, USDC, vault, **gas) for role, vault in vaults.items()},
            "pool": RangeOnChain(
                MarketSpec("pool", "uniswap.range", "range", "WETH", {}, coin=True), session, who, WETH, USDC, **gas
            ),
        }
        self.journal = MemoryJournal()
        self.engine = TradingEngine("arena", self.markets, self.journal, FREE, mode="local")
        limits = dict.fromkeys(self.markets, 1.0)
        self.account = Account(AGENT, HARVESTER.name, "proving", (), limits, 1.0, -1, 0, cash_raw=CASH, base_raw=CASH)
        self.journal.endow(AGENT, "USDC", CASH)
        self.outside = {symbol: local.balance(symbol, self.me) for symbol in ("USDC", "WETH")}
        self.outside["USDC"] -= CASH
        self.native = self.chain.balance(self.me)
        self.roles = {role: role for role in self.markets}

    def look(self, row: int) -> int:
        """Bring every position up to a row, which a chain does not know: equity."""
        return self.engine.equity_raw(self.account, row, self.roles)

    def worth(self, role: str, row: int) -> float:
        """USD in a role."""
        market = self.markets[role]
        return float(market.value(self.account.positions.get(role, market.open()), row)) / USD

    def leave(self, role: str, row: int) -> None:
        control = (0.0,) if role == "pool" else ()
        self.engine.trade(self.account, Intent(AGENT, role, role, 0, row, control), self.look(row))

    def others_trade(self, usd: int) -> None:
        """Others buy so much WETH, or sell it, in the agent's pool; an hour passes."""
        usdc, weth, maker = self.local.token("USDC").address, self.local.token("WETH").address, self.local.maker.address
        path = (usdc, weth) if usd > 0 else (weth, usdc)
        amount = usd * USD if usd > 0 else -usd * ETH // 2_000
        if usd:
            order = (*path, 500, maker, amount, 0, 0)
            self.chain.send(maker, self.local.uniswap.router02, V3_ROUTER02.function("exactInputSingle"), order)
        self.chain.advance(3600)

    def equals_the_chain(self, row: int) -> None:
        """ERC-20 balances, shares and gas exactly; the aToken and what the range would pay out to two units."""
        self.look(row)
        ledger, account, local = self.journal.ledger, self.account, self.local
        state = {role: account.positions.get(role, market.open()) for role, market in self.markets.items()}
        for role, market in self.markets.items():
            for asset, amount in market.holdings(state[role]).items():
                booked = ledger.balance(accounts.agent_position(AGENT, role), asset)
                assert booked + account.interest.get((role, "position", asset), 0) == amount
        held = HeldOnChain(*state["pool"])
        assert ledger.balance(accounts.agent_available(AGENT), "USDC") == account.cash_raw
        assert ledger.balance(accounts.agent_reserved(AGENT), "USDC") == 0
        assert local.balance("USDC", self.me) - self.outside["USDC"] == account.cash_raw + held.idle_base
        assert local.balance("WETH", self.me) - self.outside["WETH"] == held.idle_coin
        a_token = local.aave.reserve("USDC").a_token
        assert abs(self.chain.call(a_token, SCALED_TOKEN.function("balanceOf"), self.me) - state["usdc"][1]) <= 2
        for role in ("usdt", "dai", "vault"):
            shares = self.chain.call(self.markets[role].vault, ERC20.function("balanceOf"), self.me)
            assert shares == state[role][0]
        for booked, there in zip((held.coin, held.base), self.burnt(held), strict=True):
            assert abs(booked - there) <= 2
        assert ledger.balance(accounts.GAS, "ETH") == self.native - self.chain.balance(self.me)
        assert not any(ledger.totals().values())

    def burnt(self, held: HeldOnChain) -> tuple[int, int]:
        """Coin and base that the position manager would pay for all of the range, by its own arithmetic; nothing is sent."""
        if not held.token_id:
            return 0, 0
        market, until = self.markets["pool"], self.chain.now + 600
        decrease, collect = V3_POSITIONS.function("decreaseLiquidity"), V3_POSITIONS.function("collect")
        calls = [
            decrease.encode((held.token_id, held.liquidity, 0, 0, until)),
            collect.encode((held.token_id, self.me, MOST, MOST)),
        ]
        multicall = V3_POSITIONS.function("multicall")
        answers = market.session.call(market.uniswap.positions, multicall, calls, sender=self.me)
        paid: tuple[int, int] = market.sided(*collect.decode(answers[-1]))
        return paid


def runner(farm: Farm, protocols: Sequence[Protocol], features: Callable[[int], Sequence[float]]) -> LiveRunner:
    models = {model.name: model for protocol in protocols for model in protocol.models}
    used = {role: models[market.spec.model] for role, market in farm.markets.items()}
    desk = StrategyDesk(HARVESTER, farm.roles, used, lambda _, row: features(row), frozenset({"pool"}))
    return LiveRunner(farm.engine, {HARVESTER.name: desk}, 0, 3600, Watchdog(30.0))


def settled(farm: Farm) -> Mapping[str, int]:
    roles = [event.role for event in farm.journal.payloads(OrderSettled)]
    return {role: roles.count(role) for role in farm.markets}


@pytest.mark.parametrize("usdc_first", [True, False], ids=["USDC is token0", "USDC is token1"])
def test_the_harvester_lives_on_the_chain(
    make_local_market: Callable[..., LocalMarket], protocols: Sequence[Protocol], usdc_first: bool
) -> None:
    """Lends and deposits, opens a range when fees are high, re-centres it, leaves it, moves to the vault that pays more."""
    farm = Farm(make_local_market(usdc_first=usdc_first))
    genome = {"minimum_advantage": 0.005, "aave_max": 0.6, "vault_max": 0.5, "pool_max": 0.3, "width_log2": -4.0}
    genome |= {"recentre": 0.5, "fee_trust": 1.0, "horizon_days": 30.0}
    farm.account.genome = tuple(HARVESTER.space.genome(genome).tolist())

    def features(step: int) -> Sequence[float]:
        busy, second = 4 <= step < 12, 0.15 if step >= 16 else 0.01
        return (0.08, second, 0.01, 0.05, 2_000.0, 1.0e6, 3.0e7 if busy else 0.0, 0.003, 0.1)

    live = runner(farm, protocols, lambda row: features(row // 2))
    seen, tokens = [], []
    for step in range(20):
        farm.others_trade(2_000_000 if step == 8 else 0)
        live.step(farm.account, 2 * step)
        assert farm.account.failed is None
        farm.equals_the_chain(2 * step + 1)
        seen.append({role: round(farm.worth(role, 2 * step + 1)) for role in farm.markets})
        tokens.append(HeldOnChain(*farm.account.positions.get("pool", HeldOnChain())).token_id)
    assert seen[3]["usdc"] == pytest.approx(36_000, rel=0.01)  # the best as far as it may
    assert seen[3]["vault"] == pytest.approx(24_000, rel=0.01)  # and what is left to the next
    assert tokens[3] == 0 < tokens[7]
    assert seen[7]["pool"] == pytest.approx(18_000, rel=0.02)
    assert tokens[11] > tokens[7]  # the price left, and the range was made anew around it
    assert (tokens[-1], seen[-1]["pool"]) == (0, 0)  # the fees are gone
    assert seen[-1]["usdc"] == 0 < seen[15]["usdc"]  # another market of the same protocol pays more
    assert seen[-1]["usdt"] == pytest.approx(36_000, rel=0.02)
    assert settled(farm)["dai"] == 0
    assert not farm.journal.payloads(OrderRejected)
    assert not farm.journal.payloads(OrderFailed)

    for role in farm.markets:
        farm.leave(role, 100)
    farm.equals_the_chain(101)
    assert all(farm.worth(role, 101) == 0 for role in farm.markets)
    assert farm.markets["pool"].uniswap.owned() == ()
    assert 58_000 * USD < farm.account.cash_raw < 61_000 * USD  # gas and swaps, and fees of others' trades
    assert farm.journal.ledger.balance(accounts.GAS, "ETH") > 0
