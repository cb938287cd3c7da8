"""Orders on a real chain with the deployed contracts: what they do equals what was quoted, and refusals come before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from treasury_arena.errors import ValidationError
from treasury_arena_evm.errors import ChainError, FeeError, RevertError, TokenError
from treasury_arena_evm.interfaces.uniswap import V3_FACTORY
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap import orders
from treasury_arena_uniswap.chain import UniswapV3

USDC, WETH = 10**6, 10**18


class Desk:
    """A market, an account on it, and what it holds."""

    def __init__(self, market: LocalMarket) -> None:
        self.market, self.user = market, market.users[0]
        self.uniswap = UniswapV3(market.session, self.user.signer)
        self.first = 0
        self.first = self.sent()

    @property
    def soon(self) -> int:
        return self.market.chain.now + 600

    def held(self) -> dict[str, int]:
        return {symbol: self.market.balance(symbol, self.user.address) for symbol in ("USDC", "WETH")}

    def sent(self) -> int:
        """Transactions of the account since the beginning."""
        return int(self.market.chain.rpc("eth_getTransactionCount", self.user.address, "latest"), 16) - self.first

    def sided(self, usdc: int, weth: int) -> tuple[int, int]:
        return (usdc, weth) if self.market.options.usdc_first else (weth, usdc)


@pytest.fixture
def desk(local_market: LocalMarket) -> Desk:
    return Desk(local_market)


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def either(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Desk:
    return Desk(make_local_market(usdc_first=request.param, protocol_fee=5))


def range_of(desk: Desk, steps: int = 60) -> tuple[int, int]:
    pool = desk.uniswap.pool("USDC", "WETH", 500)
    middle = pool.tick // pool.spacing * pool.spacing
    return middle - steps * pool.spacing, middle + steps * pool.spacing


def mint(desk: Desk, usdc: int = 20_000 * USDC, weth: int = 10 * WETH):
    pool = desk.uniswap.pool("USDC", "WETH", 500)
    return desk.uniswap.mint(pool, *range_of(desk), *desk.sided(usdc, weth), desk.soon)


@pytest.mark.parametrize(
    ("token_in", "token_out", "amount"), [("USDC", "WETH", 5_000 * USDC), ("WETH", "USDC", 3 * WETH)]
)
def test_a_swap_does_what_was_quoted(either: Desk, token_in: str, token_out: str, amount: int) -> None:
    before = either.held()
    quote = either.uniswap.quote(token_in, token_out, 500, amount)
    done = either.uniswap.swap(token_in, token_out, 500, amount, quote.amount_out, either.soon)
    assert (done.amount_in, done.amount_out, done.sqrt_price_x96) == (
        amount,
        quote.amount_out,
        quote.sqrt_price_after_x96,
    )
    after = either.held()
    assert before[token_in] - after[token_in] == amount
    assert after[token_out] - before[token_out] == quote.amount_out
    assert 5.0 < quote.impact_bps < 20.0
    assert done.receipts[-1].success


def test_a_swap_for_an_exact_amount_leaves_no_allowance(either: Desk) -> None:
    quote = either.uniswap.quote("USDC", "WETH", 500, 2 * WETH, exact_in=False)
    before = either.held()
    done = either.uniswap.swap_for("USDC", "WETH", 500, 2 * WETH, quote.amount_in + 5 * USDC, either.soon)
    assert (done.amount_in, done.amount_out) == (quote.amount_in, 2 * WETH)
    assert before["USDC"] - either.held()["USDC"] == quote.amount_in
    token = either.uniswap._token("USDC")
    assert token.allowance(either.user.address, either.uniswap.router) == 0


def test_the_life_of_a_position(either: Desk) -> None:
    begin, uniswap = either.held(), either.uniswap
    opened = mint(either)
    assert uniswap.owned() == (opened.token_id,)
    held = uniswap.position(opened.token_id)
    assert (held.liquidity, held.inside) == (opened.liquidity, True)
    assert opened.amount0 - held.amount0 in (0, 1)
    assert opened.amount1 - held.amount1 in (0, 1)
    spent = {symbol: begin[symbol] - amount for symbol, amount in either.held().items()}
    assert either.sided(spent["USDC"], spent["WETH"]) == (opened.amount0, opened.amount1)

    more = uniswap.increase(opened.token_id, *either.sided(2_000 * USDC, WETH), either.soon)
    assert uniswap.position(opened.token_id).liquidity == opened.liquidity + more.liquidity

    uniswap.swap("USDC", "WETH", 500, 50_000 * USDC, 1, either.soon)
    uniswap.swap("WETH", "USDC", 500, 20 * WETH, 1, either.soon)
    held = uniswap.position(opened.token_id)
    assert held.fees0 > 0 < held.fees1
    usdc = either.market.session.tokens.symbol("USDC")
    assert held.worth(usdc) == pytest.approx(44_000 * USDC, rel=0.02)
    fees = uniswap.collect(opened.token_id)
    assert (fees.amount0, fees.amount1) == (held.fees0, held.fees1)

    half = uniswap.decrease(opened.token_id, held.liquidity // 2, either.soon)
    assert (half.amount0, half.amount1) == pytest.approx((held.amount0 / 2, held.amount1 / 2), rel=1e-9)
    uniswap.decrease(opened.token_id, None, either.soon)
    with pytest.raises(ValidationError, match="decrease and collect first"):
        uniswap.burn(opened.token_id)
    uniswap.collect(opened.token_id)
    uniswap.burn(opened.token_id)
    assert uniswap.owned() == ()
    end = either.held()
    worth = [held["USDC"] / USDC + held["WETH"] / WETH * 2_000 for held in (begin, end)]
    assert worth[1] == pytest.approx(worth[0], rel=1e-4)


def test_a_range_beside_the_price_takes_one_token(desk: Desk) -> None:
    pool = desk.uniswap.pool("USDC", "WETH", 500)
    above = (pool.tick // 10 + 10) * 10
    opened = desk.uniswap.mint(pool, above, above + 600, 1_000 * USDC, 0, desk.soon)
    assert (opened.amount0, opened.amount1) == (1_000 * USDC, 0)
    held = desk.uniswap.position(opened.token_id)
    assert not held.inside
    with pytest.raises(ValidationError, match=f"nothing is owed to position {opened.token_id}"):
        desk.uniswap.collect(opened.token_id)


SWAPS = [
    ((0, 1, 600), "a swap of 0 base units is none"),
    ((-5, 1, 600), "a swap of -5 base units is none"),
    ((2**256 - 1, 1, 600), "beyond any amount of ours"),
    ((1000 * USDC, 0, 600), "a least amount out of 0 would take any price"),
    ((1000 * USDC, 10**18, 600), "would give .* base units of WETH now, fewer than"),
    ((1000 * USDC, 1, 0), "is not after the chain's time"),
    ((1000 * USDC, 1, 100_000), "at most 86400 s are allowed"),
    ((2_000_000 * USDC, 1, 600), "the sender holds 1000000000000 base units of USDC, fewer than 2000000000000"),
]


@pytest.mark.parametrize(("order", "message"), SWAPS)
def test_swaps_that_are_refused_before_signing(desk: Desk, order: tuple[int, int, int], message: str) -> None:
    amount, least, seconds = order
    with pytest.raises((ValidationError, TokenError), match=message):
        desk.uniswap.swap("USDC", "WETH", 500, amount, least, desk.market.chain.now + seconds)
    assert desk.sent() == 0


def test_swaps_for_an_amount_that_are_refused_before_signing(desk: Desk) -> None:
    for amount, most, message in (
        (WETH, USDC, "would take .* more than 1000000"),
        (0, USDC, "none"),
        (WETH, 0, "none"),
    ):
        with pytest.raises(ValidationError, match=message):
            desk.uniswap.swap_for("USDC", "WETH", 500, amount, most, desk.soon)
    for beyond in (10**24, 10**26, 10**30):
        said = rf"^the pool USDC/WETH 0\.05% has not the liquidity to give {beyond} base units of WETH; split it$"
        with pytest.raises(ValidationError, match=said):
            desk.uniswap.swap_for("USDC", "WETH", 500, beyond, 10**30, desk.soon)
    assert desk.sent() == 0


@pytest.mark.parametrize("number", [1.5, True, 5e9, "7"])
def test_what_is_no_whole_number_is_refused_before_signing(desk: Desk, number: Any) -> None:
    uniswap, pool, soon = desk.uniswap, desk.uniswap.pool("USDC", "WETH", 500), desk.soon
    token_id = mint(desk).token_id
    sent = desk.sent()
    for order in (
        lambda: uniswap.quote("USDC", "WETH", 500, number),
        lambda: uniswap.swap("USDC", "WETH", 500, number, 1, soon),
        lambda: uniswap.swap("USDC", "WETH", 500, 1_000 * USDC, number, soon),
        lambda: uniswap.swap("USDC", "WETH", 500, 1_000 * USDC, 1, soon + 0.5),  # type: ignore[arg-type]
        lambda: uniswap.swap_for("USDC", "WETH", 500, number, 10**9, soon),
        lambda: uniswap.swap_for("USDC", "WETH", 500, 10**15, number, soon),
        lambda: uniswap.mint(pool, *range_of(desk), number, WETH, soon),
        lambda: uniswap.mint(pool, *range_of(desk), USDC, number, soon),
        lambda: uniswap.mint(pool, number, 600, USDC, WETH, soon),
        lambda: uniswap.mint(pool, *range_of(desk), USDC, WETH, soon, slippage_bps=number),
        lambda: uniswap.increase(token_id, number, WETH, soon),
        lambda: uniswap.decrease(token_id, number, soon),
    ):
        with pytest.raises(ValidationError, match=r"expected a whole number \(int\)") as caught:
            order()
        assert "\n" not in str(caught.value)
    assert desk.sent() == sent


def test_an_empty_pool_and_no_pool_are_refused(make_local_market: Callable[..., LocalMarket]) -> None:
    desk = Desk(make_local_market(liquid=False))
    with pytest.raises(ValidationError, match=r"the pool USDC/WETH 0\.05% at 0x.* is empty at its price"):
        desk.uniswap.swap("USDC", "WETH", 500, 1_000 * USDC, 1, desk.soon)
    with pytest.raises(ValidationError, match=r"there is no pool of .* with a fee of 0\.0123% on local"):
        desk.uniswap.quote("USDC", "WETH", 123, 1_000 * USDC)
    for fee, said in (
        (-1, "none of a pool"),
        (1_000_000, "none of a pool"),
        (2**24, "none of a pool"),
        (True, "whole number"),
    ):
        with pytest.raises(ValidationError, match=said):
            desk.uniswap.quote("USDC", "WETH", fee, 1_000 * USDC)
    for token, said in ((-1, "the token of no position"), (2**256, "the token of no position"), (1.0, "whole number")):
        with pytest.raises(ValidationError, match=said):
            desk.uniswap.decrease(token, None, desk.soon)  # type: ignore[arg-type]
    with pytest.raises(TokenError, match="unknown token 'USDT'"):
        desk.uniswap.quote("USDT", "WETH", 500, 1_000 * USDC)
    market = desk.market
    couple = market.token("DAI").address, market.token("WETH").address
    market.chain.send(market.owner.address, market.uniswap.factory, V3_FACTORY.function("createPool"), *couple, 500)
    with pytest.raises(ValidationError, match="has no price yet"):
        desk.uniswap.quote("DAI", "WETH", 500, 10**18)
    with pytest.raises(ValidationError, match="has no price yet"):
        desk.uniswap.mint(desk.uniswap.pool("DAI", "WETH", 500), -10, 10, 1, 1, desk.soon)
    assert desk.sent() == 0


def test_a_swap_beyond_the_liquidity_is_refused(make_local_market: Callable[..., LocalMarket]) -> None:
    desk = Desk(make_local_market(liquid=False))
    mint(desk, 1_000 * USDC, WETH // 2)
    sent = desk.sent()
    with pytest.raises(ValidationError, match="has not the liquidity to swap"):
        desk.uniswap.swap("USDC", "WETH", 500, 100_000 * USDC, 1, desk.soon)
    assert desk.sent() == sent


MINTS = [
    ((-887_280, 0, USDC, WETH), {}, "must be ascending and within -887272 to 887272"),
    ((0, 887_280, USDC, WETH), {}, "must be ascending"),
    ((600, 600, USDC, WETH), {}, "must be ascending"),
    ((601, 1200, USDC, WETH), {}, "tick 601 is not a multiple of 10, the spacing of USDC/WETH 0.05%; use 600 or 610"),
    (
        (-887_271, 0, USDC, WETH),
        {},
        "tick -887271 is not a multiple of 10, the spacing of USDC/WETH 0.05%; use -887270$",
    ),
    ((0, 887_271, USDC, WETH), {}, "tick 887271 is not a multiple of 10, the spacing of USDC/WETH 0.05%; use 887270$"),
    ((0, 600, 0, 0), {}, "a position of nothing"),
    ((0, 600, USDC, 0), {}, "1000000 base units of USDC and 0 of WETH give no liquidity from tick 0 to 600"),
    ((0, 600, -1, WETH), {}, "an offer of USDC of -1 base units is none"),
    ((0, 600, 2**128, WETH), {}, "beyond any amount of ours"),
    ((0, 600, USDC, WETH), {"slippage_bps": 0}, "a slippage of 0 bps must lie from 1 to 1000"),
    ((0, 600, USDC, WETH), {"slippage_bps": 1_001}, "a slippage of 1001 bps"),
    ((0, 600, USDC, WETH), {"deadline": 5}, "the deadline 5 is not after"),
]


@pytest.mark.parametrize(("order", "more", "message"), MINTS)
def test_positions_that_are_refused_before_signing(
    desk: Desk, order: tuple[int, int, int, int], more: dict[str, int], message: str
) -> None:
    pool = desk.uniswap.pool("USDC", "WETH", 500)
    with pytest.raises((ValidationError, TokenError), match=message):
        desk.uniswap.mint(pool, *order, **{"deadline": desk.soon, **more})
    assert desk.sent() == 0


def test_only_ones_own_positions_are_touched(desk: Desk) -> None:
    theirs = 1
    assert desk.uniswap.position(theirs).owner == desk.market.maker.address
    for act in (
        lambda: desk.uniswap.increase(theirs, USDC, WETH, desk.soon),
        lambda: desk.uniswap.decrease(theirs, None, desk.soon),
        lambda: desk.uniswap.collect(theirs),
        lambda: desk.uniswap.burn(theirs),
    ):
        with pytest.raises(ValidationError, match=f"position 1 belongs to {desk.market.maker.address}"):
            act()
    with pytest.raises(RevertError, match="Invalid token ID"):
        desk.uniswap.position(10**6)
    assert desk.sent() == 0


def test_no_more_is_taken_out_than_there_is(desk: Desk) -> None:
    opened = mint(desk)
    sent = desk.sent()
    for amount, message in ((0, "a decrease of 0"), (opened.liquidity + 1, "less than"), (2**128 - 1, "beyond any")):
        with pytest.raises(ValidationError, match=message):
            desk.uniswap.decrease(opened.token_id, amount, desk.soon)
    assert desk.sent() == sent


def test_a_price_that_moved_more_than_the_slippage_is_refused(desk: Desk) -> None:
    """The contracts refuse it, when the transaction is tried before it is signed."""
    opened = mint(desk)
    held = desk.uniswap.position(opened.token_id)
    stale = type(desk.uniswap)(desk.market.session, desk.user.signer)
    stale._ours = lambda token_id: held  # type: ignore[method-assign]
    desk.uniswap.swap("WETH", "USDC", 500, 100 * WETH, 1, desk.soon)
    sent = desk.sent()
    with pytest.raises(RevertError, match="Price slippage check"):
        stale.decrease(opened.token_id, None, desk.soon, slippage_bps=1)
    assert desk.sent() == sent


def test_an_order_that_is_refused_leaves_no_allowance(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "least_amounts", lambda *_: (10**30, 10**30))
    with pytest.raises(RevertError, match="Price slippage check"):
        mint(desk)
    for symbol in ("USDC", "WETH"):
        assert desk.uniswap._token(symbol).allowance(desk.user.address, desk.uniswap.positions) == 0
    assert desk.uniswap.owned() == ()


@pytest.mark.parametrize("error", [FeeError("dear"), ChainError("gone"), ValueError("nonsense")])
def test_an_order_that_could_not_be_sent_leaves_no_allowance(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    uniswap, send = desk.uniswap, desk.market.session.send

    def only_approvals(who: Any, to: str, function: Any, *arguments: Any) -> Any:
        if function.name != "approve":
            raise error
        return send(who, to, function, *arguments)

    monkeypatch.setattr(desk.market.session, "send", only_approvals)
    for act in (
        lambda: mint(desk),
        lambda: uniswap.swap("USDC", "WETH", 500, 1_000 * USDC, 1, desk.soon),
        lambda: uniswap.swap_for("USDC", "WETH", 500, WETH, 3_000 * USDC, desk.soon),
    ):
        before = desk.sent()
        with pytest.raises(type(error), match=str(error)):
            act()
        assert desk.sent() >= before + 2  # granted, and taken back
        for symbol in ("USDC", "WETH"):
            for spender in (uniswap.router, uniswap.positions):
                assert uniswap._token(symbol).allowance(desk.user.address, spender) == 0


def test_the_receipts_of_an_order_are_all_of_its_transactions(desk: Desk) -> None:
    before = desk.sent()
    opened = mint(desk)
    assert len(opened.receipts) == len({one.hash for one in opened.receipts}) == desk.sent() - before
    assert opened.receipts[-1].to == desk.uniswap.positions
    before = desk.sent()
    done = desk.uniswap.swap_for("USDC", "WETH", 500, WETH, 3_000 * USDC, desk.soon)
    assert len(done.receipts) == desk.sent() - before == 3
    assert done.receipts[-1].to == desk.uniswap.router
