"""What the front end is told of limits, identity, certificates, SRTP and gateways; causes of refusals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PARTS = (
    ("accounts", "limits"),
    ("accounts", "identity"),
    ("sip_accounts", "limits"),
    ("domains", "limits"),
    ("gateways", "options"),
)


def upgrade() -> None:
    for table, part in _PARTS:
        op.add_column(table, sa.Column(part, sa.Text(), nullable=False, server_default="{}"))
    op.add_column("acls", sa.Column("certificates", sa.Text(), nullable=False, server_default="[]"))
    for table in ("domains", "gateways"):
        op.add_column(table, sa.Column("srtp", sa.Text(), nullable=False, server_default="optional"))
    op.add_column("calls", sa.Column("sip_account", sa.Text(), nullable=True))
    op.add_column("refusals", sa.Column("cause", sa.Text(), nullable=False, server_default=""))
    op.add_column("refusals", sa.Column("acl", sa.Text(), nullable=True))
    op.add_column("refusals", sa.Column("sip_account", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("sip_account", "acl", "cause"):
        op.drop_column("refusals", column)
    op.drop_column("calls", "sip_account")
    for table in ("gateways", "domains"):
        op.drop_column(table, "srtp")
    op.drop_column("acls", "certificates")
    for table, part in reversed(_PARTS):
        op.drop_column(table, part)
