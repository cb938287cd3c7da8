"""What takes many reads is a picture of one block, whatever is mined between them; and of the whole account, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aave_bench import ASSETS, DAY, ETH, LENDING, LOAN, USD, USDC, WETH, Bench
from router_exchange import RouterExchange

from treasury_arena.contracts.chain import Holding
from treasury_arena.errors import ValidationError
from treasury_arena_aave.chain import USER, AaveMarket
from treasury_arena_aave.mirror import read_pool
from treasury_arena_aave.onchain import AccountOnChain
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_evm.interfaces.aave import POOL
from treasury_arena_evm.local.desk import desk
from treasury_arena_evm.session import Session
from treasury_arena_evm.tokens import TokenTable


@pytest.fixture
def bench(local_market: Any) -> Bench:
    found = Bench(local_market)
    assert found.trade("account", 6_000, 0.5) is not None
    return found


@pytest.fixture
def restless(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Somebody lends and borrows, and time passes, between the reads; the heights at which something was read."""
    local, transport = bench.local, bench.local.session._transport
    request, maker, pool, heights = transport.request, local.maker.address, local.aave.pool, list[int]()
    asset = local.token("USDC").address
    local.fund("USDC", maker, 1_000_000 * USD)
    local.approve(maker, "USDC", pool)

    def later(method: str, *params: Any) -> Any:
        if method == "eth_call":
            heights.append(int(request("eth_blockNumber"), 16) if params[1] == "latest" else int(params[1], 16))
            if len(heights) % 5 == 1:  # a local node remembers about a hundred blocks
                local.chain.send(maker, pool, POOL.function("supply"), asset, 1_000 * USD, maker, 0)
                local.chain.advance(DAY)
        return request(method, *params)

    together = transport.request_together

    def later_together(calls: Sequence[tuple[str, Any]]) -> list[Any]:
        heights.extend(int(params[1], 16) for _, params in calls)
        found = together(calls)
        local.chain.advance(DAY)
        return found

    monkeypatch.setattr(transport, "request", later)
    monkeypatch.setattr(transport, "request_together", later_together)
    return heights


class At:
    """Reads one block, and nothing is pinned for it."""

    def __init__(self, session: Session, block: int) -> None:
        self.session, self.block = session, block

    def call(self, to: str, function: Any, *arguments: Any) -> Any:
        return self.session.call(to, function, *arguments, block=self.block)


def test_a_mirrored_pool_is_of_one_block(bench: Bench, restless: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    aave = bench.loan.aave
    mirrored = aave.pool(bench.who.address)
    monkeypatch.undo()
    session, block = aave.session, restless[0]
    now = int(session.request("eth_getBlockByNumber", hex(block), False)["timestamp"], 16)
    expected = read_pool(At(session, block), aave.at, {USER: bench.who.address}, now)
    assert mirrored.now == now
    assert mirrored.reserves == expected.reserves
    assert mirrored.account(USER) == expected.account(USER)


def test_a_pool_that_is_read_again_is_one_request(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a pool is made of is known beforehand, but for its curves, which are read once; and the block and its time."""
    aave, transport = bench.loan.aave, bench.local.session._transport
    bench.local.fund("USDC", bench.who.address, 23)
    aave.pool(bench.who.address)
    single, together = list[str](), list[int]()
    request, several = transport.request, transport.request_together
    monkeypatch.setattr(transport, "request", lambda *one: single.append(one[0]) or request(*one))
    monkeypatch.setattr(transport, "request_together", lambda calls: together.append(len(calls)) or several(calls))
    aave.pool(bench.who.address)
    assert single == ["eth_blockNumber", "eth_getBlockByNumber"]
    assert len(together) == 1


def test_a_position_is_looked_at_in_one_block(bench: Bench, restless: list[int]) -> None:
    state = bench.account.positions["account"]
    for look in (
        lambda: bench.loan.found(state),
        lambda: bench.loan.supplied,
        lambda: bench.loan.owed,
        lambda: bench.loan.views(state, 1),
        lambda: bench.loan.value(state, 1),
        lambda: bench.loan.trade(state, 3_000 * USD, 1, (0.4,)),
        lambda: bench.usd.trade(bench.usd.open(), 3_000 * USD, 1),
        lambda: bench.loan.aave.quote("borrow", "USDC", bench.who.address, USD),
    ):
        restless.clear()
        look()
        assert len(restless) > 1
        assert len(set(restless)) == 1


def test_live_orders_are_planned_and_bound_in_one_block(bench: Bench, restless: list[int]) -> None:
    who = bench.local.users[1]
    bench.local.fund("USDC", who.address, 20_000 * USD)
    for spec, control in ((LENDING, ()), (LOAN, (0.3,))):
        planner = desk(bench.local, AaveProtocol(), spec, ASSETS, USDC, who).planner
        plans: list[Any] = []
        for look in (
            lambda planner=planner, control=control: planner.plan(Holding(20_000 * USD), 6_000 * USD, control),
            lambda planner=planner, plans=plans: planner.bind(plans[0].steps[0], 6_000 * USD, bench.local.session.now),
            lambda planner=planner: planner.holdings(),
        ):
            restless.clear()
            plans.append(look())
            assert plans[-1] is not None
            assert len(restless) >= 1
            assert len(set(restless)) == 1


@pytest.mark.parametrize("does", ["borrow", "supply"])
def test_what_the_account_has_in_reserves_that_are_not_pinned_is_refused(bench: Bench, does: str) -> None:
    local, who = bench.local, bench.who
    whole = local.session
    pins = TokenTable(whole.chain, [token for token in whole.tokens if token.symbol != "DAI"])
    session = Session(whole._transport, whole.chain, pins, whole.policy)
    exchange = RouterExchange(session, who, "WETH", "USDC")
    market = AccountOnChain(LOAN, session, who, WETH, USDC, exchange, price_age_seconds_max=None)
    held = bench.account.positions["account"]
    assert market.trade(held, 5_000 * USD, 2, (0.5,)) is not None
    if does == "supply":
        local.fund("DAI", who.address, 500 * ETH)
    getattr(AaveMarket(whole, price_age_seconds_max=None), does)(who, "DAI", 500 * ETH)
    nonce = bench.nonce
    said = r"Aave counts .* USD of debt for 0x\w+, its pinned reserves have .*: pin the tokens that are missing"
    with pytest.raises(ValidationError, match=said):
        market.trade(held, 5_000 * USD, 2, (0.6,))
    for operation in ("borrow", "withdraw", "supply", "repay"):
        with pytest.raises(ValidationError, match=said):
            market.aave.quote(operation, "USDC", who.address, USD)
    assert bench.nonce == nonce
    assert bench.trade("account", 5_000, 0.5) is not None  # the session that pins all of them goes on
