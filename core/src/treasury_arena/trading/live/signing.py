"""C2 and C3: a nonce, then a signature that the stop, the fuse, the limits and the journal agree to in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy.engine import Connection

from treasury_arena.contracts.chain import ALL, Fees, PlannedStep, Refusal, Signed, Step, StepKind, Unsigned
from treasury_arena.domain.order_states import IntentState
from treasury_arena.errors import FeeCapError, SignerError, ValidationError
from treasury_arena.events import live as o
from treasury_arena.events.event import Draft
from treasury_arena.trading.live.context import Part, RefusedError
from treasury_arena.trading.live.gate import reduces
from treasury_arena.trading.live.points import CrashPoint
from treasury_arena.trading.live.records import IntentRecord, SlotRecord, call_out

#: Gas of a transfer of nothing.
CANCEL_GAS = 21_000


class Signing(Part):
    """Allocates nonces and makes attempts."""

    @staticmethod
    def amount(intent: IntentRecord, planned: PlannedStep) -> int:
        if planned.amount_raw == ALL:
            return max(0, intent.gained.get(planned.asset, 0))
        return int(planned.amount_raw)

    def allocate(self, intent: IntentRecord, number: int, bound: Step) -> bool:
        """C2, when the gate would let the step through now."""
        sender = intent.sender
        counts = self.client.counts(sender)
        draft = self._unsigned(bound, counts.latest)
        if isinstance(draft, Refusal):
            return self.refuse(intent, number, bound.kind, draft)
        refusal = self.gate.outside(bound, draft)
        if refusal is not None:
            return self.refuse(intent, number, bound.kind, refusal)

        def decide(connection: Connection) -> Sequence[Draft]:
            blocked = self.gate.permitted(connection, sender, reduces(intent, bound.kind))
            if blocked is not None:
                raise RefusedError(blocked)
            if self.records.open_slots(sender, connection):
                return ()
            highest = self.records.highest_nonce(self.client.chain_id, sender, connection)
            nonce = counts.latest if highest is None else max(counts.latest, highest + 1)
            payload = o.NonceAllocated(intent.intent_id, number, str(bound.kind), self.client.chain_id, sender, nonce)
            return [self.context.draft(payload, intent.agent_id)]

        try:
            if not self.store.append_decided(decide):
                return False
        except RefusedError as error:
            return self.refuse(intent, number, bound.kind, error.refusal)
        self._at(CrashPoint.K2, str(bound.kind))
        return True

    def _unsigned(self, bound: Step, nonce: int, fees: Fees | None = None) -> Unsigned | Refusal:
        try:
            gas = CANCEL_GAS if bound.kind is StepKind.CANCEL else self.client.gas(self.signer.address, bound)
            offered = fees or self.client.fees()
        except FeeCapError as error:
            return Refusal("fees", str(error))
        except ValidationError as error:
            return Refusal("gas", str(error))
        return Unsigned(
            self.client.chain_id, self.signer.address, nonce, bound.to, bound.value_raw, bound.data, gas, offered
        )

    def refuse(self, intent: IntentRecord, number: int, kind: StepKind, refusal: Refusal) -> bool:
        """Journal a refusal of the gate. Nothing begun: the intent is cancelled. Begun: it has failed, and only what takes an
        allowance back is still done; when that is refused, a person must look.
        """
        payload = o.GateRefused(intent.intent_id, number, str(kind), refusal.code, refusal.reason)
        drafts = [self.context.draft(payload, intent.agent_id)]
        why = f"{refusal.code}: {refusal.reason}"
        if kind is StepKind.REVOKE:
            drafts.append(self.context.draft(o.IntentQuarantined(intent.intent_id, why), intent.agent_id))
        elif intent.state is IntentState.RESERVED:
            drafts.append(self.context.ending(intent, IntentState.CANCELLED, why))
        self.store.append(drafts)
        return True

    def sign_first(self, intent: IntentRecord, slot: SlotRecord) -> bool:
        """A slot without a signature: bind again (time has passed), judge again, sign; or give the nonce back."""
        assert slot.step is not None
        planned = intent.steps[slot.step]
        now = self.context.now
        try:
            bound = self.planners[intent.market].bind(planned, self.amount(intent, planned), now)
        except ValidationError as error:
            return self._give_back(intent, slot, planned.kind, Refusal("market", str(error)))
        if bound is None:
            return self._give_back(intent, slot, planned.kind, Refusal("done", "nothing is left to do"))
        draft = self._unsigned(bound, slot.nonce)
        refusal = draft if isinstance(draft, Refusal) else self.gate.outside(bound, draft)
        if isinstance(draft, Refusal) or refusal is not None:
            assert refusal is not None
            return self._give_back(intent, slot, planned.kind, refusal)
        try:
            self._sign(intent, slot, bound, draft, 0, "original")
        except RefusedError as error:
            return self._give_back(intent, slot, planned.kind, error.refusal)
        self._at(CrashPoint.K3, str(bound.kind))
        return True

    def _sign(
        self, intent: IntentRecord, slot: SlotRecord, bound: Step, draft: Unsigned, attempt: int, purpose: str
    ) -> None:
        """C3, once more with higher fees where the signer remembers another transaction of this nonce.

        A process that died between a signature and its row left one that nobody will send, but the signer cannot know that.
        """
        try:
            self._commit(intent, slot, bound, draft, attempt, purpose)
        except SignerError as error:
            fees = Fees(max(draft.fees.cap_raw, error.least_cap_raw), max(draft.fees.tip_raw, error.least_tip_raw))
            if error.code != "nonce" or fees == draft.fees or fees.cap_raw > self.client.fee_cap_raw:
                raise
            outbid = attrs.evolve(draft, fees=fees)
            refusal = self.gate.outside(bound, outbid) if purpose == "original" else None
            if refusal is not None:
                raise RefusedError(refusal) from error
            self._commit(intent, slot, bound, outbid, attempt, purpose)

    def _commit(
        self, intent: IntentRecord, slot: SlotRecord, bound: Step, draft: Unsigned, attempt: int, purpose: str
    ) -> None:
        """C3: the stop, the fuse, the limits and the signature belong to one transaction; what is refused raises RefusedError."""
        head = self.client.head()

        def decide(connection: Connection) -> Sequence[Draft]:
            refusal = (
                self.gate.inside(connection, intent, bound)
                if purpose == "original"
                else self.gate.permitted(connection, slot.sender, True)
            )
            if refusal is not None:
                raise RefusedError(refusal)
            signed = self._checked(draft)
            payload = o.AttemptSigned(
                intent_id=intent.intent_id,
                step=slot.step or 0,
                chain_id=slot.chain_id,
                sender=slot.sender,
                nonce=slot.nonce,
                attempt=attempt,
                purpose=purpose,
                tx_hash=signed.hash.lower(),
                signed=signed.raw,
                gas=draft.gas,
                fee_cap_raw=draft.fees.cap_raw,
                tip_raw=draft.fees.tip_raw,
                call=call_out(bound),
                digest=hashlib.sha256(draft.data.encode()).hexdigest(),
                block_number=head.number,
            )
            return [self.context.draft(payload, intent.agent_id)]

        self.store.append_decided(decide)

    def _checked(self, draft: Unsigned) -> Signed:
        """A signature, read again by the client: it must say what was asked, and its hash be the one computed here."""
        signed = self.signer.sign(draft)
        found, digest = self.client.read(signed.raw)
        if _comparable(found) != _comparable(draft) or digest.lower() != signed.hash.lower():
            raise SignerError(f"the signer signed another transaction than it was asked to, for nonce {draft.nonce}")
        return signed

    def _give_back(self, intent: IntentRecord, slot: SlotRecord, kind: StepKind, refusal: Refusal) -> bool:
        """K2: nothing is public, the nonce goes back and the step is refused."""
        payload = o.NonceReleased(
            intent.intent_id, slot.step or 0, slot.chain_id, slot.sender, slot.nonce, refusal.reason
        )
        self.store.append([self.context.draft(payload, intent.agent_id)])
        if refusal.code == "done":
            skipped = o.StepSkipped(intent.intent_id, slot.step or 0, str(kind), refusal.reason)
            self.store.append([self.context.draft(skipped, intent.agent_id)])
            return True
        return self.refuse(intent, slot.step or 0, kind, refusal)

    def cancel(self, intent: IntentRecord, slot: SlotRecord, attempt: int, fees: Fees | None = None) -> bool:
        """Use the nonce for a transfer of nothing to the sender itself."""
        me = self.signer.address
        nothing = Step(StepKind.CANCEL, "", me, "0x", 0, CANCEL_GAS, {"recipient": me.lower()})
        attempts = self.records.attempts(slot.slot)
        last = attempts[-1]
        higher = fees or self.client.bumped(Fees(last.fee_cap_raw, last.tip_raw))
        return self.resign(intent, slot, nothing, attempt, higher, "cancel")

    def resign(
        self, intent: IntentRecord, slot: SlotRecord, step: Step, attempt: int, fees: Fees | None, purpose: str
    ) -> bool:
        if fees is None:
            return False
        old = self.records.attempts(slot.slot)[-1]
        gas = CANCEL_GAS if step.kind is StepKind.CANCEL else old.gas
        draft = Unsigned(slot.chain_id, self.signer.address, slot.nonce, step.to, step.value_raw, step.data, gas, fees)
        try:
            self._sign(intent, slot, step, draft, attempt, purpose)
        except RefusedError:
            return False  # stopped: what is public stays public and is watched
        self._at(CrashPoint.K12, str(step.kind))
        return True


def _comparable(transaction: Unsigned) -> tuple[Any, ...]:
    t = transaction
    return (
        t.chain_id,
        t.sender.lower(),
        t.nonce,
        t.to.lower(),
        t.value_raw,
        t.data.lower(),
        t.gas,
        t.fees.cap_raw,
        t.fees.tip_raw,
    )
