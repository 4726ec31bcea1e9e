"""Tables of identity.

An account is one row with its roles and contacts, so that locking the row locks all of it and one statement loads it.
"""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from infrastructure.postgres.tables import BIGINT, BYTES, INSTANT, TEXT, UUID, created_at, metadata, uuid_key, words_of

accounts = Table(
    "accounts",
    metadata,
    uuid_key(),
    Column("username", TEXT, nullable=False),
    Column("password_hash", TEXT, nullable=False),
    Column("first_name", TEXT, nullable=False),
    Column("last_name", TEXT, nullable=False),
    Column("bio", TEXT, nullable=False),
    Column("avatar", TEXT, nullable=False),
    Column("city", TEXT, nullable=False),
    Column("county", TEXT, nullable=False),
    Column("country", TEXT, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("roles", ARRAY(TEXT), nullable=False),  # in the order chosen; the first is the primary one
    Column("role_states", ARRAY(TEXT), nullable=False),  # one for each role
    Column("verified_email", TEXT),
    Column("verified_email_at", INSTANT),
    Column("claimed_email", TEXT),
    Column("claimed_email_at", INSTANT),
    Column("verified_phone", TEXT),
    Column("verified_phone_at", INSTANT),
    Column("claimed_phone", TEXT),
    Column("claimed_phone_at", INSTANT),
    Column("joined_at", INSTANT, nullable=False),
    CheckConstraint("cardinality(roles) = cardinality(role_states)", name="roles"),
    UniqueConstraint("username", name="uq_accounts_username"),
    Index("uq_accounts_verified_email", "verified_email", unique=True, postgresql_where="verified_email IS NOT NULL"),
    Index("uq_accounts_verified_phone", "verified_phone", unique=True, postgresql_where="verified_phone IS NOT NULL"),
    Index("ix_accounts_claimed_email", "claimed_email", postgresql_where="claimed_email IS NOT NULL"),
    Index("ix_accounts_claimed_phone", "claimed_phone", postgresql_where="claimed_phone IS NOT NULL"),
    Index("ix_accounts_administrators", "id", postgresql_where="roles @> ARRAY['admin'::text]"),
    Index(
        "ix_accounts_worker_names",
        text(words_of("username", "first_name", "last_name")),
        postgresql_using="gin",
        postgresql_where="roles @> ARRAY['worker'::text]",
    ),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    uuid_key(),
    Column("account_id", UUID, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rotations", ARRAY(INSTANT), nullable=False),
    Column("user_agent", TEXT),
    Column("ip", TEXT),
    Column("created_at", INSTANT, nullable=False),
    Column("last_used_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("ends_at", INSTANT, nullable=False),
    Column("ended_at", INSTANT),
    Column("end_reason", TEXT),
    Column("proved_at", INSTANT),  # when the second factor was last proved in it
    Index("ix_sign_ins_account", "account_id", "id", postgresql_where="ended_at IS NULL"),
    Index("ix_sign_ins_expires", "expires_at"),
)

second_factors = Table(
    "second_factors",
    metadata,
    Column("account_id", UUID, primary_key=True),
    Column("sealed_secret", BYTES, nullable=False),
    Column("begun_at", INSTANT, nullable=False),
    Column("confirmed_at", INSTANT),  # none: shown and not confirmed
    Column("last_step", BIGINT, nullable=False),  # the newest step of time whose code was accepted
    Column("recovery_digests", ARRAY(BYTES), nullable=False),  # of the codes that were not used
)

access_revocations = Table(
    "access_revocations",
    metadata,
    uuid_key(),
    Column("family_id", UUID),  # the sign-in whose tokens ended
    Column("account_id", UUID),  # or the account whose tokens
    Column("before_epoch", Integer),  # of an earlier epoch ended
    created_at(),
    CheckConstraint(
        "(family_id IS NULL) <> (account_id IS NULL) AND (account_id IS NULL) = (before_epoch IS NULL)", name="one"
    ),
    Index("ix_access_revocations_created", "created_at"),
)

one_time_codes = Table(
    "one_time_codes",
    metadata,
    uuid_key(),
    Column("account_id", UUID),  # none: a decoy, asked for an address that nobody has
    Column("purpose", TEXT, nullable=False),
    Column("address", TEXT, nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("used_at", INSTANT),
    created_at(),
    Index("ix_one_time_codes_account", "account_id", "purpose", "address", "id"),
    Index("ix_one_time_codes_expires", "expires_at"),
)

attempt_counters = Table(
    "attempt_counters",
    metadata,
    Column("key", BYTES, primary_key=True),
    Column("attempts", BIGINT, nullable=False),
    Column("ends_at", INSTANT, nullable=False),
    Index("ix_attempt_counters_ends", "ends_at"),
)

blocks = Table(
    "blocks",
    metadata,
    uuid_key(),
    Column("blocker_id", UUID, nullable=False),
    Column("blocked_id", UUID, nullable=False),
    Column("reason", TEXT, nullable=False),
    created_at(),
    CheckConstraint("blocker_id <> blocked_id", name="another"),
    UniqueConstraint("blocker_id", "blocked_id", name="uq_blocks_pair"),
    Index("ix_blocks_blocked", "blocked_id", "blocker_id"),
    Index("ix_blocks_blocker", "blocker_id", "id"),
)

socket_tickets = Table(
    "socket_tickets",
    metadata,
    Column("digest", BYTES, primary_key=True),
    Column("account_id", UUID, nullable=False),
    Column("family_id", UUID, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Index("ix_socket_tickets_expires", "expires_at"),
)
