"""The tables of live orders: projections of the events of `treasury_arena.events.live`, each open order readable by its key.

A slot's key is ``<chain id>:<sender>:<nonce>``, a posting's ``<chain id>:<transaction>:<log index>``; addresses and hashes are
lower case.
"""

from __future__ import annotations

from treasury_arena.store.table import INT, JSON, TEXT, Table

INTENTS = Table(
    "intents",
    {
        "intent_id": TEXT,
        "agent_id": TEXT,
        "market": TEXT,
        "role": TEXT,
        "purpose": TEXT,
        "chain_id": INT,
        "sender": TEXT,
        "control": JSON,
        "value_raw": TEXT,
        "target_raw": TEXT,
        "notional_raw": TEXT,
        "reserved_raw": TEXT,
        "gas_raw": TEXT,
        "reduces": INT,
        "deadline": INT,
        "steps": JSON,
        "next_step": INT,  # the first one that is neither final nor skipped
        "gained": JSON,  # asset -> base units that final steps brought in (+) or took (-)
        "fees_raw": TEXT,  # wei that final steps paid
        "state": TEXT,  # RESERVED, EXECUTING, SETTLED, FAILED, CANCELLED, QUARANTINED
        "failed": TEXT,  # why no further step is taken, empty while they are
        "reason": TEXT,
        "reserved_at": TEXT,
        "seq": INT,
    },
)
SLOTS = Table(
    "slots",
    {
        "slot": TEXT,
        "chain_id": INT,
        "sender": TEXT,
        "nonce": INT,
        "intent_id": TEXT,  # None for a nonce that was used from elsewhere
        "step": INT,
        "kind": TEXT,
        "state": TEXT,  # NONCED, SIGNED, SENT, INCLUDED, FINAL, SUPERSEDED, DISPLACED; PLANNED once given back
        "attempts": INT,
        "tx_hash": TEXT,  # the attempt that is included or final
        "block_number": INT,
        "block_hash": TEXT,
        "seq": INT,
    },
)
ATTEMPTS = Table(
    "attempts",
    {
        "tx_hash": TEXT,
        "slot": TEXT,
        "attempt": INT,
        "purpose": TEXT,
        "signed": TEXT,
        "gas": INT,
        "fee_cap_raw": TEXT,
        "tip_raw": TEXT,
        "call": JSON,
        "signed_block": INT,
        "sent_block": INT,  # the head when it was first sent; None before
        "seq": INT,
    },
)
POSTINGS = Table(
    "postings",
    {"posting": TEXT, "intent_id": TEXT, "asset": TEXT, "amount_raw": TEXT, "seq": INT},
)
SENDERS = Table(
    "senders",
    {"sender": TEXT, "chain_id": INT, "address": TEXT, "state": TEXT, "reason": TEXT, "seq": INT},  # ACTIVE or HALTED
)
LIVE = Table(
    "live",
    {
        "id": INT,  # always 1
        "armed": INT,
        "chain_id": INT,
        "address": TEXT,
        "limit_raw": TEXT,
        "genesis": TEXT,
        "nonce": INT,
        "operator": TEXT,
        "timestamp": TEXT,
        "seq": INT,
    },
)
TABLES = (INTENTS, SLOTS, ATTEMPTS, POSTINGS, SENDERS, LIVE)


def slot_key(chain_id: int, sender: str, nonce: int) -> str:
    """Key of a slot."""
    return f"{chain_id}:{sender.lower()}:{nonce}"


def sender_key(chain_id: int, sender: str) -> str:
    """Key of a sender."""
    return f"{chain_id}:{sender.lower()}"


def posting_key(chain_id: int, transaction: str, log_index: int) -> str:
    """Key of a posting: one log moves money once."""
    return f"{chain_id}:{transaction.lower()}:{log_index}"
