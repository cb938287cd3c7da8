"""Orders on a real node that stop anywhere: what was mined is booked, by the receipts, and the next order goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from uniswap_street import USD, Books, Street

from treasury_arena.errors import ExecutionError
from treasury_arena.events.catalog import OrderFailed, OrderQuarantined, OrderRejected
from treasury_arena_evm import session as sessions
from treasury_arena_evm.errors import ChainError, FeeError
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.transport import LostError


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def street(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(usdc_first=request.param, protocol_fee=5))


def break_after(monkeypatch: pytest.MonkeyPatch, street: Street, last: Callable[[int, str], bool]) -> list[str]:
    """Let no transaction through after the one of which `last` (number, function) is true; what went through."""
    session, sent = street.market.session, []
    send, over = session.send, [last(0, "")]

    def until(who: Any, to: str, function: Any, *arguments: Any, **more: Any) -> Any:
        if over[0]:
            raise FeeError("gas costs too much now")
        receipt = send(who, to, function, *arguments, **more)
        sent.append(function.name)
        over[0] = last(len(sent), function.name)
        return receipt

    monkeypatch.setattr(session, "send", until)
    return sent


def allowances(street: Street, uniswap: Any) -> set[int]:
    return {
        uniswap._token(symbol).allowance(street.user.address, spender)
        for symbol in ("USDC", "WETH")
        for spender in (uniswap.router, uniswap.positions)
    }


def test_a_minted_range_is_booked_though_the_clean_up_fails(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    market = street.open("range")
    books = Books(street, {"lp": market})
    with monkeypatch.context() as patched:
        break_after(patched, street, lambda _, function: function == "mint")
        fill = books.trade("lp", 10_000, 0, 0.2)
    assert fill is not None
    assert "gas costs too much now" in market.unfinished
    held = books.held("lp")
    assert (held.token_id,) == market.uniswap.owned()
    there = market.uniswap.position(held.token_id)
    assert held[1:4] == (there.liquidity, there.lower, there.upper)
    assert market.value(tuple(held), 0) == pytest.approx(10_000 * USD, rel=1e-3)
    assert fill.cost_raw < 20 * USD
    books.equal_the_chain()
    # The width is known too: nothing is re-centred, and it is added to what there is.
    assert books.trade("lp", market.value(tuple(held), 1) / USD, 1, 0.2) is None
    assert books.trade("lp", 20_000, 2, 0.2) is not None
    assert market.unfinished == ""
    assert books.held("lp").token_id == held.token_id
    books.equal_the_chain()
    assert allowances(street, market.uniswap) == {0}


@pytest.mark.parametrize(
    ("kind", "control", "function"), [("range", (0.2,), "mint"), ("spot", (), "multicall")], ids=["range", "coin"]
)
def test_what_was_mined_is_booked_by_the_receipts_when_the_node_is_gone(
    street: Street, monkeypatch: pytest.MonkeyPatch, kind: str, control: tuple[float, ...], function: str
) -> None:
    market, session = street.open(kind), street.market.session
    books = Books(street, {"it": market})
    patched = pytest.MonkeyPatch()

    def gone(*_: Any, **__: Any) -> Any:
        raise ChainError("the node is gone for a moment")

    def last(_: int, name: str) -> bool:
        if name == function:
            patched.setattr(session, "call", gone)
        return name == function

    fill_of = market.settle

    def settle(*arguments: Any) -> Any:
        try:
            return fill_of(*arguments)
        finally:
            patched.undo()

    with monkeypatch.context() as broken:
        broken.setattr(market, "settle", settle)
        break_after(broken, street, last)
        fill = books.trade("it", 10_000, 0, *control)
    assert fill is not None
    assert "the node is gone for a moment" in market.unfinished
    assert market.value(books.account.positions["it"], 0) == pytest.approx(10_000 * USD, rel=1e-3)
    books.equal_the_chain()
    assert books.trade("it", 0, 1, *(0.0 for _ in control)) is not None
    books.equal_the_chain()
    assert books.account.cash_raw > 59_900 * USD


@pytest.mark.parametrize(
    ("before", "after", "width", "most"),
    [(0, 10_000, 0.1, 7), (10_000, 9_000, -0.2, 12), (10_000, 15_000, 0.1, 8), (10_000, 0, 0.0, 5)],
    ids=["opening", "re-centring", "adding", "leaving"],
)
def test_wherever_an_order_stops_the_books_equal_the_chain(
    make_local_market: Callable[..., LocalMarket],
    monkeypatch: pytest.MonkeyPatch,
    before: int,
    after: int,
    width: float,
    most: int,
) -> None:
    street = Street(make_local_market(protocol_fee=5))
    market = street.open("range")
    books, row = Books(street, {"lp": market}), 0
    for stop in range(most + 1):
        if before:
            assert books.trade("lp", before, row, 0.1) is not None
            street.trade_there_and_back()
        row += 2
        books.equal_the_chain(row)
        failed = len(books.journal.payloads(OrderFailed))
        with monkeypatch.context() as patched:
            sent = break_after(patched, street, lambda number, _, stop=stop: number >= stop)
            fill = books.trade("lp", after, row, width)
        assert len(sent) <= stop
        assert (fill is None) == (len(books.journal.payloads(OrderFailed)) > failed)
        books.equal_the_chain(row + 1)
        # The next order finds all of it.
        worth = market.value(books.account.positions.get("lp", market.open()), row)
        if worth:
            assert books.trade("lp", worth / USD * 1.1, row + 1, -0.3) is not None
            assert books.held("lp").liquidity > 0
            assert market.worth(market.pool(), books.held("lp").idle_coin, books.held("lp").idle_base) < 10
            books.equal_the_chain()
            assert books.trade("lp", 0, row + 1, 0.0) is not None
        books.equal_the_chain(row + 1)
        assert market.uniswap.owned() == ()
        assert not any(market.holdings(books.account.positions.get("lp", market.open())).values())
    assert fill is not None
    assert market.unfinished == ""
    assert books.account.cash_raw > 59_500 * USD


def test_an_emptied_range_goes_back_into_one_of_the_same_width(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    market = street.open("range")
    books = Books(street, {"lp": market})
    books.trade("lp", 10_000, 0, 0.1)
    first = books.held("lp")
    street.move_by(0.01)
    with monkeypatch.context() as patched:
        break_after(patched, street, lambda _, function: function == "collect")
        assert books.trade("lp", market.value(tuple(first), 1) / USD, 1, -0.1) is not None
    held = books.held("lp")
    assert (held.token_id, held.liquidity, held.width) == (first.token_id, 0, first.width)
    assert market.worth(market.pool(), held.idle_coin, held.idle_base) > 9_900 * USD
    books.equal_the_chain()
    assert books.trade("lp", market.value(tuple(held), 2) / USD, 2, 0.1) is not None
    assert books.held("lp").liquidity > 0
    assert market.uniswap.owned() == (books.held("lp").token_id,) != (first.token_id,)
    books.equal_the_chain()


def test_a_partial_sale_is_booked_by_its_receipts_when_the_node_is_gone(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, session = street.open("range"), street.market.session
    books, settle = Books(street, {"lp": market}), market.settle
    books.trade("lp", 20_000, 0, 0.1)
    street.trade_there_and_back()
    gone = pytest.MonkeyPatch()

    def no_answer(*_: Any, **__: Any) -> Any:
        raise ChainError("the node is gone for a moment")

    def last(_: int, function: str) -> bool:
        if function == "collect":
            gone.setattr(session, "call", no_answer)
        return function == "collect"

    def until_then(*arguments: Any) -> Any:
        try:
            return settle(*arguments)
        finally:
            gone.undo()

    with monkeypatch.context() as patched:
        patched.setattr(market, "settle", until_then)
        break_after(patched, street, last)
        fill = books.trade("lp", 5_000, 1, 0.1)
    assert fill is not None
    held = books.held("lp")
    assert held.liquidity == market.uniswap.position(held.token_id).liquidity > 0
    assert market._worth(market.pool(), held._replace(idle_coin=0, idle_base=0)) == pytest.approx(5_000 * USD, rel=0.01)
    books.equal_the_chain()


@pytest.mark.parametrize(
    "method",
    [
        *("eth_getBlockByNumber", "eth_call", "eth_simulateV1", "eth_feeHistory"),
        *("eth_estimateGas", "eth_getBalance", "eth_getTransactionCount"),
    ],
)
@pytest.mark.parametrize("told", [None, "zz", {}, []], ids=str)
def test_nonsense_from_the_node_is_refused_in_one_sentence_before_signing(
    local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch, method: str, told: object
) -> None:
    street = Street(local_market)
    books, sent = Books(street, {"coin": street.open("spot")}), street.sent()
    transport = local_market.session._transport
    request = transport.request
    with monkeypatch.context() as patched:
        patched.setattr(transport, "request", lambda name, *more: told if name == method else request(name, *more))
        assert books.trade("coin", 1_000, 0) is None
    (event,) = [*books.journal.payloads(OrderRejected), *books.journal.payloads(OrderFailed)]
    assert f"{method}: the node at" in event.reason
    assert "answered with something that cannot be read" in event.reason
    assert "\n" not in event.reason
    assert street.sent() == sent
    books.equal_the_chain(1)
    assert books.trade("coin", 1_000, 2) is not None
    books.equal_the_chain(3)


@pytest.mark.parametrize(
    ("function", "where"),
    [
        *((name, moment) for name in ("approve", "multicall") for moment in ("submitted", "mined", "told")),
        ("multicall", "cleaned"),
    ],
)
def test_ctrl_c_at_any_moment_of_an_order_buys_once(
    local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch, function: str, where: str
) -> None:
    """Before the node has the transaction, before its receipt, after it, and while the allowance is taken back."""
    street = Street(local_market)
    market = street.open("spot")
    books, session, now = Books(street, {"coin": market}), local_market.session, [""]
    send, submit, receipt = session.send, session.submit, session.receipt

    def sending(who: Any, to: str, called: Any, *arguments: Any, **more: Any) -> Any:
        now[0] = "cleaned" if called.name == "approve" and not arguments[1] else called.name
        if now[0] == function and where == "cleaned":
            raise FeeError("gas costs too much now")
        done = send(who, to, called, *arguments, **more)
        if now[0] == function and where == "told":
            raise KeyboardInterrupt
        return done

    def submitting(signed: Any) -> None:
        if (now[0] == function and where == "submitted") or now[0] == where:
            raise KeyboardInterrupt
        submit(signed)

    def receiving(digest: str) -> Any:
        if now[0] == function and where == "mined":
            raise KeyboardInterrupt
        return receipt(digest)

    with monkeypatch.context() as patched:
        patched.setattr(session, "send", sending)
        patched.setattr(session, "submit", submitting)
        patched.setattr(session, "receipt", receiving)
        with pytest.raises(KeyboardInterrupt):
            books.trade("coin", 10_000, 0)
    (order,) = books.journal.payloads(OrderQuarantined)
    with suppress(ExecutionError):
        books.engine.execute_trade(order.intent_id)
    assert books.account.positions["coin"][0] == street.balance("WETH") - books.outside["WETH"]
    books.equal_the_chain(1)
    assert books.trade("coin", 10_000, 2) is not None or books.account.positions["coin"][0]
    assert street.balance("WETH") - books.outside["WETH"] == pytest.approx(5 * 10**18, rel=0.01)
    books.equal_the_chain(3)
    assert allowances(street, market.uniswap) == {0}


def test_an_allowance_whose_swap_was_refused_unheard_is_taken_back_once_that_is_known(
    local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = Street(local_market)
    market = street.open("spot")
    books, session = Books(street, {"coin": market}), local_market.session
    request, silent, sent = session._transport.request, [False], [0]

    def answered(method: str, *params: Any) -> Any:
        if silent[0]:
            raise LostError(f"{method}: no answer")
        if method == "eth_sendRawTransaction":
            sent[0] += 1
            if sent[0] == 2:  # behind the approval
                street.move_by(0.02)  # others were faster, the swap will be refused
                request(method, *params)
                silent[0] = True
                raise LostError(f"{method}: no answer")
        return request(method, *params)

    with monkeypatch.context() as patched:
        patched.setattr(session._transport, "request", answered)
        assert books.trade("coin", 10_000, 0) is None
        assert books.journal.payloads(OrderQuarantined)
    assert allowances(street, market.uniswap) == {0, 10_000 * USD}
    books.engine.ask_again()
    assert books.journal.payloads(OrderFailed)
    assert allowances(street, market.uniswap) == {0}
    books.equal_the_chain(1)


@pytest.mark.parametrize(("kind", "control"), [("range", (0.2,)), ("spot", ())])
def test_what_a_killed_process_left_of_allowances_is_taken_back_before_the_next_order(
    local_market: LocalMarket, kind: str, control: tuple[float, ...]
) -> None:
    street = Street(local_market)
    market = street.open(kind)
    spenders = (market.uniswap.router, market.uniswap.positions)[: 2 if kind == "range" else 1]
    left = [(symbol, spender) for symbol in ("USDC", "WETH") for spender in spenders]
    for symbol, spender in left:
        market.uniswap._token(symbol).approve(street.user.signer, spender, 7)
    market = street.open(kind)  # a new process: it knows nothing of them
    books = Books(street, {"coin": market})
    assert books.trade("coin", 5_000, 0, *control) is not None
    assert {market.uniswap._token(symbol).allowance(street.user.address, spender) for symbol, spender in left} == {0}
    assert market.unfinished == ""
    books.equal_the_chain(1)


@pytest.mark.parametrize("arrived", [True, False], ids=["the node had it", "the node had it not"])
def test_whichever_request_is_lost_no_allowance_is_left_after_the_next_order(
    local_market: LocalMarket, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    """Each request of an order in turn gets no answer, and the six behind it: the books equal the chain all the same."""
    monkeypatch.setattr(sessions, "RESOLVE_SECONDS", 0.2)
    session = local_market.session
    request, number = session._transport.request, 20
    while True:
        number += 7
        with local_market.chain.isolated():
            street = Street(local_market)
            market = street.open("spot")
            books, count = Books(street, {"coin": market}), [0]

            def lossy(method: str, *params: Any, number: int = number, count: list[int] = count) -> Any:
                count[0] += 1
                lost = number <= count[0] < number + 7
                answer = request(method, *params) if arrived or not lost else None
                if lost:
                    raise LostError(f"{method}: no answer")
                return answer

            with monkeypatch.context() as patched:
                patched.setattr(session._transport, "request", lossy)
                books.trade("coin", 10_000, 0)
            books.engine.ask_again()
            books.equal_the_chain(1)
            books.trade("coin", 5_000, 2)
            books.equal_the_chain(3)
            assert street.balance("WETH") - books.outside["WETH"] == pytest.approx(25 * 10**17, rel=0.01)
            assert allowances(street, market.uniswap) == {0}, number
        if count[0] < number:
            break
    assert number > 45  # fewer, and it would not be an order any more
