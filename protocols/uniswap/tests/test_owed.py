"""What positions are owed, by reading: equal to what the position manager would pay, asked for `collect` without sending it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from uniswap_street import ETH, USD, Street

from treasury_arena.randomness import stream
from treasury_arena_evm.interfaces.uniswap import V3_POOL, V3_POSITIONS
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.chain import UniswapV3
from treasury_arena_uniswap.owed import position_key


@pytest.fixture(params=[True, False], ids=["USDC is token0", "USDC is token1"])
def street(request: pytest.FixtureRequest, make_local_market: Callable[..., LocalMarket]) -> Street:
    return Street(make_local_market(usdc_first=request.param, protocol_fee=5))


class Owner:
    """An account with positions in the pool of USDC and WETH."""

    def __init__(self, street: Street) -> None:
        self.street, self.session = street, street.market.session
        self.uniswap = UniswapV3(self.session, street.user.signer)
        pool = self.uniswap.pool("USDC", "WETH", 500)
        self.middle = pool.tick // 10 * 10

    @property
    def soon(self) -> int:
        return self.street.market.chain.now + 600

    def mint(self, lower: int, upper: int, usd: float, coins_usd: float) -> int:
        sides = int(usd * USD), int(coins_usd * ETH / 2_000)
        pool = self.uniswap.pool("USDC", "WETH", 500)
        offer = sides if self.street.base_first else sides[::-1]
        return self.uniswap.mint(pool, self.middle + lower, self.middle + upper, *offer, self.soon).token_id

    def swap(self, usd: float, *, coins: bool) -> None:
        if coins:
            self.uniswap.swap("WETH", "USDC", 500, int(usd * ETH / 2_000), 1, self.soon)
        else:
            self.uniswap.swap("USDC", "WETH", 500, int(usd * USD), 1, self.soon)

    def same(self, *tokens: int) -> list[tuple[int, int]]:
        """Fees of positions, after they were compared with what the contract answers."""
        collect, found = V3_POSITIONS.function("collect"), []
        for token in tokens:
            held = self.uniswap.position(token)
            most = (token, held.owner, 2**128 - 1, 2**128 - 1)
            asked = self.session.call(self.uniswap.positions, collect, most, sender=held.owner)
            assert (held.fees0, held.fees1) == tuple(asked)
            found.append((held.fees0, held.fees1))
        return found


def test_through_the_lives_of_several_positions(street: Street) -> None:
    """On the same ticks and beside them, touched at different times, in and out of the range."""
    it, draw = Owner(street), stream(11, 0, "tests/owed")
    below, above = ((100.0, 0.0), (0.0, 100.0)) if not street.base_first else ((0.0, 100.0), (100.0, 0.0))
    tokens = [it.mint(-300, 300, usd, usd) for usd in draw.uniform(1_000, 90_000, 3)]
    tokens += [it.mint(-600, -20, *(1_000 * side for side in below)), it.mint(20, 600, *(1_000 * s for s in above))]
    fees = it.same(*tokens)
    for turn in range(12):
        it.swap(draw.uniform(10_000, 90_000), coins=bool(turn % 2))
        token = tokens[int(draw.integers(len(tokens)))]
        if turn % 3 == 0:
            it.uniswap.decrease(token, it.uniswap.position(token).liquidity // 3, it.soon)
        elif any(it.same(token)[0]):
            it.uniswap.collect(token)
        fees = it.same(*tokens)
    assert sum(any(pair) for pair in fees) >= 3
    for token in tokens:
        it.uniswap.decrease(token, None, it.soon)
        assert any(it.same(*tokens)[tokens.index(token)])
    for token in tokens:
        it.uniswap.collect(token)
        assert it.same(token) == [(0, 0)]
        it.uniswap.burn(token)


def short(it: Owner) -> tuple[int, int]:
    """Two positions on the same ticks: one that is emptied, of which the pool owes less than the token is told, and another.

    Every touch rounds down what the pool owes, so it walks at random against what the tokens are told; tried until it is below.
    """
    chain, address = it.street.market.chain, it.street.address
    for attempt in range(6):
        width = 300 + 10 * attempt
        key = position_key(it.uniswap.positions, it.middle - width, it.middle + width)
        rare, often = it.mint(-width, width, 40_000, 40_000), it.mint(-width, width, 30_000, 30_000)
        for turn in range(20):
            for coins in (False, True):
                it.swap(1_000 + 41 * turn, coins=coins)
            it.uniswap.collect(often)
            snapshot = chain.snapshot()
            it.uniswap.decrease(rare, None, it.soon)
            told = it.session.call(it.uniswap.positions, V3_POSITIONS.function("positions"), rare)[-2:]
            there = it.session.call(address, V3_POOL.function("positions"), key)[-2:]
            if told[0] > there[0] or told[1] > there[1]:
                return rare, often
            chain.revert(snapshot)
    raise AssertionError("the pool never owed less")


def test_when_the_pool_owes_less_than_the_token_is_told(street: Street) -> None:
    """Who comes last goes without, and gets none of another's later fees."""
    it = Owner(street)
    rare, often = short(it)
    it.same(rare, often)
    it.swap(5_000, coins=False)
    it.swap(5_000, coins=True)
    before = it.same(rare, often)
    it.uniswap.collect(rare)
    assert it.same(rare, often) == [(0, 0), before[1]]
