"""Ledger lines of what an agent's orders do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from treasury_arena.contracts.protocol import ExactMarket, Fill, Leg
from treasury_arena.errors import ValidationError
from treasury_arena.events.event import Line
from treasury_arena.ledger import accounts

#: Accounts of a position that time alone changes: leg account -> ledger account of (agent, role).
HELD = {"position": accounts.agent_position, "debt": accounts.agent_debt}


def check_fill(fill: object, market: str) -> None:
    """Raise ValidationError for anything but a fill that can be booked: legs that balance, no negative cost or size."""
    if not isinstance(fill, Fill):
        raise ValidationError(f"market {market!r} settled with {type(fill).__name__}, not with a Fill")
    sums: dict[str, int] = {}
    for leg in fill.legs:
        sums[leg.asset] = sums.get(leg.asset, 0) + leg.amount
    if any(sums.values()):
        raise ValidationError(f"market {market!r} settled with legs that do not sum to zero: {sums}")
    if fill.cost_raw < 0 or fill.notional_raw < 0 or not fill.slippage_bps >= 0.0:
        raise ValidationError(
            f"market {market!r} settled with cost {fill.cost_raw}, notional {fill.notional_raw} and slippage "
            f"{fill.slippage_bps}; none may be negative"
        )


def freed_cash(agent_id: str, base: str, amount_raw: int) -> tuple[Line, Line]:
    """Lines that free `amount_raw` of what is reserved (negative: that reserve more)."""
    return (
        Line(accounts.agent_reserved(agent_id), base, -amount_raw),
        Line(accounts.agent_available(agent_id), base, amount_raw),
    )


def fill_lines(legs: Sequence[Leg], agent_id: str, role: str, market: ExactMarket, cash: str) -> tuple[Line, ...]:
    """Turn a market's relative legs into ledger lines of this agent and market."""
    names = {
        "cash": cash,
        **{name: of(agent_id, role) for name, of in HELD.items()},
        "fee": accounts.fee(market.spec.name),
        "gas": accounts.GAS,
        "world": accounts.world(market.spec.name),
    }
    return tuple(Line(names[leg.account], leg.asset, leg.amount) for leg in legs if leg.amount)


def interest_lines(
    waiting: Mapping[tuple[str, str, str], int], agent_id: str, role: str, market: ExactMarket
) -> tuple[Line, ...]:
    """Lines of the interest of `role` among what waits on an account, by (role, ``position`` or ``debt``, asset)."""
    lines: list[Line] = []
    for (mine, name, asset), amount in waiting.items():
        if mine == role and amount:
            lines.append(Line(HELD[name](agent_id, role), asset, amount))
            lines.append(Line(accounts.world(market.spec.name), asset, -amount))
    return tuple(lines)
