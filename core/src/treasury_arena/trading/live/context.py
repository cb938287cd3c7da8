"""What the parts of the order engine share: its doors, its journal, and the way it writes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from treasury_arena.clock import Clock, iso, to_epoch
from treasury_arena.contracts.chain import ChainClient, Refusal, StepPlanner, TransactionSigner
from treasury_arena.domain.order_states import IntentState
from treasury_arena.errors import IntegrityError, TreasuryArenaError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Transfer
from treasury_arena.store.event_store import EventStore
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.gate import Gate
from treasury_arena.trading.live.limits import LiveLimits
from treasury_arena.trading.live.points import Passing
from treasury_arena.trading.live.records import IntentRecord, Records


class RefusedError(TreasuryArenaError):
    """The gate refused, inside a transaction that is undone by this."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


@attrs.frozen
class Context:
    """Doors and journal of one order engine."""

    arena_id: str
    store: EventStore
    client: ChainClient
    signer: TransactionSigner
    planners: Mapping[str, StepPlanner]
    clock: Clock
    limits: LiveLimits
    records: Records
    gate: Gate
    passing: Passing

    @property
    def base(self) -> str:
        """Symbol of the asset that cash is in."""
        return next(iter(self.planners.values())).base.symbol

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return to_epoch(self.clock.now())

    def draft(self, payload: Any, agent_id: str | None = None, transfers: Sequence[Transfer] = ()) -> Draft:
        """An event of this moment."""
        return Draft(payload, iso(self.clock.now()), agent_id or None, tuple(transfers))

    def ending(self, intent: IntentRecord, status: IntentState, reason: str, operator: str = "") -> Draft:
        """The end of an intent, with what is left of its reservations set free.

        Raises IntegrityError when more was spent than was reserved: nothing is guessed then.
        """
        now = self.records.intent(intent.intent_id) or intent
        left, gas = now.left_raw(self.base), now.gas_raw - now.fees_raw
        if left < 0 or gas < 0:
            raise IntegrityError(
                f"intent {intent.intent_id} spent more than it had reserved: {left} base units and {gas} wei are left"
            )
        moves = postings.release(intent.agent_id or "", self.base, left, self.client.native.symbol, gas)
        payload = o.IntentEnded(intent.intent_id, str(status), reason, operator, left, gas)
        return self.draft(payload, intent.agent_id, moves)


class Part:
    """One part of the engine."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store, self.client, self.signer = context.store, context.client, context.signer
        self.planners, self.records, self.gate = context.planners, context.records, context.gate
        self._at = context.passing
