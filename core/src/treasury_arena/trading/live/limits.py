"""Limits of live orders: amounts count from the moment they are reserved, over all processes that share the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from treasury_arena.contracts.chain import Refusal
from treasury_arena.errors import ValidationError
from treasury_arena.trading.live.records import Reserved


def _positive(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValidationError(
            f"limit {attribute.name} must be a whole number of base units of at least 0, not {value!r}"
        )


def _limit(help: str) -> Any:
    return attrs.field(default=None, validator=_positive, metadata={"help": help})


@attrs.frozen
class LiveLimits:
    """Limits in base units of the base asset; None does not limit. Orders that only reduce risk are exempt from all of them."""

    order_raw: int | None = _limit("Largest single order.")
    hourly_raw: int | None = _limit("All orders reserved within an hour, together.")
    daily_raw: int | None = _limit("All orders reserved within 24 hours, together.")
    agent_daily_raw: int | None = _limit("All orders of one agent reserved within 24 hours, together.")
    arena_raw: int | None = _limit(
        "All capital that orders have put to work and not brought back, reserved money included."
    )

    @property
    def timed(self) -> bool:
        """Whether what was reserved in the last hours is limited at all."""
        return (self.hourly_raw, self.daily_raw, self.agent_daily_raw) != (None, None, None)

    def refuse(
        self,
        agent_id: str,
        notional_raw: int,
        cash_raw: int,
        deployed_raw: int,
        recent: Sequence[tuple[int, Reserved]],
        armed_raw: int,
    ) -> Refusal | None:
        """Why an order that adds risk is not reserved, or None.

        Args:
            agent_id, notional_raw, cash_raw: of the order.
            deployed_raw: capital at work in all markets, reservations of open orders included.
            recent: (age in seconds, intent) of every risk-adding intent reserved in the last 24 hours and not cancelled; none
                need be given unless the limits are `timed`.
            armed_raw: the limit that was confirmed when live was armed.
        """
        hour = sum(intent.notional_raw for age, intent in recent if age < 3_600)
        day = sum(intent.notional_raw for _, intent in recent)
        own = sum(intent.notional_raw for _, intent in recent if intent.agent_id == agent_id)
        checks = (
            ("order_limit", self.order_raw, 0, notional_raw, "one order"),
            ("hourly_limit", self.hourly_raw, hour, notional_raw, "the orders of an hour"),
            ("daily_limit", self.daily_raw, day, notional_raw, "the orders of a day"),
            ("agent_limit", self.agent_daily_raw, own, notional_raw, f"the orders of agent {agent_id} in a day"),
            ("arena_limit", self.arena_raw, deployed_raw, cash_raw, "capital at work"),
            ("armed_limit", armed_raw, deployed_raw, cash_raw, "capital at work under the armed confirmation"),
        )
        for code, most, already, more, what in checks:
            if most is not None and already + more > most:
                return Refusal(
                    code, f"{what} may be at most {most} base units: {already} are taken, {more} more would exceed it"
                )
        return None
