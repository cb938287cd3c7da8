"""The tables of the daemon: leases, their terms, and jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _int(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _INT, nullable=False) for name in names]


def _maybe(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _INT) for name in names]


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("lease", sa.Text(), primary_key=True),
        *_text("state", "holder", "host"),
        *_int("pid", "token"),
        *_text("reason", "since"),
        *_int("seq"),
    )
    op.create_table(
        "lease_terms",
        sa.Column("lease", sa.Text(), primary_key=True),
        *_int("token"),
        *_text("renewed_at", "expires_at"),
    )
    op.create_table(
        "jobs",
        sa.Column("job", sa.Text(), primary_key=True),
        *_maybe("last", "running", "token"),
        sa.Column("began_at", sa.Text()),
        *_int("done", "failed", "interrupted", "missed"),
        *_text("error"),
        *_int("seq"),
    )


def downgrade() -> None:
    raise NotImplementedError("a store never goes back; open it with the newer program")
