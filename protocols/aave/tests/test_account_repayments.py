"""Crash points of repaying a loan, on a real node: each test begins with the same loan, which is taken once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loan_orders import AMOUNT, LTV, PUBLIC, planner_of, settled, survives

from treasury_arena.trading.live import CrashPoint
from treasury_arena_evm.local.house import ChainHouse, build, copied, with_dollars_alone
from treasury_arena_evm.local.market import LocalMarket


@pytest.fixture(scope="module")
def lent(module_market: LocalMarket, tmp_path_factory: pytest.TempPathFactory) -> ChainHouse:
    """A treasury that has taken its loan."""
    with_dollars_alone(module_market)
    url = f"sqlite:///{tmp_path_factory.mktemp('lent') / 'store.db'}"
    house = build(url, module_market, module_market.users[0], make=planner_of)
    settled(house, AMOUNT, 0, LTV)
    return house


@pytest.fixture
def house(lent: ChainHouse, tmp_path: Path) -> Iterator[ChainHouse]:
    with copied(lent, tmp_path / "store.db") as house:
        yield house


@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(house: ChainHouse, point: CrashPoint) -> None:
    survives(house, point, "repay", True)


@pytest.mark.parametrize("point", PUBLIC, ids=lambda point: point.name)
def test_a_kill_before_the_transaction_is_mined(house: ChainHouse, point: CrashPoint) -> None:
    survives(house, point, "repay", False)
