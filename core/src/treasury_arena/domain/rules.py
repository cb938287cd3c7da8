"""The numbers an arena lives by: thresholds of promotion and death, allocation tiers, mechanics, and the four profiles.

`None` disables a threshold. Fractions are of 1 (0.20 is 20%); drawdowns are stated as positive fractions, so a maximum
of 0.20 asks for a drawdown better than -20%. Floored Sharpe is ``annual excess over lending / sqrt(volatility^2 + 0.02^2)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from treasury_arena.errors import ConfigError, nearest

Profile = Literal["owner", "conservative", "balanced", "adventurous"]
Check = Callable[[Any, Any, Any], Any]

_FRACTION = (attrs.validators.ge(0.0), attrs.validators.le(1.0))


def _number(help: str, default: Any, *checks: Check) -> Any:
    return attrs.field(default=default, validator=list(checks), metadata={"help": help})


def _threshold(help: str, *checks: Check) -> Any:
    validator = attrs.validators.optional(list(checks)) if checks else None
    return attrs.field(default=None, validator=validator, metadata={"help": help})


def _switch(help: str) -> Any:
    return attrs.field(default=True, metadata={"help": help})


@attrs.frozen(kw_only=True)
class Rules:
    """Every number of the arena's rules, resolved. Each field is documented by its metadata `help`."""

    simulation_fitness_min: float | None = _threshold("To proving: the owner's fitness must exceed this.")
    simulation_sharpe_min: float | None = _threshold("To proving: annual Sharpe ratio against 0 must exceed this.")
    simulation_floored_min: float | None = _threshold("To proving: floored Sharpe over lending must exceed this.")
    simulation_psr_min: float | None = _threshold(
        "To proving: probability that the Sharpe ratio over lending is above 0, at least this.", *_FRACTION
    )
    simulation_psr_zero_min: float | None = _threshold(
        "To proving: probability that the Sharpe ratio against 0 (not over lending) is above 0, at least this.",
        *_FRACTION,
    )
    simulation_deflated_min: float | None = _threshold(
        "To proving: deflated Sharpe ratio at least this: the probability that the record beats the best of as many lucky "
        "trials.",
        *_FRACTION,
    )
    simulation_pbo_max: float | None = _threshold(
        "To proving: probability of backtest overfitting of the search that bred the agent at most this; an agent that no "
        "search bred does not pass.",
        *_FRACTION,
    )
    simulation_win_rate_min: float | None = _threshold(
        "To proving: share of winning days must exceed this.", *_FRACTION
    )
    simulation_drawdown_max: float | None = _threshold(
        "To proving: largest drawdown must be smaller than this.", *_FRACTION
    )
    simulation_age_days_min: int = _number("To proving: days of record at least.", 30, attrs.validators.ge(1))

    arena_return_min: float | None = _threshold(
        "To the arena: total return in proving must exceed this (0: profitable)."
    )
    arena_fitness_min: float | None = _threshold("To the arena: the owner's fitness must exceed this.")
    arena_sharpe_min: float | None = _threshold("To the arena: annual Sharpe ratio against 0 must exceed this.")
    arena_floored_min: float | None = _threshold("To the arena: floored Sharpe over lending must exceed this.")
    arena_drawdown_max: float | None = _threshold(
        "To the arena: largest drawdown must be smaller than this.", *_FRACTION
    )
    arena_age_days_min: int = _number("To the arena: days in proving at least.", 30, attrs.validators.ge(1))
    arena_top_share: float = _number(
        "To the arena: at most this share of those in proving (rounded up).", 0.5, *_FRACTION
    )
    fidelity_tolerance: float | None = _threshold(
        "To the arena: largest gap of proving to its simulation from the same day, as a share of equity.",
        attrs.validators.ge(0.0),
    )

    death_fitness_below: float | None = _threshold(
        "Death: the owner's fitness below this, together with `death_losing_days`."
    )
    death_losing_days: int = _number("Death: losing days in a row that count.", 30, attrs.validators.ge(1))
    death_drawdown: float | None = _threshold("Death: drawdown at or beyond this.", *_FRACTION)
    death_return_age_days: int | None = _threshold(
        "Death: negative total return at this age in days, or older.", attrs.validators.ge(1)
    )
    death_sharpe_age_days: int = _number(
        "Death: age in days from which `death_sharpe_below` and `death_floored_below` are judged.",
        60,
        attrs.validators.ge(1),
    )
    death_sharpe_below: float | None = _threshold("Death: annual Sharpe ratio against 0 below this.")
    death_floored_below: float | None = _threshold("Death: floored Sharpe over lending below this.")
    retirement_age_days: int | None = _threshold(
        "Retirement: age in days beyond which an agent retires.", attrs.validators.ge(1)
    )

    proving_days_max: int = _number("Days in proving after which an agent leaves it.", 90, attrs.validators.ge(1))
    coin_cap: float = _number("Largest share of the arena's capital in coins.", 1.0, *_FRACTION)
    exposure_min: float = _number(
        "Mean exposure beyond lending that a record needs; below it the agent is a lender, limited to lending.",
        0.05,
        *_FRACTION,
    )
    transfer_cost_max: float = _number(
        "Largest cost of moving capital, as a share of the amount moved.", 0.002, attrs.validators.ge(0.0)
    )
    agent_share_max: float = _number("Largest share of the arena's pool for one agent.", 0.25, *_FRACTION)
    growth_max: float = _number(
        "Largest growth factor of an agent's capital in one change.", 10.0, attrs.validators.gt(1.0)
    )

    tier_elite_share: float = _number("Share of ranked agents in the elite tier.", 0.20, *_FRACTION)
    tier_elite_capital: float = _number("Share of the pool for the elite tier.", 0.60, *_FRACTION)
    tier_active_share: float = _number("Share of ranked agents in the active tier.", 0.30, *_FRACTION)
    tier_active_capital: float = _number("Share of the pool for the active tier.", 0.30, *_FRACTION)
    tier_challenger_share: float = _number("Share of ranked agents in the challenger tier.", 0.50, *_FRACTION)
    tier_challenger_capital: float = _number("Share of the pool for the challenger tier.", 0.10, *_FRACTION)

    lend_idle: bool = _switch("M1: lend unallocated pools at the idle market.")
    limit_to_record: bool = _switch("M2: a record covers only what it held.")
    judge_at_arena_scale: bool = _switch("M3: judge profit, fitness and Sharpe at arena scale.")
    cost_gate: bool = _switch("M4: move capital only when its cost is within `transfer_cost_max`.")
    share_cap: bool = _switch("M5: cap one agent at `agent_share_max` of the pool.")
    ramp: bool = _switch("M6: grow from proving to the arena over cycles, each within `growth_max`.")
    proving_limit: bool = _switch("M7: at most `proving_days_max` days in proving.")
    refuse_clones: bool = _switch(
        "M8: no birth that equals a living agent in genome, or in behaviour on the training window, of whatever strategy."
    )
    stagger_births: bool = _switch("M9: stagger the first births over cycles.")

    def __attrs_post_init__(self) -> None:
        for what in ("share", "capital"):
            total = sum(getattr(self, f"tier_{tier}_{what}") for tier in ("elite", "active", "challenger"))
            if total > 1.0 + 1e-9 or (what == "share" and total < 1.0 - 1e-9):
                expected = "exactly 1" if what == "share" else "at most 1"
                raise ValueError(f"the tiers' {what} (tier_*_{what}) sum to {total:g}; expected {expected}")


def _floored(
    *, floored: float, psr: float, drawdown: float, arena_floored: float, death_drawdown: float, coin_cap: float
) -> Rules:
    return Rules(
        simulation_floored_min=floored,
        simulation_psr_min=psr,
        simulation_drawdown_max=drawdown,
        simulation_age_days_min=60,
        arena_return_min=0.0,
        arena_floored_min=arena_floored,
        arena_drawdown_max=drawdown,
        fidelity_tolerance=0.02,
        death_drawdown=death_drawdown,
        death_floored_below=-1.0,
        retirement_age_days=365,
        coin_cap=coin_cap,
    )


#: Named sets of rules; a configuration takes one and overrides single numbers.
PROFILES: dict[str, Rules] = {
    "owner": Rules(
        simulation_fitness_min=2.0,
        simulation_sharpe_min=1.5,
        simulation_win_rate_min=0.60,
        simulation_psr_zero_min=0.95,
        simulation_drawdown_max=0.20,
        arena_return_min=0.0,
        arena_fitness_min=2.0,
        arena_sharpe_min=1.5,
        arena_drawdown_max=0.25,
        fidelity_tolerance=0.02,
        death_fitness_below=0.0,
        death_drawdown=0.50,
        death_return_age_days=90,
        death_sharpe_below=0.5,
        retirement_age_days=365,
    ),
    "conservative": _floored(
        floored=0.25, psr=0.95, drawdown=0.05, arena_floored=0.25, death_drawdown=0.15, coin_cap=0.10
    ),
    "balanced": _floored(floored=0.25, psr=0.75, drawdown=0.15, arena_floored=0.0, death_drawdown=0.25, coin_cap=0.30),
    "adventurous": _floored(
        floored=0.5, psr=0.75, drawdown=0.25, arena_floored=0.0, death_drawdown=0.40, coin_cap=0.70
    ),
}


def profile_rules(profile: str) -> Rules:
    """The rules of a named profile; raises ConfigError naming the nearest one."""
    if profile not in PROFILES:
        raise ConfigError(f"unknown profile {profile!r}: {nearest(profile, PROFILES)}")
    return PROFILES[profile]
