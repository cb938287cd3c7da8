"""What a mint loses at a moved price, against closed forms and against whoever moves the price back."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from treasury_arena_evm.live.minting import lost_bps

FULL = (-887_220, 887_220)
LIQUIDITY = 10**24


def root(tick: int) -> float:
    return math.exp(tick * math.log(1.0001) / 2)


def amounts(ticks: tuple[int, int], at: float) -> tuple[int, int]:
    """What a mint takes where the square root of the pool's price is `at`."""
    low, high = root(ticks[0]), root(ticks[1])
    at = min(max(at, low), high)
    return round(LIQUIDITY * (1 / at - 1 / high)), round(LIQUIDITY * (at - low))


@pytest.mark.parametrize("times", [4.0, 1.21, 1.0201, 1.0, 0.81])
def test_over_all_prices_it_is_the_impermanent_loss(times: float) -> None:
    """x * y = k: coins put in at `times` the fair price are worth 2 sqrt(times) / (1 + times) of themselves."""
    found = float(lost_bps(amounts(FULL, math.sqrt(times)), FULL, Fraction(1)))
    assert found == pytest.approx(10_000 * (1 - 2 * math.sqrt(times) / (1 + times)), abs=1e-6)


def test_coins_that_stand_on_the_right_side_lose_nothing() -> None:
    """Below its range a position is token0 alone, above it token1 alone, whatever the fair price is on that side."""
    assert lost_bps((10**18, 0), (100, 200), Fraction(1)) == 0
    assert lost_bps((0, 10**18), (-200, -100), Fraction(1)) == 0
    assert lost_bps((0, 0), (-200, -100), Fraction(1)) == 0


def test_coins_on_the_wrong_side_lose_what_the_price_has_moved() -> None:
    """All token0 at the lower end, which is a tenth below the fair price and so becomes token1 on the way back through it."""
    low, high = 0, 1
    fair = Fraction(11, 10)
    mean = root(low) * root(high)  # token1 for each token0 that a walk through the whole range gives
    assert float(lost_bps((10**18, 0), (low, high), fair)) == pytest.approx(10_000 * (1 - mean / 1.1), rel=1e-9)
    assert float(lost_bps((0, 10**18), (low, high), 1 / fair)) == pytest.approx(
        10_000 * (1 - 1 / (mean * 1.1)), rel=1e-9
    )


@given(
    low=st.integers(-300_000, 299_000),
    width=st.integers(1, 50_000),
    pool=st.integers(-320_000, 320_000),
    fair=st.integers(-320_000, 320_000),
)
def test_it_is_what_the_way_back_gives_to_others(low: int, width: int, pool: int, fair: int) -> None:
    """Whoever moves the price back to the fair one trades with the range: their gain at the fair price is what it lost."""
    ticks = (low, min(low + width, 300_000))
    put, left = amounts(ticks, root(pool)), amounts(ticks, root(fair))
    price = root(fair) ** 2
    spent, worth = put[0] * price + put[1], left[0] * price + left[1]
    assume(min(max(put), max(left)) >= 10**12)  # less is rounded too coarsely to base units
    found = float(lost_bps(put, ticks, Fraction(price)))
    assert found == pytest.approx(10_000 * (1 - worth / spent), abs=1e-3)
    assert found > -1e-3


@given(st.tuples(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1)), st.integers(-887_272, 887_271))
def test_any_amounts_have_an_answer(pair: tuple[int, int], low: int) -> None:
    assert -1e-6 <= lost_bps(pair, (low, low + 1), Fraction(10**18, 7)) <= 10_000
