"""The rules of life as pure functions: metrics and ages in, a reason or nothing out.

Metrics are those of `treasury_arena.arena.metrics.MetricSet`. Thresholds say which side passes: "must exceed"
fails on exactly the limit, "at or beyond" triggers on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from treasury_arena.domain.rules import Rules

Metrics = Mapping[str, float]


@attrs.frozen
class Reason:
    """Why something happens to an agent: the rule's name and a sentence with the numbers."""

    rule: str
    text: str


def _finite(metrics: Metrics) -> str | None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            return f"{name} is {value}"
    return None


def to_proving(metrics: Metrics, age_days: int, rules: Rules) -> Reason | None:
    """Return why the agent must stay in simulation, or None when it may be proven. Fails closed on NaN.

    `metrics` holds ``deflated_sharpe`` and ``pbo`` where known; a gate on one that is missing refuses.
    """
    bad = _finite(metrics)
    if bad:
        return Reason("finite", bad)
    if age_days < rules.simulation_age_days_min:
        return Reason("age", f"{age_days} days of record, needs {rules.simulation_age_days_min}")
    checks = (
        ("fitness", metrics["owner_fitness"], rules.simulation_fitness_min),
        ("sharpe", metrics["sharpe"], rules.simulation_sharpe_min),
        ("floored_sharpe", metrics["floored_sharpe"], rules.simulation_floored_min),
        ("win_rate", metrics["win_rate"], rules.simulation_win_rate_min),
    )
    return (
        _must_exceed(checks)
        or _at_least("psr", metrics["psr"], rules.simulation_psr_min)
        or _at_least("psr_zero", metrics["psr_zero"], rules.simulation_psr_zero_min)
        or _at_least("deflated_sharpe", metrics.get("deflated_sharpe"), rules.simulation_deflated_min)
        or _at_most("pbo", metrics.get("pbo"), rules.simulation_pbo_max)
        or _drawdown_inside(metrics["max_drawdown"], rules.simulation_drawdown_max)
    )


def to_arena(
    metrics: Metrics, days_in_proving: int, proving_return: float, fidelity_gap: float, rules: Rules
) -> Reason | None:
    """Return why the agent must stay in proving, or None.

    Args:
        proving_return: total return since it entered proving, at the scale it is judged at.
        fidelity_gap: absolute difference of its live return to its simulation's over the same days.
    """
    bad = _finite({**metrics, "proving_return": proving_return, "fidelity_gap": fidelity_gap})
    if bad:
        return Reason("finite", bad)
    if days_in_proving < rules.arena_age_days_min:
        return Reason("age", f"{days_in_proving} days in proving, needs {rules.arena_age_days_min}")
    if rules.fidelity_tolerance is not None and fidelity_gap > rules.fidelity_tolerance:
        return Reason(
            "fidelity", f"live differs from simulation by {fidelity_gap:.4%}, tolerated {rules.fidelity_tolerance:.4%}"
        )
    checks = (
        ("profit", proving_return, rules.arena_return_min),
        ("fitness", metrics["owner_fitness"], rules.arena_fitness_min),
        ("sharpe", metrics["sharpe"], rules.arena_sharpe_min),
        ("floored_sharpe", metrics["floored_sharpe"], rules.arena_floored_min),
    )
    return _must_exceed(checks) or _drawdown_inside(metrics["max_drawdown"], rules.arena_drawdown_max)


def death(metrics: Metrics, age_days: int, rules: Rules) -> Reason | None:
    """Return the rule the agent dies by, or None. Age rules hold at every judgement from that age on.

    A record that is not finite is a death: no rule may pass on NaN.
    """
    bad = _finite(metrics)
    if bad:
        return Reason("finite", bad)
    drawdown = -metrics["max_drawdown"]
    if rules.death_drawdown is not None and drawdown >= rules.death_drawdown:
        return Reason("drawdown", f"drawdown {drawdown:.2%} at or beyond {rules.death_drawdown:.2%}")
    if (
        rules.death_fitness_below is not None
        and metrics["owner_fitness"] < rules.death_fitness_below
        and metrics["losing_days"] >= rules.death_losing_days
    ):
        return Reason(
            "losing_days",
            f"fitness {metrics['owner_fitness']:.3f} and {metrics['losing_days']:.0f} losing days in a row",
        )
    if (
        rules.death_return_age_days is not None
        and age_days >= rules.death_return_age_days
        and metrics["total_return"] < 0.0
    ):
        return Reason("negative_return", f"return {metrics['total_return']:.2%} at age {age_days} days")
    if age_days >= rules.death_sharpe_age_days:
        if rules.death_sharpe_below is not None and metrics["sharpe"] < rules.death_sharpe_below:
            return Reason(
                "sharpe", f"Sharpe {metrics['sharpe']:.2f} below {rules.death_sharpe_below} at {age_days} days"
            )
        if rules.death_floored_below is not None and metrics["floored_sharpe"] < rules.death_floored_below:
            return Reason(
                "floored_sharpe",
                f"floored Sharpe over lending {metrics['floored_sharpe']:.2f} below {rules.death_floored_below} "
                f"at {age_days} days",
            )
    return None


def live_drawdown(drawdown: float, rules: Rules) -> Reason | None:
    """Return why a funded agent dies of what it really lost (a positive fraction), or None; the limit is that of death."""
    if rules.death_drawdown is not None and not drawdown < rules.death_drawdown:
        return Reason("live_drawdown", f"live drawdown {drawdown:.2%} at or beyond {rules.death_drawdown:.2%}")
    return None


def retirement(age_days: int, days_in_proving: int | None, rules: Rules) -> Reason | None:
    """Return why the agent retires, or None: beyond the age limit, or too long in proving (M7)."""
    if rules.retirement_age_days is not None and age_days > rules.retirement_age_days:
        return Reason("age", f"{age_days} days old, the limit is {rules.retirement_age_days}")
    if rules.proving_limit and days_in_proving is not None and days_in_proving >= rules.proving_days_max:
        return Reason("proving_limit", f"{days_in_proving} days in proving, the limit is {rules.proving_days_max}")
    return None


def best_share(candidates: Sequence[tuple[str, float]], share: float) -> list[str]:
    """The best `share` of (id, score), rounded up, ties broken by id: the top 50% of one agent is that agent."""
    count = math.ceil(share * len(candidates) - 1e-9)
    return [agent for agent, _ in sorted(candidates, key=lambda item: (-item[1], item[0]))[:count]]


def record_label(mean_coin_share: float, rules: Rules) -> str:
    """``lender`` when a record held less than the least exposure beyond lending (M2), else nothing."""
    return "lender" if rules.limit_to_record and mean_coin_share < rules.exposure_min else ""


def record_limits(
    max_share: Mapping[str, float], coin_roles: frozenset[str], label: str, rules: Rules
) -> dict[str, float]:
    """Role -> largest share allowed from now on (M2): never more of a coin than its record held, none for a lender."""
    if not rules.limit_to_record:
        return dict.fromkeys(max_share, 1.0)
    return {
        role: (0.0 if label == "lender" else min(1.0, share)) if role in coin_roles else 1.0
        for role, share in max_share.items()
    }


def _must_exceed(checks: Sequence[tuple[str, float, float | None]]) -> Reason | None:
    for name, value, limit in checks:
        if limit is not None and not value > limit:
            return Reason(name, f"{name} {value:.4f} must exceed {limit}")
    return None


def _at_least(name: str, value: float | None, limit: float | None) -> Reason | None:
    if limit is None or (value is not None and value >= limit):
        return None
    return Reason(name, f"{name} {_told(value)} must be at least {limit}")


def _at_most(name: str, value: float | None, limit: float | None) -> Reason | None:
    if limit is None or (value is not None and value <= limit):
        return None
    return Reason(name, f"{name} {_told(value)} must be at most {limit}")


def _told(value: float | None) -> str:
    return "(unknown)" if value is None else f"{value:.4f}"


def _drawdown_inside(max_drawdown: float, limit: float | None) -> Reason | None:
    if limit is not None and not -max_drawdown < limit:
        return Reason("max_drawdown", f"drawdown {max_drawdown:.2%} must stay above {-limit:.2%}")
    return None
