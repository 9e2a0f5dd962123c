"""Which POP let a call in that another handles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("relayed_by", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "relayed_by")
