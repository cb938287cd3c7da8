"""The exchange that other protocols' markets swap over, on a real node: as quoted, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from uniswap_street import ETH, USD, Street

from treasury_arena.errors import ValidationError
from treasury_arena_evm.errors import RevertError
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.chain import UniswapV3
from treasury_arena_uniswap.exchange import PoolExchange


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def street(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(usdc_first=request.param))


def exchange_of(street: Street, **settings: int) -> PoolExchange:
    return PoolExchange(UniswapV3(street.market.session, street.user.signer), "WETH", "USDC", **settings)


def held(street: Street) -> tuple[int, int]:
    return street.balance("WETH"), street.balance("USDC")


def test_it_buys_and_sells_what_it_quoted(street: Street) -> None:
    exchange, before, sent = exchange_of(street), held(street), street.sent()
    coins = exchange.quote_buy(10_000 * USD)
    assert 4.9 * ETH < coins < 5 * ETH
    assert street.sent() == sent
    bought = exchange.buy(10_000 * USD)
    assert bought.amount_out == coins
    assert held(street) == (before[0] + coins, before[1] - 10_000 * USD)
    assert len(bought.receipts) == street.sent() - sent
    back = exchange.quote_sell(coins)
    assert exchange.sell(coins).amount_out == back
    assert held(street) == (before[0], before[1] - 10_000 * USD + back)
    assert 9_980 * USD < back < 10_000 * USD
    token = exchange.uniswap._token
    for symbol in ("USDC", "WETH"):
        assert token(symbol).allowance(street.user.address, exchange.uniswap.router) == 0


def test_its_own_swaps_are_no_move_of_the_price_since_the_quote(street: Street) -> None:
    exchange = exchange_of(street, slippage_bps=1)
    exchange.quote_buy(USD)
    here = street.price()
    for _ in range(3):
        exchange.buy(20_000 * USD)
    assert abs(street.price() ** 2 / here**2 - 1.0) > 1e-4


@pytest.mark.parametrize("buys", [True, False])
@pytest.mark.parametrize("share", [0.006, -0.006])
def test_a_price_that_is_far_from_the_quotes_is_refused_before_signing(
    street: Street, buys: bool, share: float
) -> None:
    exchange = exchange_of(street)
    quote, act, amount = (
        (exchange.quote_buy, exchange.buy, 1_000 * USD) if buys else (exchange.quote_sell, exchange.sell, ETH)
    )
    if not buys:
        exchange.buy(3_000 * USD)
    quote(amount)
    street.move_by(share)
    sent = street.sent()
    with pytest.raises(
        ValidationError, match=r"the price of .* 0\.05% has moved by \d+ bps since the quote, more than 50"
    ):
        act(amount)
    assert street.sent() == sent
    quote(amount)
    street.move_by(-share * 0.7)  # less than the slippage
    assert act(amount).amount_out > 0


def test_a_price_that_moves_behind_the_last_look_is_refused_by_the_router(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, session, before = exchange_of(street), street.market.session, held(street)
    send = session.send

    def slow(who: object, to: str, *call: object) -> object:
        if to == exchange.uniswap.router:
            street.move_by(0.006)
        return send(who, to, *call)

    monkeypatch.setattr(session, "send", slow)
    with pytest.raises(RevertError, match="Too little received"):
        exchange.buy(1_000 * USD)
    assert held(street) == before


def test_what_the_pool_cannot_swap_is_refused_in_one_sentence(
    street: Street, make_local_market: Callable[..., LocalMarket]
) -> None:
    exchange, sent = exchange_of(street), street.sent()
    for act in (exchange.quote_buy, exchange.buy):
        for amount, message in (
            (0, "a swap of 0 base units is none"),
            (-1, "a swap of -1 base units is none"),
            (2**127, "beyond any amount of ours"),
            (4_000_000 * USD, r"swapping .* would move the price of .* by \d+ bps, more than 200; split it"),
            (10**12 * USD, "split it"),
        ):
            with pytest.raises(ValidationError, match=message):
                act(amount)
    with pytest.raises(ValidationError, match="would give 0 base units of USDC"):
        exchange.sell(1)
    empty = exchange_of(Street(make_local_market(liquid=False)))
    with pytest.raises(ValidationError, match="is empty at its price"):
        empty.quote_sell(ETH)
    for settings, message in (
        ({"fee": 123}, r"there is no pool of .* with a fee of 0\.0123%"),
        ({"slippage_bps": 0}, "a slippage of 0 bps must lie from 1 to 1000"),
        ({"max_move_bps": 10_000}, "a move of the price by 10000 bps must lie from 1 to 9999"),
    ):
        with pytest.raises(ValidationError, match=message):
            exchange_of(street, **settings)
    assert street.sent() == sent
