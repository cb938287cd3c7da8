"""Strategies and orders through the trading engine on a real node: the books say what the chain says, at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pool_strategies.provider import STRATEGY as PROVIDER
from uniswap_street import AGENT, ETH, USD, USDC, Books, Street

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.errors import ExecutionError
from treasury_arena.events.catalog import OrderFailed, OrderRejected, OrderSettled
from treasury_arena.ledger import accounts
from treasury_arena.trading.guard import Watchdog
from treasury_arena.trading.runner import LiveRunner, StrategyDesk
from treasury_arena_erc4626.chain import VaultOnChain
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_peg.strategy import STRATEGY as PEG
from treasury_arena_range.strategy import RANGE
from treasury_arena_uniswap import orders
from treasury_arena_uniswap.protocol import UniswapProtocol

MODELS = {model.kind: model for model in UniswapProtocol().models[::2]}


@pytest.fixture
def street(local_market: LocalMarket) -> Street:
    return Street(local_market)


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def either(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(usdc_first=request.param, protocol_fee=5))


def runner(books: Books, strategy: Strategy, features: Callable[[int], Sequence[float]]) -> LiveRunner:
    models = {role: MODELS.get(bound.kind, MODELS["spot"]) for role, bound in strategy.roles.items()}
    coins = frozenset(role for role, market in books.markets.items() if market.spec.coin)
    desk = StrategyDesk(strategy, {role: role for role in strategy.roles}, models, lambda _, row: features(row), coins)
    books.account.strategy = strategy.name
    return LiveRunner(books.engine, {strategy.name: desk}, 0, 3600, Watchdog(30.0))


def settled(books: Books, role: str) -> int:
    return sum(event.role == role for event in books.journal.payloads(OrderSettled))


def test_a_provider_lives_on_the_chain(either: Street) -> None:
    """Swaps and mints, is re-centred when the price strays, is resized, and leaves."""
    books = Books(either, {"eth": either.open("spot"), "lp": either.open("range")})
    genome = {"width": 0.05, "stray": 0.6, "share": 0.7, "band": 0.03, "window": 24.0}
    books.account.genome = tuple(PROVIDER.space.genome(genome).tolist())
    live = runner(books, PROVIDER, lambda row: (1.0 if row % 12 < 6 else -1.0,))
    ranges, moves = set(), [0.0, 0.001, 0.002, 0.04, 0.0, -0.03, -0.03, 0.0, 0.01, -0.01, 0.0, 0.07, 0.0]
    for row, move in enumerate(moves):
        either.move_by(move)
        either.trade_there_and_back()
        live.step(books.account, 2 * row)
        assert books.account.failed is None
        books.equal_the_chain(2 * row + 1)
        ranges.add(books.held("lp")[:4])
    assert len({(token_id, *bounds) for token_id, _, *bounds in ranges if token_id}) >= 3
    assert settled(books, "eth") >= 3
    assert not books.journal.payloads(OrderRejected)
    assert not books.journal.payloads(OrderFailed)
    for role in ("lp", "eth"):
        assert books.trade(role, 0, 2 * len(moves), *((0.0,) if role == "lp" else ())) is not None
        books.equal_the_chain()
    assert books.markets["lp"].uniswap.owned() == ()
    assert books.markets["lp"].value(books.account.positions["lp"], 0) == 0
    assert books.account.positions["eth"] == (0,)
    assert 55_000 * USD < books.account.cash_raw < 60_500 * USD
    assert books.journal.ledger.balance(accounts.GAS, "ETH") > 0


def test_the_range_strategy_lives_on_the_chain(street: Street) -> None:
    """Mints, is re-centred out of its range, and goes back into a vault when the fees are gone."""
    declared = RANGE
    spec = MarketSpec("usd", "erc4626.vault", "lending", "USDC", {})
    vault = VaultOnChain(spec, street.market.session, street.user.signer, USDC, street.market.vault)
    books = Books(street, {"usd": vault, "low": street.open("range"), "high": street.open("range", "high", fee=3_000)})
    genome = {"width_log2": -3.0, "stretch": 0.0, "recentre": 0.5, "patience": 0.0, "edge": 0.0, "slack": 0.0}
    books.account.genome = tuple(declared.space.genome(genome).tolist())

    def features(row: int) -> Sequence[float]:
        volume = 1e7 if row < 9 else 0.0
        pool = (2_000.0, 1.9e6, volume, 0.004)
        return (*pool, *pool, 0.03, 0.1)

    live, seen = runner(books, declared, features), []
    for row in range(13):
        street.move_by(0.10 if row == 4 else 0.0)
        street.trade_there_and_back()
        live.step(books.account, row)
        assert books.account.failed is None
        books.equal_the_chain()
        seen.append(books.held("low")[:1])
    tokens = [token_id for (token_id,) in seen]
    assert tokens[0] == 0
    assert 0 < tokens[3] < tokens[8]
    assert tokens[-1] == 0
    assert street.open("range").uniswap.owned() == ()
    assert books.account.positions["usd"][1] > 59_000 * USD


def test_the_peg_strategy_swaps_on_the_chain(street: Street) -> None:
    """Buys a stablecoin below its peg and sells it when it has recovered."""
    declared = PEG
    from uniswap_street import ASSETS

    from treasury_arena_uniswap.onchain import SpotOnChain

    session, who = street.market.session, street.user.signer
    vault = VaultOnChain(
        MarketSpec("usd", "erc4626.vault", "lending", "USDC", {}), session, who, USDC, street.market.vault
    )
    spec = MarketSpec("usdt", "uniswap.spot", "spot", "DAI", {}, coin=True)
    books = Books(street, {"usd": vault, "usdt": SpotOnChain(spec, session, who, ASSETS["DAI"], USDC, fee=100)})
    books.account.genome = tuple(declared.space.genome({"smoothing": 1.0}).tolist())
    prices = [1.0, 1.0, 0.99, 0.99, 0.99, 1.0, 1.0, 1.0, 1.0]
    live, held = runner(books, declared, lambda row: tuple((prices[row], 0.1)[: len(declared.features._fields)])), []
    for row in range(len(prices)):
        live.step(books.account, row)
        assert books.account.failed is None
        books.equal_the_chain()
        held.append(books.account.positions.get("usdt", (0,))[0])
    assert max(held) > 10_000 * 10**18
    assert held[-1] == 0


def test_several_ranges_of_one_account_are_not_mixed_up(either: Street) -> None:
    market = either.open("range")
    books = Books(either, {"one": market, "other": either.open("range", "other"), "eth": either.open("spot")})
    books.trade("one", 10_000, 0, 0.2)
    books.trade("other", 20_000, 0, 0.2)
    books.trade("eth", 5_000, 0)
    one, other = books.held("one"), books.held("other")
    assert one.token_id != other.token_id
    assert one[2:5] == other[2:5]
    assert other.liquidity == pytest.approx(2 * one.liquidity, rel=1e-3)
    books.equal_the_chain(1)
    before = {role: books.held(role).base for role in ("one", "other")}
    for row in range(2, 4):
        either.trade_there_and_back()
        books.equal_the_chain(row)
    earned = {role: books.held(role).base - was for role, was in before.items()}
    assert earned["other"] == pytest.approx(2 * earned["one"], rel=1e-3)
    assert earned["one"] > 0
    books.trade("one", 0, 4, 0.2)
    books.equal_the_chain(5)
    assert books.held("other").liquidity == other.liquidity
    assert market.uniswap.owned() == (other.token_id,)
    books.trade("other", 30_000, 6, 0.2)
    books.trade("eth", 0, 6)
    books.equal_the_chain(7)
    assert books.held("other").token_id == other.token_id
    assert books.held("other").liquidity > other.liquidity


def test_a_price_that_moved_since_the_quote_fails_the_order_before_signing(street: Street) -> None:
    books = Books(street, {"eth": street.open("spot"), "lp": street.open("range")})
    for row, (role, control) in enumerate((("eth", ()), ("lp", (0.1,)))):
        intent_id = books.engine.submit_trade(books.account, books.intent(role, 5_000, row, *control), 60_000 * USD)
        assert books.account.reserved_raw == 5_000 * USD
        street.move_by(0.02)
        sent = street.sent()
        with pytest.raises(ExecutionError, match=r"the price of USDC/WETH 0\.05% has moved by \d+ bps since the quote"):
            books.engine.execute_trade(str(intent_id))
        assert street.sent() == sent
        assert books.account.reserved_raw == 0
        books.equal_the_chain()
        assert books.trade(role, 5_000, row + 1, *control) is not None
        books.equal_the_chain()


@pytest.mark.parametrize(
    ("role", "control", "sells"), [("eth", (), False), ("eth", (), True), ("lp", (0.1,), False)], ids=str
)
@pytest.mark.parametrize("mined", [False, True], ids=["tried first", "mined"])
def test_a_swap_whose_price_moved_by_more_than_the_slippage_is_not_made(
    street: Street, monkeypatch: pytest.MonkeyPatch, role: str, control: tuple[float, ...], sells: bool, mined: bool
) -> None:
    """Somebody trades in front of the swap, behind everything that is looked at before it is sent."""
    market, session = street.open({"eth": "spot", "lp": "range"}[role]), street.market.session
    books, send = Books(street, {role: market}), session.send
    if sells:
        assert books.trade(role, 5_000, 0, *control) is not None
    here = street.price()

    def behind(share: float) -> Callable[..., Any]:
        def slow(who: Any, to: str, function: Any, *arguments: Any, **more: Any) -> Any:
            if to != market.uniswap.router:
                return send(who, to, function, *arguments, **more)
            street.move_by(-share if sells else share)
            return send(who, to, function, *arguments, gas=500_000 if mined else None)

        return slow

    target = 0 if sells else 5_000
    with monkeypatch.context() as patched:
        patched.setattr(session, "send", behind(0.006))
        intent_id = books.engine.submit_trade(books.account, books.intent(role, target, 1, *control), 60_000 * USD)
        with pytest.raises(ExecutionError, match="Too little received"):
            books.engine.execute_trade(str(intent_id))
    (failed,) = books.journal.payloads(OrderFailed)
    assert "Too little received" in failed.reason
    assert failed.cost_raw > 0
    assert books.account.reserved_raw == 0
    books.equal_the_chain()
    # By less than the slippage of 50 bps it is made.
    street.move_to(here)
    with monkeypatch.context() as patched:
        patched.setattr(session, "send", behind(0.004))
        assert books.trade(role, target, 2, *control) is not None
    books.equal_the_chain()


def test_a_transaction_that_fails_on_the_chain_costs_its_gas_and_nothing_else(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = Books(street, {"eth": street.open("spot")})
    with monkeypatch.context() as patched:
        patched.setattr(street.market.session, "_estimate", lambda call, what: 30_000)
        assert books.trade("eth", 5_000, 0) is None
    (failed,) = books.journal.payloads(OrderFailed)
    assert "market 'spot'" in failed.reason
    assert "was refused" in failed.reason
    assert failed.cost_raw > 0
    assert books.journal.ledger.balance(accounts.GAS, "ETH") > 0
    books.equal_the_chain()
    assert books.trade("eth", 5_000, 1) is not None
    books.equal_the_chain()


def test_money_that_went_away_fails_the_order(street: Street) -> None:
    books = Books(street, {"lp": street.open("range")})
    intent_id = books.engine.submit_trade(books.account, books.intent("lp", 5_000, 0, 0.1), 60_000 * USD)
    token, me, maker = street.market.token("USDC").address, street.user.address, street.maker
    gone, native = street.balance("USDC"), street.native()
    street.market.chain.send(me, token, ERC20.function("transfer"), maker, gone)
    books.native -= native - street.native()
    with pytest.raises(ExecutionError, match="the sender holds 0 base units of USDC"):
        books.engine.execute_trade(str(intent_id))
    street.market.chain.send(maker, token, ERC20.function("transfer"), me, gone)
    assert len(books.journal.payloads(OrderFailed)) == 1
    books.equal_the_chain()


def test_an_order_that_stops_halfway_is_booked_as_far_as_it_came(
    either: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mint fails after the swap: the coins are there, paid for, idle, and go into the range with the next order."""
    books = Books(either, {"lp": either.open("range")})
    with monkeypatch.context() as patched:
        patched.setattr(orders, "least_amounts", lambda *_: (10**30, 10**30))
        fill = books.trade("lp", 10_000, 0, 0.2)
    assert fill is not None
    held = books.held("lp")
    assert (held.token_id, held.liquidity, held.idle_base) == (0, 0, 0)
    assert held.idle_coin > 2 * ETH
    assert -6_000 * USD < fill.cash_raw < -4_000 * USD
    books.equal_the_chain()
    assert books.trade("lp", 10_000, 1, 0.2) is not None
    assert books.held("lp").token_id > 0
    books.equal_the_chain()

    # Re-centring that stops after everything was taken out.
    either.move_by(0.05)
    with monkeypatch.context() as patched:
        patched.setattr(orders, "least_amounts", lambda *_: (10**30, 10**30))
        fill = books.trade("lp", 10_000, 2, -0.1)
    assert fill is not None
    assert books.held("lp").token_id == 0
    books.equal_the_chain()
    worth = books.markets["lp"].value(books.account.positions["lp"], 3) / USD
    assert books.trade("lp", worth, 3, 0.1) is not None
    assert books.held("lp").token_id > 0
    books.equal_the_chain()
    assert books.trade("lp", 0, 4, 0.0) is not None
    books.equal_the_chain()
    assert books.account.cash_raw > 59_800 * USD


def test_a_range_is_kept_resized_and_re_centred_as_its_width_says(either: Street) -> None:
    books = Books(either, {"lp": either.open("range")})
    assert books.trade("lp", 10_000, 0, 0.0) is None  # nothing opens without a width
    books.trade("lp", 10_000, 0, 0.1)
    first, market = books.held("lp"), books.markets["lp"]

    def worth() -> float:
        return float(market.value(books.account.positions["lp"], 0)) / USD

    assert books.trade("lp", worth(), 1, 0.1) is None
    assert books.trade("lp", worth(), 2, 0.0) is None
    books.trade("lp", worth() / 2, 3, 0.1)
    assert books.held("lp")[:1] + books.held("lp")[2:5] == first[:1] + first[2:5]
    assert books.trade("lp", worth(), 4, 0.2) is not None  # another width
    second = books.held("lp")
    assert second.token_id > first.token_id
    assert second.upper - second.lower > 1.8 * (first.upper - first.lower)
    either.move_by(0.05)
    assert books.trade("lp", worth(), 5, 0.2) is None
    assert books.trade("lp", worth(), 6, -0.2) is not None  # now
    third = books.held("lp")
    assert abs(market.views(tuple(third), 6)["offset"]) < 0.02
    either.move_by(0.3)
    assert market.views(tuple(third), 7)["inside"] == 0.0
    assert books.trade("lp", worth(), 7, 0.0) is None  # left alone
    assert books.trade("lp", worth(), 8, 0.2) is not None  # outside
    fourth = books.held("lp")
    assert market.views(tuple(fourth), 8)["inside"] == 1.0
    # A smaller position in another place, in one order.
    fill = books.trade("lp", worth() / 2, 9, -0.05)
    assert fill is not None
    assert fill.cash_raw == pytest.approx(round(worth() * USD), rel=0.01)
    assert books.held("lp").token_id > fourth.token_id
    books.equal_the_chain()
    assert sum(event.cost_raw for event in books.journal.payloads(OrderSettled)) > 0
    assert books.account.agent_id == AGENT


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_an_order_beyond_the_largest_move_goes_in_pieces(street: Street, kind: str) -> None:
    """Each piece moves the price by at most `max_move_bps`; others bring it back before the next decision."""
    books = Books(street, {kind: street.open(kind, max_move_bps=5)})
    here, control = street.price(), (0.2,) if kind == "range" else ()
    for target in (50_000, 0):
        for row in range(100):
            fill = books.trade(kind, target, row + 100 * (not target), *control)
            moved = abs((street.price() / here) ** 2 - 1.0)
            assert moved <= 5.1e-4
            if fill is None:
                break
            books.equal_the_chain()
            street.move_to(here)
        assert 2 <= row < 50
        assert books.journal.payloads(OrderRejected) == []
        value = books.markets[kind].value(books.account.positions[kind], 0) / street.base.unit
        assert value == pytest.approx(target, rel=0.01, abs=2)
