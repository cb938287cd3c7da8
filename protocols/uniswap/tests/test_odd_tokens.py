"""Odd tokens in pools on a real node: what works leaves the books equal to the chain, the rest is refused before signing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from odd_street import OddStreet
from uniswap_street import Books

from treasury_arena.errors import ValidationError
from treasury_arena.events.catalog import OrderFailed, OrderRejected
from treasury_arena.trading.limits import Limits
from treasury_arena_evm.local.market import LocalMarket


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

    while True:
        if before:
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
