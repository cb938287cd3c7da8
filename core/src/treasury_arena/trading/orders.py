"""Orders on their way, and where an engine may send them."""

from __future__ import annotations

import attrs

from treasury_arena.contracts.protocol import Fill
from treasury_arena.domain.order_states import IntentState, walk_instant
from treasury_arena.events.catalog import OrderSettled
from treasury_arena.trading.account import Account
from treasury_arena.trading.intent import Intent

#: Mode -> venues of markets it may trade in.
VENUES = {"simulation": ("replay",), "local": ("replay", "local")}


@attrs.define
class Order:
    """An intent on its way: the quote it was validated on and where it stands."""

    intent: Intent
    intent_id: str
    account: Account
    fill: Fill
    value_raw: int
    reserved_raw: int = 0
    state: IntentState = IntentState.PROPOSED

    @property
    def unknown(self) -> bool:
        """Whether nobody can tell what became of it."""
        return self.state is IntentState.QUARANTINED

    def settled(self, fill: Fill) -> OrderSettled:
        """The event of what it became."""
        return OrderSettled(
            intent_id=self.intent_id,
            market=self.intent.market,
            role=self.intent.role,
            row=self.intent.row,
            status="FINAL",
            path=list(walk_instant()),
            notional_raw=fill.notional_raw,
            cost_raw=fill.cost_raw,
            cash_raw=fill.cash_raw,
            slippage_bps=fill.slippage_bps,
            state=[str(part) for part in fill.state],
        )
