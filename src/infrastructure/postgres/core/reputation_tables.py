"""Tables of reputation: points as entries, and their sum."""

from sqlalchemy import CheckConstraint, Column, Integer, Table, UniqueConstraint

from infrastructure.postgres.tables import INSTANT, TEXT, UUID, metadata, uuid_key

ratings = Table(
    "ratings",
    metadata,
    Column("account_id", UUID, primary_key=True),
    Column("points", Integer, nullable=False),
    CheckConstraint("points >= 0", name="points"),
)

points_entries = Table(
    "points_entries",
    metadata,
    uuid_key(),
    Column("account_id", UUID, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("points", Integer, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    UniqueConstraint("account_id", "reason", name="uq_points_entries_account_reason"),
)
