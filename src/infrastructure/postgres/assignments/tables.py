"""Tables of the assignment market.

The active claim is part of the task's row, so that locking the row locks all that decides a claim; `claims` keeps the
history, and its partial unique index is the last guard of one active claim per task.
"""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID, created_at, metadata, uuid_key

tasks = Table(
    "tasks",
    metadata,
    uuid_key(),
    Column("student_id", UUID, nullable=False),
    Column("title", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("stage", TEXT, nullable=False),
    Column("budget", BIGINT),
    Column("currency", TEXT),
    Column("due_at", INSTANT),
    Column("rejection_reason", TEXT),
    Column("approved_at", INSTANT),
    Column("is_hidden", Boolean, nullable=False, server_default="false"),
    Column("revision", Integer, nullable=False),
    Column("moves", Integer, nullable=False),
    Column("claim_id", UUID),
    Column("claim_writer_id", UUID),
    Column("claimed_at", INSTANT),
    Column("claim_due_at", INSTANT),
    Column("claim_expires_at", INSTANT),
    Column("claim_day", Date),
    Column("claim_rounds", SmallInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("submission_id", UUID),
    Column("completed_by", UUID),
    created_at(),
    Column("updated_at", INSTANT, nullable=False),
    CheckConstraint("budget IS NULL OR (budget > 0 AND currency IS NOT NULL)", name="budget"),
    CheckConstraint("(status = 'IN_PROGRESS') = (claim_id IS NOT NULL)", name="claimed"),
    CheckConstraint(
        "status IN ('PENDING_APPROVAL', 'APPROVED', 'REJECTED', 'IN_PROGRESS', 'COMPLETED', 'CANCELLED', 'EXPIRED')",
        name="status",
    ),
    Index("ix_tasks_available", "id", postgresql_where="status = 'APPROVED' AND NOT is_hidden"),
    Index("ix_tasks_student", "student_id", "id"),
    Index("ix_tasks_writer", "claim_writer_id", "id", postgresql_where="claim_writer_id IS NOT NULL"),
    Index("ix_tasks_worker", text("coalesce(claim_writer_id, completed_by)"), "id"),
    Index("ix_tasks_status", "status", "id"),
    Index(
        "ix_tasks_claim_expires",
        "claim_expires_at",
        postgresql_where="claim_id IS NOT NULL AND stage <> 'review'",
    ),
    Index("ix_tasks_open_due", "due_at", postgresql_where="status = 'APPROVED'"),
    Index("ix_tasks_open_approved", "approved_at", postgresql_where="status = 'APPROVED' AND due_at IS NULL"),
)

claims = Table(
    "claims",
    metadata,
    uuid_key(),
    Column("task_id", UUID, ForeignKey("tasks.id", name="fk_claims_task"), nullable=False),
    Column("writer_id", UUID, nullable=False),
    Column("day", Date, nullable=False),
    Column("claimed_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("ended_at", INSTANT),
    Column("end_reason", TEXT),
    Index("uq_claims_task_active", "task_id", unique=True, postgresql_where="ended_at IS NULL"),
    Index("ix_claims_writer", "writer_id", "task_id"),
)

writers = Table(
    "writers",
    metadata,
    Column("account_id", UUID, primary_key=True),
    Column("day", Date),
    Column("used", Integer, nullable=False),
    Column("open_claims", Integer, nullable=False),
    Column("free_return_day", Date),
    Column("subscription_id", UUID),
    Column("plan", TEXT),
    Column("plan_worth", BIGINT),
    Column("plan_starts_at", INSTANT),
    Column("plan_ends_at", INSTANT),
    CheckConstraint("used >= 0", name="used"),
    CheckConstraint("open_claims >= 0", name="open_claims"),
    CheckConstraint("plan IS NULL OR plan IN ('P2', 'P5', 'P10')", name="plan"),
    Index("ix_writers_plan_ends", "plan_ends_at", postgresql_where="plan IS NOT NULL"),
)

submissions = Table(
    "submissions",
    metadata,
    uuid_key(),
    Column("task_id", UUID, ForeignKey("tasks.id", name="fk_submissions_task"), nullable=False),
    Column("claim_id", UUID, ForeignKey("claims.id", name="fk_submissions_claim"), nullable=False),
    Column("writer_id", UUID, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("notes", TEXT, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("rejection_reason", TEXT),
    created_at(),
    Column("updated_at", INSTANT, nullable=False),
    Column("reviewed_at", INSTANT),
    UniqueConstraint("claim_id", name="uq_submissions_claim"),
    CheckConstraint("status IN ('PENDING_REVIEW', 'APPROVED', 'REJECTED')", name="status"),
    Index("ix_submissions_task", "task_id", "id"),
    Index("ix_submissions_writer", "writer_id", "id"),
    Index("ix_submissions_status", "status", "id"),
    Index("ix_submissions_waiting", "updated_at", postgresql_where="status = 'PENDING_REVIEW'"),
)

submission_versions = Table(
    "submission_versions",
    metadata,
    Column(
        "submission_id", UUID, ForeignKey("submissions.id", name="fk_submission_versions_submission"), primary_key=True
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("notes", TEXT, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("file_ids", ARRAY(UUID), nullable=False),
    Column("submitted_at", INSTANT, nullable=False),
)

writer_subscriptions = Table(
    "writer_subscriptions",
    metadata,
    uuid_key(),
    Column("writer_id", UUID, nullable=False),
    Column("plan", TEXT, nullable=False),
    Column("listed", BIGINT, nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("intent_id", UUID),
    Column("state", TEXT, nullable=False),
    Column("starts_at", INSTANT),
    Column("ends_at", INSTANT),
    created_at(),
    CheckConstraint("amount > 0 AND listed > 0", name="amount"),
    CheckConstraint("state IN ('pending', 'active', 'expired', 'failed')", name="state"),
    Index("uq_writer_subscriptions_pending", "writer_id", unique=True, postgresql_where="state = 'pending'"),
    Index("ix_writer_subscriptions_ends", "ends_at", postgresql_where="state = 'active'"),
)

releases = Table(
    "releases",
    metadata,
    uuid_key(),
    Column("task_id", UUID, ForeignKey("tasks.id", name="fk_releases_task")),
    Column("writer_id", UUID, nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("fee", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("released_by", UUID, nullable=False),
    Column("note", TEXT),
    created_at(),
    CheckConstraint("amount > 0 AND fee >= 0 AND fee <= amount", name="amount"),
    CheckConstraint("source IN ('escrow', 'operating')", name="source"),
    UniqueConstraint("task_id", name="uq_releases_task"),
    Index("ix_releases_writer", "writer_id", "created_at", postgresql_where="task_id IS NULL"),
)

sent_reminders = Table(
    "sent_reminders",
    metadata,
    Column("key", TEXT, primary_key=True),
    created_at(),
)
