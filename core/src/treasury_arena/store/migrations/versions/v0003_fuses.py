"""The table of survival fuses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fuses",
        sa.Column("fuse", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("state", "since", "reason")),
        *(sa.Column(name, sa.Text()) for name in ("operator", "checked_at", "valid_until")),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("a store never goes back; open it with the newer program")
