"""A treasury whose market is a loan, and what must hold of its orders: for tests of borrowing and of repaying."""

from __future__ import annotations

from aave_bench import ASSETS, LOAN, USD, USDC

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.trading.live import CrashPoint
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_evm.interfaces.aave import POOL
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.local.house import AGENT, ROLE, ChainHouse
from treasury_arena_evm.local.killing import killed_and_resumed
from treasury_arena_evm.local.market import LocalMarket

AMOUNT, LTV = 8_000 * USD, (0.5,)
PUBLIC = tuple(point for point in CrashPoint if point.name not in ("K0", "K1", "K2", "K3", "K9", "K11"))
"""Where a transaction waits while the process is down, or is mined and not yet final: before there is none, afterwards it is."""


def planner_of(client: EvmClient, market: LocalMarket, owner: str) -> StepPlanner:
    at = market.uniswap
    places = {
        "provider": market.aave.provider,
        "factory": at.factory,
        "router": at.router02,
        "quoter": at.quoter,
    }
    return AaveProtocol().planner(PlannerContext(LOAN, client, owner, ASSETS, USDC, places))


def health(house: ChainHouse) -> float:
    account = house.market.chain.call(house.market.aave.pool, POOL.function("getUserAccountData"), house.who.address)
    return float(account[5] / 10**18)


def ltv(house: ChainHouse) -> float:
    account = house.market.chain.call(house.market.aave.pool, POOL.function("getUserAccountData"), house.who.address)
    return float(account[1] / account[0])


def check(house: ChainHouse) -> None:
    """Nothing twice, nothing left, and the ledger equal to the chain once the interest is posted."""
    house.check_nothing_doubled()
    house.check_nothing_hangs()
    differences = house.engine.reconcile().differences  # the account has DAI that the arena knows nothing of
    assert not [text for text in differences if "that no book knows" not in text], differences
    house.check_books()
    for symbol in ("USDC", "WETH"):
        for spender in (house.market.aave.pool, house.market.uniswap.router02):
            token = house.market.token(symbol).address
            assert house.market.chain.call(token, ERC20.function("allowance"), house.who.address, spender) == 0


def settled(house: ChainHouse, target: int, row: int, control: tuple[float, ...] = ()) -> None:
    house.settle(target, row, control=control, rounds=300)


def survives(house: ChainHouse, point: CrashPoint, kind: str, mined_while_down: bool) -> None:
    """Kill at a point of a step's kind, start again, and look: every step done once, and the loan is what was asked for.

    `kind`: ``borrow``, or ``repay`` in a house that has the loan already.
    """
    target, control = (AMOUNT, LTV) if kind == "borrow" else (0, ())
    intent = killed_and_resumed(house, point, kind, target, control, mined_while_down=mined_while_down, rounds=300)
    if intent is None:
        return
    check(house)
    assert intent.state == "SETTLED", (intent.failed, intent.reason)
    assert "cancel" not in house.mined()
    if kind == "borrow":
        assert abs(ltv(house) - LTV[0]) < 0.01
        assert health(house) > 1.05
    else:
        assert not any(house.engine.holding(AGENT, ROLE).owed.values())
