"""The configuration section ``[source.simulated]``: every key of the generated market, with its default."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import attrs

from treasury_arena.clock import to_epoch


def _date(instance: Any, attribute: Any, value: str) -> None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError(f"{attribute.name} = {value!r} is not a date; expected YYYY-MM-DD")
    try:
        datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{attribute.name} = {value!r} is not a day of the calendar") from error


def _between(low: float, high: float) -> Any:
    def check(instance: Any, attribute: Any, value: float) -> None:
        if not low <= value <= high:  # false for NaN too
            raise ValueError(f"{attribute.name} = {value} must be a number from {low:g} to {high:g}")

    return check


@attrs.frozen(kw_only=True)
class SimulatedSection:
    """``[source.simulated]``: a seeded joint path of prices, lending rates, depth and gas.

    Attributes:
        seed: None takes the run's seed.
        origin: the day (UTC) the path starts on; every window is a part of the one path from there.
        eth_price, btc_price, sol_price: USD at the origin.
        drift: expected annual growth of every coin (0.2: a price is expected to be e^0.2 as high after a year).
        volatility: multiplies the volatility of every coin; 1.0 resembles 2023 to 2025.
        jumps: multiplies how often prices jump together; 0 for none.
        edge: the planted edge, as the annual Sharpe ratio before costs of holding each coin long or short by the sign of its
            trailing return; negative makes returns revert instead (the opposite sign earns it), 0 leaves nothing to find
            (returns are unpredictable up to `drift`).
        edge_days: days of the trailing return that the edge follows.
        rates: multiplies the base and slopes of the lending markets' rate curves.
        depegs: episodes a year in which USDT or DAI leaves its peg; 0 for none.
        depth: multiplies the depth of the spot markets.
        gas_usd: median cost of one action in USD (mainnet about 8 in 2023 to 2025, a rollup about 0.05).

    Raises ValueError for a value outside its range.
    """

    seed: int | None = attrs.field(default=None, validator=attrs.validators.optional(_between(0, 2**63 - 1)))
    origin: str = attrs.field(default="2023-01-01", validator=_date)
    eth_price: float = attrs.field(default=1200.0, validator=_between(1e-3, 1e7))
    btc_price: float = attrs.field(default=16_500.0, validator=_between(1e-3, 1e7))
    sol_price: float = attrs.field(default=20.0, validator=_between(1e-3, 1e7))
    drift: float = attrs.field(default=0.2, validator=_between(-2.0, 2.0))
    volatility: float = attrs.field(default=1.0, validator=_between(0.01, 3.0))
    jumps: float = attrs.field(default=1.0, validator=_between(0.0, 10.0))
    edge: float = attrs.field(default=0.0, validator=_between(-20.0, 20.0))
    edge_days: int = attrs.field(default=3, validator=_between(1, 60))
    rates: float = attrs.field(default=1.0, validator=_between(0.0, 5.0))
    depegs: float = attrs.field(default=2.0, validator=_between(0.0, 12.0))
    depth: float = attrs.field(default=1.0, validator=_between(1e-3, 1e3))
    gas_usd: float = attrs.field(default=0.25, validator=_between(0.0, 1e4))

    @property
    def origin_epoch(self) -> int:
        """Epoch seconds of midnight UTC at the origin."""
        return to_epoch(datetime.strptime(self.origin, "%Y-%m-%d").replace(tzinfo=UTC))

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of every frame; a market's are held against them before any path is drawn."""
        from treasury_arena_simulation.generator import COLUMNS  # it is drawn from what is configured here

        return COLUMNS
