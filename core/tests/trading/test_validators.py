"""Validators at both sides of each limit, and on NaN."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from treasury_arena.contracts.validation import OrderFacts, Validator
from treasury_arena.errors import ValidationError
from treasury_arena.trading.limits import Limits
from treasury_arena.trading.validators import (
    BUILT_IN,
    CapitalValidator,
    DailyTradesValidator,
    MarketEnabledValidator,
    PositionLimitValidator,
    SlippageValidator,
    TradeSizeValidator,
)

NAN = math.nan
GOOD = OrderFacts(
    agent_id="a",
    stage="proving",
    market="eth",
    asset="WETH",
    increases=True,
    coin=True,
    notional_raw=1_000,
    cash_raw=1_000,
    cost_raw=1,
    available_raw=10_000,
    equity_raw=10_000,
    position_raw=0,
    orders_today=0,
    slippage_bps=10.0,
    market_enabled=True,
    limits={},
)


def facts(limits: dict[str, float] | None = None, **change: Any) -> OrderFacts:
    """A purchase takes as much cash as it moves, a sale none, unless told."""
    increases = change.get("increases", True)
    cash = change.get("notional_raw", GOOD.notional_raw) if increases else 0
    return attrs.evolve(GOOD, limits=limits or {}, **{"cash_raw": cash, **change})


CASES: list[tuple[Validator, OrderFacts, bool]] = [
    (CapitalValidator(), facts(notional_raw=10_000), True),
    (CapitalValidator(), facts(notional_raw=10_001), False),
    (CapitalValidator(), facts(notional_raw=10_001, increases=False), True),
    (CapitalValidator(), facts(available_raw=999), False),
    (CapitalValidator(), facts(available_raw=0, increases=False), True),
    (CapitalValidator(), facts(notional_raw=-1), False),
    (CapitalValidator(), facts(notional_raw=-1, cash_raw=0), False),
    (CapitalValidator(), facts(cost_raw=-1), False),
    (CapitalValidator(), facts(notional_raw=25_000, cash_raw=10_000), True),
    (CapitalValidator(), facts(notional_raw=0, cash_raw=10_001), False),
    (CapitalValidator(), facts(cash_raw=-1), False),
    (PositionLimitValidator(), facts({"position_share_max": 0.3}, position_raw=2_000), True),
    (PositionLimitValidator(), facts({"position_share_max": 0.3}, position_raw=2_001), False),
    (PositionLimitValidator(), facts({"position_share_max": 0.3}, position_raw=9_000, increases=False), True),
    (PositionLimitValidator(), facts({"position_share_max": 0.3}, position_raw=9_000, coin=False), True),
    (PositionLimitValidator(), facts({"position_share_max": 0.3}, notional_raw=9_000, cash_raw=3_000), True),
    (PositionLimitValidator(), facts({"position_share_max": 0.3}, equity_raw=0), False),
    (PositionLimitValidator(), facts({"position_share_max": 1.0}, position_raw=0, cash_raw=1, equity_raw=1), True),
    (PositionLimitValidator(), facts({"position_share_max": NAN}), False),
    (PositionLimitValidator(), facts(position_raw=10**9), True),
    (TradeSizeValidator(), facts({"trade_share_max": 0.1}), True),
    (TradeSizeValidator(), facts({"trade_share_max": 0.1}, notional_raw=1_001), False),
    (TradeSizeValidator(), facts({"trade_share_max": 0.1}, notional_raw=9_000, increases=False), True),
    (TradeSizeValidator(), facts({"trade_share_max": 0.1}, notional_raw=5_000, cash_raw=1_000), True),
    (TradeSizeValidator(), facts({"trade_raw_max": 4_999.0}, notional_raw=5_000, cash_raw=1_000), False),
    (TradeSizeValidator(), facts({"trade_share_max": 0.1}, equity_raw=0), False),
    (TradeSizeValidator(), facts({"trade_share_max": 1.0}, cash_raw=1, equity_raw=1), True),
    (TradeSizeValidator(), facts({"trade_share_max": 0.0}, cash_raw=0), True),
    (TradeSizeValidator(), facts({"trade_share_max": NAN}), False),
    (TradeSizeValidator(), facts({"trade_raw_min": 1_000.0}), True),
    (TradeSizeValidator(), facts({"trade_raw_min": 1_001.0}), False),
    (TradeSizeValidator(), facts({"trade_raw_min": 1_001.0}, increases=False), True),
    (TradeSizeValidator(), facts({"trade_raw_min": NAN}), False),
    (TradeSizeValidator(), facts({"trade_raw_max": 1_000.0}), True),
    (TradeSizeValidator(), facts({"trade_raw_max": 999.0}), False),
    (TradeSizeValidator(), facts({"trade_raw_max": NAN}), False),
    (DailyTradesValidator(), facts({"daily_trades_max": 5.0}, orders_today=4), True),
    (DailyTradesValidator(), facts({"daily_trades_max": 5.0}, orders_today=5), False),
    (DailyTradesValidator(), facts({"daily_trades_max": 5.0}, orders_today=9, increases=False), True),
    (DailyTradesValidator(), facts({"daily_trades_max": 0.0}), False),
    (DailyTradesValidator(), facts({"daily_trades_max": NAN}), False),
    (SlippageValidator(), facts({"slippage_bps_max": 10.0}), True),
    (SlippageValidator(), facts({"slippage_bps_max": 10.0}, slippage_bps=10.001), False),
    (SlippageValidator(), facts({"slippage_bps_max": 10.0}, slippage_bps=NAN), False),
    (SlippageValidator(), facts({"slippage_bps_max": 10.0}, slippage_bps=-0.001), False),
    (SlippageValidator(), facts({"slippage_bps_max": 10.0}, slippage_bps=math.inf), False),
    (SlippageValidator(), facts({"slippage_bps_max": NAN}), False),
    (MarketEnabledValidator(), facts(market_enabled=True), True),
    (MarketEnabledValidator(), facts(market_enabled=False), False),
    (MarketEnabledValidator(), facts(market_enabled=False, increases=False), True),
]


@pytest.mark.parametrize(("validator", "order", "passes"), CASES)
def test_both_sides_of_every_limit(validator: Validator, order: OrderFacts, passes: bool) -> None:
    reason = validator.refuse(order)
    assert (reason is None) is passes
    assert reason is None or len(reason) > 10


def test_without_limits_everything_fundable_passes() -> None:
    assert [validator.refuse(facts(notional_raw=10_000)) for validator in BUILT_IN] == [None] * len(BUILT_IN)


def test_built_in_validators_have_distinct_names() -> None:
    assert len({validator.name for validator in BUILT_IN}) == len(BUILT_IN) == 6


def test_a_reason_names_the_numbers() -> None:
    assert "5" in str(DailyTradesValidator().refuse(facts({"daily_trades_max": 5.0}, orders_today=5)))


def test_limits_in_force_are_named_and_none_is_left_out() -> None:
    limits = Limits(position_share_max=0.2, trade_share_max=None, daily_trades_max=3)
    assert limits.as_mapping() == {
        "position_share_max": 0.2,
        "trade_raw_min": 1_000_000.0,
        "daily_trades_max": 3.0,
        "slippage_bps_max": 100.0,
    }


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits)])
@pytest.mark.parametrize("value", [-0.1, NAN, math.inf])
def test_an_impossible_limit_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Limits(**{name: value})


def test_limits_that_nobody_configured() -> None:
    """What the configuration's reference promises."""
    assert Limits().as_mapping() == {
        "position_share_max": 1.0,
        "trade_share_max": 1.0,
        "trade_raw_min": 1_000_000.0,
        "daily_trades_max": 50.0,
        "slippage_bps_max": 100.0,
    }


def test_a_limit_of_zero_is_possible() -> None:
    assert Limits(daily_trades_max=0).as_mapping()["daily_trades_max"] == 0.0
