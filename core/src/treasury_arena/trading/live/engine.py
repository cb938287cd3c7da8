"""OrderEngine: carries intents through a chain so that no crash loses, doubles or hides one.

1. Nothing is signed before its row is durable; nothing is sent before the signature is.
2. From then on the transaction may be public. Only a final block that uses its nonce ends it, no timer does.
3. A retry sends the same bytes; a new signature on the same nonce is another attempt, and all of them are watched.
4. `advance` looks only at the journal and at the chain, never at what it remembers, so that a restart is nothing special:
   at most it waits once more.
5. Money moves in the books when a final block says so, by the logs of its receipt, and each log once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from treasury_arena.clock import Clock
from treasury_arena.contracts.chain import ChainClient, Holding, Refusal, StepKind, StepPlanner, TransactionSigner
from treasury_arena.domain.order_states import IntentState
from treasury_arena.errors import ChainUnavailableError, SignerError, ValidationError, nearest
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft
from treasury_arena.store.event_store import EventStore
from treasury_arena.trading.intent import Intent
from treasury_arena.trading.live.context import Context
from treasury_arena.trading.live.gate import FuseOpen, Gate, StopLevel
from treasury_arena.trading.live.limits import LiveLimits
from treasury_arena.trading.live.points import Passing, pass_by
from treasury_arena.trading.live.reconciling import Reconciler, Reconciliation
from treasury_arena.trading.live.records import IntentRecord, Records
from treasury_arena.trading.live.reserving import Reserving
from treasury_arena.trading.live.signing import Signing
from treasury_arena.trading.live.watching import Watching

MODES = ("live", "local")


class OrderEngine:
    """Orders of one sender on one chain.

    Safe to call from several threads; several processes may submit to one store, one of them at a time advances (the lease of the
    store sees to that).

    Args:
        arena_id: part of every intent's id.
        store: journal and ledger.
        client: the chain.
        signer: signs for the treasury's address.
        planners: by market.
        clock: says what time it is.
        limits: of live orders.
        mode: ``live``, or ``local`` for a chain of one's own, which needs no confirmation.
        stop_level: reads the emergency stop inside a transaction.
        fuse: reads the fuse inside a transaction.
        passing: called at every crash point; tests end the process there.
        broken: events to append when finality broke: what locks the fuse.
    """

    def __init__(
        self,
        arena_id: str,
        store: EventStore,
        client: ChainClient,
        signer: TransactionSigner,
        planners: Mapping[str, StepPlanner],
        clock: Clock,
        limits: LiveLimits | None = None,
        *,
        mode: str = "live",
        stop_level: StopLevel,
        fuse: FuseOpen = lambda _: "",
        passing: Passing = pass_by,
        broken: Callable[[str], Sequence[Draft]] = lambda _: (),
    ) -> None:
        if mode not in MODES:
            raise ValidationError(f"order mode {mode!r} is unknown; {nearest(mode, MODES)}")
        self.store, self.client, self.mode = store, client, mode
        self.records = Records(store)
        self.gate = Gate(mode, client, self.records, stop_level, fuse)
        self.context = Context(
            arena_id,
            store,
            client,
            signer,
            dict(planners),
            clock,
            limits or LiveLimits(),
            self.records,
            self.gate,
            passing,
        )
        self.planners = self.context.planners
        self.reserving = Reserving(self.context)
        self.signing = Signing(self.context)
        self.watching = Watching(self.context, self.signing)
        self.reconciler = Reconciler(self.context, self.tick, broken)
        self._lock = threading.RLock()

    def holding(self, agent_id: str, role: str) -> Holding:
        """What the books say that an agent has in a role."""
        return self.reserving.holding(agent_id, role)

    def submit(self, intent: Intent) -> str | None:
        """Plan an intent, hold it against every limit and reserve its worst case (C1); see `Reserving.submit`."""
        return self.reserving.submit(intent)

    def reconcile(self, *, write: bool = True) -> Reconciliation:
        """Hold journal, ledger and chain against each other; see `treasury_arena.trading.live.reconciling`."""
        return self.reconciler.run(write=write)

    def tick(self) -> int:
        """Advance every open intent as far as the chain allows now; the number of moves made.

        A chain that does not answer ends the tick for that intent only: what is unknown stays as it is.
        """
        moves = 0
        for intent in self.records.open_intents():
            moves += self.advance(intent.intent_id)
        return moves

    def advance(self, intent_id: str) -> int:
        """Advance one intent as far as possible; the number of moves made. Quarantined ones are watched, not continued."""
        moves = 0
        with self._lock:
            try:
                while self._move(intent_id):
                    moves += 1
            except (ChainUnavailableError, SignerError):
                return moves
        return moves

    def _move(self, intent_id: str) -> bool:
        """One move of an intent; False when it has to wait, or is over."""
        intent = self.records.intent(intent_id)
        if intent is None:
            raise ValidationError(f"no intent has the id {intent_id}")
        slot = self.records.open_slot(intent_id)
        if slot is not None:
            return self.watching.watch(intent, slot)
        if intent.state not in (IntentState.RESERVED, IntentState.EXECUTING):
            return False
        return self._next(intent)

    def _next(self, intent: IntentRecord) -> bool:
        """The next step of an intent that has none under way, or its end."""
        step_number = intent.next_step
        if intent.failed:  # only what takes an allowance back is still done
            rest = range(step_number, len(intent.steps))
            step_number = next((n for n in rest if intent.steps[n].kind is StepKind.REVOKE), len(intent.steps))
        if step_number >= len(intent.steps):
            status = IntentState.FAILED if intent.failed else IntentState.SETTLED
            self._end(intent, status, intent.failed)
            return True
        if self.gate.stopped() or self.records.open_slots(intent.sender):
            return False  # one transaction of a sender at a time
        now = self.context.now
        if intent.state is IntentState.RESERVED and now > intent.deadline:
            self._end(intent, IntentState.CANCELLED, "it could not begin before its deadline")
            return True
        planned = intent.steps[step_number]
        try:
            bound = self.planners[intent.market].bind(planned, self.signing.amount(intent, planned), now)
        except ValidationError as error:
            return self.signing.refuse(intent, step_number, planned.kind, Refusal("market", str(error)))
        if bound is None:
            skipped = o.StepSkipped(intent.intent_id, step_number, str(planned.kind), "nothing is left to do")
            self.store.append([self.context.draft(skipped, intent.agent_id)])
            return True
        return self.signing.allocate(intent, step_number, bound)

    def _end(self, intent: IntentRecord, status: IntentState, reason: str) -> None:
        self.store.append([self.context.ending(intent, status, reason)])

    def cancel(self, intent_id: str, reason: str) -> bool:
        """End an intent of which nothing was begun; False when it is too late for that, or it is over already."""
        with self._lock:
            intent = self.records.intent(intent_id)
            if (
                intent is None
                or intent.state is not IntentState.RESERVED
                or self.records.open_slot(intent_id) is not None
            ):
                return False
            self._end(intent, IntentState.CANCELLED, reason)
            return True

    def resolve(self, intent_id: str, outcome: str, reason: str, operator: str) -> None:
        """A person decides a quarantined intent: SETTLED, FAILED or CANCELLED; its reservation is free again.

        Raises ValidationError when it is not quarantined, or still has a transaction that may be mined.
        """
        intent = self.records.intent(intent_id)
        if intent is None or intent.state is not IntentState.QUARANTINED:
            raise ValidationError(f"intent {intent_id} is not in quarantine")
        if outcome not in (IntentState.SETTLED, IntentState.FAILED, IntentState.CANCELLED):
            raise ValidationError(f"outcome {outcome!r} is unknown; expected SETTLED, FAILED or CANCELLED")
        if (slot := self.records.open_slot(intent_id)) is not None:
            raise ValidationError(
                f"intent {intent_id} has a transaction with nonce {slot.nonce} that may still be mined; use that nonce first"
            )
        self.store.append([self.context.ending(intent, IntentState(outcome), reason, operator)])
