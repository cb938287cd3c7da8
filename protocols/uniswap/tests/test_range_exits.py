"""Crash points of leaving a range, on a real node: each test begins with the same range, which is entered once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from range_orders import AMOUNT, WIDTH, planner_of, settled, survives

from treasury_arena.trading.live import CrashPoint
from treasury_arena_evm.local.house import ChainHouse, build, copied, with_dollars_alone
from treasury_arena_evm.local.market import LocalMarket


@pytest.fixture(scope="module")
def inside(module_market: LocalMarket, tmp_path_factory: pytest.TempPathFactory) -> ChainHouse:
    """A treasury that has entered its range."""
    with_dollars_alone(module_market)
    url = f"sqlite:///{tmp_path_factory.mktemp('inside') / 'store.db'}"
    house = build(url, module_market, module_market.users[0], make=planner_of)
    settled(house, AMOUNT, 0, WIDTH)
    return house


@pytest.fixture
def house(inside: ChainHouse, tmp_path: Path) -> Iterator[ChainHouse]:
    with copied(inside, tmp_path / "store.db") as house:
        yield house


@pytest.mark.parametrize("mined_while_down", [True, False], ids=["mined", "waiting"])
@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(house: ChainHouse, point: CrashPoint, mined_while_down: bool) -> None:
    survives(house, point, "burn", mined_while_down)
