"""Indexes of tables that are in use, built while they are.

Each is built outside of a transaction, and from the start again where an earlier try was cut off. Waiting for a lock
stops nobody here, so there is no limit to it.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_files_owner")
        op.create_index(
            "ix_files_owner",
            "files",
            ["owner_id"],
            unique=False,
            postgresql_include=["size"],
            postgresql_concurrently=True,
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_files_unattached")
        op.create_index(
            "ix_files_unattached",
            "files",
            ["id"],
            unique=False,
            postgresql_where="purpose = 'upload'",
            postgresql_concurrently=True,
        )
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    op.drop_index("ix_files_owner", table_name="files")
    op.drop_index("ix_files_unattached", table_name="files")
