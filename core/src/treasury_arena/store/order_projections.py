"""Folds of live orders. A move that the order protocol does not have is refused here, inside the append's transaction: no
event can settle a slot twice, sign for a slot that is over, or post one log again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from treasury_arena.domain.order_states import (
    INTENT_WAYS,
    STEP_WAYS,
    IntentState,
    StepState,
    move_intent,
    move_step,
)
from treasury_arena.errors import IntegrityError, ValidationError
from treasury_arena.events import live as o
from treasury_arena.events.event import Event
from treasury_arena.store.order_schema import posting_key, sender_key, slot_key
from treasury_arena.store.rules import Key, Row, Rule

ACTIVE, HALTED = "ACTIVE", "HALTED"
# As plain text: an enumeration's members take as long to look up as all the rest of a fold.
PLANNED, NONCED, SIGNED, SENT = "PLANNED", "NONCED", "SIGNED", "SENT"
INCLUDED, FINAL, SUPERSEDED, DISPLACED = "INCLUDED", "FINAL", "SUPERSEDED", "DISPLACED"
RESERVED, EXECUTING, CANCELLED = "RESERVED", "EXECUTING", "CANCELLED"
QUARANTINED = "QUARANTINED"


def _slot_keys(event: Event) -> Iterable[Key]:
    payload = event.payload
    return ((slot_key(payload.chain_id, payload.sender, payload.nonce),),)


def _intent_keys(event: Event) -> Iterable[Key]:
    return () if event.payload.intent_id is None else ((event.payload.intent_id,),)


def _moved(row: Row, to: str) -> str:
    if (row["state"], to) in STEP_WAYS:
        return to
    try:
        return str(move_step(StepState(row["state"]), StepState(to)))
    except (ValueError, ValidationError) as error:
        raise IntegrityError(f"slot {row['slot']}: {error}") from error


def _known(row: Row | None, what: str, key: Key) -> Row:
    if row is None:
        raise IntegrityError(f"{what} {key[0]} was never journaled")
    return row


# --- slots


def _nonced(row: Row | None, event: Event, key: Key) -> Row:
    slot: o.NonceAllocated = event.payload
    if row is not None and row["state"] != PLANNED:
        raise IntegrityError(f"slot {key[0]} is taken by intent {row['intent_id']}: a nonce is allocated once")
    return {
        "slot": key[0],
        "chain_id": slot.chain_id,
        "sender": slot.sender.lower(),
        "nonce": slot.nonce,
        "intent_id": slot.intent_id,
        "step": slot.step,
        "kind": slot.kind,
        "state": NONCED,
        "attempts": 0,
        "tx_hash": None,
        "block_number": None,
        "block_hash": None,
        "seq": event.seq,
    }


def _slot(change: Callable[[Row, Any], Row]) -> Rule:
    def fold(row: Row | None, event: Event, key: Key) -> Row:
        row = _known(row, "slot", key)
        return {**row, **change(row, event.payload), "seq": event.seq}

    return Rule("slots", _slot_keys, fold)


def _signed(row: Row, attempt: o.AttemptSigned) -> Row:
    state = row["state"] if row["attempts"] else _moved(row, SIGNED)
    if state not in (SIGNED, SENT):
        raise IntegrityError(f"slot {row['slot']} is {state}: nothing is signed for it any more")
    return {"state": state, "attempts": row["attempts"] + 1}


def _sent(row: Row, seen: o.SendObserved) -> Row:
    return {"state": _moved(row, SENT)} if row["state"] == SIGNED else {}


def _included(row: Row, seen: o.IncludedObserved) -> Row:
    state = _moved(row, SENT) if row["state"] == SIGNED else row["state"]
    return {
        "state": _moved({**row, "state": state}, INCLUDED),
        "tx_hash": seen.tx_hash,
        "block_number": seen.block_number,
        "block_hash": seen.block_hash,
    }


def _reorged(row: Row, seen: o.ReorgDetected | o.FinalityBroken) -> Row:
    return {"state": _moved(row, SENT), "tx_hash": None, "block_number": None, "block_hash": None}


def _final(row: Row, final: o.StepFinal) -> Row:
    to = FINAL
    state = _moved(row, to)
    if final.kind == "cancel" and row["kind"] != "cancel":
        state = SUPERSEDED
    return {
        "state": state,
        "tx_hash": final.tx_hash,
        "block_number": final.block_number,
        "block_hash": final.block_hash,
    }


def _displaced(row: Row | None, event: Event, key: Key) -> Row:
    gone: o.SlotDisplaced = event.payload
    if row is not None:
        return {**row, "state": _moved(row, DISPLACED), "seq": event.seq}
    return {
        "slot": key[0],
        "chain_id": gone.chain_id,
        "sender": gone.sender.lower(),
        "nonce": gone.nonce,
        "intent_id": gone.intent_id,
        "step": None,
        "kind": None,
        "state": DISPLACED,
        "attempts": 0,
        "tx_hash": None,
        "block_number": None,
        "block_hash": None,
        "seq": event.seq,
    }


# --- attempts and postings


def _attempt(row: Row | None, event: Event, key: Key) -> Row:
    signed: o.AttemptSigned = event.payload
    if row is not None:
        raise IntegrityError(f"transaction {key[0]} is journaled already: a signature is an attempt once")
    return {
        "tx_hash": key[0],
        "slot": slot_key(signed.chain_id, signed.sender, signed.nonce),
        "attempt": signed.attempt,
        "purpose": signed.purpose,
        "signed": signed.signed,
        "gas": signed.gas,
        "fee_cap_raw": str(signed.fee_cap_raw),
        "tip_raw": str(signed.tip_raw),
        "call": signed.call,
        "signed_block": signed.block_number,
        "sent_block": None,
        "seq": event.seq,
    }


def _sighted(row: Row | None, event: Event, key: Key) -> Row:
    row = _known(row, "transaction", key)
    first = event.payload.block_number if row["sent_block"] is None else row["sent_block"]
    return {**row, "sent_block": first, "seq": event.seq}


def _attempt_key(event: Event) -> Iterable[Key]:
    return ((event.payload.tx_hash.lower(),),)


def _posting_keys(event: Event) -> Iterable[Key]:
    final: o.StepFinal | o.FinalityBroken = event.payload
    return tuple((posting_key(final.chain_id, final.tx_hash, effect["log_index"]),) for effect in final.effects)


def _posted(row: Row | None, event: Event, key: Key) -> Row:
    final: o.StepFinal = event.payload
    if row is not None and int(row["amount_raw"]):
        raise IntegrityError(f"log {key[0]} is posted already: one log moves money once")
    index = int(key[0].rsplit(":", 1)[1])
    effect = next(effect for effect in final.effects if effect["log_index"] == index)
    return {
        "posting": key[0],
        "intent_id": final.intent_id,
        "asset": effect["asset"],
        "amount_raw": str(effect["amount_raw"]),
        "seq": event.seq,
    }


def _unposted(row: Row | None, event: Event, key: Key) -> Row:
    return {**_known(row, "posting", key), "amount_raw": "0", "seq": event.seq}


# --- intents


def _reserved(row: Row | None, event: Event, key: Key) -> Row:
    intent: o.IntentReserved = event.payload
    if row is not None:
        raise IntegrityError(f"intent {key[0]} is reserved already: a decision is carried out once")
    return {
        "intent_id": key[0],
        "agent_id": event.agent_id,
        "market": intent.market,
        "role": intent.role,
        "purpose": intent.purpose,
        "chain_id": intent.chain_id,
        "sender": intent.sender.lower(),
        "control": intent.control,
        "value_raw": str(intent.value_raw),
        "target_raw": str(intent.target_raw),
        "notional_raw": str(intent.notional_raw),
        "reserved_raw": str(intent.reserved_raw),
        "gas_raw": str(intent.gas_raw),
        "reduces": int(intent.reduces),
        "deadline": intent.deadline,
        "steps": intent.steps,
        "next_step": 0,
        "gained": {},
        "fees_raw": "0",
        "state": RESERVED,
        "failed": "",
        "reason": "",
        "reserved_at": event.timestamp,
        "seq": event.seq,
    }


def _intent(change: Callable[[Row, Any], Row]) -> Rule:
    def fold(row: Row | None, event: Event, key: Key) -> Row:
        row = _known(row, "intent", key)
        return {**row, **change(row, event.payload), "seq": event.seq}

    return Rule("intents", _intent_keys, fold)


def _to(row: Row, to: str) -> str:
    if (row["state"], to) in INTENT_WAYS:
        return to
    try:
        return str(move_intent(IntentState(row["state"]), IntentState(to)))
    except (ValueError, ValidationError) as error:
        raise IntegrityError(f"intent {row['intent_id']}: {error}") from error


def _executing(row: Row, _: Any) -> Row:
    return {"state": _to(row, EXECUTING)} if row["state"] == RESERVED else {}


def _loaded(value: Any) -> Any:
    """A JSON column's value, whether it was read from the database or folded a moment ago."""
    return json.loads(value) if isinstance(value, str) else value


def _stepped(row: Row, final: o.StepFinal) -> Row:
    gained = dict(_loaded(row["gained"]))
    for effect in final.effects:
        gained[effect["asset"]] = str(int(gained.get(effect["asset"], 0)) + int(effect["amount_raw"]))
    done = final.success and final.kind != "cancel"
    why = "" if done else ("cancelled" if final.kind == "cancel" else f"transaction {final.tx_hash} was reverted")
    return {
        "next_step": final.step + 1,
        "gained": gained,
        "fees_raw": str(int(row["fees_raw"]) + final.fee_raw),
        "failed": row["failed"] or why,
    }


def _broken(row: Row, broken: o.FinalityBroken) -> Row:
    gained = dict(_loaded(row["gained"]))
    for effect in broken.effects:
        gained[effect["asset"]] = str(int(gained.get(effect["asset"], 0)) - int(effect["amount_raw"]))
    return {
        "gained": gained,
        "fees_raw": str(int(row["fees_raw"]) - broken.fee_raw),
        "reserved_raw": str(int(row["reserved_raw"]) + broken.retaken_raw),
        "gas_raw": str(int(row["gas_raw"]) + broken.gas_retaken_raw),
        "failed": row["failed"] or f"the final block of transaction {broken.tx_hash} was replaced",
        "next_step": min(row["next_step"], broken.step),
    }


def _refused(row: Row, refused: o.GateRefused) -> Row:
    return {"failed": row["failed"] or f"{refused.code}: {refused.reason}"}


def _skipped(row: Row, skipped: o.StepSkipped) -> Row:
    return {"next_step": skipped.step + 1}


def _ended(row: Row, end: o.IntentEnded) -> Row:
    before = row
    if row["state"] == RESERVED and end.status != CANCELLED:
        before = {**row, "state": _to(row, EXECUTING)}
    return {
        "state": _to(before, end.status),
        "reason": end.reason,
        "reserved_raw": str(int(row["reserved_raw"]) - end.released_raw),
        "gas_raw": str(int(row["gas_raw"]) - end.gas_released_raw),
    }


def _quarantined(row: Row, event: o.IntentQuarantined) -> Row:
    if row["state"] == QUARANTINED:
        return {"reason": event.reason}
    before = {**row, "state": EXECUTING} if row["state"] == RESERVED else row
    return {"state": _to(before, QUARANTINED), "reason": event.reason}


def _gone(row: Row, event: o.SlotDisplaced) -> Row:
    return {"failed": row["failed"] or event.reason}


# --- senders and arming


def _sender_keys(event: Event) -> Iterable[Key]:
    return ((sender_key(event.payload.chain_id, event.payload.sender),),)


def _sender(state: str) -> Rule:
    def fold(row: Row | None, event: Event, key: Key) -> Row:
        return {
            "sender": key[0],
            "chain_id": event.payload.chain_id,
            "address": event.payload.sender.lower(),
            "state": state,
            "reason": event.payload.reason,
            "seq": event.seq,
        }

    return Rule("senders", _sender_keys, fold)


def _armed(row: Row | None, event: Event, key: Key) -> Row:
    live: o.LiveArmed = event.payload
    return {
        "id": 1,
        "armed": 1,
        "chain_id": live.chain_id,
        "address": live.address.lower(),
        "limit_raw": str(live.limit_raw),
        "genesis": live.genesis.lower(),
        "nonce": live.nonce,
        "operator": live.operator,
        "timestamp": event.timestamp,
        "seq": event.seq,
    }


def _disarmed(row: Row | None, event: Event, key: Key) -> Row | None:
    return None if row is None else {**row, "armed": 0, "operator": event.payload.operator, "seq": event.seq}


def _one(_: Event) -> Iterable[Key]:
    return ((1,),)


ORDER_RULES: dict[str, tuple[Rule, ...]] = {
    "IntentReserved": (Rule("intents", _intent_keys, _reserved),),
    "NonceAllocated": (Rule("slots", _slot_keys, _nonced), _intent(_executing)),
    "NonceReleased": (_slot(lambda row, _: {"state": _moved(row, PLANNED)}),),
    "AttemptSigned": (_slot(_signed), Rule("attempts", _attempt_key, _attempt)),
    "SendObserved": (_slot(_sent), Rule("attempts", _attempt_key, _sighted)),
    "IncludedObserved": (_slot(_included),),
    "ReorgDetected": (_slot(_reorged),),
    "StepFinal": (_slot(_final), _intent(_stepped), Rule("postings", _posting_keys, _posted)),
    "FinalityBroken": (_slot(_reorged), _intent(_broken), Rule("postings", _posting_keys, _unposted)),
    "GateRefused": (_intent(_refused),),
    "StepSkipped": (_intent(_skipped),),
    "SlotDisplaced": (Rule("slots", _slot_keys, _displaced), _intent(_gone), _sender(HALTED)),
    "SenderResumed": (_sender(ACTIVE),),
    "IntentQuarantined": (_intent(_quarantined),),
    "IntentEnded": (_intent(_ended),),
    "LiveArmed": (Rule("live", _one, _armed),),
    "LiveDisarmed": (Rule("live", _one, _disarmed),),
}
