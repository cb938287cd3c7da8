"""A treasury whose market is a range, and what must hold of its orders: for tests of entering one and of leaving it."""

from __future__ import annotations

from typing import Any

from uniswap_street import ASSETS, USD, USDC

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.trading.live import CrashPoint
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS
from treasury_arena_evm.liquidity import token_of
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.local.house import AGENT, ROLE, ChainHouse
from treasury_arena_evm.local.killing import killed_and_resumed
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.protocol import UniswapProtocol

AMOUNT = 10_000 * USD
WIDTH, NARROW = (0.1,), (0.05,)
RANGE = MarketSpec("range", "uniswap.range", "range", "WETH", {}, coin=True)


def places(market: LocalMarket) -> dict[str, Any]:
    at = market.uniswap
    return {
        "factory": at.factory,
        "router": at.router02,
        "quoter": at.quoter,
        "positions": at.positions,
        "tick_lens": at.tick_lens,
    }


def planner_of(client: EvmClient, market: LocalMarket, owner: str) -> StepPlanner:
    return UniswapProtocol().planner(PlannerContext(RANGE, client, owner, ASSETS, USDC, places(market)))


def settled(house: ChainHouse, target: int, row: int, control: tuple[float, ...] = ()) -> None:
    house.settle(target, row, control=control, rounds=160)


def check(house: ChainHouse) -> None:
    house.check_nothing_doubled()
    house.check_nothing_hangs()
    house.check_books()
    at = house.market.uniswap
    for symbol in ("USDC", "WETH"):
        for spender in (at.positions, at.router02):
            token = house.market.token(symbol).address
            assert house.market.chain.call(token, ERC20.function("allowance"), house.who.address, spender) == 0
    owned = house.market.chain.call(at.positions, V3_POSITIONS.function("balanceOf"), house.who.address)
    assert owned == len(held(house))


def held(house: ChainHouse) -> list[int]:
    """Tokens of the manager that the books know of."""
    assets = house.engine.holding(AGENT, ROLE).held
    return [token for asset in assets if (token := token_of(asset)) is not None]


def plain(house: ChainHouse) -> list[str]:
    return [kind for kind in house.mined() if kind not in ("approve", "revoke")]


def survives(house: ChainHouse, point: CrashPoint, kind: str, mined_while_down: bool) -> None:
    """Kill at a point of a step's kind, start again, and look: done once, all allowances back, books equal to the chain.

    `kind`: ``swap`` or ``mint``, or ``burn`` in a house that has the range already.
    """
    target, control = (0, ()) if kind == "burn" else (AMOUNT, WIDTH)
    already = len(house.mined())
    intent = killed_and_resumed(house, point, kind, target, control, mined_while_down=mined_while_down, rounds=160)
    if intent is None:
        return
    check(house)
    assert intent.state == "SETTLED", (intent.failed, intent.reason)
    assert house.mined()[already:].count(kind) == 1
    assert "cancel" not in house.mined()
    assert len(held(house)) == (0 if kind == "burn" else 1)
