"""Tables of orders: the order with its open offer in one row, its history, and every offer that was made.

What a lock has to make current stands in the order's own row: rows joined to a locked one are as old as the question.
Lists go by `id` (time); each job has an index of the orders it looks for.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
)

from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID, created_at, metadata, uuid_key

gigs_orders = Table(
    "gigs_orders",
    metadata,
    uuid_key(),
    Column("client_id", UUID, nullable=False),
    Column("offering_id", UUID, nullable=False),
    Column("service", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("address", TEXT, nullable=False),
    Column("scheduled_at", INSTANT, nullable=False),
    Column("ends_at", INSTANT, nullable=False),  # for telling which orders of a worker overlap
    Column("visit_s", Integer, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),  # the word of the stage, by which lists are narrowed
    Column("stage", TEXT, nullable=False),
    created_at(),
    Column("updated_at", INSTANT, nullable=False),
    Column("pay_by", INSTANT, nullable=False),
    Column("intent_id", UUID),
    Column("paid_at", INSTANT),
    Column("fill_by", INSTANT),
    Column("cancel_cutoff_s", BIGINT),
    Column("late_refund_percent", SmallInteger),
    Column("worker_id", UUID),
    Column("offer_id", UUID),  # the open one, which is in gigs_job_offers too
    Column("offered_at", INSTANT),
    Column("answer_by", INSTANT),
    Column("offer_reasons", TEXT),
    Column("started_at", INSTANT),
    Column("delivered_at", INSTANT),
    Column("accept_by", INSTANT),
    Column("change_rounds", Integer, nullable=False),
    Column("ended_at", INSTANT),
    Column("archived_at", INSTANT),
    Column("earning", BIGINT),  # in the order's currency
    Column("fee_basis_points", Integer),
    Column("steps", Integer, nullable=False),  # how many rows its history has
    ForeignKeyConstraint(["offering_id"], ["offerings.id"], name="fk_gigs_orders_offering"),
    CheckConstraint("quantity BETWEEN 1 AND 1000", name="quantity"),
    CheckConstraint("unit_price >= 0", name="unit_price"),
    CheckConstraint("ends_at > scheduled_at", name="ends_at"),
    CheckConstraint("worker_id <> client_id", name="nobody_serves_himself"),
    CheckConstraint("status <> 'in_progress' OR worker_id IS NOT NULL", name="somebody_works"),
    CheckConstraint("(stage = 'offered') = (offer_id IS NOT NULL)", name="offer"),
    CheckConstraint("(status IN ('completed', 'canceled')) = (ended_at IS NOT NULL)", name="end"),
    *(
        Index(
            f"ix_gigs_orders_{person}{suffix}",
            f"{person}_id",
            "id",
            postgresql_include=also,  # what a part of a list asks for, so that it reads no row it leaves out
            postgresql_where=f"archived_at IS {state}",
        )
        for person, also in (("client", ["status"]), ("worker", ["status", "client_id"]))
        for suffix, state in (("", "NULL"), ("_archived", "NOT NULL"))
    ),
    Index("ix_gigs_orders_all", "id", postgresql_where="archived_at IS NULL"),
    Index("ix_gigs_orders_by_status", "status", "id", postgresql_where="archived_at IS NULL"),
    Index(
        "ix_gigs_orders_open",
        "offering_id",
        "id",
        postgresql_include=["client_id"],
        postgresql_where="status = 'paid'",
    ),
    Index("ix_gigs_orders_busy", "worker_id", "id", postgresql_where="ended_at IS NULL"),
    Index("ix_gigs_orders_idle", "worker_id", "ended_at", postgresql_where="ended_at IS NOT NULL"),
    Index("ix_gigs_orders_waiting", "paid_at", "id", postgresql_where="status = 'paid'"),
    Index("ix_gigs_orders_unfilled", "fill_by", postgresql_where="status = 'paid'"),
    Index("ix_gigs_orders_unpaid", "pay_by", postgresql_where="status = 'pending'"),
    Index("ix_gigs_orders_delivered", "accept_by", postgresql_where="stage = 'delivered'"),
    Index("ix_gigs_orders_visits", "scheduled_at", postgresql_where="stage = 'assigned'"),
    Index("ix_gigs_orders_ended", "ended_at", postgresql_where="ended_at IS NOT NULL AND archived_at IS NULL"),
)

gigs_order_events = Table(
    "gigs_order_events",
    metadata,
    Column("order_id", UUID, ForeignKey("gigs_orders.id", name="fk_gigs_order_events_order"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("from_stage", TEXT),
    Column("stage", TEXT, nullable=False),
    Column("comment", TEXT, nullable=False),
    Column("created_by", UUID),
    created_at(),
    PrimaryKeyConstraint("order_id", "sequence", name="pk_gigs_order_events"),
)
"""History: it is only added to."""

gigs_job_offers = Table(
    "gigs_job_offers",
    metadata,
    uuid_key(),
    Column("order_id", UUID, ForeignKey("gigs_orders.id", name="fk_gigs_job_offers_order"), nullable=False),
    Column("worker_id", UUID, nullable=False),
    Column("offered_at", INSTANT, nullable=False),
    Column("answer_by", INSTANT, nullable=False),
    Column("reasons", TEXT, nullable=False),
    Column("outcome", TEXT),
    Column("ended_at", INSTANT),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="outcome"),
    Index("uq_gigs_job_offers_open", "order_id", unique=True, postgresql_where="ended_at IS NULL"),
    Index("ix_gigs_job_offers_order", "order_id", "worker_id"),
)
