"""An index for what a daemon asks all the time: the newest events of a kind."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_event_type", "events", ["event_type", "seq"])


def downgrade() -> None:
    raise NotImplementedError("a store never goes back; open it with the newer program")
