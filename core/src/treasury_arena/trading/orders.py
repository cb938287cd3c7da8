"""Orders on their way, and where an engine may send them."""

from __future__ import annotations

import attrs

from treasury_arena.contracts.protocol import Fill
from treasury_arena.domain.order_states import IntentState
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
