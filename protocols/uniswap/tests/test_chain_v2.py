"""Swaps through UniswapV2Router02 on a real node: what was quoted is what happens, refusals come before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from uniswap_street import ETH, USD, Street

from treasury_arena.errors import ValidationError
from treasury_arena_evm.errors import FeeError, RevertError, TokenError
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V2_ROUTER
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.chain_v2 import UniswapV2


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def street(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(usdc_first=request.param))


def router(street: Street) -> UniswapV2:
    return UniswapV2(street.market.session, street.user.signer)


def soon(street: Street) -> int:
    return street.market.chain.now + 600


@pytest.mark.parametrize(("given", "got", "amount"), [("USDC", "WETH", 5_000 * USD), ("WETH", "USDC", 2 * ETH)])
def test_a_swap_does_what_was_quoted(street: Street, given: str, got: str, amount: int) -> None:
    uniswap, before = router(street), {symbol: street.balance(symbol) for symbol in ("USDC", "WETH")}
    quote = uniswap.quote(given, got, amount)
    path = [street.market.token(symbol).address for symbol in (given, got)]
    asked = street.market.session.call(uniswap.router, V2_ROUTER.function("getAmountsOut"), amount, path)
    assert tuple(asked) == (amount, quote)
    done = uniswap.swap(given, got, amount, quote, soon(street))
    assert (done.amount_in, done.amount_out) == (amount, quote)
    assert (before[given] - street.balance(given), street.balance(got) - before[got]) == (amount, quote)

    cost = uniswap.quote(given, got, quote // 2, exact_in=False)
    done = uniswap.swap_for(given, got, quote // 2, cost * 2, soon(street))
    assert (done.amount_in, done.amount_out) == (cost, quote // 2)
    assert before[given] - street.balance(given) == amount + cost
    assert uniswap.session.call(path[0], ERC20.function("allowance"), street.user.address, uniswap.router) == 0


@pytest.mark.parametrize(
    ("amount", "least", "seconds", "message"),
    [
        (0, 1, 600, "a swap of 0 base units is none"),
        (2**255, 1, 600, "beyond any amount of ours"),
        (1_000 * USD, 0, 600, "a least amount out of 0 would take any price"),
        (1_000 * USD, ETH, 600, "would give .* base units of WETH now, fewer than"),
        (1_000 * USD, 1, 0, "is not after the chain's time"),
        (5_000_000 * USD, 1, 600, "the sender holds"),
    ],
)
def test_what_is_refused_before_signing(street: Street, amount: int, least: int, seconds: int, message: str) -> None:
    sent = street.sent()
    with pytest.raises((ValidationError, TokenError), match=message):
        router(street).swap("USDC", "WETH", amount, least, street.market.chain.now + seconds)
    assert street.sent() == sent


@pytest.mark.parametrize("number", [1.5, True, 5e9, "7"])
def test_what_is_no_whole_number_is_refused_before_signing(street: Street, number: Any) -> None:
    uniswap, until = router(street), soon(street)
    sent = street.market.chain.rpc("eth_getTransactionCount", street.user.address, "latest")
    for order in (
        lambda: uniswap.quote("USDC", "WETH", number),
        lambda: uniswap.swap("USDC", "WETH", number, 1, until),
        lambda: uniswap.swap("USDC", "WETH", 1_000 * USD, number, until),
        lambda: uniswap.swap("USDC", "WETH", 1_000 * USD, 1, until + 0.5),  # type: ignore[arg-type]
        lambda: uniswap.swap_for("USDC", "WETH", number, 10**9, until),
        lambda: uniswap.swap_for("USDC", "WETH", 10**15, number, until),
    ):
        with pytest.raises(ValidationError, match=r"expected a whole number \(int\)"):
            order()
    assert street.market.chain.rpc("eth_getTransactionCount", street.user.address, "latest") == sent


def test_pairs_that_do_not_serve(street: Street, make_local_market: Callable[..., LocalMarket]) -> None:
    empty = Street(make_local_market(liquid=False))
    with pytest.raises(ValidationError, match=r"the pair USDC/WETH \(v2\) at 0x\w+ is empty"):
        router(empty).swap("USDC", "WETH", USD, 1, soon(empty))
    with pytest.raises(ValidationError, match="there is no v2 pair of WETH and DAI on local"):
        router(street).quote("WETH", "DAI", ETH)
    with pytest.raises(TokenError, match="unknown token"):
        router(street).quote("USDT", "WETH", USD)
    with pytest.raises(ValidationError, match="more is wanted than the pair has"):
        router(street).swap_for("USDC", "WETH", 10_000 * ETH, 10**20, soon(street))
    with pytest.raises(ValidationError, match=r"would take .* more than"):
        router(street).swap_for("USDC", "WETH", ETH, USD, soon(street))


def test_a_refused_swap_leaves_no_allowance(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    uniswap = router(street)
    monkeypatch.setattr(uniswap, "_quoted", lambda pair, amount, exact_in: ETH)
    with pytest.raises(RevertError, match="INSUFFICIENT_OUTPUT_AMOUNT"):
        uniswap.swap("USDC", "WETH", 100 * USD, ETH, soon(street))
    token = street.market.token("USDC").address
    assert uniswap.session.call(token, ERC20.function("allowance"), street.user.address, uniswap.router) == 0


def test_a_swap_that_could_not_be_sent_leaves_no_allowance(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    uniswap, send, sent = router(street), street.market.session.send, street.sent()

    def only_approvals(who: Any, to: str, function: Any, *arguments: Any) -> Any:
        if function.name != "approve":
            raise FeeError("dear")
        return send(who, to, function, *arguments)

    monkeypatch.setattr(street.market.session, "send", only_approvals)
    with pytest.raises(FeeError, match="dear"):
        uniswap.swap("USDC", "WETH", 100 * USD, 1, soon(street))
    assert street.sent() == sent + 2
    token = street.market.token("USDC").address
    assert uniswap.session.call(token, ERC20.function("allowance"), street.user.address, uniswap.router) == 0
