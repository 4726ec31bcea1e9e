"""The changes, each in one transaction, with the rows locked that its rules read."""

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, PermissionDenied

from benchmarks.peers.drf import models
from benchmarks.peers.market import (
    CLAIM_GRACE,
    CLAIM_TIME_MIN,
    FEE_BASIS_POINTS,
    LOOK_AGAIN_AFTER,
    NAIROBI,
    OPEN_CLAIMS_MAX,
    PAYMENT_SUBSCRIBERS,
    POINTS_APPROVED,
    money,
    uuid7,
)


class Conflict(APIException):
    """What is asked does not fit the state of things."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This cannot be done now."
    default_code = "conflict"


def claim_task(task_id: UUID, writer_id: UUID, now: datetime) -> tuple[models.Task, models.Writer]:
    """Give an open task to a writer who may have it. Raises NotFound, Conflict, PermissionDenied."""
    with transaction.atomic():
        task = models.Task.objects.select_for_update(of=("self",)).select_related("student").filter(pk=task_id).first()
        writer = (
            models.Writer.objects.select_for_update(of=("self",)).select_related("account").filter(pk=writer_id).first()
        )
        if task is None or task.student_id == writer_id or _is_blocked(task.student_id, writer_id):
            raise NotFound
        if task.claim_id is not None or task.status != "APPROVED" or task.is_hidden or task.due_at <= now:
            raise Conflict
        if writer is None or writer.plan is None or writer.plan_ends_at <= now or writer.open_claims >= OPEN_CLAIMS_MAX:
            raise PermissionDenied
        today = now.astimezone(NAIROBI).date()
        claim = models.Claim(
            task=task, writer=writer, day=today, claimed_at=now, due_at=max(task.due_at, now + CLAIM_TIME_MIN)
        )
        claim.expires_at = claim.due_at + CLAIM_GRACE
        task.status, task.stage, task.version, task.updated_at = "IN_PROGRESS", "working", 0, now
        task.claim_id, task.claim_writer_id, task.claim_day = claim.id, writer_id, today
        task.claimed_at, task.claim_due_at, task.claim_expires_at = now, claim.due_at, claim.expires_at
        task.save(
            update_fields=[
                *("status", "stage", "version", "updated_at", "claim_id", "claim_writer_id", "claim_day"),
                *("claimed_at", "claim_due_at", "claim_expires_at"),
            ]
        )
        claim.save(force_insert=True)
        writer.used = (writer.used if writer.day == today else 0) + 1
        writer.day = today
        writer.open_claims += 1
        writer.save(update_fields=["used", "day", "open_claims"])
        about = _about(task, writer_id) | {"due_at": claim.due_at}
        _message("assignments.task_claimed", about, uuid7().hex, now).save(force_insert=True)
    return task, writer


def take_callback(body: bytes, said: dict[str, Any], now: datetime) -> bool:
    """Store what the provider says and credit the payment, once; tell whether it is new. Raises Conflict."""
    digest = hashlib.sha256(body).digest()
    try:
        with transaction.atomic():
            event = models.GatewayEvent.objects.create(
                gateway="lipana", digest=digest, body=body, received_at=now, look_at=now + LOOK_AGAIN_AFTER
            )
            _credit_payment(event, said, now)
    except IntegrityError:
        if models.GatewayEvent.objects.filter(gateway="lipana", digest=digest).exists():
            return False
        raise
    return True


def approve_submission(
    submission_id: UUID, seen_version: int, admin_id: UUID, ip: str, now: datetime
) -> models.Submission:
    """Approve work and pay its writer from the escrow. Raises NotFound, Conflict."""
    with transaction.atomic():
        submission: models.Submission | None = (
            models.Submission.objects.select_for_update(of=("self", "task"))
            .select_related("task__student")
            .filter(pk=submission_id)
            .first()
        )
        if submission is None:
            raise NotFound
        task = submission.task
        rating = (
            models.Rating.objects.select_for_update(of=("self", "writer"))
            .select_related("writer__account")
            .get(pk=submission.writer_id)
        )
        writer = submission.writer = rating.writer
        escrow, owed = f"escrow:task:{task.id}", f"owed:user:{writer.pk}"
        held = {
            balance.account: balance.balance
            for balance in models.Balance.objects.select_for_update()
            .filter(account__in=[escrow, owed], currency=task.currency)
            .order_by("account")
        }
        if task.stage != "review" or task.version != submission.version or writer.pk == admin_id:
            raise Conflict
        if seen_version != submission.version or held.get(escrow, 0) < task.budget or held.get(owed, 0) < 0:
            raise Conflict
        fee = task.budget * FEE_BASIS_POINTS // 10_000
        net = task.budget - fee
        claim_id = task.claim_id

        task.status, task.stage, task.completed_by, task.updated_at = "COMPLETED", "ended", writer.pk, now
        task.claim_id = task.claim_writer_id = task.claim_day = None
        task.claimed_at = task.claim_due_at = task.claim_expires_at = None
        task.save(
            update_fields=[
                *("status", "stage", "completed_by", "updated_at", "claim_id", "claim_writer_id", "claim_day"),
                *("claimed_at", "claim_due_at", "claim_expires_at"),
            ]
        )
        models.Claim.objects.filter(pk=claim_id).update(ended_at=now, end_reason="completed")
        submission.status, submission.reviewed_at, submission.updated_at = "APPROVED", now, now
        submission.save(update_fields=["status", "reviewed_at", "updated_at"])
        writer.open_claims -= 1
        writer.save(update_fields=["open_claims"])
        rating.points += POINTS_APPROVED
        rating.save(update_fields=["points"])
        models.PointsEntry.objects.create(
            account=writer.account, reason=f"task:{task.id}:approved", points=POINTS_APPROVED, created_at=now
        )
        _release(task, writer, escrow, net, fee, admin_id, now)
        release = models.Release.objects.create(
            task=task,
            writer=writer,
            amount=task.budget,
            fee=fee,
            currency=task.currency,
            source="escrow",
            released_by=admin_id,
            created_at=now,
        )
        trace_id = uuid7().hex
        _record(task, submission, net, fee, admin_id, ip, trace_id, now)
        released = {
            "release_id": release.id,
            "writer_id": writer.pk,
            "task_id": task.id,
            "net": money(net),
            "currency": task.currency,
        }
        models.OutboxMessage.objects.bulk_create(
            _message(name, payload, trace_id, now)
            for name, payload in (
                ("assignments.payment_released", released),
                ("assignments.work_approved", _about(task, writer.pk)),
            )
        )
    return submission


def _credit_payment(event: models.GatewayEvent, said: dict[str, Any], now: datetime) -> None:
    attempt = (
        models.PaymentAttempt.objects.select_for_update()
        .select_related("intent")
        .filter(gateway="lipana", transaction_id=said["transactionId"])
        .first()
    )
    amount = int(Decimal(said["amount"]) * 100)
    if attempt is None or attempt.status != "pending" or attempt.intent.amount != amount:
        raise Conflict
    intent = attempt.intent
    intent.status, intent.closed_at, intent.served_at = "succeeded", now, now
    intent.save(update_fields=["status", "closed_at", "served_at"])
    attempt.status, attempt.receipt, attempt.finished_at = "succeeded", said["mpesaReceiptNumber"], now
    attempt.received, attempt.received_currency, attempt.next_check_at = amount, intent.currency, None
    attempt.save(update_fields=["status", "receipt", "finished_at", "received", "received_currency", "next_check_at"])
    event.look_at, event.result, event.attempt = None, "processed", attempt
    event.save(update_fields=["look_at", "result", "attempt"])
    transfer = models.Transfer.objects.create(
        reference=f"payment:{attempt.id}",
        kind=intent.kind,
        area="payments",
        subject=f"payment:{intent.reference}",
        posted_at=now,
    )
    models.Posting.objects.create(
        transfer=transfer,
        leg=0,
        source="clearing:lipana",
        destination=intent.destination,
        amount=amount,
        currency=intent.currency,
    )
    models.UnsealedTransfer.objects.create(transfer=transfer)
    _credit(intent.destination, intent.currency, amount, intent.payer_id, now)
    event_id, trace_id = uuid7(), uuid7().hex
    payload = {
        "intent_id": intent.id,
        "attempt_id": attempt.id,
        "reference": intent.reference,
        "payer": intent.payer_id,
        "purpose": intent.purpose,
        "subject": intent.subject,
        "amount_minor": amount,
        "currency": intent.currency,
        "went_to_wallet": False,
    }
    models.OutboxMessage.objects.bulk_create(
        models.OutboxMessage(
            event_id=event_id,
            event_name="payments.payment_succeeded",
            subscriber=subscriber,
            payload=payload,
            trace_id=trace_id,
            occurred_at=now,
            due_at=now,
        )
        for subscriber in PAYMENT_SUBSCRIBERS
    )


def _about(task: models.Task, writer_id: UUID) -> dict[str, Any]:
    return {"task_id": task.id, "student_id": task.student_id, "title": task.title, "writer_id": writer_id}


def _message(name: str, payload: dict[str, Any], trace_id: str, now: datetime) -> models.OutboxMessage:
    return models.OutboxMessage(
        event_id=uuid7(),
        event_name=name,
        subscriber=f"{name}.tell_people",
        payload=payload,
        trace_id=trace_id,
        occurred_at=now,
        due_at=now,
    )


def _is_blocked(one: UUID, other: UUID) -> bool:
    blocks = models.Block.objects.filter(
        Q(blocker_id=one, blocked_id=other) | Q(blocker_id=other, blocked_id=one),
    )
    return bool(blocks.exists())


def _release(
    task: models.Task, writer: models.Writer, escrow: str, net: int, fee: int, admin_id: UUID, now: datetime
) -> None:
    wallet = f"wallet:user:{writer.pk}"
    transfer = models.Transfer.objects.create(
        reference=f"task:{task.id}:release",
        kind="PAYMENT_RELEASE",
        area="assignments",
        subject=f"task:{task.id}",
        actor_id=admin_id,
        posted_at=now,
    )
    models.Posting.objects.bulk_create(
        models.Posting(transfer=transfer, leg=leg, source=escrow, destination=to, amount=amount, currency=task.currency)
        for leg, (to, amount) in enumerate(((wallet, net), ("revenue:fees", fee)))
    )
    models.UnsealedTransfer.objects.create(transfer=transfer)
    models.Balance.objects.filter(account=escrow, currency=task.currency).update(
        balance=F("balance") - net - fee, owner_id=None, changed_at=now
    )
    _credit(wallet, task.currency, net, writer.pk, now)


def _credit(account: str, currency: str, amount: int, owner_id: UUID, now: datetime) -> None:
    row = models.Balance.objects.filter(account=account, currency=currency)
    if not row.update(balance=F("balance") + amount, changed_at=now):
        models.Balance.objects.get_or_create(
            account=account, currency=currency, defaults={"balance": 0, "owner_id": owner_id, "changed_at": now}
        )
        row.update(balance=F("balance") + amount, changed_at=now)


def _record(
    task: models.Task,
    submission: models.Submission,
    net: int,
    fee: int,
    admin_id: UUID,
    ip: str,
    trace_id: str,
    now: datetime,
) -> None:
    entries = models.AuditEntry.objects.bulk_create(
        models.AuditEntry(
            action=action,
            target=target,
            actor_id=admin_id,
            actor_label="account",
            after=after,
            ip=ip,
            trace_id=trace_id,
            created_at=now,
        )
        for action, target, after in (
            (
                "RELEASE_PAYMENT",
                f"task:{task.id}",
                {"amount": f"{money(net + fee)} KES", "fee": f"{money(fee)} KES", "net": f"{money(net)} KES"},
            ),
            ("APPROVE_SUBMISSION", f"submission:{submission.id}", {"task": task.id, "version": task.version}),
        )
    )
    models.UnsealedAuditEntry.objects.bulk_create(models.UnsealedAuditEntry(entry=entry) for entry in entries)
