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
from treasury_arena_aave.loop import DELEVER_ROUNDS_MAX, ONE, STEP, Terms, pay_off, place, release
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


def fall(hands: Watched, health: float) -> None:
    """Let the coin's price fall until the health factor is `health`."""
    price = hands.owed * 10_000 * ETH * 10**8 / (hands.terms.threshold_bps * hands.tokens * USD) * health
    prices = (int(price), 10**8)
    hands._pool.set_price("WETH", prices[0])
    hands._prices, hands._exchange = prices, Oracle(hands._exchange.fee_bps, prices[0])


@attrs.frozen
class Oracle(Fair):
    """Swaps at a price with 8 decimals less a fee."""

    def quote_buy(self, base_raw: int) -> int:
        return base_raw * (10_000 - self.fee_bps) * ETH * 10**8 // (10_000 * self.price * USD)

    def quote_sell(self, coin_raw: int) -> int:
        return coin_raw * self.price * USD * (10_000 - self.fee_bps) // (10_000 * ETH * 10**8)


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@example(stake=10_000, threshold=9_500, floor=1.05, above=0.0, fee=100, part=0.0)  # the slowest
@example(stake=10_000, threshold=8_250, floor=1.05, above=0.0, fee=5, part=0.5)
@given(
    stake=st.integers(100, 1_000_000),
    threshold=st.integers(5_000, 9_500),
    floor=st.floats(1.05, 2.0),
    above=st.floats(0.0, 0.1),
    fee=st.integers(0, 100),
    part=st.sampled_from([0.0, 0.0, 0.3, 0.8]),
)
def test_an_account_just_above_its_floor_is_delevered_in_few_rounds(
    make_hands: Any, stake: int, threshold: int, floor: float, above: float, fee: int, part: float
) -> None:
    """Interrupted at the floor, where a loop that borrows all it may ends."""
    hands = make_hands(exchange=Fair(fee))
    pool, old = hands._pool, hands._pool.config("WETH")
    pool.configs["WETH"] = attrs.evolve(old, ltv=threshold - 100, threshold=threshold, bonus=10_010)
    hands.terms = Terms(threshold - 100, threshold, 1.0, USD)
    hands.cash = stake * USD
    place(hands, min(hands.terms.ltv_most * 99 // 100, int(threshold / 10_000 / floor * ONE)))
    hands.terms = attrs.evolve(hands.terms, floor=floor)
    fall(hands, floor * (1.0 + above) * (1.0 + 1e-7))
    start = hands.terms.health(hands.worth(hands.tokens), hands.owed)
    assert start == pytest.approx(floor * (1.0 + above), rel=1e-6)
    hands.seen = []
    release(hands, int(part * (hands.held - hands.owed)), int(part * 0.3 * ONE))
    assert len(hands.seen) <= DELEVER_ROUNDS_MAX
    assert all(health >= least * (1.0 - 1e-9) for health, least in hands.seen)
    assert min([health for health, _ in hands.seen], default=floor) >= min(floor, start) * (1.0 - STEP) * (1.0 - 1e-6)
    if not part:
        assert (hands.tokens, hands.owed, hands.idle) == (0, 0, 0)


def test_far_above_its_floor_no_step_goes_below_it(make_hands: Any) -> None:
    hands = make_hands(1.2)
    hands.cash = 10_000 * USD
    place(hands, 6 * ONE // 10)
    hands.seen = []
    release(hands, 0, 0)
    assert len(hands.seen) > 2
    assert min(health for health, _ in hands.seen) >= 1.2


def test_a_coin_in_hand_is_sold_before_more_collateral_is_taken_out(make_hands: Any) -> None:
    """A withdrawal was mined and its sale was not: nothing more is safe to take out, and all of the debt is still there."""
    hands = make_hands(1.1)
    hands.cash = 10_000 * USD
    place(hands, 7 * ONE // 10)
    hands.withdraw(hands.free)
    fall(hands, 1.0001)
    steps = []
    act = hands.act
    hands.act = lambda operation, amount: steps.append(operation) or act(operation, amount)
    hands.seen = []
    release(hands, 0, 0)
    assert steps[:2] == ["repay", "withdraw"]
    assert len(hands.seen) < 20
    assert (hands.tokens, hands.owed, hands.idle) == (0, 0, 0)


def test_a_debt_that_nothing_is_left_for_is_paid_from_cash(make_hands: Any) -> None:
    hands = make_hands()
    hands.cash = 10_000 * USD
    place(hands, 7 * ONE // 10)
    owed = hands.owed
    hands._pool.supplies["WETH", USER] = 0
    hands.cash = owed + owed // 100
    pay_off(hands)
    assert (hands.tokens, hands.owed, hands.idle) == (0, 0, 0)
    assert hands.cash == owed // 100


@pytest.mark.parametrize("left", [1, 4, 9_999])
def test_a_debt_of_a_few_units_is_paid_off_whole(make_hands: Any, left: int) -> None:
    hands = make_hands()
    hands.cash = 1_000 * USD
    place(hands, ONE // 2)
    hands.cash = hands.owed
    hands.repay(hands.owed - left)
    hands.cash = 0
    assert hands.owed == left
    release(hands, 0, ONE // 2)
    assert (hands.tokens, hands.owed, hands.idle) == (0, 0, 0)
