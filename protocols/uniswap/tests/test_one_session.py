"""Several markets and signers on one session: a transaction of which nobody knows yet stays that of the order that sent it."""

from __future__ import annotations

from typing import Any

import pytest
from uniswap_street import CHAIN, USD, USDC, WETH, Books, Street

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.errors import ExecutionError, UnknownOutcomeError
from treasury_arena.events.catalog import OrderQuarantined, OrderSettled
from treasury_arena_erc4626.chain import VaultOnChain
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.transport import LostError


@pytest.fixture
def street(local_market: LocalMarket) -> Street:
    return Street(local_market)


def bought(street: Street, before: int) -> tuple[int]:
    """The state of a coin market that bought what the account has more than before."""
    return (street.balance("WETH") - before,)


def open_other(street: Street, kind: str, who: int = 0) -> Any:
    """A market on the street's session, of this kind and signer."""
    signer = street.market.users[who]
    if who:
        street.market.fund("USDC", signer.address, 50_000 * USD)
    if kind == "vault":
        spec = MarketSpec("vault", "erc4626.vault", "lending", "USDC", {})
        return VaultOnChain(spec, street.market.session, signer.signer, USDC, street.market.vault)
    spec = MarketSpec(kind, f"uniswap.{kind}", kind, "WETH", {}, coin=True)
    return CHAIN[kind](spec, street.market.session, signer.signer, WETH, USDC)


class Silence:
    """A node that takes a transaction of a market's swap and then says nothing any more, until told."""

    def __init__(self, street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
        session, self.after, self.sent = street.market.session, 2, 0
        request = session._transport.request

        def answered(method: str, *params: Any) -> Any:
            if self.after and self.sent >= self.after:
                raise LostError(f"{method}: no answer")
            answer = request(method, *params)
            self.sent += method == "eth_sendRawTransaction"
            return answer

        monkeypatch.setattr(session._transport, "request", answered)

    def end(self) -> None:
        self.after = 0


def bought_into_the_dark(street: Street, spot: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """What to settle again: an order for 10,000 USD of the coin whose swap (behind its approval) was sent and not heard of."""
    quote = spot.trade(spot.open(), 10_000 * USD, 0)
    order = ("swap", spot.open(), quote, 0)
    silence = Silence(street, monkeypatch)
    with pytest.raises(UnknownOutcomeError, match="no answer"):
        spot.settle(*order)
    silence.end()
    session = street.market.session
    while any(session.receipt(digest) is None for digest in session.unresolved):
        pass  # the node answers before it mines
    return order


@pytest.mark.parametrize("kind", ["vault", "range"])
def test_an_unknown_swap_is_not_booked_by_the_next_market_of_its_account(
    street: Street, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    spot, other = street.open("spot"), open_other(street, kind)
    control = () if kind == "vault" else (0.2,)
    before = street.balance("WETH")
    order = bought_into_the_dark(street, spot, monkeypatch)
    sent = street.sent()
    quote = other.trade(other.open(), 5_000 * USD, 0, control)
    with pytest.raises(ExecutionError, match="nothing is signed for") as refused:
        other.settle("next", other.open(), quote, 0)
    assert refused.value.legs == ()
    assert street.sent() == sent
    fill = spot.settle(*order)
    assert fill.state == bought(street, before)
    assert fill.cash_raw == -10_000 * USD
    assert street.market.session.unresolved == {}
    quote = other.trade(other.open(), 5_000 * USD, 1, control)
    done = other.settle("later", other.open(), quote, 1)
    assert done.cash_raw == -5_000 * USD
    assert other.value(done.state, 1) == pytest.approx(5_000 * USD, rel=1e-3)


@pytest.mark.parametrize("kind", ["vault", "spot"])
def test_the_order_of_another_signer_goes_on_and_books_its_own_alone(
    street: Street, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    spot, other = street.open("spot"), open_other(street, kind, who=1)
    before = street.balance("WETH")
    order = bought_into_the_dark(street, spot, monkeypatch)
    sent = street.sent()
    # The same id, even: what an order is called is its market's and its account's affair.
    done = other.settle("swap", other.open(), other.trade(other.open(), 5_000 * USD, 0), 0)
    assert done.cash_raw == -5_000 * USD
    assert street.sent() == sent
    fill = spot.settle(*order)
    assert (fill.state, fill.cash_raw) == (bought(street, before), -10_000 * USD)


def test_what_somebody_else_finds_out_is_kept_for_the_order(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    spot = street.open("spot")
    before = street.balance("WETH")
    order = bought_into_the_dark(street, spot, monkeypatch)
    street.market.session.resolve()
    assert street.market.session.unresolved == {}
    sent = street.sent()
    fill = spot.settle(*order)
    assert street.sent() == sent
    assert (fill.state, fill.cash_raw) == (bought(street, before), -10_000 * USD)


@pytest.mark.parametrize("kind", ["vault", "range"])
def test_the_books_of_two_markets_equal_the_chain_after_a_silence(
    street: Street, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    control = () if kind == "vault" else (0.2,)
    books = Books(street, {"spot": street.open("spot"), kind: open_other(street, kind)})
    silence = Silence(street, monkeypatch)
    assert books.trade("spot", 10_000, 0) is None
    assert len(books.journal.payloads(OrderQuarantined)) == 1
    silence.end()
    # The next order of the account asks what became of the first one; nothing else is signed for it before that.
    assert books.trade(kind, 5_000, 1, *control) is not None
    assert [event.market for event in books.journal.payloads(OrderSettled)] == ["spot", kind]
    books.equal_the_chain(2)
    assert books.trade("spot", 0, 2) is not None
    books.equal_the_chain(3)
