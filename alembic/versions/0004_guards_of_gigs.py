"""The history of orders is only added to, and who was a worker already has a profile.

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


PROFILES = """
    INSERT INTO worker_profiles (account_id, experience_years, hourly_rate, currency, is_available, bio)
    SELECT id, 0, 0, 'KES', true, '' FROM accounts WHERE 'worker' = ANY (roles)
"""
SUMMARIES = """
    INSERT INTO review_summaries (area, person_id, total, reviews, rank)
    SELECT 'gigs', account_id, 0, 0, 0 FROM worker_profiles
"""


def upgrade() -> None:
    op.execute(PROFILES)
    op.execute(SUMMARIES)
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
