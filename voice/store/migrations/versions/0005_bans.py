"""Sources that are kept out for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_VERSION = "bans version"


def upgrade() -> None:
    op.create_table(
        "bans",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_bans")),
    )
    op.create_index(op.f("ix_bans_version"), "bans", ["version"])
    op.create_index(op.f("ix_bans_until"), "bans", ["until"])
    op.execute(sa.text("INSERT INTO state (name, value) VALUES (:name, '0')").bindparams(name=_VERSION))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM state WHERE name = :name").bindparams(name=_VERSION))
    op.drop_index(op.f("ix_bans_until"), table_name="bans")
    op.drop_index(op.f("ix_bans_version"), table_name="bans")
    op.drop_table("bans")
