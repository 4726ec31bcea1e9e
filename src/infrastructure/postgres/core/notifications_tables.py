"""Tables of notifications: what people were told, which channels they chose, and mail on its way."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Table, UniqueConstraint

from infrastructure.postgres.tables import BIGINT, INSTANT, JSON, TEXT, UUID, created_at, metadata, uuid_key

notices = Table(
    "notices",
    metadata,
    uuid_key(),
    Column("recipient", UUID, nullable=False),
    Column("seq", BIGINT, nullable=False),
    Column("event_id", UUID, nullable=False),
    Column("category", TEXT, nullable=False),
    Column("title", TEXT, nullable=False),
    Column("message", TEXT, nullable=False),
    Column("link", TEXT),
    Column("metadata", JSON, nullable=False),
    Column("socket_event", TEXT),
    Column("is_mailed", Boolean, nullable=False),
    created_at(),
    Column("read_at", INSTANT),
    UniqueConstraint("event_id", "recipient", name="uq_notices_event_recipient"),
    UniqueConstraint("recipient", "seq", name="uq_notices_recipient_seq"),
    Index("ix_notices_unread", "recipient", "id", postgresql_where="read_at IS NULL"),
)

notice_counters = Table(
    "notice_counters",
    metadata,
    uuid_key("account_id"),
    Column("last_seq", BIGINT, nullable=False),
)
"""The last number each person's notices have reached; its row lock makes the numbers gap-free."""

notification_preferences = Table(
    "notification_preferences",
    metadata,
    Column("account_id", UUID, nullable=False),
    Column("category", TEXT, nullable=False),
    Column("email", Boolean, nullable=False),
    Column("sms", Boolean, nullable=False),
    Column("changed_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("account_id", "category", name="pk_notification_preferences"),
)

sent_reminders = Table(
    "sent_reminders",
    metadata,
    Column("key", TEXT, primary_key=True),
    created_at(),
)

mail_queue = Table(
    "mail_queue",
    metadata,
    uuid_key(),
    Column("message_id", TEXT, nullable=False),
    Column("recipient", UUID),  # of a notice; the address is the one verified when it is sent
    Column("to_address", TEXT),  # of a mail whose address the sender named
    Column("subject", TEXT, nullable=False),
    Column("text", TEXT, nullable=False),
    Column("due_at", INSTANT, nullable=False),  # when it may be taken: now, the end of a lease, or the next try
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", TEXT),
    Column("sent_at", INSTANT),
    Column("dead_at", INSTANT),
    created_at(),
    UniqueConstraint("message_id", name="uq_mail_queue_message_id"),
    # what is sent or given up keeps neither text nor address: codes live no longer than their mail
    CheckConstraint(
        "(sent_at IS NULL AND dead_at IS NULL) OR (subject = '' AND text = '' AND to_address IS NULL)", name="forgotten"
    ),
    Index("ix_mail_queue_due", "due_at", "id", postgresql_where="sent_at IS NULL AND dead_at IS NULL"),
)
