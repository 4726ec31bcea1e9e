"""Tables of the kernel: outbox, audit trail, receipts of idempotent requests, policies, job runs."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, UniqueConstraint

from infrastructure.postgres.tables import BIGINT, BYTES, INSTANT, JSON, TEXT, UUID, metadata, uuid_key

outbox_messages = Table(
    "outbox_messages",
    metadata,
    uuid_key(),
    Column("event_id", UUID, nullable=False),
    Column("event_name", TEXT, nullable=False),
    Column("subscriber", TEXT, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("trace_id", TEXT, nullable=False),
    Column("occurred_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),  # when it may be taken: now, the end of a lease, or the next try
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", TEXT),
    Column("done_at", INSTANT),
    Column("dead_at", INSTANT),  # given up; an operator replays it
    Column("span_id", TEXT),  # of what wrote it, where traces are sent
    UniqueConstraint("event_id", "subscriber", name="uq_outbox_messages_event_subscriber"),
    Index("ix_outbox_messages_due", "due_at", "id", postgresql_where="done_at IS NULL AND dead_at IS NULL"),
    Index("ix_outbox_messages_done", "done_at", postgresql_where="done_at IS NOT NULL"),
    Index("ix_outbox_messages_dead", "dead_at", postgresql_where="dead_at IS NOT NULL"),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    uuid_key(),
    Column("action", TEXT, nullable=False),
    Column("target", TEXT, nullable=False),
    Column("actor_id", UUID),
    Column("actor_label", TEXT, nullable=False),
    Column("on_behalf_of", UUID),
    Column("before", JSON),
    Column("after", JSON),
    Column("reason", TEXT),
    Column("ip", TEXT),
    Column("user_agent", TEXT),
    Column("trace_id", TEXT, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Index("ix_audit_entries_target", "target", "id"),
    Index("ix_audit_entries_actor", "actor_id", "id"),
    Index("ix_audit_entries_action", "action", "id"),
)

audit_unsealed = Table("audit_unsealed", metadata, uuid_key("entry_id"))
"""Entries that wait for their seal: written with the entry, deleted with the seal."""

audit_seals = Table(
    "audit_seals",
    metadata,
    Column("seq", BIGINT, primary_key=True, autoincrement=False),
    Column("entry_id", UUID, ForeignKey("audit_entries.id", name="fk_audit_seals_entry"), nullable=False),
    Column("hash", BYTES, nullable=False),
    Column("sealed_at", INSTANT, nullable=False),
    UniqueConstraint("entry_id", name="uq_audit_seals_entry"),
)

receipts = Table(
    "receipts",
    metadata,
    uuid_key(),
    Column("owner", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("fingerprint", BYTES, nullable=False),
    Column("leased_until", INSTANT, nullable=False),
    Column("effect_at", INSTANT),  # set in the transaction of the effect
    Column("status", Integer),
    Column("headers", JSON),
    Column("body", BYTES),
    Column("created_at", INSTANT, nullable=False),
    UniqueConstraint("owner", "key", name="uq_receipts_owner_key"),
    Index("ix_receipts_created", "created_at"),
)

policies = Table(
    "policies",
    metadata,
    uuid_key(),
    Column("name", TEXT, nullable=False),
    Column("value", TEXT, nullable=False),
    Column("valid_from", INSTANT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("set_by", UUID),
    Column("created_at", INSTANT, nullable=False),
    Index("ix_policies_name", "name", "valid_from"),
)

job_runs = Table(
    "job_runs",
    metadata,
    uuid_key(),
    Column("job", TEXT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("leased_until", INSTANT),
    Column("started_at", INSTANT),
    Column("finished_at", INSTANT),
    Column("handled", Integer),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("last_error", TEXT),
    Column("requested_by", UUID),
    Column("trace_id", TEXT),  # of who asked for it; a planned run has its own
    UniqueConstraint("job", "due_at", name="uq_job_runs_job_due"),
    Index("ix_job_runs_open", "due_at", postgresql_where="finished_at IS NULL"),
    CheckConstraint("handled IS NULL OR handled >= 0", name="handled"),
)
