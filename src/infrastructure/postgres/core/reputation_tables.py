"""Tables of reputation: points as entries and reviews as they were written, each with its sum."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID, created_at, metadata, uuid_key

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

reviews = Table(
    "reviews",
    metadata,
    uuid_key(),
    Column("area", TEXT, nullable=False),
    Column("deal_id", UUID, nullable=False),
    Column("reviewer_id", UUID, nullable=False),
    Column("person_id", UUID, nullable=False),
    Column("rating", SmallInteger, nullable=False),
    Column("comment", TEXT, nullable=False),
    Column("is_hidden", Boolean, nullable=False),
    created_at(),
    CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
    CheckConstraint("reviewer_id <> person_id", name="nobody_himself"),
    UniqueConstraint("deal_id", "reviewer_id", name="uq_reviews_deal_reviewer"),
    Index("ix_reviews_person", "person_id", "area", "id", postgresql_where="NOT is_hidden"),
)

review_summaries = Table(
    "review_summaries",
    metadata,
    Column("area", TEXT, nullable=False),
    Column("person_id", UUID, nullable=False),
    Column("total", BIGINT, nullable=False),
    Column("reviews", Integer, nullable=False),
    Column("rank", BIGINT, nullable=False),  # the rounded mean, then the count, as one number to order by
    PrimaryKeyConstraint("area", "person_id", name="pk_review_summaries"),
    CheckConstraint("total BETWEEN reviews AND 5 * reviews", name="total"),
    Index("ix_review_summaries_best", "area", "rank", "person_id"),
)
