"""A funded agent's account while the arena trades: cash, exact positions, and what its strategy remembers."""

from __future__ import annotations

from typing import Any

import attrs

from treasury_arena.contracts.protocol import ExactState


@attrs.define
class Account:
    """Mutable working state of one funded agent; a mark event holds all of it at every cycle's end.

    Attributes:
        agent_id, strategy, stage: identity.
        genome: gene values in the order of the strategy's Genes.
        limits: role -> largest share of equity.
        coin_limit: largest share of equity in coin roles together.
        row: last market row this account has lived through.
        cash_raw, reserved_raw: base units free and reserved.
        positions: role -> exact state.
        accrued_row: role -> row its position has been brought up to.
        interest: (role, ``position`` or ``debt``, asset) -> base units of interest accrued and not yet posted.
        own: the strategy's own state, floats.
        target: pending target by Target field name, or None.
        nav, base_nav, base_raw: net asset value per unit: base_nav * equity / base_raw since the last flow of capital.
        peak_nav: highest nav so far.
        first_row: row of its first decision.
        orders_day, orders_today: UTC day number and orders accepted on it.
        orders, costs_raw: since the last mark.
        daily_raw, daily_nav: equity and nav at each day's close since the last mark.
        share_sum, share_steps: role -> summed share of equity, and steps, since the last mark.
        failed: (kind, reason) once its code failed.
        told_of_stop: True once a HARD stop has refused its orders since the last mark: once is enough for the log.
        fresh: True after new capital came in: the next decision that does not HOLD puts it to work, whatever the band.
        closing: True once it must only be sold; its strategy is not asked any more.
    """

    agent_id: str
    strategy: str
    stage: str
    genome: tuple[float, ...]
    limits: dict[str, float]
    coin_limit: float
    row: int
    first_row: int
    cash_raw: int = 0
    reserved_raw: int = 0
    positions: dict[str, ExactState] = attrs.field(factory=dict)
    accrued_row: dict[str, int] = attrs.field(factory=dict)
    interest: dict[tuple[str, str, str], int] = attrs.field(factory=dict)
    own: tuple[float, ...] | None = None
    target: dict[str, float] | None = None
    nav: float = 1.0
    base_nav: float = 1.0
    base_raw: int = 0
    peak_nav: float = 1.0
    orders_day: int = -1
    orders_today: int = 0
    orders: int = 0
    costs_raw: int = 0
    daily_raw: list[int] = attrs.field(factory=list)
    daily_nav: list[float] = attrs.field(factory=list)
    share_sum: dict[str, float] = attrs.field(factory=dict)
    share_steps: int = 0
    failed: tuple[str, str] | None = None
    closing: bool = False
    fresh: bool = False
    told_of_stop: bool = False

    @property
    def available_raw(self) -> int:
        """Cash that no order has reserved."""
        return self.cash_raw - self.reserved_raw

    def memory(self) -> dict[str, Any]:
        """Everything a mark must hold besides cash and positions, JSON-ready (floats are exact)."""
        return {
            "row": self.row,
            "first_row": self.first_row,
            "accrued_row": dict(self.accrued_row),
            "own": None if self.own is None else list(self.own),
            "target": None if self.target is None else {k: _packed(v) for k, v in self.target.items()},
            "nav": self.nav,
            "base_nav": self.base_nav,
            "base_raw": self.base_raw,
            "peak_nav": self.peak_nav,
            "orders_day": self.orders_day,
            "orders_today": self.orders_today,
            "daily_nav": list(self.daily_nav),
            "closing": self.closing,
            "fresh": self.fresh,
        }

    def restore(self, cash_raw: int, positions: dict[str, ExactState], memory: dict[str, Any]) -> None:
        """Take up a mark again; the inverse of `memory`."""
        self.cash_raw, self.positions = cash_raw, dict(positions)
        self.row, self.first_row = int(memory["row"]), int(memory["first_row"])
        self.accrued_row = {role: int(row) for role, row in memory["accrued_row"].items()}
        self.own = None if memory["own"] is None else tuple(memory["own"])
        target = memory["target"]
        self.target = None if target is None else {k: _unpacked(v) for k, v in target.items()}
        self.nav, self.base_nav, self.peak_nav = memory["nav"], memory["base_nav"], memory["peak_nav"]
        self.base_raw = int(memory["base_raw"])
        self.orders_day, self.orders_today = int(memory["orders_day"]), int(memory["orders_today"])
        self.closing, self.fresh = bool(memory["closing"]), bool(memory["fresh"])
        self.start_interval()

    def start_interval(self) -> None:
        """Forget what the last mark has recorded."""
        self.orders, self.costs_raw, self.share_steps, self.told_of_stop = 0, 0, 0, False
        self.daily_raw, self.daily_nav, self.share_sum = [], [], {}


def _packed(value: float) -> float | str:
    """JSON has no infinity; a HOLD band is stored as text."""
    return value if value - value == 0.0 else str(value)


def _unpacked(value: float | str) -> float:
    return float(value)
