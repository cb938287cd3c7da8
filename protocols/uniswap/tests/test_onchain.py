"""Coins and ranges on a real node as markets: the laws of every fidelity, and what is refused before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from uniswap_street import ASSETS, CHAIN, ETH, USD, USDC, WETH, Street

from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ChainUnavailableError, ConfigError, TreasuryArenaError, ValidationError
from treasury_arena.testing.conformance import FidelityConformance, Holder, MarketHolder, ModelHolder
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena_evm.chains import LOCAL_ID
from treasury_arena_evm.errors import TokenError
from treasury_arena_evm.interfaces.uniswap import V3_FACTORY
from treasury_arena_evm.local.failing import FAULTS, failing
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_evm.session import connect
from treasury_arena_evm.tokens import Token
from treasury_arena_uniswap.chain import UniswapV3
from treasury_arena_uniswap.hands import HeldOnChain
from treasury_arena_uniswap.protocol import UniswapProtocol

FRAME = synthetic_frame(
    5, step_seconds=3600, gas=0.4, columns={"WETH.liquidity": 1.9e6, "WETH.tvl": 1.0e8, "WETH.volume": 7.0e6}
)
FIELDS = {
    "price": "WETH.price",
    "liquidity": "WETH.liquidity",
    "tvl": "WETH.tvl",
    "volume": "WETH.volume",
    "gas": "gas.usd",
}
MODELS = {model.name: model for model in UniswapProtocol().models}


def spec(name: str, **params: float) -> MarketSpec:
    model = MODELS[name]
    columns = {field: FIELDS[field] for field in model.market._fields}
    return MarketSpec(name.split(".")[1], name, model.kind, "WETH", columns, params, coin=True)


class ChainHolder(MarketHolder):
    """A position on the chain whose own moves of the price somebody takes back, as the frames of the other fidelities have it."""

    def __init__(self, market: Any, street: Street, **settings: Any) -> None:
        super().__init__(market, "chain", street.trade_there_and_back, **settings)
        self._street = street

    def move(self, target: float) -> float | None:
        here = self._street.price()
        cash = super().move(target)
        self._street.move_to(here)
        return cash


@pytest.fixture
def street(local_market: LocalMarket) -> Street:
    return Street(local_market)


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def either(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(usdc_first=request.param, protocol_fee=5))


#: A width for ranges: the price is inside, and re-centring is not asked for again.
CONTROLS = {"spot": (), "range": (0.2,)}


@pytest.mark.parametrize("name", ["uniswap.spot", "uniswap.spot_tvl", "uniswap.range", "uniswap.range_tvl"])
@pytest.mark.parametrize("fidelity", ["model", "exact"])
class TestFidelities(FidelityConformance):
    @pytest.fixture
    def holder(self, name: str, fidelity: str) -> Holder:
        control = CONTROLS[MODELS[name].kind]
        if fidelity == "model":
            return ModelHolder(MODELS[name], spec(name), FRAME, control=control)
        return MarketHolder(UniswapProtocol().exact(spec(name), FRAME, ASSETS, USDC), control=control)


@pytest.mark.parametrize("kind", ["spot", "range"])
class TestOnChain(FidelityConformance):
    @pytest.fixture
    def holder(self, kind: str, either: Street) -> Holder:
        # A range earns a share of the fees of those who take its moves back.
        grain = 0.02 if kind == "range" else 1e-4
        # Those who trade leave the price where it was: a coin is worth what it was, only a range earns.
        return ChainHolder(either.open(kind), either, control=CONTROLS[kind], grain=grain, changes=kind == "range")


# ---------------------------------------------------------------- refused before signing, with one sentence


@pytest.fixture
def empty(make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(liquid=False))


def refused(street: Street, act: Callable[[], Any], message: str, error: type[Exception] = ValidationError) -> None:
    sent = street.sent()
    with pytest.raises(error, match=message) as told:
        act()
    assert street.sent() == sent
    assert 20 < len(str(told.value)) < 300
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["spot", "range"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (-1, "the target -1 is negative; a position cannot be"),
        (2_000_000 * USD, "the sender holds 1100000000000 base units of USDC, fewer than 2000000000000"),
        (10**14 * USD, "the sender holds 1100000000000 base units of USDC, fewer than 100000000000000000000"),
        (2**127, "beyond any amount of ours"),
        (2**256 - 1, "a target of 256 binary digits is no amount"),
    ],
)
def test_amounts_that_cannot_be(street: Street, kind: str, target: int, message: str) -> None:
    market = street.open(kind)
    refused(street, lambda: market.trade(market.open(), target, 0, CONTROLS[kind]), message)


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_nothing_to_do_is_no_order(street: Street, kind: str) -> None:
    market, sent = street.open(kind), street.sent()
    for target in (0, 1, USD - 1):
        assert market.trade(market.open(), target, 0, CONTROLS[kind]) is None
    assert street.sent() == sent


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_an_empty_pool(empty: Street, kind: str) -> None:
    market = empty.open(kind)
    message = r"the pool USDC/WETH 0\.05% at 0x\w+ is empty at its price"
    refused(empty, lambda: market.trade(market.open(), 1_000 * USD, 0, CONTROLS[kind]), message)


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_a_pool_without_a_price(street: Street, kind: str) -> None:
    market = street.market
    couple = market.token("DAI").address, market.token("WETH").address
    market.chain.send(market.owner.address, market.uniswap.factory, V3_FACTORY.function("createPool"), *couple, 500)
    dai = ASSETS["DAI"]
    for asset, base in ((WETH, dai), (dai, WETH)):
        made = CHAIN[kind](spec(f"uniswap.{kind}"), market.session, street.user.signer, asset, base)
        trade = lambda made=made: made.trade(made.open(), 10**18, 0, CONTROLS[kind])  # noqa: E731
        refused(street, trade, r"the pool .* at 0x\w+ has no price yet")


@pytest.mark.parametrize("share", [0.2, -0.2], ids=["all of it the base asset", "all of it coins"])
def test_a_range_in_a_pool_that_is_empty_at_its_price(empty: Street, share: float) -> None:
    """It is left where nothing needs to be swapped for that, and refused in one sentence where something does."""
    market, maker = empty.open("range"), UniswapV3(empty.market.session, empty.market.maker.signer)
    pool = market.pool()
    middle = pool.tick // 10 * 10
    amounts = market.sided(100 * ETH, 200_000 * USD)
    maker.mint(pool, middle - 200, middle + 200, *amounts, empty.market.chain.now + 600)
    state = market.settle("x", market.open(), market.trade(market.open(), 1_000 * USD, 0, (0.05,)), 0).state
    empty.move_by(share)
    assert market.pool().liquidity == 0
    held = HeldOnChain(*market.accrue(state, 0, 1)[0])
    if share > 0.0:
        fill = market.trade(tuple(held), 0, 1, (0.0,))
        before = empty.balance("USDC")
        done = market.settle("y", tuple(held), fill, 1)
        assert done.cash_raw == empty.balance("USDC") - before == held.base + held.idle_base
        assert done.state[:3] == (0, 0, 0)
    else:
        refused(empty, lambda: market.trade(tuple(held), 0, 1, (0.0,)), "is empty at its price")


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_more_than_the_pool_can_take(street: Street, kind: str) -> None:
    street.market.fund("USDC", street.user.address, 10**12 * USD)
    market = street.open(kind)
    for target, message in (
        (10**12, "has not the liquidity to swap .*; split it|would move the price"),
        (
            4_000_000,
            f"market '{kind}': the order would move the price of USDC/WETH 0.05% by .* bps, more than 200; split it",
        ),
    ):
        refused(street, lambda usd=target: market.trade(market.open(), usd * USD, 0, CONTROLS[kind]), message)  # type: ignore[misc]
    assert market.trade(market.open(), 500_000 * USD, 0, CONTROLS[kind]) is not None


def test_a_sale_stands_alone_where_re_centring_would_move_the_price_too_far(either: Street) -> None:
    """As in replay: the swap that re-centring takes is refused, the sale is not."""
    market, narrow = either.open("range"), either.open("range", max_move_bps=5)
    state = market.settle("x", market.open(), market.trade(market.open(), 80_000 * USD, 0, (0.05,)), 0).state
    either.move_by(0.08)
    state, _ = market.accrue(state, 0, 1)
    value = market.value(state, 1)
    refused(either, lambda: narrow.trade(state, value, 1, (-0.05,)), "more than 5; split it")
    target = value - 1_000 * USD
    fill, alone = narrow.trade(state, target, 1, (-0.05,)), narrow.trade(state, target, 1, (0.0,))
    assert fill.cash_raw == alone.cash_raw > 990 * USD
    done = narrow.settle("y", state, fill, 1)
    assert done.cash_raw == fill.cash_raw
    assert HeldOnChain(*done.state)[:1] == HeldOnChain(*state)[:1]
    assert market.trade(state, target, 1, (-0.05,)).state[2:4] != state[2:4]


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_what_a_market_cannot_be_made_of(street: Street, kind: str) -> None:
    refused(street, lambda: street.open(kind, fee=123), r"market '.*': there is no pool of .* 0\.0123%", ConfigError)
    refused(street, lambda: street.open(kind, slippage_bps=0), "a slippage of 0 bps must lie from 1 to 1000")
    session, who = street.market.session, street.user.signer
    for wrong, error, message in (
        ((Asset("WETH", 8), USDC), ConfigError, "WETH has 8 decimals in the ledger and 18 on local"),
        ((WETH, Asset("USDC", 18, stable=True)), ConfigError, "USDC has 18 decimals in the ledger and 6 on local"),
        ((Asset("WBTC", 8), USDC), TokenError, "unknown token 'WBTC'"),
        ((USDC, USDC), ConfigError, "trades USDC against itself"),
    ):
        refused(street, lambda pair=wrong: CHAIN[kind](spec("uniswap.spot"), session, who, *pair), message, error)  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["spot", "range"])
def test_a_token_whose_contract_has_other_decimals_than_are_pinned(street: Street, kind: str) -> None:
    session = street.market.session
    tokens = [Token(LOCAL_ID, "USDC", street.market.token("USDC").address, 8), session.tokens.symbol("WETH")]
    other = connect(street.market.url, session.chain, tokens=tokens)
    base = Asset("USDC", 8, stable=True)
    market = CHAIN[kind](spec(f"uniswap.{kind}"), other, street.user.signer, WETH, base)
    message = "USDC at 0x.* has 6 decimals, but 8 are pinned"
    refused(street, lambda: market.trade(market.open(), 100 * base.unit, 0, CONTROLS[kind]), message)


def test_a_range_of_somebody_else(street: Street) -> None:
    market = street.open("range")
    theirs = tuple(HeldOnChain(token_id=1, liquidity=1))
    refused(street, lambda: market.trade(theirs, 0, 0, (0.1,)), "position 1 belongs to 0x.*, not to 0x")


@pytest.mark.parametrize("width", [1e-9, 1e9, 1e300])
def test_ticks_stay_where_a_position_can_be(either: Street, width: float) -> None:
    """Any width becomes a range of usable ticks around the price; ticks beyond them never reach an order."""
    market = either.open("range")
    fill = market.trade(market.open(), 1_000 * USD, 0, (width,))
    held = HeldOnChain(*market.settle("x", market.open(), fill, 0).state)
    assert -887_270 <= held.lower <= market.pool().tick < held.upper <= 887_270
    assert held.lower % 10 == held.upper % 10 == 0
    assert (held.upper - held.lower == 10) is (width < 1e-6)
    bench = market.bench()
    refused(either, lambda: bench.add(-887_280, 0, 10**6, 10**18), "must be ascending and within -887272 to 887272")
    refused(either, lambda: bench.add(-15, 20, 10**6, 10**18), "tick -15 is not a multiple of 10")


def test_the_bench_does_what_the_pool_does(either: Street) -> None:
    """Swaps through ticks on the copy end at the same price with the same amounts, up to where the copy knows the pool."""
    market = either.open("spot")
    for given, got, amount in (
        (WETH, USDC, 3 * ETH),
        (USDC, WETH, 5_000 * USD),
        (WETH, USDC, 600 * ETH),
        (USDC, WETH, 1_200_000 * USD),
        (USDC, WETH, 1),
    ):
        zero_for_one = (given == WETH) == market._coin_is_token0
        quote = market.uniswap.quote(given.symbol, got.symbol, 500, amount)
        bench = market.bench()
        assert bench.swap(zero_for_one, amount) == quote.amount_out
        assert bench.pool.sqrt_price_x96 == quote.sqrt_price_after_x96
    refused(either, lambda: market.bench().swap(True, 10**26), "split it")
    refused(either, lambda: market.bench().swap(True, 0), "a swap of 0 base units is none")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_after_the_swap_the_tokens_fit_the_range(either: Street, share: float) -> None:
    market = either.open("range")
    pool = market.pool()
    low, high = pool.tick // 10 * 10 - 400, pool.tick // 10 * 10 + 900
    usd = 200_000
    coin, base = int(share * usd / 2_000 * ETH), int((1.0 - share) * usd * USD)
    bench = market.bench()
    zero_for_one, amount = bench.to_swap(low, high, *market.sided(coin, base))
    coin_in = zero_for_one == market._coin_is_token0
    out = bench.swap(zero_for_one, amount)
    coin, base = (coin - amount, base + out) if coin_in else (coin + out, base - amount)
    _, used0, used1 = bench.add(low, high, *market.sided(coin, base))
    used_coin, used_base = market.sided(used0, used1)
    idle_coin, idle_base = coin - used_coin, base - used_base
    assert idle_coin >= 0 <= idle_base
    assert market.worth(pool, idle_coin, idle_base) <= 3


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("kind", ["spot", "range"])
def test_a_position_that_cannot_be_read_is_told_in_one_sentence(street: Street, kind: str, fault: str) -> None:
    market = street.open(kind)
    fill = market.trade(market.open(), 1_000 * USD, 0, CONTROLS[kind])
    assert fill is not None
    state = market.settle("first", market.open(), fill, 0).state
    reads = [lambda: market.value(state, 0), lambda: market.trade(state, 500 * USD, 0)]
    if kind == "range":
        reads += [lambda: market.accrue(state, 0, 1), lambda: market.views(state, 0)]
    for read in reads:
        with failing(street.market.session, fault), pytest.raises(TreasuryArenaError, match=f"market '{kind}'") as told:
            read()
        assert "\n" not in str(told.value)
        if read is reads[0] and fault in ("gone", "busy"):
            assert isinstance(told.value, ChainUnavailableError)  # not known, which is neither nothing nor a refusal
    assert market.value(state, 0) > 900 * USD
