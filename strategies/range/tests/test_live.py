"""An agent of this strategy live on a real node: it lends, opens a range, has it moved, and comes home, as simulation decided."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.daemon.trading import twin_of
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.stops import OFF
from treasury_arena.store import open_store
from treasury_arena.store.replay import replay
from treasury_arena.testing.conformance import StrategyCase
from treasury_arena.testing.reference import ReferenceProtocol
from treasury_arena.trading.live import LiveLimits, OrderEngine
from treasury_arena.trading.live.desk import LiveDesk, Twin
from treasury_arena_erc4626.protocol import VaultProtocol
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_POSITIONS
from treasury_arena_evm.liquidity import token_of
from treasury_arena_evm.local.live import ChainClock, LocalSigner, live_client
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.local.uniswap import CALLER
from treasury_arena_range.strategy import RANGE
from treasury_arena_uniswap.protocol import UniswapProtocol

Over = Callable[..., StrategyCase]
ASSETS = AssetTable(KNOWN_ASSETS)
USDC = ASSETS["USDC"]
CASH = 50_000 * USDC.unit
GENES = {"share": 0.5, "edge": -0.1, "slack": 0.5, "vol_limit": 0.12, "patience": 2.0}
UNLIKE_BPS = 5_000.0
"""Nobody trades in the pools of the node, so the live range earns no fees: how alike results are is not looked at here."""


def planners(case: StrategyCase, client: Any, market: LocalMarket, owner: str) -> dict[str, StepPlanner]:
    at = market.uniswap
    pools = {"factory": at.factory, "router": at.router02, "quoter": at.quoter}
    pools |= {"positions": at.positions, "tick_lens": at.tick_lens}
    lending = MarketSpec(case.specs["usd"].name, "erc4626.vault", "lending", "USDC", {})
    vault = PlannerContext(lending, client, owner, ASSETS, USDC, {"vault": market.vault})
    found = {lending.name: VaultProtocol().planner(vault)}
    for role, fee in (("low", 500), ("high", 3_000)):
        spec = case.specs[role]
        places = {**pools, "fee": fee, "max_move_bps": 400}
        found[spec.name] = UniswapProtocol().planner(PlannerContext(spec, client, owner, ASSETS, USDC, places))
    return found


class Office:
    """The desk of a treasury on the node, and somebody who brings the pools' price to the market's."""

    def __init__(self, case: StrategyCase, market: LocalMarket, folder: Path) -> None:
        self.market, self.who, self.chain = market, market.users[0], market.chain
        coins = market.balance("WETH", self.who.address)
        weth, maker = market.token("WETH").address, market.maker.address
        self.chain.send(self.who.address, weth, ERC20.function("transfer"), maker, coins)
        market.fund("USDC", maker, 10**8 * USDC.unit)
        market.fund("WETH", maker, 50_000 * 10**18)
        for symbol in ("USDC", "WETH"):
            market.approve(maker, symbol, market.uniswap.caller)
        clock = ChainClock(self.chain)
        self.client = live_client(market, self.who, clock=clock, finality=1)
        self.store = open_store(folder / "live.db")
        self.planners = planners(case, self.client, market, self.who.address)
        self.engine = OrderEngine(
            "arena",
            self.store,
            self.client,
            LocalSigner(self.who),
            self.planners,
            clock,
            LiveLimits(),
            mode="local",
            stop_level=lambda _: OFF,
        )
        self.desk = LiveDesk(self.engine, clock, scale=Decimal(1), band=0.02, tolerance_bps=UNLIKE_BPS)
        self.chain.rpc("evm_setAutomine", False)
        self.chain.mine(3)
        self.desk.book("ann")

    def move(self, price: float) -> None:
        """Somebody trades until a coin costs so much in the pool of the lower fee."""
        pool = self.market.uniswap.pool("USDC", "WETH", 500)
        raw = price * 10 ** (USDC.decimals - 18)
        coin_first = int(self.market.token("WETH").address, 16) < int(self.market.token("USDC").address, 16)
        wanted = int((raw if coin_first else 1.0 / raw) ** 0.5 * 2**96)
        now = int(self.chain.call(pool, V3_POOL.function("slot0"))[0])
        if wanted != now:
            self.chain.rpc("evm_setAutomine", True)
            order = (pool, wanted < now, 2**120, wanted)
            self.chain.send(self.market.maker.address, self.market.uniswap.caller, CALLER.function("swap"), *order)
            self.chain.rpc("evm_setAutomine", False)

    def finish(self) -> None:
        for _ in range(200):
            self.engine.tick()
            if not self.engine.records.open_intents():
                return
            self.chain.mine()
        raise AssertionError("an order never ended")

    def held(self, agent: str, role: str) -> list[int]:
        assets = self.engine.holding(agent, role).held
        return [token for asset in assets if (token := token_of(asset)) is not None]

    def check(self) -> None:
        """The ledger equals the chain, to the unit but for what the vault rounds; nothing may be taken by anybody."""
        books, me = self.store.balances(), self.who.address

        def booked(asset: str, *ends: str) -> int:
            of = [(name, n) for (name, one), n in books.items() if one == asset and not name.startswith("world")]
            return sum(n for name, n in of if any(end in name for end in ends))

        assert booked("USDC", "pool:", ":available", ":reserved") == self.market.balance("USDC", me)
        assert booked("WETH", ":position:") == self.market.balance("WETH", me)
        gas = booked("ETH", "treasury:gas", ":reserved")
        assert gas == self.chain.balance(me)
        manager = self.market.uniswap.positions
        there = self.chain.call(manager, V3_POSITIONS.function("balanceOf"), me)
        liquidity = {a: n for (name, a), n in books.items() if ":position:" in name and token_of(a) is not None and n}
        assert there == len(liquidity)
        for asset, amount in liquidity.items():
            assert self.chain.call(manager, V3_POSITIONS.function("positions"), token_of(asset))[7] == amount
        for symbol in ("USDC", "WETH"):
            for spender in (manager, self.market.uniswap.router02, self.market.vault):
                token = self.market.token(symbol).address
                assert self.chain.call(token, ERC20.function("allowance"), me, spender) == 0
        differences = self.engine.reconcile().differences  # the account has DAI that the arena knows nothing of
        assert not [text for text in differences if "that no book knows" not in text], differences
        assert replay(self.store).ok


def changed(before: Twin | None, now: Twin) -> bool:
    """Whether a row is worth following in a test: a range is opened, moved or closed."""
    if before is None:
        return True
    return before.shapes != now.shapes


def test_an_agent_opens_a_range_has_it_moved_and_comes_home(
    over: Over, live: Callable[..., Any], local_market: LocalMarket, tmp_path: Path
) -> None:
    case = over(RANGE)
    twins: list[Twin] = []

    def looked(account: Any, desk: Any, markets: Any, row: int) -> None:
        twins.append(twin_of(account, desk.roles, desk.models, markets, row, CASH))

    live(case, (UniswapProtocol(), ReferenceProtocol()), RANGE.space.genome(GENES), CASH / USDC.unit, looked)
    office = Office(case, local_market, tmp_path)
    prices = case.frame.columns["WETH.price"]
    before: Twin | None = None
    opened: list[int] = []
    for row, twin in enumerate(twins):
        if not changed(before, twin):
            continue
        office.move(float(prices[row]))
        for _ in range(4):  # one order at a time and way: sales first, then a range is moved, then money put in
            said = office.desk.follow([twin], row, row)
            office.finish()
            if not said:
                break
        office.check()
        before = twin
        low, ticks = office.held(twin.agent_id, "low"), twin.shapes.get("low")
        assert len(low) == (ticks is not None), (row, said)
        if ticks is not None:
            token = low[0]
            there = office.chain.call(office.market.uniswap.positions, V3_POSITIONS.function("positions"), token)
            lower, upper = there[5:7]
            coin_first = int(local_market.token("WETH").address, 16) < int(local_market.token("USDC").address, 16)
            assert ((lower, upper) if coin_first else (-upper, -lower)) == ticks[1:]
            opened += [token] if token not in opened else []
            worth = office.desk.value_raw(twin.agent_id, "low", twin.roles["low"][0])
            equity = office.desk.equity_raw(twin.agent_id, {role: name for role, (name, _) in twin.roles.items()})
            assert abs(worth / equity - twin.roles["low"][1] / twin.equity_raw) < 0.03
        if len(opened) == 3:
            break
    assert len(opened) == 3  # opened once, and moved twice
    for _ in range(6):
        office.desk.follow([], len(twins), len(twins))
        office.finish()
    office.check()
    assert office.desk.positions() == {}
    assert office.desk.free_raw() == office.market.balance("USDC", office.who.address)
