"""Every rule of life, on both sides of its threshold."""

from __future__ import annotations

import math

import attrs
import pytest

from treasury_arena.arena import judging
from treasury_arena.domain.rules import PROFILES, Rules

OWNER, BALANCED = PROFILES["owner"], PROFILES["balanced"]
UP, DOWN = 1e-9, -1e-9

GOOD = {
    "owner_fitness": 5.0,
    "fitness": 1.0,
    "sharpe": 3.0,
    "floored_sharpe": 2.0,
    "psr": 0.99,
    "psr_zero": 0.99,
    "win_rate": 0.9,
    "max_drawdown": -0.01,
    "total_return": 0.05,
    "losing_days": 0.0,
}


def metrics(**changes: float) -> dict[str, float]:
    return {**GOOD, **changes}


def test_a_good_record_passes_every_profile() -> None:
    for rules in PROFILES.values():
        assert judging.to_proving(GOOD, 400, rules) is None
        assert judging.to_arena(GOOD, 40, 0.01, 0.0, rules) is None
        assert judging.death(GOOD, 300, rules) is None


@pytest.mark.parametrize(
    ("name", "limit"),
    [("owner_fitness", 2.0), ("sharpe", 1.5), ("win_rate", 0.60)],
)
def test_owner_thresholds_to_proving_must_be_exceeded(name: str, limit: float) -> None:
    assert judging.to_proving(metrics(**{name: limit + UP}), 30, OWNER) is None
    reason = judging.to_proving(metrics(**{name: limit}), 30, OWNER)
    assert reason is not None
    assert str(limit) in reason.text


def test_the_owners_statistical_gate_is_the_probability_of_a_positive_sharpe() -> None:
    limit = OWNER.simulation_psr_zero_min
    assert limit is not None
    assert judging.to_proving(metrics(psr_zero=limit), 30, OWNER) is None
    reason = judging.to_proving(metrics(psr_zero=limit + DOWN), 30, OWNER)
    assert reason is not None
    assert (reason.rule, f"must be at least {limit}" in reason.text) == ("psr_zero", True)
    assert all(rules.simulation_psr_zero_min is None for name, rules in PROFILES.items() if name != "owner")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("rule", "metric", "limit", "beyond"),
    [("simulation_deflated_min", "deflated_sharpe", 0.95, DOWN), ("simulation_pbo_max", "pbo", 0.5, UP)],
)
def test_gates_on_deflated_sharpe_and_overfitting_are_off_unless_set(
    profile: str, rule: str, metric: str, limit: float, beyond: float
) -> None:
    rules = PROFILES[profile]
    assert getattr(rules, rule) is None
    gated = attrs.evolve(rules, **{rule: limit})
    assert judging.to_proving(metrics(**{metric: limit}), 400, gated) is None
    for bad in (metrics(**{metric: limit + beyond}), metrics(**{metric: math.nan}), GOOD):
        assert judging.to_proving(bad, 400, gated) is not None
    unknown = judging.to_proving(GOOD, 400, gated)
    assert unknown is not None
    assert (unknown.rule, "(unknown)" in unknown.text) == (metric, True)


def test_owner_drawdown_to_proving_must_stay_above_minus_20_percent() -> None:
    assert judging.to_proving(metrics(max_drawdown=-0.20 + UP), 30, OWNER) is None
    assert judging.to_proving(metrics(max_drawdown=-0.20), 30, OWNER) is not None


def test_age_to_proving() -> None:
    assert judging.to_proving(GOOD, 30, OWNER) is None
    assert judging.to_proving(GOOD, 29, OWNER) is not None
    assert judging.to_proving(GOOD, 60, BALANCED) is None
    assert judging.to_proving(GOOD, 59, BALANCED) is not None


@pytest.mark.parametrize(
    ("profile", "floored", "psr", "drawdown"),
    [("conservative", 0.25, 0.95, 0.05), ("balanced", 0.25, 0.75, 0.15), ("adventurous", 0.5, 0.75, 0.25)],
)
def test_profile_thresholds_to_proving(profile: str, floored: float, psr: float, drawdown: float) -> None:
    rules = PROFILES[profile]
    edge = metrics(floored_sharpe=floored + UP, psr=psr, max_drawdown=-drawdown + UP)
    assert judging.to_proving(edge, 60, rules) is None
    assert judging.to_proving({**edge, "floored_sharpe": floored}, 60, rules) is not None
    assert judging.to_proving({**edge, "psr": psr + DOWN}, 60, rules) is not None
    assert judging.to_proving({**edge, "max_drawdown": -drawdown}, 60, rules) is not None
    assert judging.to_proving({**edge, "owner_fitness": -9.0, "win_rate": 0.0, "sharpe": -9.0}, 60, rules) is None


@pytest.mark.parametrize(("name", "limit"), [("owner_fitness", 2.0), ("sharpe", 1.5)])
def test_owner_thresholds_to_arena(name: str, limit: float) -> None:
    assert judging.to_arena(metrics(**{name: limit + UP}), 30, 0.01, 0.0, OWNER) is None
    assert judging.to_arena(metrics(**{name: limit}), 30, 0.01, 0.0, OWNER) is not None


def test_to_arena_needs_profit_days_fidelity_and_a_small_drawdown() -> None:
    assert judging.to_arena(GOOD, 30, UP, 0.02, OWNER) is None
    assert judging.to_arena(GOOD, 30, 0.0, 0.02, OWNER) is not None
    assert judging.to_arena(GOOD, 29, UP, 0.0, OWNER) is not None
    assert judging.to_arena(GOOD, 30, UP, 0.02 + UP, OWNER) is not None
    assert judging.to_arena(metrics(max_drawdown=-0.25), 30, UP, 0.0, OWNER) is not None
    assert judging.to_arena(metrics(max_drawdown=-0.25 + UP), 30, UP, 0.0, OWNER) is None


@pytest.mark.parametrize(("profile", "limit"), [("conservative", 0.25), ("balanced", 0.0), ("adventurous", 0.0)])
def test_profile_floored_sharpe_to_arena(profile: str, limit: float) -> None:
    rules = PROFILES[profile]
    assert judging.to_arena(metrics(floored_sharpe=limit + UP), 30, 0.01, 0.0, rules) is None
    assert judging.to_arena(metrics(floored_sharpe=limit), 30, 0.01, 0.0, rules) is not None


@pytest.mark.parametrize(
    ("profile", "limit"), [("owner", 0.5), ("conservative", 0.15), ("balanced", 0.25), ("adventurous", 0.40)]
)
def test_death_by_drawdown_at_the_limit(profile: str, limit: float) -> None:
    rules = PROFILES[profile]
    assert judging.death(metrics(max_drawdown=-limit + UP), 10, rules) is None
    end = judging.death(metrics(max_drawdown=-limit), 10, rules)
    assert end is not None
    assert end.rule == "drawdown"


def test_the_help_says_that_the_limit_itself_kills() -> None:
    assert "at or beyond" in attrs.fields(Rules).death_drawdown.metadata["help"]


@pytest.mark.parametrize(
    ("profile", "limit"), [("owner", 0.5), ("conservative", 0.15), ("balanced", 0.25), ("adventurous", 0.40)]
)
def test_death_by_live_drawdown_at_the_limit(profile: str, limit: float) -> None:
    rules = PROFILES[profile]
    assert judging.live_drawdown(limit + DOWN, rules) is None
    assert judging.live_drawdown(0.0, rules) is None
    for drawdown in (limit, 1.0, math.nan):
        end = judging.live_drawdown(drawdown, rules)
        assert end is not None
        assert end.rule == "live_drawdown"
    assert judging.live_drawdown(1.0, attrs.evolve(rules, death_drawdown=None)) is None


def test_death_by_losing_days_needs_both_negative_fitness_and_thirty_days() -> None:
    assert judging.death(metrics(owner_fitness=-0.1, losing_days=30.0), 40, OWNER) is not None
    assert judging.death(metrics(owner_fitness=-0.1, losing_days=29.0), 40, OWNER) is None
    assert judging.death(metrics(owner_fitness=0.0, losing_days=30.0), 40, OWNER) is None


def test_death_by_negative_return_at_every_judgement_from_90_days_on() -> None:
    assert judging.death(metrics(total_return=DOWN), 89, OWNER) is None
    for age in (90, 97, 300):
        assert judging.death(metrics(total_return=DOWN), age, OWNER) is not None
        assert judging.death(metrics(total_return=0.0), age, OWNER) is None


def test_death_by_sharpe_at_every_judgement_from_60_days_on() -> None:
    assert judging.death(metrics(sharpe=0.4), 59, OWNER) is None
    for age in (60, 61, 200):
        assert judging.death(metrics(sharpe=0.5 + DOWN), age, OWNER) is not None
        assert judging.death(metrics(sharpe=0.5), age, OWNER) is None


def test_death_by_floored_sharpe_below_minus_one() -> None:
    assert judging.death(metrics(floored_sharpe=-1.0), 60, BALANCED) is None
    assert judging.death(metrics(floored_sharpe=-1.0 + DOWN), 60, BALANCED) is not None
    assert judging.death(metrics(floored_sharpe=-2.0), 59, BALANCED) is None
    assert judging.death(metrics(floored_sharpe=-2.0), 400, OWNER) is None


def test_retirement_beyond_365_days_and_after_90_days_of_proving() -> None:
    assert judging.retirement(365, None, OWNER) is None
    assert judging.retirement(366, None, OWNER) is not None
    assert judging.retirement(100, 89, BALANCED) is None
    assert judging.retirement(100, 90, BALANCED) is not None
    assert judging.retirement(100, 90, attrs.evolve(BALANCED, proving_limit=False)) is None


def test_no_rule_passes_on_nan() -> None:
    broken = metrics(sharpe=math.nan)
    assert judging.to_proving(broken, 400, BALANCED) is not None
    assert judging.to_arena(broken, 400, 0.1, 0.0, BALANCED) is not None
    assert judging.to_arena(GOOD, 400, 0.1, math.nan, BALANCED) is not None
    assert judging.death(broken, 10, Rules()) is not None


def test_top_half_rounds_up_and_ties_go_by_id() -> None:
    assert judging.best_share([("a", 1.0)], 0.5) == ["a"]
    assert judging.best_share([("a", 1.0), ("b", 2.0)], 0.5) == ["b"]
    assert judging.best_share([("c", 1.0), ("b", 1.0), ("a", 1.0)], 0.5) == ["a", "b"]
    assert judging.best_share([], 0.5) == []


def test_a_record_below_five_percent_exposure_is_a_lender_limited_to_lending() -> None:
    coins = frozenset({"eth"})
    assert judging.record_label(0.05, BALANCED) == ""
    assert judging.record_label(0.05 + DOWN, BALANCED) == "lender"
    held = {"eth": 0.04, "usd": 0.97}
    assert judging.record_limits(held, coins, "lender", BALANCED) == {"eth": 0.0, "usd": 1.0}
    assert judging.record_limits({"eth": 0.3, "usd": 0.7}, coins, "", BALANCED) == {"eth": 0.3, "usd": 1.0}
    free = attrs.evolve(BALANCED, limit_to_record=False)
    assert judging.record_label(0.0, free) == ""
    assert judging.record_limits(held, coins, "", free) == {"eth": 1.0, "usd": 1.0}
