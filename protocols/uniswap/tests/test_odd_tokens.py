"""Odd tokens in pools on a real node: what works leaves the books equal to the chain, the rest is refused before signing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from odd_street import FEE, SPACING, OddStreet
from uniswap_street import Books

from treasury_arena.errors import ExecutionError, ValidationError
from treasury_arena.events.catalog import OrderFailed, OrderRejected
from treasury_arena.trading.limits import Limits
from treasury_arena_evm.errors import TokenError
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.interfaces.uniswap import V2_ROUTER
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.chain import UniswapV3
from treasury_arena_uniswap.chain_v2 import UniswapV2
from treasury_arena_uniswap.exchange import PoolExchange


class Life:
    """Orders of one agent in a coin and a range, the books beside the chain after each."""

    def __init__(self, street: OddStreet) -> None:
        self.street, self.row = street, 0
        self.books = Books(street, {"coin": street.open("spot"), "lp": street.open("range")})

    def look(self) -> None:
        self.row += 1
        self.books.equal_the_chain(self.row)

    def trade(self, role: str, target: float, *control: float) -> Any:
        self.row += 1
        fill = self.books.trade(role, target, self.row, *control)
        assert fill is not None, self.books.journal.posted[-1]
        assert self.books.markets[role].unfinished == ""
        self.look()
        return fill

    def worth(self, role: str) -> float:
        market: Any = self.books.markets[role]
        return float(market.value(self.books.account.positions[role], 0)) / self.street.base.unit


def live(street: OddStreet) -> None:
    """A coin and a range, both ways: bought, sold, opened, added to, earning, re-centred, made smaller, left."""
    it = Life(street)
    it.trade("coin", 5_000)
    it.trade("coin", 2_000)
    it.trade("lp", 10_000, 0.2)
    it.trade("lp", 15_000, 0.2)
    for _ in range(3):
        street.trade_there_and_back()
    it.look()
    street.move_by(0.05)
    it.look()
    before = it.books.held("lp")
    it.trade("lp", it.worth("lp"), -0.1)
    assert it.books.held("lp").token_id > before.token_id
    street.move_by(0.25)
    it.look()
    it.trade("lp", it.worth("lp") / 2, 0.0)
    it.trade("lp", 0, 0.0)
    it.trade("coin", 0)
    assert it.books.account.positions["coin"] == (0,)
    assert not it.books.held("lp").token_id
    assert 55_000 < it.books.account.cash_raw / street.base.unit < 62_000  # coins rose by a third
    assert not it.books.journal.payloads(OrderFailed)


@pytest.mark.parametrize("as_base", [False, True], ids=["coin", "base"])
@pytest.mark.parametrize(
    ("decimals", "first"),
    [(0, True), (2, False), (6, True), (8, False), (18, True), (27, False)],
)
def test_any_number_of_decimals(local_market: LocalMarket, decimals: int, first: bool, as_base: bool) -> None:
    live(OddStreet(local_market, "PlainToken", decimals, as_base=as_base, first=first))


@pytest.mark.parametrize("as_base", [False, True], ids=["coin", "base"])
def test_a_token_that_returns_nothing_and_wants_zero_before_another_allowance(
    local_market: LocalMarket, as_base: bool
) -> None:
    live(OddStreet(local_market, "SilentToken", 6, as_base=as_base))


def test_a_coin_one_unit_of_which_is_worth_much_is_bought_in_whole_units_and_the_rest_is_a_cost(
    local_market: LocalMarket,
) -> None:
    """5,000 dollars buy two coins of 2,000: the fill says so, and an engine with limits refuses it."""
    street = OddStreet(local_market, "PlainToken", 0, price=2_000)
    it = Life(street)
    fill = it.trade("coin", 5_000)
    assert it.books.account.positions["coin"] == (2,)
    assert fill.slippage_bps == pytest.approx(2_000, rel=0.02)
    assert fill.cost_raw == pytest.approx(1_000 * street.base.unit, rel=0.02)
    it.trade("coin", 0)
    limited = Books(street, {"coin": street.open("spot")}, limits=Limits(position_share_max=None, trade_share_max=None))
    sent = street.sent()
    assert limited.trade("coin", 5_000, 0) is None
    (rejected,) = limited.journal.payloads(OrderRejected)
    assert "slippage" in rejected.reason
    assert street.sent() == sent


ORDERS = [
    ("coin", 1.5, ()),
    ("coin", 0.5, ()),
    ("coin", 0.0, ()),
    ("lp", 1.5, (0.2,)),
    ("lp", 1.0, (-0.1,)),
    ("lp", 0.5, (0.0,)),
    ("lp", 0.5, (-0.1,)),
    ("lp", 0.0, (0.0,)),
]
"""What may be asked of positions that are held: role, value in terms of the present one, control."""


def holding(street: OddStreet) -> Life:
    """A coin and a range that has earned fees."""
    it = Life(street)
    it.trade("coin", 5_000)
    it.trade("lp", 15_000, 0.2)
    street.trade_there_and_back()
    it.look()
    return it


def refused(it: Life, said: str) -> None:
    """Every order is refused in one sentence, nothing is signed, and what is held can still be valued."""
    street, rejected, sent = it.street, it.books.journal.payloads, it.street.sent()
    worth = {role: it.worth(role) for role in it.books.markets}
    for role, share, control in ORDERS:
        it.row += 1
        before = len(rejected(OrderRejected))
        assert it.books.trade(role, share * worth[role], it.row, *control) is None, (role, share, control)
        reasons = [payload.reason for payload in rejected(OrderRejected)[before:]]
        assert len(reasons) == 1
        assert re.search(said, reasons[0]), reasons[0]
        assert "\n" not in reasons[0]
    for kind, control in (("spot", ()), ("range", (0.2,))):  # and of an account that holds nothing yet
        market = street.open(kind, "another")
        with pytest.raises(ValidationError, match=said):
            market.trade(market.open(), 1_000 * street.base.unit, 0, control)
    assert street.sent() == sent
    assert it.worth("lp") == pytest.approx(worth["lp"], rel=1e-12)


def left(it: Life) -> None:
    """Both positions are sold, and the books equal the chain."""
    it.trade("lp", 0, 0.0)
    it.trade("coin", 0)
    assert it.books.account.cash_raw / it.street.base.unit == pytest.approx(60_000, rel=0.01)
    assert not it.books.journal.payloads(OrderFailed)


@pytest.mark.parametrize("as_base", [False, True], ids=["coin", "base"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "FeeToken",
            r"^ODD at 0x\w+ takes a fee on transfer: of (\d+) base units the sender pays \1 and the recipient gets",
        ),
        ("SharesToken", r"^ODD at 0x\w+ is rebasing \(it answers sharesOf\): its balances change by themselves$"),
        ("GrowingToken", r"^ODD at 0x\w+ is rebasing: balances change by themselves within a year$"),
        ("FalseToken", r"^ODD at 0x\w+ refuses the transfer: it returns false$"),
    ],
)
def test_a_token_that_pools_cannot_handle_is_refused(
    local_market: LocalMarket, kind: str, said: str, as_base: bool
) -> None:
    """Uniswap's pools count what they ask for, not what arrives; so do the books."""
    it = holding(OddStreet(local_market, as_base=as_base))
    it.street.market.turn("ODD", kind)
    refused(it, said)
    it.street.market.turn("ODD", "PlainToken")
    left(it)


@pytest.mark.parametrize("as_base", [False, True], ids=["coin", "base"])
@pytest.mark.parametrize("how", range(4), ids=["fee", "false", "refused", "one percent on top"])
def test_a_token_that_only_its_holder_can_send_is_refused(local_market: LocalMarket, how: int, as_base: bool) -> None:
    """The router takes it from the account: an honest `transfer` says nothing of that."""
    it = holding(OddStreet(local_market, as_base=as_base))
    it.street.market.turn("ODD", "PullToken", how)
    refused(it, r"^ODD at 0x\w+ (takes a fee when it is taken|refuses the transfer) by whom it allows to")
    it.street.market.turn("ODD", "PlainToken")
    left(it)


@pytest.mark.parametrize("as_base", [False, True], ids=["coin", "base"])
@pytest.mark.parametrize(
    ("whom", "tells"),
    [("", True), ("", False), ("user", True), ("pool", True), ("user", False)],
    ids=["paused", "paused, untold", "we are blocked", "the pool is blocked", "we are blocked, untold"],
)
def test_a_token_that_is_paused_or_blocks(local_market: LocalMarket, whom: str, tells: bool, as_base: bool) -> None:
    street = OddStreet(local_market, "GuardedToken", 18, tells, as_base=as_base)
    it = holding(street)
    address = {"user": street.user.address, "pool": street.address}.get(whom, "")
    what = ("blockAccount", address) if whom else ("pause",)
    street.market.tell("ODD", *what, True)
    told = rf"is blocked by its issuer for the (sender|recipient) {address}$" if whom else "is paused by its issuer$"
    refused(it, told if tells else f"refuses the transfer: {'blocked' if whom else 'paused'}$")
    it.row += 1
    it.books.look(it.row)  # the books go on
    street.market.tell("ODD", *what, False)
    it.look()
    left(it)


@pytest.mark.parametrize(
    ("as_base", "role", "before", "after", "control"),
    [
        (False, "coin", 0, 5_000, ()),
        (True, "coin", 0, 5_000, ()),
        (False, "coin", 5_000, 0, ()),
        (True, "coin", 5_000, 0, ()),
        (False, "lp", 0, 10_000, (0.1,)),
        (True, "lp", 10_000, 15_000, (0.1,)),
        (False, "lp", 10_000, 9_000, (-0.2,)),
        (True, "lp", 10_000, 0, (0.0,)),
    ],
    ids=[
        *("buying", "buying with it", "selling", "selling for it"),
        *("opening", "adding", "re-centring", "leaving"),
    ],
)
def test_a_token_that_stops_in_the_middle_of_an_order(
    local_market: LocalMarket,
    monkeypatch: pytest.MonkeyPatch,
    as_base: bool,
    role: str,
    before: int,
    after: int,
    control: tuple[float, ...],
) -> None:
    """Paused in front of each of its transactions in turn: those that were mined are booked, no other is signed in vain."""
    street = OddStreet(local_market, "GuardedToken", 18, False, as_base=as_base)
    it, session, stop = Life(street), street.market.session, 0
    market, send, sent = it.books.markets[role], session.send, list[str]()

    def stopping(who: Any, to: str, function: Any, *arguments: Any, **more: Any) -> Any:
        if len(sent) == stop:
            street.market.tell("ODD", "pause", True)
        sent.append(function.name)
        return send(who, to, function, *arguments, **more)

    if before:  # between the quote and the first transaction: nothing is signed
        it.trade(role, before, *((0.1,) if control else ()))
    it.row += 1
    books, count = it.books, street.sent()
    intent_id = books.engine.submit_trade(books.account, books.intent(role, after, it.row, *control), 10**40)
    street.market.tell("ODD", "pause", True)
    with pytest.raises(ExecutionError, match=r"ODD at .* refuses the transfer: paused"):
        books.engine.execute_trade(str(intent_id))
    assert street.sent() == count
    street.market.tell("ODD", "pause", False)

    while True:
        if before:
            if not it.worth(role):
                it.trade(role, before, *((0.1,) if control else ()))
            street.trade_there_and_back()
            it.look()
        it.row += 1
        failed = len(it.books.journal.payloads(OrderFailed))
        sent.clear()
        with monkeypatch.context() as patched:
            patched.setattr(session, "send", stopping)
            fill = it.books.trade(role, after, it.row, *control)
        through = len(sent) <= stop
        assert (fill is None) == (len(it.books.journal.payloads(OrderFailed)) > failed)
        if not through:
            told = re.search(r"paused|\(a token cannot be (taken from the account|paid out)\)", market.unfinished)
            assert told or set(sent[stop:]) == {"approve"}, market.unfinished  # allowances are taken back all the same
            it.row += 1
            it.books.look(it.row)  # while it is paused all can be valued
            street.market.tell("ODD", "pause", False)
        it.look()
        for symbol in ("ODD", "USDC", "WETH"):
            for spender in (market.uniswap.router, market.uniswap.positions):
                assert market.uniswap._token(symbol).allowance(street.user.address, spender) == 0
        if it.books.account.positions.get(role) and it.worth(role):
            it.trade(role, 0, *(0.0 for _ in control))
        assert market.uniswap.owned() == ()
        if through:
            break
        stop += 1
    assert stop >= 2
    assert it.books.account.cash_raw / street.base.unit == pytest.approx(60_000, rel=0.02)


# ---------------------------------------------------------------- orders without a market


FEE_SAID = "takes a fee on transfer"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("FeeToken", FEE_SAID), ("GuardedToken", "ODD at .* is paused by its issuer"), ("GrowingToken", "is rebasing")],
)
def test_every_order_of_an_account_is_refused_before_signing(local_market: LocalMarket, kind: str, said: str) -> None:
    street = OddStreet(local_market)
    uniswap, until = UniswapV3(street.market.session, street.user.signer), street.market.chain.now + 600
    pool = uniswap.pool("ODD", "USDC", FEE)
    middle, offer = pool.tick // SPACING * SPACING, 10**21 if pool.token0.symbol == "ODD" else 2 * 10**9
    sides = (offer, 10**21 + 2 * 10**9 - offer)
    token = uniswap.mint(pool, middle - 100, middle + 100, *sides, until).token_id
    street.trade_there_and_back()
    until = street.market.chain.now + 600
    if kind == "GuardedToken":
        street.market.turn("ODD", kind, True)
        street.market.tell("ODD", "pause", True)
    else:
        street.market.turn("ODD", kind)
    sent = street.sent()
    for act in (
        lambda: uniswap.swap("ODD", "USDC", FEE, 10**20, 1, until),
        lambda: uniswap.swap("USDC", "ODD", FEE, 10**8, 1, until),
        lambda: uniswap.swap_for("ODD", "USDC", FEE, 10**8, 10**21, until),
        lambda: uniswap.swap_for("USDC", "ODD", FEE, 10**20, 10**9, until),
        lambda: uniswap.mint(pool, middle - 100, middle + 100, *sides, until),
        lambda: uniswap.increase(token, *sides, until),
        lambda: uniswap.collect(token),
    ):
        with pytest.raises(TokenError, match=said):
            act()
    assert street.sent() == sent


def test_a_quote_of_what_a_pool_cannot_pay_out_says_why(local_market: LocalMarket) -> None:
    """QuoterV2 has the pool pay before it is paid."""
    street = OddStreet(local_market, "GuardedToken", 6, True)
    uniswap = UniswapV3(street.market.session, street.user.signer)
    exchange = PoolExchange(uniswap, "ODD", "USDC")
    street.market.tell("ODD", "pause", True)
    with pytest.raises(TokenError, match=r"ODD at 0x\w+ is paused by its issuer"):
        uniswap.quote("USDC", "ODD", FEE, 10**8)
    with pytest.raises(ValidationError, match=r"ODD at 0x\w+ is paused by its issuer"):
        exchange.quote_buy(10**8)
    assert uniswap.quote("ODD", "USDC", FEE, 10**8).amount_out > 10**8


class PairStreet(OddStreet):
    """A v2 pair of the odd token and USDC beside the pool."""

    def found(self) -> str:
        address, market = super().found(), self.market
        tokens = [market.token(symbol).address for symbol in ("ODD", "USDC")]
        amounts = [500_000 * 10 ** market.token("ODD").decimals, 10**12]
        for symbol in ("ODD", "USDC"):
            if not market.session.call(
                market.token(symbol).address, ERC20.function("allowance"), self.maker, market.uniswap.v2_router
            ):
                market.approve(self.maker, symbol, market.uniswap.v2_router)
        order = (*tokens, *amounts, 0, 0, self.maker, market.chain.now + 600)
        market.chain.send(self.maker, market.uniswap.v2_router, V2_ROUTER.function("addLiquidity"), *order)
        return address


@pytest.mark.parametrize(
    ("kind", "decimals"), [("PlainToken", 0), ("PlainToken", 2), ("PlainToken", 27), ("SilentToken", 6)]
)
def test_pairs_swap_tokens_that_merely_differ(local_market: LocalMarket, kind: str, decimals: int) -> None:
    street = PairStreet(local_market, kind, decimals)
    uniswap, until = UniswapV2(street.market.session, street.user.signer), street.market.chain.now + 600
    unit = 10**decimals
    before = {symbol: street.balance(symbol) for symbol in ("ODD", "USDC")}
    bought = uniswap.swap("USDC", "ODD", 10**9, 490 * unit, until)
    sold = uniswap.swap_for("ODD", "USDC", 5 * 10**8, 260 * unit, until)
    assert street.balance("ODD") - before["ODD"] == bought.amount_out - sold.amount_in
    assert street.balance("USDC") - before["USDC"] == sold.amount_out - bought.amount_in
    for symbol in ("ODD", "USDC"):
        token = street.market.token(symbol).address
        assert uniswap.session.call(token, ERC20.function("allowance"), street.user.address, uniswap.router) == 0


@pytest.mark.parametrize(
    ("kind", "said"), [("FeeToken", FEE_SAID), ("SharesToken", "is rebasing"), ("FalseToken", "it returns false")]
)
def test_pairs_do_not_swap_what_the_books_cannot_follow(local_market: LocalMarket, kind: str, said: str) -> None:
    street = PairStreet(local_market)
    uniswap, until, sent = (
        UniswapV2(street.market.session, street.user.signer),
        street.market.chain.now + 600,
        street.sent(),
    )
    street.market.turn("ODD", kind)
    for given, got, amount in (("ODD", "USDC", 10**20), ("USDC", "ODD", 10**8)):
        with pytest.raises(TokenError, match=said):
            uniswap.swap(given, got, amount, 1, until)
        with pytest.raises(TokenError, match=said):
            uniswap.swap_for(given, got, 10**19 if got == "ODD" else 10**7, amount, until)
    assert street.sent() == sent
