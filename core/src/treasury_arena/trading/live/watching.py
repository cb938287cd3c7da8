"""A slot from its signature to its end: sending, replacing, inclusion, finality, and the postings of what is final."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from treasury_arena.contracts.chain import Effect, Fees, Inclusion, Refusal, Step, StepKind
from treasury_arena.domain.order_states import IntentState, StepState
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft, Transfer
from treasury_arena.ledger import accounts
from treasury_arena.store import schema
from treasury_arena.trading.live import postings
from treasury_arena.trading.live.context import Context, Part
from treasury_arena.trading.live.gate import reduces
from treasury_arena.trading.live.points import CrashPoint
from treasury_arena.trading.live.records import AttemptRecord, IntentRecord, SlotRecord
from treasury_arena.trading.live.signing import Signing

#: A transaction that is not mined after so many blocks is replaced, at most so many times; then it is cancelled.
STUCK_BLOCKS, BUMPS_MAX = 3, 5
#: A node may count a transaction before it shows its receipt: a nonce counts as taken by another when it has looked so for so
#: long. A process that was started again waits anew.
DISPLACED_SECONDS = 5


class Watching(Part):
    """Looks after slots under way."""

    def __init__(self, context: Context, signing: Signing) -> None:
        super().__init__(context)
        self.signing = signing
        self._taken_since: dict[str, int] = {}

    def watch(self, intent: IntentRecord, slot: SlotRecord) -> bool:
        if slot.state is StepState.NONCED:
            counts = self.client.counts(slot.sender)
            if counts.latest > slot.nonce:
                return self._displaced(intent, slot, (), counts.finalized)
            return not self.gate.stopped() and self.signing.sign_first(intent, slot)
        if slot.state is StepState.INCLUDED:
            return self._finalize(intent, slot)
        attempts = self.records.attempts(slot.slot)
        for attempt in reversed(attempts):
            found = self.client.inclusion(attempt.tx_hash, slot.sender)
            if found is not None:
                self._taken_since.pop(slot.slot, None)
                return self._included(intent, slot, found)
        counts = self.client.counts(slot.sender)
        if counts.latest > slot.nonce:
            return self._displaced(intent, slot, attempts, counts.finalized)
        if self.gate.stopped():
            return False
        latest = attempts[-1]
        if slot.state is StepState.SIGNED or latest.sent_block is None:
            return self._send(intent, slot, latest)
        if not any(self.client.known(attempt.tx_hash) for attempt in attempts):
            return self._send_again(intent, slot, attempts)
        return self._replace_if_stuck(intent, slot, attempts)

    def _send(self, intent: IntentRecord, slot: SlotRecord, attempt: AttemptRecord) -> bool:
        """Send journaled bytes that may never have left; the gate looks at them once more first."""
        step = attempt.step()
        if attempt.purpose == "original" and self._stale(intent, slot, attempt, step):
            return self.signing.cancel(intent, slot, len(self.records.attempts(slot.slot)))
        return self._broadcast(intent, slot, attempt)

    def _stale(self, intent: IntentRecord, slot: SlotRecord, attempt: AttemptRecord, step: Step) -> bool:
        """Whether bytes that nobody has seen must not be sent any more."""
        transaction, _ = self.client.read(attempt.signed)
        refusal = self.gate.outside(step, transaction) or self._permitted_now(intent, step)
        if refusal is not None:
            payload = o.GateRefused(intent.intent_id, slot.step or 0, str(step.kind), refusal.code, refusal.reason)
            self.store.append([self.context.draft(payload, intent.agent_id)])
        return refusal is not None

    def _permitted_now(self, intent: IntentRecord, step: Step) -> Refusal | None:
        with self.records.reading() as connection:
            return self.gate.permitted(connection, intent.sender, reduces(intent, step.kind))

    def _send_again(self, intent: IntentRecord, slot: SlotRecord, attempts: Sequence[AttemptRecord]) -> bool:
        """Nobody knows any sibling (dropped, or lost on the way): the same bytes once more.

        Bytes that nobody takes any more, for a fee below what the chain asks now, are replaced as if they were stuck.
        """
        head, latest = self.client.head(), attempts[-1]
        if latest.sent_block is not None and head.number <= latest.sent_block:
            return False
        return self._send(intent, slot, latest) or self._replace_if_stuck(intent, slot, attempts, latest.signed_block)

    def _broadcast(self, intent: IntentRecord, slot: SlotRecord, attempt: AttemptRecord) -> bool:
        kind = attempt.call["kind"]
        head = self.client.head()
        results = []
        for endpoint in self.client.endpoints:
            results.append(self.client.send(endpoint, attempt.signed))
            self._at(CrashPoint.K4, kind)
        self._at(CrashPoint.K5, kind)
        drafts = [
            self.context.draft(
                o.SendObserved(
                    intent.intent_id,
                    slot.chain_id,
                    slot.sender,
                    slot.nonce,
                    attempt.tx_hash,
                    result.endpoint,
                    result.outcome,
                    result.text[:500],
                    head.number,
                ),
                intent.agent_id,
            )
            for result in results
        ]
        self.store.append(drafts)
        self._at(CrashPoint.K6, kind)
        return any(result.outcome in ("ok", "known") for result in results)

    def _replace_if_stuck(
        self, intent: IntentRecord, slot: SlotRecord, attempts: Sequence[AttemptRecord], since: int | None = None
    ) -> bool:
        """Replace what has waited for too long, counted from the block it was sent at, or from `since`."""
        latest = attempts[-1]
        head = self.client.head()
        began = latest.sent_block if since is None else since
        if began is None or head.number - began < STUCK_BLOCKS or len(self.records.attempts(slot.slot)) > len(attempts):
            return False
        bumps = sum(attempt.purpose == "bump" for attempt in attempts)
        cancels = [attempt for attempt in attempts if attempt.purpose == "cancel"]
        fees = self.client.bumped(Fees(latest.fee_cap_raw, latest.tip_raw))
        if not cancels and bumps < BUMPS_MAX and fees is not None:
            return self.signing.resign(intent, slot, latest.step(), len(attempts), fees, "bump")
        if not cancels and fees is not None:
            return self.signing.cancel(intent, slot, len(attempts), fees)
        if intent.state is not IntentState.QUARANTINED:
            why = f"nonce {slot.nonce} is stuck: {len(attempts)} attempts, none mined, and no higher fee is allowed"
            self.store.append([self.context.draft(o.IntentQuarantined(intent.intent_id, why), intent.agent_id)])
        return False

    def _included(self, intent: IntentRecord, slot: SlotRecord, found: Inclusion) -> bool:
        """C5: provisional; nothing is posted."""
        kind = slot.kind or ""
        self._at(CrashPoint.K7, kind)
        payload = o.IncludedObserved(
            intent.intent_id,
            slot.chain_id,
            slot.sender,
            slot.nonce,
            found.hash.lower(),
            found.block_number,
            found.block_hash,
            found.success,
        )
        self.store.append([self.context.draft(payload, intent.agent_id)])
        self._at(CrashPoint.K8, kind)
        return True

    def _finalize(self, intent: IntentRecord, slot: SlotRecord) -> bool:
        """C6 once the block is final; back to waiting when it was replaced."""
        assert slot.tx_hash is not None
        assert slot.block_number is not None
        assert slot.block_hash is not None
        canonical = self.client.block(slot.block_number)
        found = self.client.inclusion(slot.tx_hash, slot.sender)
        if (
            canonical is None
            or canonical.hash != slot.block_hash
            or found is None
            or found.block_hash != slot.block_hash
        ):
            payload = o.ReorgDetected(
                intent.intent_id,
                slot.chain_id,
                slot.sender,
                slot.nonce,
                slot.tx_hash,
                slot.block_number,
                slot.block_hash,
            )
            self.store.append([self.context.draft(payload, intent.agent_id)])
            self._at(CrashPoint.K10, slot.kind or "")
            return True
        if self.client.finalized().number < slot.block_number:
            return False
        self.store.append_decided(lambda connection: self._settle(connection, intent, slot, found))
        return True

    def _settle(
        self, connection: Connection, intent: IntentRecord, slot: SlotRecord, found: Inclusion
    ) -> Sequence[Draft]:
        """The postings of a final step, by its receipt's own logs."""
        agent = intent.agent_id or ""
        attempt = next(a for a in self.records.attempts(slot.slot, connection) if a.tx_hash == slot.tx_hash)
        kind = StepKind(attempt.call["kind"])
        effects = found.effects if found.success else ()
        transfers = self._step_transfers(connection, intent, kind, effects, found.fee_raw)
        payload = o.StepFinal(
            intent_id=intent.intent_id,
            step=slot.step or 0,
            kind=str(kind),
            chain_id=slot.chain_id,
            sender=slot.sender,
            nonce=slot.nonce,
            tx_hash=found.hash.lower(),
            block_number=found.block_number,
            block_hash=found.block_hash,
            success=found.success,
            fee_raw=found.fee_raw,
            effects=[_effect_out(effect) for effect in effects],
        )
        self._at(CrashPoint.K9, slot.kind or "")
        return [self.context.draft(payload, agent, transfers)]

    def _step_transfers(
        self, connection: Connection, intent: IntentRecord, kind: StepKind, effects: Sequence[Effect], fee_raw: int
    ) -> tuple[Transfer, ...]:
        agent = intent.agent_id or ""
        rows = self.store.database.rows(
            connection, schema.ACCOUNT_BALANCES, "WHERE account LIKE ?", [f"{accounts.agent_prefix(agent)}%"]
        )
        held = {(account, asset): int(amount) for account, asset, amount, _ in rows}
        book = postings.StepBook(agent, intent.role, intent.market, self.context.base, lambda a, s: held.get((a, s), 0))
        lines = book.lines(kind, effects)
        gas = postings.gas_paid(agent, self.client.native.symbol, fee_raw)
        return tuple(Transfer(reason, part) for reason, part in (("step", lines), ("gas", gas)) if part)

    def _displaced(
        self, intent: IntentRecord, slot: SlotRecord, attempts: Sequence[AttemptRecord], finalized: int
    ) -> bool:
        """The nonce is used and none of ours is mined: wait until that is final, and stays so, then halt the sender."""
        if finalized <= slot.nonce:
            self._taken_since.pop(slot.slot, None)
            return False
        if any(self.client.inclusion(attempt.tx_hash, slot.sender) is not None for attempt in attempts):
            self._taken_since.pop(slot.slot, None)
            return True
        now = self.context.now
        if attempts and now - self._taken_since.setdefault(slot.slot, now) < DISPLACED_SECONDS:
            return False
        self._taken_since.pop(slot.slot, None)
        why = f"nonce {slot.nonce} of {slot.sender} was used by a transaction that is not in the journal"
        drafts = [
            self.context.draft(
                o.SlotDisplaced(intent.intent_id, slot.chain_id, slot.sender, slot.nonce, why), intent.agent_id
            )
        ]
        if intent.state is not IntentState.QUARANTINED:
            drafts.append(self.context.draft(o.IntentQuarantined(intent.intent_id, why), intent.agent_id))
        self.store.append(drafts)
        return False


def _effect_out(effect: Effect) -> dict[str, Any]:
    return {"log_index": effect.log_index, "asset": effect.asset, "amount_raw": effect.amount_raw}
