"""Names of ledger accounts. Only this module spells them; `treasury_arena.events.postings` knows their shapes."""

from __future__ import annotations

from treasury_arena.events.postings import check_account

TREASURY_RESERVE = "treasury:reserve"
DUST = "treasury:dust"
"""Remainders too small to be sold."""
GAS = "gas"


def _checked(account: str) -> str:
    check_account(account)
    return account


def pool(name: str) -> str:
    """Free cash of a pool: ``pool:<name>``."""
    return _checked(f"pool:{name}")


def lent(cash: str) -> str:
    """What the pool or the treasury with this account of cash has lent out: ``pool:<name>:lent``."""
    return _checked(f"{cash}:lent")


def agent_available(agent_id: str) -> str:
    """An agent's free cash."""
    return _checked(f"agent:{agent_id}:available")


def agent_reserved(agent_id: str) -> str:
    """Cash reserved for an order under way."""
    return _checked(f"agent:{agent_id}:reserved")


def agent_position(agent_id: str, role: str) -> str:
    """Tokens of the position an agent holds in `role`."""
    return _checked(f"agent:{agent_id}:position:{role}")


def agent_debt(agent_id: str, role: str) -> str:
    """Tokens that the position in `role` owes: negative or zero."""
    return _checked(f"agent:{agent_id}:debt:{role}")


def agent_prefix(agent_id: str) -> str:
    """Start of every account of an agent, for `balances(prefix)`."""
    return f"agent:{agent_id}:"


def fee(market: str) -> str:
    """Fees paid to a market."""
    return _checked(f"fee:{market}")


def world(name: str) -> str:
    """Everybody else; the one kind of account that may be positive and negative."""
    return _checked(f"world:{name}")
