"""The built-in validators: capital, position limit, trade size, daily trades, slippage, market enabled.

Each refuses at the first amount BEYOND its limit (exactly the limit passes) and fails closed on NaN.
"""

from __future__ import annotations

from treasury_arena.contracts.validation import OrderFacts, Validator

#: Rounding of whole base units between a target and its fill.
ROUNDING = 1e-9


def _within(value: float, limit: float) -> bool:
    return value <= limit * (1.0 + ROUNDING)


class CapitalValidator(Validator):
    """An order may use only what its agent has and has not reserved for another order."""

    name = "capital"

    def refuse(self, order: OrderFacts) -> str | None:
        needed = order.cash_raw
        if min(order.notional_raw, order.cash_raw, order.cost_raw) < 0:
            return f"amounts must not be negative: notional {order.notional_raw}, cash {order.cash_raw}, cost {order.cost_raw}"
        if needed > order.available_raw:
            return f"needs {needed} base units and has {order.available_raw} available after reservations"
        return None


class PositionLimitValidator(Validator):
    """One coin position may not grow beyond its share of the agent's equity."""

    name = "position_limit"

    def refuse(self, order: OrderFacts) -> str | None:
        limit = order.limits.get("position_share_max")
        if limit is None or not order.increases or not order.coin:
            return None
        after = order.position_raw + order.cash_raw
        if order.equity_raw > 0 and _within(after / order.equity_raw, limit):
            return None
        return f"the position would be {after} of {order.equity_raw} base units of equity, beyond the share {limit}"


class TradeSizeValidator(Validator):
    """An order is neither a speck nor larger than allowed."""

    name = "trade_size"

    def refuse(self, order: OrderFacts) -> str | None:
        if not order.increases:
            return None
        share = order.limits.get("trade_share_max")
        if share is not None and not (order.equity_raw > 0 and _within(order.cash_raw / order.equity_raw, share)):
            return f"{order.cash_raw} base units are more than the share {share} of {order.equity_raw} equity"
        smallest, largest = order.limits.get("trade_raw_min"), order.limits.get("trade_raw_max")
        if smallest is not None and not order.notional_raw >= smallest:
            return f"{order.notional_raw} base units are below the smallest order {smallest:.0f}"
        if largest is not None and not order.notional_raw <= largest:
            return f"{order.notional_raw} base units are above the largest order {largest:.0f}"
        return None


class DailyTradesValidator(Validator):
    """A UTC day has room for so many orders of one agent; leaving a position is always possible."""

    name = "daily_trades"

    def refuse(self, order: OrderFacts) -> str | None:
        limit = order.limits.get("daily_trades_max")
        if limit is None or not order.increases or order.orders_today < limit:
            return None
        return f"the agent has placed {order.orders_today} orders today, the limit is {limit:.0f}"


class SlippageValidator(Validator):
    """The price paid must lie near the mid price; leaving a position is always possible."""

    name = "slippage"

    def refuse(self, order: OrderFacts) -> str | None:
        limit = order.limits.get("slippage_bps_max")
        if limit is None or not order.increases or (0.0 <= order.slippage_bps <= limit):
            return None
        return f"expected slippage is {order.slippage_bps:.2f} bps, the limit is {limit:.2f}"


class MarketEnabledValidator(Validator):
    """A disabled market takes no new risk; positions in it can be left."""

    name = "market_enabled"

    def refuse(self, order: OrderFacts) -> str | None:
        if order.market_enabled or not order.increases:
            return None
        return f"market {order.market!r} is disabled"


BUILT_IN: tuple[Validator, ...] = (
    MarketEnabledValidator(),
    TradeSizeValidator(),
    CapitalValidator(),
    PositionLimitValidator(),
    DailyTradesValidator(),
    SlippageValidator(),
)
