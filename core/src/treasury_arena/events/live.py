"""Payloads of live orders: intents, slots, attempts, and what reconciliation found. See docs/explanation/orders.md.

A slot is named by chain, sender and nonce. Amounts ending in ``_raw`` are base units: of the base asset, of the native coin for
gas and fees, of the named asset in effects.
"""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class IntentReserved:
    """C1: an intent passed every check, and its worst case is reserved: money in, and gas at the highest fee."""

    intent_id: str
    market: str
    role: str
    purpose: str
    chain_id: int
    sender: str
    control: list[float]
    value_raw: int  # of the position before
    target_raw: int
    notional_raw: int
    reserved_raw: int
    gas_raw: int
    reduces: bool
    deadline: int  # seconds since 1970: not begun by then, it is released
    steps: list[dict[str, Any]]


@attrs.frozen
class NonceAllocated:
    """C2: a step has its slot; nothing is signed yet."""

    intent_id: str
    step: int
    kind: str
    chain_id: int
    sender: str
    nonce: int


@attrs.frozen
class NonceReleased:
    """A slot without any attempt is given back; it was the sender's highest."""

    intent_id: str
    step: int
    chain_id: int
    sender: str
    nonce: int
    reason: str


@attrs.frozen
class AttemptSigned:
    """C3: a signed transaction, from now on possibly public. Its bytes are kept: a retry sends these again."""

    intent_id: str
    step: int
    chain_id: int
    sender: str
    nonce: int
    attempt: int
    purpose: str  # original, bump or cancel
    tx_hash: str
    signed: str  # the bytes
    gas: int
    fee_cap_raw: int
    tip_raw: int
    call: dict[str, Any]  # the step as it was bound: what the gate reads again before the bytes are sent again
    digest: str  # SHA-256 of the calldata
    block_number: int  # it was simulated on


@attrs.frozen
class SendObserved:
    """C4: what one endpoint said to a transaction. Informational: it ends nothing."""

    intent_id: str
    chain_id: int
    sender: str
    nonce: int
    tx_hash: str
    endpoint: str
    outcome: str  # ok, known, refused or unknown
    text: str
    block_number: int


@attrs.frozen
class IncludedObserved:
    """C5: a transaction stands in a block that may still be replaced; nothing is posted yet."""

    intent_id: str
    chain_id: int
    sender: str
    nonce: int
    tx_hash: str
    block_number: int
    block_hash: str
    success: bool


@attrs.frozen
class ReorgDetected:
    """The block that a transaction stood in was replaced before it was final: it is waited for again."""

    intent_id: str
    chain_id: int
    sender: str
    nonce: int
    tx_hash: str
    block_number: int
    block_hash: str


@attrs.frozen
class StepFinal:
    """C6: a final block holds one of a slot's transactions; what it moved is posted by its own logs."""

    intent_id: str
    step: int
    kind: str  # cancel when the cancelling sibling is the final one
    chain_id: int
    sender: str
    nonce: int
    tx_hash: str
    block_number: int
    block_hash: str
    success: bool
    fee_raw: int
    effects: list[dict[str, Any]]  # log_index, asset, amount_raw


@attrs.frozen
class StepSkipped:
    """A planned step that need not be done any more."""

    intent_id: str
    step: int
    kind: str
    reason: str


@attrs.frozen
class GateRefused:
    """The gate refused to sign a step: the code of the point and why."""

    intent_id: str
    step: int
    kind: str
    code: str
    reason: str


@attrs.frozen
class SlotDisplaced:
    """A nonce was used by a transaction that was never journaled; its sender is halted until a person has looked."""

    intent_id: str | None
    chain_id: int
    sender: str
    nonce: int
    reason: str


@attrs.frozen
class SenderResumed:
    """A person looked at a halted sender and lets it sign again."""

    chain_id: int
    sender: str
    reason: str
    operator: str


@attrs.frozen
class IntentQuarantined:
    """An intent that a person must decide: its reservation and its slots stay."""

    intent_id: str
    reason: str


@attrs.frozen
class IntentEnded:
    """An intent is over: SETTLED, FAILED or CANCELLED. What was reserved and not spent is free again."""

    intent_id: str
    status: str
    reason: str
    operator: str  # who decided a quarantined one; empty when nobody had to
    released_raw: int
    gas_released_raw: int


@attrs.frozen
class FinalityBroken:
    """A block that was final is not canonical any more: what it posted is posted back, and everything stops."""

    intent_id: str
    step: int
    chain_id: int
    sender: str
    nonce: int
    tx_hash: str
    block_number: int
    block_hash: str
    fee_raw: int
    effects: list[dict[str, Any]]  # as they were posted
    retaken_raw: int  # of the base asset: what had been set free already and was reserved again to post this back
    gas_retaken_raw: int  # of the native coin: reserved again, for the transaction may be mined anew and cost more


@attrs.frozen
class LiveArmed:
    """A person typed the confirmation that lets this store's orders reach a chain, up to a limit."""

    chain_id: int
    address: str
    limit_raw: int
    operator: str
    genesis: str
    nonce: int  # the address's first that belongs to this journal


@attrs.frozen
class LiveDisarmed:
    """Nothing is signed any more until live is armed again."""

    reason: str
    operator: str


@attrs.frozen
class ReconciliationCompleted:
    """Journal, ledger and chain were held against each other at a block; `differences` are what a person should read."""

    chain_id: int
    block_number: int
    block_hash: str
    differences: list[str]


@attrs.frozen
class ReconciliationFailed:
    """A reconciliation that could not be finished, and why; nothing is opened before the next one succeeds."""

    code: str
    reason: str


@attrs.frozen
class HoldingsAdjusted:
    """The chain holds more or less of a position than the books: interest when it is explained, a person's decision otherwise."""

    market: str
    role: str
    asset: str
    amount_raw: int
    reason: str
    block_number: int


@attrs.frozen
class MarketObserved:
    """What a daemon knew of the market: the newest row, and a hash over all rows up to it, so that data that are rewritten
    afterwards are noticed."""

    row: int
    time: str
    digest: str


@attrs.frozen
class TreasuryMarked:
    """What everything is worth at a row, the highest that was ever marked, and the highest of the day."""

    row: int
    worth_raw: int
    peak_raw: int
    day_peak_raw: int


@attrs.frozen
class OperatorCalled:
    """A person is told something; observers deliver it. Two with one key are about the same thing."""

    key: str
    text: str


@attrs.frozen
class CapitalBooked:
    """What the treasury's address held when a person put it to work: the first lines of a live ledger."""

    address: str
    block_number: int
    block_hash: str
    operator: str


@attrs.frozen
class CapitalAdjusted:
    """A person answered for cash or gas that came to the address, or left it, outside the engine."""

    address: str
    asset: str
    amount_raw: int  # negative: it left
    block_number: int
    block_hash: str
    reason: str
    operator: str


@attrs.frozen
class CapitalFollowed:
    """An agent's live capital follows what the arena gave it, or took back, up to event `arena_seq` of the arena's own log."""

    arena_seq: int
    amount_raw: int  # negative: back into the pool


@attrs.frozen
class LiveMarked:
    """A live agent beside its twin in simulation: equity, and what one unit of capital has become since `first_row`."""

    row: int
    first_row: int
    equity_raw: int  # after capital has followed
    nav: float
    twin_nav: float
    gap_bps: float


@attrs.frozen
class AgentHalted:
    """A live agent takes no new risk any more and is brought home: its result is not what simulation gives for the same days."""

    reason: str


@attrs.frozen
class AgentResumed:
    """A person lets a halted agent trade again; its comparison begins anew."""

    reason: str
    operator: str
