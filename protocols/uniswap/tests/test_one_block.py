"""What takes several reads is a picture of one block of the chain, whatever is mined between them."""

from __future__ import annotations

from typing import Any

import pytest
from uniswap_street import USD, Books, Street

from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.exact.tick_math import tick_at_sqrt_ratio


@pytest.fixture
def street(local_market: LocalMarket) -> Street:
    return Street(local_market)


def restless(street: Street, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Somebody trades before every read; the heights at which something was read."""
    transport = street.market.session._transport
    request, heights, price = transport.request, list[int](), street.price()

    def later(method: str, *params: Any) -> Any:
        if method in ("eth_call", "eth_simulateV1"):
            height = int(request("eth_blockNumber"), 16)
            heights.append(height if params[-1] == "latest" else int(params[-1], 16))
            street.move_to(price + len(heights) * (price >> 14))
        return request(method, *params)

    monkeypatch.setattr(transport, "request", later)
    return heights


@pytest.mark.parametrize(("kind", "control"), [("spot", ()), ("range", (0.2,))])
def test_markets_look_at_one_block(
    street: Street, monkeypatch: pytest.MonkeyPatch, kind: str, control: tuple[float, ...]
) -> None:
    books = Books(street, {"it": street.open(kind)})
    market = books.markets["it"]
    assert books.trade("it", 10_000, 0, *control) is not None
    state, uniswap = books.account.positions["it"], market.uniswap
    heights = restless(street, monkeypatch)
    for look in (
        lambda: market.pool(),
        lambda: market.value(state, 1),
        lambda: market.trade(state, 20_000 * USD, 1, control),
        lambda: market.trade(market.open(), 20_000 * USD, 1, control),
        lambda: uniswap.quote("USDC", "WETH", 500, 1_000 * USD),
        lambda: uniswap.owned(),
    ):
        heights.clear()
        look()
        assert len(heights) >= 1
        assert len(set(heights)) == 1
    pool = market.pool()
    assert pool.tick == tick_at_sqrt_ratio(pool.sqrt_price_x96)
