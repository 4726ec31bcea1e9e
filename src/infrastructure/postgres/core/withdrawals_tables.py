"""Tables of withdrawals."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table

from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID, metadata, uuid_key

withdrawals = Table(
    "withdrawals",
    metadata,
    uuid_key(),
    Column("owner_id", UUID, nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("method", TEXT, nullable=False),
    Column("destination", TEXT, nullable=False),
    Column("stage", TEXT, nullable=False),
    Column("payable_at", INSTANT),
    Column("note", TEXT),
    Column("reference", TEXT),
    Column("decided_by", UUID),
    Column("gateway", TEXT),
    Column("tries", Integer, nullable=False),
    Column("transaction_id", TEXT),
    Column("checkout_id", TEXT),
    Column("receipt", TEXT),
    Column("code", TEXT),
    Column("sent_at", INSTANT),
    Column("ended_at", INSTANT),
    Column("checks", Integer, nullable=False),
    Column("next_step_at", INSTANT),
    Column("requested_at", INSTANT, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_withdrawals_owner", "owner_id", "id"),
    Index("ix_withdrawals_stage", "stage", "id"),
    Index("ix_withdrawals_due", "next_step_at", postgresql_where="next_step_at IS NOT NULL"),
)
