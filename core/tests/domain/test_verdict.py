"""The verdict, case by case."""

from __future__ import annotations

import math

import numpy as np
import pytest

from treasury_arena.domain.controls import Verdict, verdict
from treasury_arena.domain.verdict import NO_COINS
from treasury_arena.randomness import stream

DAYS = 365
LENT = np.full(DAYS, 0.0002)


def judge(
    managed: np.ndarray, control: np.ndarray, weight: float = 0.2, lent: np.ndarray = LENT, **more: int
) -> Verdict:
    return verdict(managed, control, lent, weight, stream(1, 0, "verdict"), **more)


def noise(size: float, seed: int = 3, days: int = DAYS) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, size, days)


def centred(size: float, seed: int = 3) -> np.ndarray:
    draws = noise(size, seed)
    return draws - draws.mean()


def test_better_by_skill() -> None:
    control = LENT + centred(0.01)
    said = judge(control + 0.0006 + centred(0.0005, 4), control)
    assert said.significant
    assert said.skill
    assert 0.0 < said.low < said.difference < said.high
    assert said.text.startswith(
        "The difference to holding the same coin weight passively is +21.9 points a year, beyond"
    )
    assert "evidence of skill beyond coin exposure" in said.text
    assert "no evidence" not in said.text


def test_worse_by_its_decisions_and_costs() -> None:
    control = LENT + centred(0.01)
    said = judge(control - 0.0006 + centred(0.0005, 4), control)
    assert said.significant
    assert not said.skill
    assert said.high < 0.0
    assert "-21.9 points a year, beyond its uncertainty" in said.text
    assert "lost money" in said.text


def test_a_gain_that_is_coin_exposure() -> None:
    control = LENT + 0.0004 + centred(0.01)
    said = judge(control + 0.00001 + centred(0.005, 4), control)
    assert not said.significant
    assert not said.skill
    assert said.low < 0.0 < said.high
    assert "+0.4 points a year, inside its uncertainty of -" in said.text
    assert "no evidence of skill; the gain over lending (+15.0 points a year) is coin exposure." in said.text


def test_a_loss_that_is_coin_exposure() -> None:
    control = LENT - 0.0004 + centred(0.01)
    said = judge(control + centred(0.005, 4), control)
    assert "the loss against lending (-14.6 points a year) is coin exposure." in said.text


def test_a_gain_against_falling_coins_is_not_called_exposure() -> None:
    control = LENT - 0.0001 + centred(0.01)
    said = judge(control + 0.0002 + centred(0.02, 4), control)
    assert not said.significant
    assert "is coin exposure" not in said.text
    assert "cannot be told from chance" in said.text
    assert "coin exposure alone brought -3.6 points" in said.text


def test_no_gain_at_all() -> None:
    control = LENT + centred(0.01)
    said = judge(LENT + centred(0.01, 4), control)
    assert said.text.endswith("no evidence of skill.")


@pytest.mark.parametrize(("weight", "coins"), [(0.0, False), (NO_COINS * 0.999, False), (NO_COINS, True), (1.0, True)])
def test_without_coins_the_comparison_is_with_lending(weight: float, coins: bool) -> None:
    control = LENT + 0.001
    said = judge(LENT.copy(), control, weight)
    assert ("practically no coins" in said.text) is not coins
    assert said.difference == pytest.approx(-0.365 if coins else 0.0)


def test_without_coins_three_ways() -> None:
    even = judge(LENT + centred(0.0001), LENT, 0.0)
    assert "it is lending, neither better nor worse" in even.text
    better = judge(LENT + 0.00003, LENT, 0.0)
    assert better.significant
    assert not better.skill
    assert "better rates" in better.text
    worse = judge(LENT - 0.00003, LENT, 0.0)
    assert worse.significant
    assert "costs and idle capital" in worse.text


def test_a_difference_too_small_to_matter_is_not_significant() -> None:
    said = judge(LENT + 1e-8, LENT, 0.0)
    assert said.low > 0.0
    assert not said.significant
    assert "too small to matter" in said.text


@pytest.mark.parametrize(("days", "short"), [(1, True), (59, True), (60, False)])
def test_a_short_record_tells_nothing(days: int, short: bool) -> None:
    lent = LENT[:days]
    said = judge(lent + 0.001, lent + noise(1e-5, days=days), 0.3, lent)
    assert ("too short" in said.text) is short
    assert said.significant is not short
    assert ("59 days" in said.text) is (days == 59)


def test_no_record_at_all() -> None:
    said = judge(np.empty(0), np.empty(0), 0.3, np.empty(0))
    assert (said.difference, said.low, said.high, said.significant) == (0.0, 0.0, 0.0, False)
    assert "0 days is too short" in said.text


def test_another_control_is_called_by_its_name() -> None:
    control = LENT + noise(0.01)
    said = verdict(control, control, LENT, 0.2, stream(1, 0, "v"), control="the index with the same weekly weights")
    assert said.text.startswith("The difference to the index with the same weekly weights is 0.0 points a year")


def test_plain_data_hold_what_a_result_needs() -> None:
    plain = judge(LENT, LENT).to_dict()
    assert {"text", "skill", "difference", "low", "high", "significant"} <= plain.keys()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="coin weight"):
        judge(LENT, LENT, 1.01)
    with pytest.raises(ValueError, match="coin weight"):
        judge(LENT, LENT, math.nan)
    with pytest.raises(ValueError, match="same days"):
        judge(LENT, LENT[1:])
    with pytest.raises(ValueError, match="same days"):
        judge(LENT, LENT, 0.2, LENT[1:])
    with pytest.raises(ValueError, match="daily return"):
        judge(LENT, np.full(DAYS, math.nan), 0.0)
