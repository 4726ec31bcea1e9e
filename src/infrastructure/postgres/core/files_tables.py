"""Table of files: each row claims the bytes stored under its key."""

from sqlalchemy import CheckConstraint, Column, Index, Table, UniqueConstraint

from infrastructure.postgres.tables import BIGINT, BYTES, INSTANT, TEXT, UUID, metadata, uuid_key

files = Table(
    "files",
    metadata,
    uuid_key(),
    Column("owner_id", UUID, nullable=False),
    Column("purpose", TEXT, nullable=False),
    Column("subject_id", UUID, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("size", BIGINT, nullable=False),
    Column("sha256", BYTES, nullable=False),
    Column("content_type", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("scan_after", INSTANT),  # set when the scanner failed on it, so that one bad file does not stop the rest
    Column("uploaded_at", INSTANT, nullable=False),
    UniqueConstraint("key", name="uq_files_key"),
    CheckConstraint("size > 0", name="size"),
    CheckConstraint("state IN ('received', 'ready', 'quarantined')", name="state"),
    Index("ix_files_subject", "subject_id", "purpose", "id"),
    Index("ix_files_received", "id", postgresql_where="state = 'received'"),
    Index("ix_files_owner", "owner_id", postgresql_include=["size"]),
    Index("ix_files_unattached", "id", postgresql_where="purpose = 'upload'"),
)

file_uploads = Table(
    "file_uploads",
    metadata,
    uuid_key(),
    Column("owner_id", UUID, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("size", BIGINT, nullable=False),
    Column("content_type", TEXT, nullable=False),
    Column("begun_at", INSTANT, nullable=False),
    CheckConstraint("size > 0", name="size"),
    Index("ix_file_uploads_owner", "owner_id", postgresql_include=["size"]),
)
