"""The tables of live orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _optional(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text()) for name in names]


def _int(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _INT, nullable=False) for name in names]


def _maybe(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _INT) for name in names]


def _name(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=True)


def upgrade() -> None:
    op.create_table(
        "intents",
        _name("intent_id"),
        *_optional("agent_id"),
        *_text("market", "role", "purpose"),
        *_int("chain_id"),
        *_text("sender", "control", "value_raw", "target_raw", "notional_raw", "reserved_raw", "gas_raw"),
        *_int("reduces", "deadline"),
        *_text("steps"),
        *_int("next_step"),
        *_text("gained", "fees_raw", "state", "failed", "reason", "reserved_at"),
        *_int("seq"),
    )
    op.create_index("ix_intents_state", "intents", ["state"])
    op.create_index("ix_intents_reserved_at", "intents", ["reserved_at"])
    op.create_table(
        "slots",
        _name("slot"),
        *_int("chain_id"),
        *_text("sender"),
        *_int("nonce"),
        *_optional("intent_id"),
        *_maybe("step"),
        *_optional("kind"),
        *_text("state"),
        *_int("attempts"),
        *_optional("tx_hash"),
        *_maybe("block_number"),
        *_optional("block_hash"),
        *_int("seq"),
        sa.UniqueConstraint("chain_id", "sender", "nonce"),
    )
    op.create_index("ix_slots_state", "slots", ["state"])
    op.create_index("ix_slots_intent_id", "slots", ["intent_id"])
    op.create_table(
        "attempts",
        _name("tx_hash"),
        *_text("slot"),
        *_int("attempt"),
        *_text("purpose", "signed"),
        *_int("gas"),
        *_text("fee_cap_raw", "tip_raw", "call"),
        *_int("signed_block"),
        *_maybe("sent_block"),
        *_int("seq"),
        sa.UniqueConstraint("slot", "attempt"),
    )
    op.create_table("postings", _name("posting"), *_text("intent_id", "asset", "amount_raw"), *_int("seq"))
    op.create_table("senders", _name("sender"), *_int("chain_id"), *_text("address", "state", "reason"), *_int("seq"))
    op.create_table(
        "live",
        sa.Column("id", _INT, primary_key=True, autoincrement=False),
        *_int("armed", "chain_id"),
        *_text("address", "limit_raw", "genesis"),
        *_int("nonce"),
        *_text("operator", "timestamp"),
        *_int("seq"),
    )
