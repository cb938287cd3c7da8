"""A loan's orders through the order engine on a real node: crash points of borrowing and repaying, and following an agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aave_bench import ASSETS, LOAN, USD, USDC

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.testing.orders import Killed
from treasury_arena.trading.live import CrashPoint
from treasury_arena.trading.live.desk import LiveDesk, Twin
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_evm.interfaces.aave import POOL
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.local.house import AGENT, ROLE, ChainHouse, build
from treasury_arena_evm.local.killing import FINALITY, killer, until_killed
from treasury_arena_evm.local.live import ChainClock
from treasury_arena_evm.local.market import LocalMarket

AMOUNT, LTV = 8_000 * USD, (0.5,)
HouseOf = Callable[..., ChainHouse]


def planner_of(client: EvmClient, market: LocalMarket, owner: str) -> StepPlanner:
    at = market.uniswap
    places = {
        "provider": market.aave.provider,
        "factory": at.factory,
        "router": at.router02,
        "quoter": at.quoter,
    }
    return AaveProtocol().planner(PlannerContext(LOAN, client, owner, ASSETS, USDC, places))


@pytest.fixture
def house_of(tmp_path: Path, local_market: LocalMarket, request: pytest.FixtureRequest) -> Iterator[HouseOf]:
    """``house_of(database="sqlite", **keys of EvmSection)``: a treasury with USDC alone, whose market is a loan."""
    made: list[ChainHouse] = []
    who = local_market.users[0]
    token = local_market.token("WETH").address
    coins = local_market.balance("WETH", who.address)
    local_market.chain.send(who.address, token, ERC20.function("transfer"), local_market.maker.address, coins)

    def make(database: str = "sqlite", **keys: Any) -> ChainHouse:
        url = f"sqlite:///{tmp_path}/store-{len(made)}.db"
        if database == "postgresql":
            url = request.getfixturevalue("fresh_postgres")()
        made.append(build(url, local_market, who, make=planner_of, **keys))
        return made[-1]

    yield make
    for house in made:
        house.store.close()


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
    intent_id = house.submit(target, row, control=control)
    assert intent_id is not None
    house.finish(300)
    intent = house.intent(intent_id)
    assert intent.state == "SETTLED", (intent.failed, intent.reason)


def survives(house: ChainHouse, point: CrashPoint, kind: str, mined_while_down: bool) -> None:
    """Kill at a point of a step's kind, start again, and look: every step done once, and the loan is what was asked for."""
    target, control = AMOUNT, LTV
    if kind == "repay":
        settled(house, AMOUNT, 0, LTV)
        target, control = 0, ()
    house.start(killer(point, kind))
    with pytest.raises(Killed):
        until_killed(house, point, kind, target, control)
    if mined_while_down:
        house.market.chain.mine(2)
    house.keys["finality"] = 1

    house.start()
    intent_id = house.submit(target, control=control)
    assert intent_id is not None
    house.finish(300)
    house.check_nothing_doubled()
    intent = house.intent(intent_id)
    if point is CrashPoint.K11:  # broken finality waits for a person
        assert intent.state in ("QUARANTINED", "SETTLED", "FAILED")
        return
    check(house)
    assert intent.state == "SETTLED", (intent.failed, intent.reason)
    assert "cancel" not in house.mined()
    if kind == "borrow":
        assert abs(ltv(house) - LTV[0]) < 0.01
        assert health(house) > 1.05
    else:
        assert not any(house.engine.holding(AGENT, ROLE).owed.values())


PUBLIC = tuple(point for point in CrashPoint if point.name not in ("K0", "K1", "K2", "K3", "K9", "K11"))
"""Where a transaction waits while the process is down, or is mined and not yet final: before there is none, afterwards it is."""


@pytest.mark.parametrize("kind", ["borrow", "repay"])
@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(house_of: HouseOf, point: CrashPoint, kind: str) -> None:
    survives(house_of(finality=FINALITY.get(point, 1)), point, kind, True)


@pytest.mark.parametrize("kind", ["borrow", "repay"])
@pytest.mark.parametrize("point", PUBLIC, ids=lambda point: point.name)
def test_a_kill_before_the_transaction_is_mined(house_of: HouseOf, point: CrashPoint, kind: str) -> None:
    survives(house_of(finality=FINALITY.get(point, 1)), point, kind, False)


@pytest.mark.parametrize("kind", ["borrow", "repay"])
def test_a_kill_on_postgresql(house_of: HouseOf, kind: str) -> None:
    survives(house_of("postgresql"), CrashPoint.K5, kind, True)


def test_a_loan_follows_its_agents_worth_and_loan_to_value(house_of: HouseOf) -> None:
    house = house_of()
    cash = house.engine.holding(AGENT, ROLE).cash_raw
    desk = LiveDesk(house.engine, ChainClock(house.market.chain), scale=Decimal(1), band=0.01, tolerance_bps=5_000.0)

    def follow(row: int, share: float, *shape: float) -> list[str]:
        """An agent with this share of its equity in the loan; everything that was said until nothing was left to do."""
        twin = Twin(AGENT, cash, 1.0, 0, {ROLE: (LOAN.name, int(share * cash))}, {ROLE: shape} if shape else {})
        said: list[str] = []
        for _ in range(6):
            new = desk.follow([twin], row, row)
            house.finish(300)
            said += new
            if not new:
                break
        check(house)
        return said

    assert follow(1, 0.2, 0.5)
    worth = desk.value_raw(AGENT, ROLE, LOAN.name)
    assert abs(worth - 0.2 * cash) < 0.01 * cash
    assert abs(ltv(house) - 0.5) < 0.01
    assert follow(2, 0.2, 0.51) == []  # within the slack
    assert follow(3, 0.2, 0.25)  # the agent has delevered: so is this
    assert abs(ltv(house) - 0.25) < 0.01
    assert abs(desk.value_raw(AGENT, ROLE, LOAN.name) - 0.2 * cash) < 0.01 * cash
    assert follow(4, 0.2, 0.6)
    assert abs(ltv(house) - 0.6) < 0.01
    before, least = ltv(house), health(house)
    assert follow(5, 0.2, 0.9) == []  # beyond what the health floor allows: the loan stays as it is, and that is told
    assert (ltv(house), health(house)) == pytest.approx((before, least), rel=1e-4)
    rejected = [event.payload.reason for event in house.store.read() if event.event_type == "OrderRejected"]
    assert "a loan-to-value of 0.9" in rejected[-1]
    assert follow(6, 0.0)
    assert house.engine.holding(AGENT, ROLE).held == {}
    assert not any(house.engine.holding(AGENT, ROLE).owed.values())
