"""The history of orders is only added to.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROLE = "soko_runtime"
HISTORY = ("gigs_order_events",)
"""Tables that are only added to (rule gigs.history_is_complete)."""


def upgrade() -> None:
    for table in HISTORY:
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {ROLE}")
        op.execute(
            f"CREATE TRIGGER keep_history BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()"
        )


def downgrade() -> None:
    for table in HISTORY:
        op.execute(f"DROP TRIGGER keep_history ON {table}")
        op.execute(f"GRANT UPDATE, DELETE, TRUNCATE ON {table} TO {ROLE}")
