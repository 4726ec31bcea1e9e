"""Soko's tables as SQLAlchemy's declarative classes; what nothing here reads is left out."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, ForeignKey, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from benchmarks.peers.market import uuid7

Id = Annotated[UUID, mapped_column(primary_key=True, default=uuid7)]
Minor = Annotated[int, mapped_column(BigInteger)]
"""An amount in minor units."""


class Base(DeclarativeBase):
    """What all share: how Python's types are stored."""

    type_annotation_map = {  # noqa: RUF012  as the documentation writes it
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        list[UUID]: ARRAY(Uuid),
    }


class Account(Base):
    """A person."""

    __tablename__ = "accounts"

    id: Mapped[Id]
    username: Mapped[str]


class Block(Base):
    """One person wants nothing to do with another."""

    __tablename__ = "blocks"

    id: Mapped[Id]
    blocker_id: Mapped[UUID]
    blocked_id: Mapped[UUID]


class File(Base):
    """A file of a task: the student's or the writer's."""

    __tablename__ = "files"

    id: Mapped[Id]
    subject_id: Mapped[UUID]
    purpose: Mapped[str]
    name: Mapped[str]
    size: Mapped[Minor]
    content_type: Mapped[str]
    uploaded_at: Mapped[datetime]


class Task(Base):
    """What a student wants to have done."""

    __tablename__ = "tasks"

    id: Mapped[Id]
    student_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    title: Mapped[str]
    description: Mapped[str]
    status: Mapped[str]
    stage: Mapped[str]
    budget: Mapped[Minor | None]
    currency: Mapped[str | None]
    due_at: Mapped[datetime | None]
    rejection_reason: Mapped[str | None]
    is_hidden: Mapped[bool]
    revision: Mapped[int]
    claim_id: Mapped[UUID | None]
    claim_writer_id: Mapped[UUID | None]
    claimed_at: Mapped[datetime | None]
    claim_due_at: Mapped[datetime | None]
    claim_expires_at: Mapped[datetime | None]
    claim_day: Mapped[date | None]
    version: Mapped[int]
    completed_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    student: Mapped[Account] = relationship()
    files: Mapped[list[File]] = relationship(
        primaryjoin="and_(foreign(File.subject_id) == Task.id, File.purpose == 'student')",
        order_by=File.id,
        viewonly=True,
    )


class Writer(Base):
    """What limits a writer."""

    __tablename__ = "writers"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    day: Mapped[date | None]
    used: Mapped[int]
    open_claims: Mapped[int]
    plan: Mapped[str | None]
    plan_ends_at: Mapped[datetime | None]

    account: Mapped[Account] = relationship()


class Rating(Base):
    """A writer's points."""

    __tablename__ = "ratings"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("writers.account_id"), primary_key=True)
    points: Mapped[int]

    writer: Mapped[Writer] = relationship()


class PointsEntry(Base):
    """Points that were given, and what for."""

    __tablename__ = "points_entries"

    id: Mapped[Id]
    account_id: Mapped[UUID]
    reason: Mapped[str]
    points: Mapped[int]
    created_at: Mapped[datetime]


class Claim(Base):
    """A writer works on a task."""

    __tablename__ = "claims"

    id: Mapped[Id]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    writer_id: Mapped[UUID]
    day: Mapped[date]
    claimed_at: Mapped[datetime]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]


class SubmissionVersion(Base):
    """One state of work that was handed in."""

    __tablename__ = "submission_versions"

    submission_id: Mapped[UUID] = mapped_column(ForeignKey("submissions.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    file_ids: Mapped[list[UUID]]


class Submission(Base):
    """Work that was handed in."""

    __tablename__ = "submissions"

    id: Mapped[Id]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    writer_id: Mapped[UUID]
    status: Mapped[str]
    version: Mapped[int]
    notes: Mapped[str]
    is_late: Mapped[bool]
    rejection_reason: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    reviewed_at: Mapped[datetime | None]

    task: Mapped[Task] = relationship()
    current: Mapped[SubmissionVersion] = relationship(
        primaryjoin="and_(foreign(SubmissionVersion.submission_id) == Submission.id,"
        " SubmissionVersion.number == Submission.version)",
        viewonly=True,
        uselist=False,
    )


class Release(Base):
    """Money of a task that went to its writer."""

    __tablename__ = "releases"

    id: Mapped[Id]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    writer_id: Mapped[UUID]
    amount: Mapped[Minor]
    fee: Mapped[Minor]
    currency: Mapped[str]
    source: Mapped[str]
    released_by: Mapped[UUID]
    created_at: Mapped[datetime]


class Posting(Base):
    """One leg of a transfer."""

    __tablename__ = "ledger_postings"

    transfer_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_transfers.id"), primary_key=True)
    leg: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    destination: Mapped[str]
    amount: Mapped[Minor]
    currency: Mapped[str]


class Unsealed(Base):
    """A transfer that waits for its seal."""

    __tablename__ = "ledger_unsealed"

    transfer_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_transfers.id"), primary_key=True)


class Transfer(Base):
    """Money that moved, for one reason."""

    __tablename__ = "ledger_transfers"

    id: Mapped[Id]
    reference: Mapped[str]
    kind: Mapped[str]
    area: Mapped[str]
    subject: Mapped[str]
    actor_id: Mapped[UUID | None]
    posted_at: Mapped[datetime]

    postings: Mapped[list[Posting]] = relationship()
    unsealed: Mapped[Unsealed] = relationship()


class Balance(Base):
    """What an account of the ledger holds."""

    __tablename__ = "ledger_balances"

    account: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[Minor]
    owner_id: Mapped[UUID | None]
    changed_at: Mapped[datetime]


class PaymentIntent(Base):
    """Somebody means to pay."""

    __tablename__ = "payment_intents"

    id: Mapped[Id]
    reference: Mapped[str]
    payer_id: Mapped[UUID]
    purpose: Mapped[str]
    subject: Mapped[UUID]
    amount: Mapped[Minor]
    currency: Mapped[str]
    destination: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    closed_at: Mapped[datetime | None]
    served_at: Mapped[datetime | None]


class PaymentAttempt(Base):
    """A try at paying, with one provider."""

    __tablename__ = "payment_attempts"

    id: Mapped[Id]
    intent_id: Mapped[UUID] = mapped_column(ForeignKey("payment_intents.id"))
    gateway: Mapped[str]
    transaction_id: Mapped[str | None]
    status: Mapped[str]
    receipt: Mapped[str | None]
    received: Mapped[Minor | None]
    received_currency: Mapped[str | None]
    next_check_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    intent: Mapped[PaymentIntent] = relationship()


class GatewayEvent(Base):
    """What a provider told us, as it came."""

    __tablename__ = "gateway_events"

    id: Mapped[Id]
    gateway: Mapped[str]
    digest: Mapped[bytes]
    body: Mapped[bytes]
    received_at: Mapped[datetime]
    look_at: Mapped[datetime | None]
    result: Mapped[str | None]
    attempt_id: Mapped[UUID | None]


class OutboxMessage(Base):
    """An event for one subscriber, delivered later by a worker."""

    __tablename__ = "outbox_messages"

    id: Mapped[Id]
    event_id: Mapped[UUID]
    event_name: Mapped[str]
    subscriber: Mapped[str]
    payload: Mapped[dict[str, Any]]
    trace_id: Mapped[str]
    occurred_at: Mapped[datetime]
    due_at: Mapped[datetime]


class UnsealedEntry(Base):
    """An entry that waits for its seal."""

    __tablename__ = "audit_unsealed"

    entry_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entries.id"), primary_key=True)


class AuditEntry(Base):
    """Who did what."""

    __tablename__ = "audit_entries"

    id: Mapped[Id]
    action: Mapped[str]
    target: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_label: Mapped[str]
    after: Mapped[dict[str, Any]]
    ip: Mapped[str | None]
    trace_id: Mapped[str]
    created_at: Mapped[datetime]

    unsealed: Mapped[UnsealedEntry] = relationship()
