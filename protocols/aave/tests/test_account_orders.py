"""A loan's orders through the order engine on a real node: crash points of borrowing, PostgreSQL, and following an agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aave_bench import LOAN
from loan_orders import AMOUNT, LTV, PUBLIC, check, health, ltv, planner_of, settled, survives

from treasury_arena.trading.live import CrashPoint
from treasury_arena.trading.live.desk import LiveDesk, Twin
from treasury_arena_evm.local.house import AGENT, ROLE, ChainHouse, build, with_dollars_alone
from treasury_arena_evm.local.killing import FINALITY
from treasury_arena_evm.local.live import ChainClock
from treasury_arena_evm.local.market import LocalMarket

HouseOf = Callable[..., ChainHouse]


@pytest.fixture
def house_of(tmp_path: Path, local_market: LocalMarket, request: pytest.FixtureRequest) -> Iterator[HouseOf]:
    """``house_of(database="sqlite", **keys of EvmSection)``: a treasury with USDC alone, whose market is a loan."""
    made: list[ChainHouse] = []
    with_dollars_alone(local_market)

    def make(database: str = "sqlite", **keys: Any) -> ChainHouse:
        url = f"sqlite:///{tmp_path}/store-{len(made)}.db"
        if database == "postgresql":
            url = request.getfixturevalue("fresh_postgres")()
        made.append(build(url, local_market, local_market.users[0], make=planner_of, **keys))
        return made[-1]

    yield make
    for house in made:
        house.store.close()


@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(house_of: HouseOf, point: CrashPoint) -> None:
    survives(house_of(finality=FINALITY.get(point, 1)), point, "borrow", True)


@pytest.mark.parametrize("point", PUBLIC, ids=lambda point: point.name)
def test_a_kill_before_the_transaction_is_mined(house_of: HouseOf, point: CrashPoint) -> None:
    survives(house_of(finality=FINALITY.get(point, 1)), point, "borrow", False)


@pytest.mark.parametrize("kind", ["borrow", "repay"])
def test_a_kill_on_postgresql(house_of: HouseOf, kind: str) -> None:
    house = house_of("postgresql")
    if kind == "repay":
        settled(house, AMOUNT, 0, LTV)
    survives(house, CrashPoint.K5, kind, True)


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
