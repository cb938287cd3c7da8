"""A range's orders through the order engine on a real node: their way, crash points of entering, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from range_orders import AMOUNT, NARROW, WIDTH, check, held, plain, planner_of, settled, survives
from uniswap_street import USD, Street

from treasury_arena.trading.live import CrashPoint
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS
from treasury_arena_evm.live.config import EvmFeed
from treasury_arena_evm.local.house import AGENT, ROLE, ChainHouse, build, with_dollars_alone
from treasury_arena_evm.local.killing import FINALITY
from treasury_arena_evm.local.market import LocalMarket

HouseOf = Callable[..., ChainHouse]


@pytest.fixture
def house_of(
    tmp_path: Path, local_market: LocalMarket, request: pytest.FixtureRequest
) -> Iterator[Callable[..., ChainHouse]]:
    """``house_of(database="sqlite", **keys of EvmSection)``: a treasury with USDC alone, whose market is a range."""
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


@pytest.mark.parametrize("priced", [False, True], ids=["", "beside price sources"])
def test_in_elsewhere_and_out_again(house_of: HouseOf, local_market: LocalMarket, priced: bool) -> None:
    sources = {symbol: EvmFeed(address=local_market.aave.reserve(symbol).source) for symbol in ("USDC", "WETH")}
    house = house_of(feeds=sources if priced else {})
    settled(house, AMOUNT, 0, WIDTH)
    assert plain(house) == ["swap", "mint"]
    check(house)
    (first,) = held(house)
    settled(house, AMOUNT, 1, NARROW)
    assert plain(house)[2:] == ["burn", "swap", "mint"]
    check(house)
    (second,) = held(house)
    assert second > first
    assert house.submit(house.planner.value(house.engine.holding(AGENT, ROLE)), 2, control=NARROW) is None
    settled(house, AMOUNT // 2, 3)
    assert plain(house)[5:] == ["collect", "swap"]
    check(house)
    settled(house, 0, 4)
    assert plain(house)[7:] == ["burn", "swap"]
    check(house)
    assert held(house) == []
    assert house.engine.holding(AGENT, ROLE).held == {}
    differences = house.engine.reconcile().differences  # the account has DAI that the arena knows nothing of
    assert not [text for text in differences if "that no book knows" not in text], differences
    assert not any(house.store.balances(f"agent:{AGENT}:reserved").values())


@pytest.mark.parametrize("mined_while_down", [True, False], ids=["mined", "waiting"])
@pytest.mark.parametrize("kind", ["swap", "mint"])
@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(
    house_of: HouseOf, point: CrashPoint, kind: str, mined_while_down: bool
) -> None:
    house = house_of(finality=FINALITY.get(point, 1))
    survives(house, point, kind, mined_while_down)


@pytest.mark.parametrize("kind", ["mint", "burn"])
@pytest.mark.parametrize("point", [CrashPoint.K2, CrashPoint.K5, CrashPoint.K9], ids=lambda point: point.name)
def test_a_kill_on_postgresql(house_of: HouseOf, point: CrashPoint, kind: str) -> None:
    house = house_of("postgresql")
    if kind == "burn":
        settled(house, AMOUNT, 0, WIDTH)
    survives(house, point, kind, True)


def test_a_mint_that_is_refused_leaves_its_coins_to_the_next_order(
    house_of: HouseOf, local_market: LocalMarket
) -> None:
    house, chain = house_of(), local_market.chain
    intent_id = house.submit(AMOUNT, 0, control=WIDTH)
    assert intent_id is not None
    for _ in range(60):
        house.engine.tick()
        if "swap" in house.mined():
            break
        chain.mine()
    chain.rpc("evm_setAutomine", True)
    street = Street(local_market)
    street.move_by(0.02)  # more than the slippage: what was planned must not be minted at this price
    chain.rpc("evm_setAutomine", False)
    house.finish(160)
    intent = house.intent(intent_id)
    assert intent.state == "FAILED"
    assert "has moved by" in intent.failed
    assert "mint" not in house.mined()
    assert house.engine.holding(AGENT, ROLE).held["WETH"] > 10**18
    for symbol in ("USDC", "WETH"):
        for spender in (local_market.uniswap.positions, local_market.uniswap.router02):
            token = local_market.token(symbol).address
            assert chain.call(token, ERC20.function("allowance"), house.who.address, spender) == 0
    settled(house, 0, 1)
    assert house.engine.holding(AGENT, ROLE).held == {}


def test_liquidity_that_somebody_added_goes_with_the_range(house_of: HouseOf, local_market: LocalMarket) -> None:
    """The manager lets anybody add to any position; an exit takes out more than was ever booked."""
    house, chain, maker = house_of(), local_market.chain, local_market.maker.address
    settled(house, AMOUNT, 0, WIDTH)
    (token,) = held(house)
    chain.rpc("evm_setAutomine", True)
    given = {"USDC": 3_000 * USD, "WETH": 10**18}
    for symbol, amount in given.items():
        local_market.fund(symbol, maker, amount)
        local_market.approve(maker, symbol, local_market.uniswap.positions)
    first, second = sorted(given, key=lambda symbol: int(local_market.token(symbol).address, 16))
    order = (token, given[first], given[second], 0, 0, chain.now + 3_600)
    chain.send(maker, local_market.uniswap.positions, V3_POSITIONS.function("increaseLiquidity"), order)
    chain.rpc("evm_setAutomine", False)
    booked = house.engine.holding(AGENT, ROLE).held[f"UNI-V3-{token}"]
    assert house.planner.holdings()[f"UNI-V3-{token}"] > (booked, 0)
    settled(house, 0, 1)
    check(house)
    assert house.engine.holding(AGENT, ROLE).held == {}
