"""Soko's tables as Django models; what nothing here reads is left out."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from benchmarks.peers.market import uuid7


class Stored(models.Model):
    """What is a row of Soko's, whose migrations make the table."""

    class Meta:
        abstract = True
        managed = False


class Identified(Stored):
    """What has an id of its own."""

    id = models.UUIDField(primary_key=True, default=uuid7)

    class Meta(Stored.Meta):
        abstract = True


class Account(Identified):
    """A person."""

    username = models.TextField(unique=True)

    class Meta(Identified.Meta):
        db_table = "accounts"


class Block(Identified):
    """One person wants nothing to do with another."""

    blocker = models.ForeignKey(Account, models.CASCADE, related_name="+")
    blocked = models.ForeignKey(Account, models.CASCADE, related_name="+")

    class Meta(Identified.Meta):
        db_table = "blocks"


class Task(Identified):
    """What a student wants to have done."""

    student = models.ForeignKey(Account, models.PROTECT, related_name="+")
    title = models.TextField()
    description = models.TextField()
    status = models.TextField()
    stage = models.TextField()
    budget = models.BigIntegerField(null=True)
    currency = models.TextField(null=True)
    due_at = models.DateTimeField(null=True)
    rejection_reason = models.TextField(null=True)
    approved_at = models.DateTimeField(null=True)
    is_hidden = models.BooleanField()
    revision = models.IntegerField()
    moves = models.IntegerField()
    claim_id = models.UUIDField(null=True)
    claim_writer_id = models.UUIDField(null=True)
    claimed_at = models.DateTimeField(null=True)
    claim_due_at = models.DateTimeField(null=True)
    claim_expires_at = models.DateTimeField(null=True)
    claim_day = models.DateField(null=True)
    claim_rounds = models.SmallIntegerField()
    version = models.IntegerField()
    submission_id = models.UUIDField(null=True)
    completed_by = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(Identified.Meta):
        db_table = "tasks"


class File(Identified):
    """A file of a task: the student's or the writer's."""

    subject = models.ForeignKey(Task, models.PROTECT, related_name="files", db_constraint=False)
    purpose = models.TextField()
    name = models.TextField()
    size = models.BigIntegerField()
    content_type = models.TextField()
    uploaded_at = models.DateTimeField()

    class Meta(Identified.Meta):
        db_table = "files"
        ordering: ClassVar = ["id"]


class Writer(Stored):
    """What limits a writer."""

    account = models.OneToOneField(Account, models.PROTECT, primary_key=True)
    day = models.DateField(null=True)
    used = models.IntegerField()
    open_claims = models.IntegerField()
    plan = models.TextField(null=True)
    plan_ends_at = models.DateTimeField(null=True)

    class Meta(Stored.Meta):
        db_table = "writers"


class Rating(Stored):
    """A writer's points."""

    writer = models.OneToOneField(Writer, models.PROTECT, primary_key=True, db_column="account_id")
    points = models.IntegerField()

    class Meta(Stored.Meta):
        db_table = "ratings"


class PointsEntry(Identified):
    """Points that were given, and what for."""

    account = models.ForeignKey(Account, models.PROTECT, related_name="+")
    reason = models.TextField()
    points = models.IntegerField()
    created_at = models.DateTimeField()

    class Meta(Identified.Meta):
        db_table = "points_entries"


class Claim(Identified):
    """A writer works on a task."""

    task = models.ForeignKey(Task, models.PROTECT, related_name="claims")
    writer = models.ForeignKey(Writer, models.PROTECT, related_name="+")
    day = models.DateField()
    claimed_at = models.DateTimeField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.TextField(null=True)

    class Meta(Identified.Meta):
        db_table = "claims"


class Submission(Identified):
    """Work that was handed in."""

    task = models.ForeignKey(Task, models.PROTECT, related_name="submissions")
    claim = models.ForeignKey(Claim, models.PROTECT, related_name="+")
    writer = models.ForeignKey(Writer, models.PROTECT, related_name="+")
    status = models.TextField()
    version = models.IntegerField()
    notes = models.TextField()
    is_late = models.BooleanField()
    rejection_reason = models.TextField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    reviewed_at = models.DateTimeField(null=True)

    class Meta(Identified.Meta):
        db_table = "submissions"


class SubmissionVersion(Stored):
    """One state of work that was handed in."""

    pk = models.CompositePrimaryKey("submission_id", "number")
    submission = models.ForeignKey(Submission, models.PROTECT, related_name="versions")
    number = models.IntegerField()
    file_ids = ArrayField(models.UUIDField())

    class Meta(Stored.Meta):
        db_table = "submission_versions"


class Release(Identified):
    """Money of a task that went to its writer."""

    task = models.OneToOneField(Task, models.PROTECT, related_name="release")
    writer = models.ForeignKey(Writer, models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    fee = models.BigIntegerField()
    currency = models.TextField()
    source = models.TextField()
    released_by = models.UUIDField()
    created_at = models.DateTimeField()

    class Meta(Identified.Meta):
        db_table = "releases"


class Transfer(Identified):
    """Money that moved, for one reason."""

    reference = models.TextField(unique=True)
    kind = models.TextField()
    area = models.TextField()
    subject = models.TextField()
    actor_id = models.UUIDField(null=True)
    posted_at = models.DateTimeField()

    class Meta(Identified.Meta):
        db_table = "ledger_transfers"


class Posting(Stored):
    """One leg of a transfer."""

    pk = models.CompositePrimaryKey("transfer_id", "leg")
    transfer = models.ForeignKey(Transfer, models.PROTECT, related_name="postings")
    leg = models.SmallIntegerField()
    source = models.TextField()
    destination = models.TextField()
    amount = models.BigIntegerField()
    currency = models.TextField()

    class Meta(Stored.Meta):
        db_table = "ledger_postings"


class UnsealedTransfer(Stored):
    """A transfer that waits for its seal."""

    transfer = models.OneToOneField(Transfer, models.PROTECT, primary_key=True)

    class Meta(Stored.Meta):
        db_table = "ledger_unsealed"


class Balance(Stored):
    """What an account of the ledger holds."""

    pk = models.CompositePrimaryKey("account", "currency")
    account = models.TextField()
    currency = models.TextField()
    balance = models.BigIntegerField()
    owner_id = models.UUIDField(null=True)
    changed_at = models.DateTimeField()

    class Meta(Stored.Meta):
        db_table = "ledger_balances"


class PaymentIntent(Identified):
    """Somebody means to pay."""

    reference = models.TextField(unique=True)
    payer = models.ForeignKey(Account, models.PROTECT, related_name="+")
    purpose = models.TextField()
    subject = models.UUIDField()
    amount = models.BigIntegerField()
    currency = models.TextField()
    destination = models.TextField()
    kind = models.TextField()
    status = models.TextField()
    closed_at = models.DateTimeField(null=True)
    served_at = models.DateTimeField(null=True)

    class Meta(Identified.Meta):
        db_table = "payment_intents"


class PaymentAttempt(Identified):
    """A try at paying, with one provider."""

    intent = models.ForeignKey(PaymentIntent, models.PROTECT, related_name="attempts")
    gateway = models.TextField()
    transaction_id = models.TextField(null=True)
    status = models.TextField()
    receipt = models.TextField(null=True)
    received = models.BigIntegerField(null=True)
    received_currency = models.TextField(null=True)
    next_check_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(Identified.Meta):
        db_table = "payment_attempts"


class GatewayEvent(Identified):
    """What a provider told us, as it came."""

    gateway = models.TextField()
    digest = models.BinaryField()
    body = models.BinaryField()
    received_at = models.DateTimeField()
    look_at = models.DateTimeField(null=True)
    result = models.TextField(null=True)
    attempt = models.ForeignKey(PaymentAttempt, models.PROTECT, null=True, related_name="+")

    class Meta(Identified.Meta):
        db_table = "gateway_events"


class OutboxMessage(Identified):
    """An event for one subscriber, delivered later by a worker."""

    event_id = models.UUIDField()
    event_name = models.TextField()
    subscriber = models.TextField()
    payload = models.JSONField(encoder=DjangoJSONEncoder)
    trace_id = models.TextField()
    occurred_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.IntegerField(default=0)

    class Meta(Identified.Meta):
        db_table = "outbox_messages"


class AuditEntry(Identified):
    """Who did what."""

    action = models.TextField()
    target = models.TextField()
    actor_id = models.UUIDField(null=True)
    actor_label = models.TextField()
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    ip = models.TextField(null=True)
    trace_id = models.TextField()
    created_at = models.DateTimeField()

    class Meta(Identified.Meta):
        db_table = "audit_entries"


class UnsealedAuditEntry(Stored):
    """An entry that waits for its seal."""

    entry = models.OneToOneField(AuditEntry, models.PROTECT, primary_key=True)

    class Meta(Stored.Meta):
        db_table = "audit_unsealed"
