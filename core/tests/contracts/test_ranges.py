"""What ranges are expected to earn and lose: by the formulas' own limits and proportions."""

from __future__ import annotations

import math

import pytest

from treasury_arena.contracts.arithmetic import STAKE, unless_topped_up
from treasury_arena.contracts.ranges import fee_apr, loss_apr, reach, recentre_cost, turns, virtual


def test_a_range_holds_the_less_the_narrower_it_is() -> None:
    assert reach(3.0) == 0.5
    assert reach(0.0) == 1.0  # no range: all of the virtual reserves
    assert reach(1e-4) == pytest.approx(0.5e-4, rel=1e-3)


def test_virtual_reserves_need_a_price() -> None:
    assert virtual(1e6, 2_500.0) == 2.0 * 1e6 * 50.0
    assert virtual(1e6, 0.0) == virtual(1e6, -1.0) == 0.0


def test_fees_are_shared_with_who_is_in_the_range() -> None:
    alone = fee_apr(0.0, 1e4, 0.003, 0.5, 1e5)
    assert alone == pytest.approx(8_760 * 1e4 * 0.003 / 1e5)
    assert fee_apr(2e5, 1e4, 0.003, 0.5, 1e5) == alone / 2.0
    assert fee_apr(0.0, 1e4, 0.003, 0.5, 0.0) == 0.0


def test_a_random_walk_gets_away_by_the_square_of_its_speed_and_distance() -> None:
    once = turns(0.01, 0.1, 1.0)
    assert once == pytest.approx(0.01**2 / math.log(1.1) ** 2, rel=2e-3)
    assert turns(0.02, 0.1, 1.0) == pytest.approx(4.0 * once)
    assert turns(0.01, 0.1, 0.5) == pytest.approx(4.0 * once)


def test_losses_are_to_arbitrage_and_to_recentring() -> None:
    arbitrage = loss_apr(0.01, 0.5, 1.0, 0.0, 0.003, 9.0, 1e5)
    assert arbitrage == pytest.approx(8_760 * 0.01**2 / 4.0)
    assert loss_apr(0.01, 0.5, 2.0, 0.0, 0.003, 9.0, 1e5) == pytest.approx(2.0 * arbitrage)
    recentring = loss_apr(0.01, 0.5, 1.0, 0.2, 0.003, 9.0, 1e5) - arbitrage
    assert recentring == pytest.approx(8_760 * 0.2 * recentre_cost(1e5, 0.003, 9.0) / 1e5)
    assert recentre_cost(1e5, 0.003, 9.0) == 0.5 * 0.003 * 1e5 + 3.0 * 9.0


@pytest.mark.parametrize(
    ("lacking", "kept"), [(0.0, True), (STAKE / 2.0, True), (STAKE * 1.01, False), (-STAKE / 2.0, False)]
)
def test_only_a_small_top_up_is_left_out(lacking: float, kept: bool) -> None:
    assert (unless_topped_up(0.4, 0.4 - lacking) == 0.4 - lacking) is (kept or lacking == 0.0)
