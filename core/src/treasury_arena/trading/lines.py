"""Ledger lines of what an agent's orders do."""

from __future__ import annotations

from collections.abc import Sequence

from treasury_arena.contracts.protocol import ExactMarket, Leg
from treasury_arena.events.event import Line
from treasury_arena.ledger import accounts

#: Accounts of a position that time alone changes: leg account -> ledger account of (agent, role).
HELD = {"position": accounts.agent_position, "debt": accounts.agent_debt}


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
