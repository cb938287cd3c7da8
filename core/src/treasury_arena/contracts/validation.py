"""Validators: one pure question asked of every order before it is executed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import attrs


@attrs.frozen
class OrderFacts:
    """What a validator may know about an order. Amounts are base units of the base asset.

    Attributes:
        agent_id, stage: who trades, and its stage.
        market, asset: where and what.
        increases: True when the order raises exposure (a purchase or a deposit).
        coin: True for a market of a coin.
        notional_raw: size of the move, or of what is swapped for it where that is larger (a leveraged position).
        cash_raw: cash it takes, 0 when it gives some.
        cost_raw: worst-case cost including gas.
        available_raw: the agent's cash less everything reserved.
        equity_raw: the agent's equity.
        position_raw: present value of the position, with reserved increases.
        orders_today: orders of this agent accepted on the same UTC day, reserved ones included.
        slippage_bps: expected slippage.
        market_enabled: False when the market takes no new trades.
        limits: configured limits by name (see `treasury_arena.trading.limits`).
    """

    agent_id: str
    stage: str
    market: str
    asset: str
    increases: bool
    coin: bool
    notional_raw: int
    cash_raw: int
    cost_raw: int
    available_raw: int
    equity_raw: int
    position_raw: int
    orders_today: int
    slippage_bps: float
    market_enabled: bool
    limits: Mapping[str, float]


class Validator(ABC):
    """Refuses an order with a reason, or says nothing."""

    name: str

    @abstractmethod
    def refuse(self, order: OrderFacts) -> str | None:
        """Return why the order must not go ahead (one sentence with the numbers), or None. Must fail closed on NaN."""
