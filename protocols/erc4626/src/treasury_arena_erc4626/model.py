"""The position model of a vault: scalar float functions that the search kernel compiles as they stand.

Costs come out of what moves: a deposit takes exactly ``target - value`` cash and ends a little lower; a withdrawal ends at
the target and returns less. A move below ``dust`` USD, or one that its own costs would eat up, is not made.
"""

from __future__ import annotations

from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel


class VaultState(NamedTuple):
    """Shares, counted in what one was worth in assets at the opening: ``shares`` times ``price`` is the claim in assets."""

    shares: float = 0.0
    price: float = 1.0


class VaultColumns(NamedTuple):
    """``rate`` APR as a fraction a year by which a share's price grows, ``price`` USD per asset, ``gas`` USD per action."""

    rate: float
    price: float
    gas: float


class VaultParams(NamedTuple):
    """Costs and the clock.

    ``swap_fee`` is the fraction lost on changing the base asset into the vault's asset or back, ``actions`` how many times gas
    is paid per move, ``dust`` USD, ``step_seconds`` the length of one row, ``vault_assets`` what others hold in the vault in
    whole assets (it sets how finely a share divides, nothing else).
    """

    swap_fee: float = 0.0
    actions: float = 1.0
    dust: float = 1.0
    step_seconds: float = 3600.0
    vault_assets: float = 10000000.0


def vault_value(s: VaultState, m: VaultColumns, p: VaultParams) -> float:
    """USD that the shares are worth."""
    return s.shares * s.price * m.price


def vault_trade(s: VaultState, target: float, m: VaultColumns, p: VaultParams, c: None) -> tuple[VaultState, float]:
    """Deposit or withdraw up to ``target`` USD; returns the state and the cash that came (negative: went), costs taken off."""
    each = s.price * m.price
    move = target - s.shares * each
    size = abs(move)
    if not each > 0.0 or size < p.dust:
        return s, 0.0
    cost = size * p.swap_fee + m.gas * p.actions
    if cost >= size:
        return s, 0.0
    if move > 0.0:
        return VaultState((target - cost) / each, s.price), -move
    return VaultState(target / each, s.price), size - cost


def vault_accrue(s: VaultState, m: VaultColumns, p: VaultParams) -> VaultState:
    """The vault's yield of the step that ends at this row, at the rate observed at its end (linear APR)."""
    return VaultState(s.shares, s.price * (1.0 + m.rate * (p.step_seconds / 31536000.0)))


VAULT = PositionModel(
    "erc4626.vault", "lending", VaultState, VaultColumns, VaultParams, vault_value, vault_trade, vault_accrue
)
