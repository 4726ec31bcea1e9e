"""Tables of the ledger. `soko_runtime` may add to transfers and postings, and never change or delete them."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, SmallInteger, Table, UniqueConstraint

from infrastructure.postgres.tables import BIGINT, BYTES, INSTANT, TEXT, UUID, metadata, uuid_key

ledger_transfers = Table(
    "ledger_transfers",
    metadata,
    uuid_key(),
    Column("reference", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("area", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("actor_id", UUID),
    Column("reverses", UUID, ForeignKey("ledger_transfers.id", name="fk_ledger_transfers_reverses")),
    Column("posted_at", INSTANT, nullable=False),
    UniqueConstraint("reference", name="uq_ledger_transfers_reference"),
    Index("uq_ledger_transfers_reverses", "reverses", unique=True, postgresql_where="reverses IS NOT NULL"),
)

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column(
        "transfer_id", UUID, ForeignKey("ledger_transfers.id", name="fk_ledger_postings_transfer"), primary_key=True
    ),
    Column("leg", SmallInteger, primary_key=True, autoincrement=False),
    Column("source", TEXT, nullable=False),
    Column("destination", TEXT, nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    CheckConstraint("amount BETWEEN 1 AND 1000000000000", name="amount"),
    CheckConstraint("source <> destination", name="moves"),
    Index("ix_ledger_postings_source", "source", "transfer_id"),
    Index("ix_ledger_postings_destination", "destination", "transfer_id"),
)

ledger_balances = Table(
    "ledger_balances",
    metadata,
    Column("account", TEXT, primary_key=True),
    Column("currency", TEXT, primary_key=True),
    Column("balance", BIGINT, nullable=False),
    Column("owner_id", UUID),
    Column("changed_at", INSTANT, nullable=False),
    # not on the balance itself: an update of it stays inside its page
    Index("ix_ledger_balances_owner", "owner_id", postgresql_where="owner_id IS NOT NULL"),
    CheckConstraint("CASE WHEN starts_with(account, 'owed:') THEN balance <= 0 ELSE balance >= 0 END", name="floor"),
)
"""Only accounts with a floor have a row; the balance of the others is the sum of their postings.

`owner_id` is the person whose account it is. An escrow has its holder there while it holds money, and nobody once it
is empty: so one short scan of the index finds all that a person has, however many deals have ended.
"""

ledger_unsealed = Table("ledger_unsealed", metadata, uuid_key("transfer_id"))
"""Transfers that wait for their seal: written with the transfer, deleted with the seal."""

ledger_seals = Table(
    "ledger_seals",
    metadata,
    Column("seq", BIGINT, primary_key=True, autoincrement=False),
    Column("transfer_id", UUID, ForeignKey("ledger_transfers.id", name="fk_ledger_seals_transfer"), nullable=False),
    Column("hash", BYTES, nullable=False),
    Column("sealed_at", INSTANT, nullable=False),
    UniqueConstraint("transfer_id", name="uq_ledger_seals_transfer"),
)

ledger_alarms = Table(
    "ledger_alarms",
    metadata,
    uuid_key(),
    Column("breach", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("owner_id", UUID),
    Column("detail", TEXT, nullable=False),
    Column("found_at", INSTANT, nullable=False),
    Column("closed_at", INSTANT),
    Column("closed_by", UUID),
    Column("reason", TEXT),
    Index(
        "uq_ledger_alarms_open",
        "breach",
        "name",
        "owner_id",
        unique=True,
        postgresql_where="closed_at IS NULL",
        postgresql_nulls_not_distinct=True,
    ),
    Index("ix_ledger_alarms_owner", "owner_id", postgresql_where="closed_at IS NULL"),
)
"""What a proof found broken; while one is open its owner is paid out nothing."""

earnings_holds = Table(
    "earnings_holds",
    metadata,
    uuid_key(),
    Column("payee_id", UUID, nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("area", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("available_at", INSTANT, nullable=False),
    Column("is_frozen", Boolean, nullable=False, server_default="false"),
    Column("released_at", INSTANT),
    Column("created_at", INSTANT, nullable=False),
    Column("taken_back", BIGINT, nullable=False, server_default="0"),
    CheckConstraint("amount > 0", name="amount"),
    UniqueConstraint("subject", "payee_id", name="uq_earnings_holds_subject_payee"),
    Index("ix_earnings_holds_due", "available_at", postgresql_where="released_at IS NULL AND NOT is_frozen"),
)
