"""What each machine uses of the limits, for the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "limit_ledgers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_limit_ledgers"),
    )
    op.create_table(
        "limit_usage",
        sa.Column("ledger", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("spend", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("ledger", "subject", name="pk_limit_usage"),
    )


def downgrade() -> None:
    op.drop_table("limit_usage")
    op.drop_table("limit_ledgers")
