"""The first tables: events, ledger, projections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: sa.Double[float] = sa.Double()
_AMOUNT = sa.Text().with_variant(sa.Numeric(78, 0), "postgresql")


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _optional(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text()) for name in names]


def _int(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _INT, nullable=False) for name in names]


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, _INT, primary_key=True, autoincrement=False)


def _name(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=True)


def upgrade() -> None:
    op.create_table(
        "events",
        _key("seq"),
        sa.Column("event_id", sa.Text(), nullable=False, unique=True),
        *_text("event_type"),
        *_int("version"),
        *_optional("agent_id"),
        *_text("timestamp", "data"),
        *_optional("caused_by"),
        *_text("prev_hash", "hash"),
    )
    op.create_index("ix_events_agent_id", "events", ["agent_id", "seq"])
    op.create_table(
        "capital_ledger",
        _key("entry"),
        *_int("seq"),
        *_text("event_id", "transfer_id", "account", "asset"),
        sa.Column("amount", _AMOUNT, nullable=False),
        *_text("reason", "timestamp"),
    )
    op.create_index("ix_capital_ledger_account", "capital_ledger", ["account", "asset"])
    op.create_table(
        "account_balances",
        _name("account"),
        _name("asset"),
        sa.Column("amount", _AMOUNT, nullable=False),
        *_int("seq"),
    )
    op.create_table(
        "agents",
        _name("agent_id"),
        *_text("strategy", "stage", "label", "origin"),
        *_optional("replaces"),
        *_text("parents", "genome", "genes", "training"),
        *_int("born_cycle"),
        *_text("born_at", "stage_since"),
        *_optional("ended_at", "ended_by", "ended_reason"),
        *_int("failures", "days"),
        sa.Column("fitness", _REAL),
        *_text("metrics"),
        *_optional("pool"),
        *_text("allocated_raw"),
        *_optional("equity_raw"),
        *_int("seq"),
    )
    op.create_index("ix_agents_stage", "agents", ["stage"])
    op.create_index("ix_agents_allocated", "agents", ["allocated_raw"])
    op.create_table(
        "trades",
        _name("intent_id"),
        *_optional("agent_id"),
        *_text("market", "role"),
        *_int("market_row"),
        *_text("status"),
        *_optional(
            "code", "reason", "path", "value_raw", "target_raw", "reserved_raw", "notional_raw", "cost_raw", "cash_raw"
        ),
        sa.Column("slippage_bps", _REAL),
        *_text("timestamp"),
        *_int("seq"),
    )
    op.create_index("ix_trades_agent_id", "trades", ["agent_id"])
    op.create_table(
        "position_limits",
        _name("agent_id"),
        _name("role"),
        sa.Column("share", _REAL, nullable=False),
        *_int("seq"),
    )
    op.create_table(
        "simulation_runs",
        _key("id"),
        *_text("run_id", "name", "seed", "profile", "config", "config_hash", "base_asset", "assets", "plugins"),
        *_text("data_fingerprint", "start_date", "end_date", "status"),
        sa.Column("last_cycle", _INT),
        *_optional("capital_raw"),
        *_int("seq"),
    )
    op.create_table(
        "simulation_snapshots",
        _key("cycle"),
        *_int("market_row"),
        *_text("timestamp"),
        *_int("trials"),
        sa.Column("best", _REAL, nullable=False),
        sa.Column("median", _REAL, nullable=False),
        *_text("population", "capital_raw"),
        *_int("agent_steps", "seq"),
    )
    op.create_table(
        "arena_state",
        _key("id"),
        *_text("pools", "allocated", "available", "agents"),
        sa.Column("last_cycle", _INT),
        *_int("last_seq", "seq"),
    )
    op.create_table(
        "emergency_stop",
        _key("id"),
        *_text("level", "reason", "operator", "timestamp"),
        *_int("seq"),
    )


def downgrade() -> None:
    raise NotImplementedError("a store never goes back; open it with the newer program")
