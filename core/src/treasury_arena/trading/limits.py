"""The configured trading limits, by name. A limit that is None is not applied."""

from __future__ import annotations

import math
from typing import Any

import attrs

from treasury_arena.errors import ValidationError


def _number(instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value >= 0.0):
        raise ValidationError(f"limit {attribute.name} must be a finite number of at least 0, not {value}")


def _limit(default: float | None, help: str) -> Any:
    return attrs.field(default=default, validator=_number, metadata={"help": help})


@attrs.frozen
class Limits:
    """Limits every order is held against; amounts count what is reserved, not only what is filled.

    Each field is documented by its metadata `help`; the configuration takes names, defaults and help from here. Leaving a
    position is exempt from the smallest order.
    """

    position_share_max: float | None = _limit(1.0, "Largest share of an agent's equity in one position.")
    trade_share_max: float | None = _limit(
        1.0, "Most of its own money an agent may put into one order, as a share of its equity."
    )
    trade_raw_max: float | None = _limit(None, "Largest order in base units, borrowed money included; absent for none.")
    trade_raw_min: float | None = _limit(1_000_000.0, "Smallest order in base units, borrowed money included.")
    daily_trades_max: float | None = _limit(50, "Orders of one agent on one UTC day.")
    slippage_bps_max: float | None = _limit(100.0, "Largest expected slippage, in basis points.")

    def as_mapping(self) -> dict[str, float]:
        """The limits in force by name, for validators."""
        return {name: float(value) for name, value in attrs.asdict(self).items() if value is not None}
