"""Allocation of the main arena's pool: by rank in tiers, capped, ramped; pure integers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from treasury_arena.domain.rules import Rules
from treasury_arena.errors import AllocationError, ValidationError


def validate_capital_change(old_raw: int, new_raw: int, growth_max: float = 10.0) -> None:
    """Refuse a capital that is negative, or that grows more than `growth_max` times in one change.

    A first allocation (from 0) is exempt from the growth limit.

    Raises ValidationError naming the amounts.
    """
    for amount in (old_raw, new_raw):
        if isinstance(amount, bool) or not isinstance(amount, int):
            raise ValidationError(f"capital must be whole base units, not {amount!r}")
    if new_raw < 0:
        raise ValidationError(f"capital cannot be negative: {new_raw} base units")
    if old_raw > 0 and math.isfinite(growth_max) and new_raw > _parts(old_raw, growth_max):
        raise ValidationError(
            f"capital cannot grow from {old_raw} to {new_raw} at once: more than {growth_max:g} times"
        )


def tiers(ranked: Sequence[str], rules: Rules) -> dict[str, list[str]]:
    """Split ranked ids (best first) into elite, active and challenger.

    Sizes round up from the top (elite 20%, active 30%), so one agent is elite and two are elite and active.
    """
    elite = math.ceil(rules.tier_elite_share * len(ranked) - 1e-9)
    active = math.ceil(rules.tier_active_share * len(ranked) - 1e-9)
    return {
        "elite": list(ranked[:elite]),
        "active": list(ranked[elite : elite + active]),
        "challenger": list(ranked[elite + active :]),
    }


def target_capital(
    ranked: Sequence[str], pool_raw: int, present_raw: Mapping[str, int], rules: Rules
) -> dict[str, int]:
    """Return id -> wanted capital in base units.

    A tier's share is divided equally among its agents; a tier with nobody leaves its share unallocated (never
    redistributed, never a division by zero). Then M5 caps one agent at a share of the pool and M6 lets nobody grow
    beyond `growth_max` times its present capital. All divisions round down, so the sum never exceeds the pool.
    """
    if pool_raw < 0:
        raise AllocationError(f"a pool cannot hold {pool_raw} base units")
    capital = {
        "elite": rules.tier_elite_capital,
        "active": rules.tier_active_capital,
        "challenger": rules.tier_challenger_capital,
    }
    wanted: dict[str, int] = {}
    for tier, members in tiers(ranked, rules).items():
        if not members:
            continue
        share = _parts(pool_raw, capital[tier]) // len(members)
        for agent in members:
            amount = min(share, _parts(pool_raw, rules.agent_share_max)) if rules.share_cap else share
            present = present_raw.get(agent, 0)
            if rules.ramp and present > 0:
                amount = min(amount, _parts(present, rules.growth_max))
            wanted[agent] = amount
    return wanted


def worth_moving(amount_raw: int, cost_raw: int, rules: Rules) -> bool:
    """M4: True when moving `amount_raw` costs at most `transfer_cost_max` of it (exactly the limit is allowed)."""
    if amount_raw <= 0:
        return False
    return not rules.cost_gate or cost_raw <= _parts(amount_raw, rules.transfer_cost_max)


def _parts(amount_raw: int, share: float) -> int:
    """`share` of an amount in exact integers, rounded down (the share is read at a precision of 1e-12)."""
    return amount_raw * round(share * 10**12) // 10**12
