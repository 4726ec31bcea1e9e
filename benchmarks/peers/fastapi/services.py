"""The changes, each in one transaction, with the rows locked that its rules read.

What is sent as a statement of its own comes before the first object changes, so that the session is flushed once.
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from benchmarks.peers.fastapi.bodies import CallbackData
from benchmarks.peers.fastapi.tables import (
    Account,
    AuditEntry,
    Balance,
    Block,
    Claim,
    File,
    GatewayEvent,
    OutboxMessage,
    PaymentAttempt,
    PointsEntry,
    Posting,
    Rating,
    Release,
    Submission,
    Task,
    Transfer,
    Unsealed,
    UnsealedEntry,
    Writer,
)
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

NOT_FOUND = HTTPException(404, "There is no such thing.")
CONFLICT = HTTPException(409, "This cannot be done now.")
FORBIDDEN = HTTPException(403, "This is not for you.")


async def claim_task(session: AsyncSession, task_id: UUID, writer_id: UUID, now: datetime) -> tuple[Task, Writer]:
    """Give an open task to a writer who may have it. Raises HTTPException."""
    async with session.begin():
        task = await session.scalar(
            select(Task)
            .where(Task.id == task_id)
            .options(joinedload(Task.student, innerjoin=True), selectinload(Task.files))
            .with_for_update(of=Task)
        )
        writer = await session.scalar(
            select(Writer)
            .where(Writer.account_id == writer_id)
            .options(joinedload(Writer.account, innerjoin=True))
            .with_for_update(of=Writer)
        )
        if task is None or task.student_id == writer_id or await _is_blocked(session, task.student_id, writer_id):
            raise NOT_FOUND
        if task.claim_id is not None or task.status != "APPROVED" or task.is_hidden:
            raise CONFLICT
        if task.due_at is None or task.due_at <= now:
            raise CONFLICT
        if writer is None or writer.plan is None or writer.plan_ends_at is None or writer.plan_ends_at <= now:
            raise FORBIDDEN
        if writer.open_claims >= OPEN_CLAIMS_MAX:
            raise FORBIDDEN
        today = now.astimezone(NAIROBI).date()
        due_at = max(task.due_at, now + CLAIM_TIME_MIN)
        claim = Claim(
            id=uuid7(),
            task_id=task.id,
            writer_id=writer_id,
            day=today,
            claimed_at=now,
            due_at=due_at,
            expires_at=due_at + CLAIM_GRACE,
        )
        session.add(claim)
        task.status, task.stage, task.version, task.updated_at = "IN_PROGRESS", "working", 0, now
        task.claim_id, task.claim_writer_id, task.claim_day = claim.id, writer_id, today
        task.claimed_at, task.claim_due_at, task.claim_expires_at = now, claim.due_at, claim.expires_at
        writer.used = (writer.used if writer.day == today else 0) + 1
        writer.day = today
        writer.open_claims += 1
        about = _about(task, writer_id) | {"due_at": due_at}
        session.add(_message("assignments.task_claimed", about, uuid7().hex, now))
    return task, writer


async def take_callback(session: AsyncSession, body: bytes, said: CallbackData, now: datetime) -> bool:
    """Store what the provider says and credit the payment, once; tell whether it is new. Raises HTTPException."""
    async with session.begin():
        event_id = await session.scalar(
            insert(GatewayEvent)
            .values(
                id=uuid7(),
                gateway="lipana",
                digest=hashlib.sha256(body).digest(),
                body=body,
                received_at=now,
                look_at=now + LOOK_AGAIN_AFTER,
            )
            .on_conflict_do_nothing(index_elements=["gateway", "digest"])
            .returning(GatewayEvent.id)
        )
        if event_id is None:
            return False
        attempt = await session.scalar(
            select(PaymentAttempt)
            .where(PaymentAttempt.gateway == "lipana", PaymentAttempt.transaction_id == said.transaction_id)
            .options(joinedload(PaymentAttempt.intent, innerjoin=True))
            .with_for_update()
        )
        amount = int(said.amount * 100)
        if attempt is None or attempt.status != "pending" or attempt.intent.amount != amount:
            raise CONFLICT
        intent = attempt.intent
        await session.execute(
            update(GatewayEvent)
            .where(GatewayEvent.id == event_id)
            .values(look_at=None, result="processed", attempt_id=attempt.id)
            .execution_options(synchronize_session=False)
        )
        await _credit(session, intent.destination, intent.currency, amount, intent.payer_id, now)
        intent.status, intent.closed_at, intent.served_at = "succeeded", now, now
        attempt.status, attempt.receipt, attempt.finished_at = "succeeded", said.receipt, now
        attempt.received, attempt.received_currency, attempt.next_check_at = amount, intent.currency, None
        session.add(
            Transfer(
                id=uuid7(),
                reference=f"payment:{attempt.id}",
                kind=intent.kind,
                area="payments",
                subject=f"payment:{intent.reference}",
                posted_at=now,
                postings=[
                    Posting(
                        leg=0,
                        source="clearing:lipana",
                        destination=intent.destination,
                        amount=amount,
                        currency=intent.currency,
                    )
                ],
                unsealed=Unsealed(),
            )
        )
        event, trace_id = uuid7(), uuid7().hex
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
        session.add_all(
            OutboxMessage(
                event_id=event,
                event_name="payments.payment_succeeded",
                subscriber=subscriber,
                payload=payload,
                trace_id=trace_id,
                occurred_at=now,
                due_at=now,
            )
            for subscriber in PAYMENT_SUBSCRIBERS
        )
    return True


async def approve_submission(
    session: AsyncSession, submission_id: UUID, seen_version: int, admin_id: UUID, ip: str, now: datetime
) -> tuple[Submission, Rating, Release, list[File]]:
    """Approve work and pay its writer from the escrow; also return the files of the work. Raises HTTPException."""
    async with session.begin():
        submission = await session.scalar(
            select(Submission)
            .join(Submission.task)
            .where(Submission.id == submission_id)
            .options(
                contains_eager(Submission.task).options(
                    joinedload(Task.student, innerjoin=True).load_only(Account.username), selectinload(Task.files)
                ),
                joinedload(Submission.current, innerjoin=True),
            )
            .with_for_update(of=[Submission, Task])
        )
        if submission is None:
            raise NOT_FOUND
        task, writer_id = submission.task, submission.writer_id
        if task.budget is None or task.currency is None:
            raise CONFLICT
        rating = (
            await session.scalars(
                select(Rating)
                .join(Rating.writer)
                .where(Rating.account_id == writer_id)
                .options(
                    contains_eager(Rating.writer).joinedload(Writer.account, innerjoin=True).load_only(Account.username)
                )
                .with_for_update(of=[Rating, Writer])
            )
        ).one()
        escrow, owed = f"escrow:task:{task.id}", f"owed:user:{writer_id}"
        balances = await session.scalars(
            select(Balance)
            .where(Balance.account.in_([escrow, owed]), Balance.currency == task.currency)
            .order_by(Balance.account)
            .with_for_update()
        )
        held = {balance.account: balance for balance in balances}
        if task.stage != "review" or task.version != submission.version or writer_id == admin_id:
            raise CONFLICT
        if seen_version != submission.version or escrow not in held or held[escrow].balance < task.budget:
            raise CONFLICT
        if owed in held and held[owed].balance < 0:
            raise CONFLICT
        files = list(
            await session.scalars(select(File).where(File.id.in_(submission.current.file_ids)).order_by(File.id))
        )
        fee = task.budget * FEE_BASIS_POINTS // 10_000
        net = task.budget - fee

        await session.execute(
            update(Claim)
            .where(Claim.id == task.claim_id)
            .values(ended_at=now, end_reason="completed")
            .execution_options(synchronize_session=False)
        )
        wallet = f"wallet:user:{writer_id}"
        await _credit(session, wallet, task.currency, net, writer_id, now)
        task.status, task.stage, task.completed_by, task.updated_at = "COMPLETED", "ended", writer_id, now
        task.claim_id = task.claim_writer_id = task.claim_day = None
        task.claimed_at = task.claim_due_at = task.claim_expires_at = None
        submission.status, submission.reviewed_at, submission.updated_at = "APPROVED", now, now
        rating.writer.open_claims -= 1
        rating.points += POINTS_APPROVED
        session.add(
            PointsEntry(account_id=writer_id, reason=f"task:{task.id}:approved", points=POINTS_APPROVED, created_at=now)
        )
        session.add(
            Transfer(
                id=uuid7(),
                reference=f"task:{task.id}:release",
                kind="PAYMENT_RELEASE",
                area="assignments",
                subject=f"task:{task.id}",
                actor_id=admin_id,
                posted_at=now,
                postings=[
                    Posting(leg=leg, source=escrow, destination=to, amount=amount, currency=task.currency)
                    for leg, (to, amount) in enumerate(((wallet, net), ("revenue:fees", fee)))
                ],
                unsealed=Unsealed(),
            )
        )
        held[escrow].balance -= net + fee
        held[escrow].owner_id, held[escrow].changed_at = None, now
        release = Release(
            id=uuid7(),
            task_id=task.id,
            writer_id=writer_id,
            amount=task.budget,
            fee=fee,
            currency=task.currency,
            source="escrow",
            released_by=admin_id,
            created_at=now,
        )
        session.add(release)
        trace_id = uuid7().hex
        moved = {"amount": f"{money(task.budget)} KES", "fee": f"{money(fee)} KES", "net": f"{money(net)} KES"}
        reviewed = {"task": task.id, "version": task.version}
        session.add_all(
            AuditEntry(
                id=uuid7(),
                action=action,
                target=target,
                actor_id=admin_id,
                actor_label="account",
                after=after,
                ip=ip,
                trace_id=trace_id,
                created_at=now,
                unsealed=UnsealedEntry(),
            )
            for action, target, after in (
                ("RELEASE_PAYMENT", f"task:{task.id}", moved),
                ("APPROVE_SUBMISSION", f"submission:{submission.id}", reviewed),
            )
        )
        released = {
            "release_id": release.id,
            "writer_id": writer_id,
            "task_id": task.id,
            "net": money(net),
            "currency": task.currency,
        }
        session.add_all(
            _message(name, payload, trace_id, now)
            for name, payload in (
                ("assignments.payment_released", released),
                ("assignments.work_approved", _about(task, writer_id)),
            )
        )
    return submission, rating, release, files


def _about(task: Task, writer_id: UUID) -> dict[str, Any]:
    return {"task_id": task.id, "student_id": task.student_id, "title": task.title, "writer_id": writer_id}


def _message(name: str, payload: dict[str, Any], trace_id: str, now: datetime) -> OutboxMessage:
    return OutboxMessage(
        event_id=uuid7(),
        event_name=name,
        subscriber=f"{name}.tell_people",
        payload=payload,
        trace_id=trace_id,
        occurred_at=now,
        due_at=now,
    )


async def _is_blocked(session: AsyncSession, one: UUID, other: UUID) -> bool:
    blocks = exists().where(
        or_(
            and_(Block.blocker_id == one, Block.blocked_id == other),
            and_(Block.blocker_id == other, Block.blocked_id == one),
        )
    )
    return bool(await session.scalar(select(blocks)))


async def _credit(
    session: AsyncSession, account: str, currency: str, amount: int, owner_id: UUID, now: datetime
) -> None:
    credit = insert(Balance).values(
        account=account, currency=currency, balance=amount, owner_id=owner_id, changed_at=now
    )
    await session.execute(
        credit.on_conflict_do_update(
            index_elements=["account", "currency"],
            set_={"balance": Balance.balance + credit.excluded.balance, "changed_at": now},
        )
    )
