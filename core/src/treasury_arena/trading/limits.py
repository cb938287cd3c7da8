"""The configured trading limits, by name. A limit that is None is not applied."""

from __future__ import annotations

import math
from typing import Any

import attrs

from treasury_arena.errors import ValidationError


def _limit(instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value >= 0.0):
        raise ValidationError(f"limit {attribute.name} must be a finite number of at least 0, not {value}")


@attrs.frozen
class Limits:
    """Limits every order is held against; amounts count what is reserved, not only what is filled.

    Attributes:
        position_share_max: largest share of an agent's equity in one coin position.
        trade_share_max: most of its own money an agent may put into one order, as a share of its equity.
        trade_raw_min, trade_raw_max: smallest and largest order in base units, borrowed money included. Leaving a position is
            exempt.
        daily_trades_max: orders an agent may place on one UTC day.
        slippage_bps_max: largest expected slippage against the mid price, in basis points.
    """

    position_share_max: float | None = attrs.field(default=1.0, validator=_limit)
    trade_share_max: float | None = attrs.field(default=1.0, validator=_limit)
    trade_raw_min: float | None = attrs.field(default=1_000_000.0, validator=_limit)
    trade_raw_max: float | None = attrs.field(default=None, validator=_limit)
    daily_trades_max: float | None = attrs.field(default=50, validator=_limit)
    slippage_bps_max: float | None = attrs.field(default=100.0, validator=_limit)

    def as_mapping(self) -> dict[str, float]:
        """The limits in force by name, for validators."""
        return {name: float(value) for name, value in attrs.asdict(self).items() if value is not None}
