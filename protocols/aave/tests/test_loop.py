"""Looping and delevering on the exact pool with an exchange by hand: the floor holds between steps, and goals are met."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from aave_pools import USDC as USD
from aave_pools import WETH as ETH
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.errors import ValidationError
from treasury_arena_aave.hands import Rehearsal
from treasury_arena_aave.loop import ONE, Terms, place, release
from treasury_arena_aave.reading import USER

ASSETS = AssetTable(KNOWN_ASSETS)
PRICE = 2_000


@attrs.frozen
class Fair:
    """Swaps at the oracle's price less a fee; no transactions."""

    fee_bps: int = 5
    price: int = PRICE

    def quote_buy(self, base_raw: int) -> int:
        return base_raw * (10_000 - self.fee_bps) * ETH // (10_000 * self.price * USD)

    def quote_sell(self, coin_raw: int) -> int:
        return coin_raw * self.price * USD * (10_000 - self.fee_bps) // (10_000 * ETH)

    def buy(self, base_raw: int) -> Any:
        raise NotImplementedError

    def sell(self, coin_raw: int) -> Any:
        raise NotImplementedError


class Watched(Rehearsal):
    """A rehearsal that remembers the health factor after every step, and what it had to be."""

    def act(self, operation: str, amount: int | None) -> int:
        least = self.terms.least(self.worth(self.tokens), self.owed)
        done = super().act(operation, amount)
        if operation in ("borrow", "withdraw") and self.owed:
            self.seen = [*getattr(self, "seen", []), (self._pool.account(USER).health / 1e18, least)]
        return done


@pytest.fixture(scope="module")
def make_hands(make_pool: Any) -> Any:
    def make(floor: float = 1.05, exchange: Any = None) -> Watched:
        pool = make_pool()
        pool.supply("USDC", "maker", 50_000_000 * USD)
        pool.supply("WETH", "maker", 50_000 * ETH)
        config = pool.config("WETH")
        terms = Terms(config.ltv, config.threshold, floor, USD)
        prices = (pool.prices["WETH"], pool.prices["USDC"])
        return Watched(ASSETS["WETH"], ASSETS["USDC"], prices, terms, 0, pool, exchange or Fair())

    return make


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@example(stake=100, ltvs=[0.70703125, 0.015625], fee=0, part=0.70703125)  # the debt is raised: dust is not bought back
@given(
    stake=st.integers(100, 1_000_000),
    ltvs=st.lists(st.floats(0.0, 0.78), min_size=2, max_size=4),
    fee=st.integers(0, 100),
    part=st.floats(0.05, 0.9),
)
def test_every_goal_is_met_above_the_floor(
    make_hands: Any, stake: int, ltvs: list[float], fee: int, part: float
) -> None:
    hands = make_hands(exchange=Fair(fee))
    worth = stake * USD
    for number, ltv in enumerate(ltvs):
        hands.cash = 0 if number else worth
        hands.lost = 0
        place(hands, int(ltv * ONE))
        left = hands.held - hands.owed + hands.cash
        # What is gone is what swaps cost; every rounding is a unit or two of the base asset.
        assert left == pytest.approx(worth - hands.lost, abs=200)
        assert hands.owed / hands.held == pytest.approx(ltv, abs=0.0011)
        assert hands.idle == 0
        assert hands.cash <= USD
        worth = hands.held - hands.owed
    target = int(part * worth)
    hands.cash = hands.lost = 0
    release(hands, target, int(ltvs[0] * ONE))
    left = hands.held - hands.owed
    assert target - hands.terms.dust - 200 <= left <= target + 200
    assert left + hands.cash == pytest.approx(worth - hands.lost, abs=200)
    assert hands.owed == pytest.approx(target * ltvs[0] / (1.0 - ltvs[0]), abs=1.01 * USD)
    assert hands.cash > 0
    release(hands, 0, int(ltvs[0] * ONE))
    assert (hands.tokens, hands.owed, hands.idle) == (0, 0, 0)
    assert all(health >= least for health, least in getattr(hands, "seen", []))


@pytest.mark.parametrize("fall", [0.93, 0.96])
def test_below_the_floor_steps_go_half_the_way_at_most(make_hands: Any, fall: float) -> None:
    hands = make_hands(1.15)
    hands.cash = 10_000 * USD
    place(hands, 7 * ONE // 10)
    price = int(PRICE * fall)
    hands._pool.set_price("WETH", price * 10**8)
    hands._prices, hands._exchange, hands.seen = (price * 10**8, 10**8), Fair(price=price), []
    worth = hands.held - hands.owed
    release(hands, worth // 2, 4 * ONE // 10)
    assert all(health >= least > 1.0 for health, least in hands.seen)
    assert hands.seen[0][1] < 1.15
    assert hands.owed / hands.held == pytest.approx(0.4, abs=0.001)


def test_what_cannot_be_reached_is_told(make_hands: Any) -> None:
    hands = make_hands(1.5)
    hands.cash = 1_000 * USD
    with pytest.raises(
        ValidationError, match=r"the loan-to-value 0\.7000 cannot be reached: \d+\.\d+ USDC are owed at a health"
    ):
        place(hands, 7 * ONE // 10)


@pytest.mark.parametrize("price", [1_700, 1])
def test_an_exchange_far_below_the_oracle_is_not_used(make_hands: Any, price: int) -> None:
    hands = make_hands()
    hands.cash = 1_000 * USD
    place(hands, ONE // 2)
    hands._exchange = Fair(price=price)
    with pytest.raises(ValidationError, match="more than 10 % below Aave's price of WETH"):
        release(hands, 0, ONE // 2)
    hands._exchange, hands.cash = Fair(price=4_000_000), 1_000 * USD
    with pytest.raises(ValidationError, match="more than 10 % below"):
        place(hands, ONE // 2)
