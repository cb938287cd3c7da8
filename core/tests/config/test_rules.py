"""The four profiles hold the numbers of the owner's tables, and contradictory rules are refused."""

from __future__ import annotations

import attrs
import pytest

from treasury_arena.domain.rules import PROFILES, Rules, profile_rules
from treasury_arena.errors import ConfigError


def test_the_owners_thresholds() -> None:
    rules = profile_rules("owner")
    assert (rules.simulation_fitness_min, rules.simulation_sharpe_min, rules.simulation_win_rate_min) == (2.0, 1.5, 0.6)
    assert (rules.simulation_drawdown_max, rules.simulation_age_days_min) == (0.20, 30)
    assert (rules.arena_fitness_min, rules.arena_sharpe_min, rules.arena_drawdown_max) == (2.0, 1.5, 0.25)
    assert (rules.arena_return_min, rules.arena_age_days_min, rules.arena_top_share) == (0.0, 30, 0.5)
    assert (rules.death_fitness_below, rules.death_losing_days, rules.death_drawdown) == (0.0, 30, 0.5)
    assert (rules.death_return_age_days, rules.death_sharpe_age_days, rules.death_sharpe_below) == (90, 60, 0.5)
    assert (rules.retirement_age_days, rules.coin_cap) == (365, 1.0)
    assert (rules.simulation_floored_min, rules.simulation_psr_min, rules.death_floored_below) == (None, None, None)


@pytest.mark.parametrize(
    ("profile", "floored", "psr", "drawdown", "arena", "death", "cap"),
    [
        ("conservative", 0.25, 0.95, 0.05, 0.25, 0.15, 0.10),
        ("balanced", 0.25, 0.75, 0.15, 0.0, 0.25, 0.30),
        ("adventurous", 0.5, 0.75, 0.25, 0.0, 0.40, 0.70),
    ],
)
def test_the_profiles_judged_by_floored_sharpe(
    profile: str, floored: float, psr: float, drawdown: float, arena: float, death: float, cap: float
) -> None:
    rules = profile_rules(profile)
    assert (rules.simulation_floored_min, rules.simulation_psr_min, rules.simulation_drawdown_max) == (
        floored,
        psr,
        drawdown,
    )
    assert (rules.arena_floored_min, rules.arena_drawdown_max) == (arena, drawdown)
    assert (rules.death_drawdown, rules.death_floored_below, rules.coin_cap) == (death, -1.0, cap)
    assert rules.simulation_age_days_min == 60
    owners = [
        rules.simulation_fitness_min,
        rules.simulation_sharpe_min,
        rules.simulation_win_rate_min,
        rules.arena_sharpe_min,
    ]
    assert owners == [None] * 4


@pytest.mark.parametrize("profile", PROFILES)
def test_mechanics_are_on_and_their_numbers_equal_in_every_profile(profile: str) -> None:
    rules = profile_rules(profile)
    switches = [attribute.name for attribute in attrs.fields(Rules) if attribute.type == "bool"]
    assert len(switches) == 9
    assert all(getattr(rules, name) for name in switches)
    assert (rules.exposure_min, rules.transfer_cost_max, rules.agent_share_max) == (0.05, 0.002, 0.25)
    assert (rules.growth_max, rules.proving_days_max, rules.fidelity_tolerance) == (10.0, 90, 0.02)
    assert (rules.tier_elite_share, rules.tier_active_share, rules.tier_challenger_share) == (0.2, 0.3, 0.5)
    assert (rules.tier_elite_capital, rules.tier_active_capital, rules.tier_challenger_capital) == (0.6, 0.3, 0.1)


def test_an_unknown_profile_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown profile 'blanced': did you mean 'balanced'"):
        profile_rules("blanced")


def test_tiers_must_cover_everyone_and_at_most_the_pool() -> None:
    assert Rules(tier_elite_capital=0.2).tier_elite_capital == 0.2
    with pytest.raises(ValueError, match=r"capital .* sum to 1\.1; expected at most 1"):
        Rules(tier_elite_capital=0.7)
    with pytest.raises(ValueError, match=r"sum to 0\.9; expected exactly 1"):
        Rules(tier_elite_share=0.1)


def test_every_rule_is_documented() -> None:
    assert [one.name for one in attrs.fields(Rules) if not one.metadata.get("help")] == []
