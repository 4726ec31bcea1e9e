"""The FastAPI peer: `uvicorn benchmarks.peers.fastapi.app:app`."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, HTTPException, Query, Request
from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.peers.fastapi import services
from benchmarks.peers.fastapi.access import AdminOnly, ReadingSession, Session, SignedIn, WriterOnly
from benchmarks.peers.fastapi.bodies import (
    Approval,
    ApprovalInput,
    Callback,
    ClaimedTask,
    ClaimShown,
    CurrencyWallet,
    FileShown,
    Money,
    Person,
    Quota,
    Rated,
    ReleaseShown,
    SubmissionInTask,
    TaskPage,
    TaskShown,
    Told,
    WalletShown,
)
from benchmarks.peers.fastapi.tables import Account, Balance, File, Task
from benchmarks.peers.market import (
    OPEN_CLAIMS_MAX,
    PAGE_DEFAULT,
    PAGE_MAX,
    cursor_of,
    edge_of,
    file_link,
    is_signed,
    money,
)

app = FastAPI(title="Soko's peer")


@app.get("/api/tasks/available")
async def available_tasks(
    session: ReadingSession,
    caller: WriterOnly,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: str | None = None,
) -> TaskPage:
    """List tasks that may be claimed."""
    wanted = (
        select(Task)
        .where(
            Task.status == "APPROVED",
            Task.is_hidden.is_(False),
            or_(Task.due_at.is_(None), Task.due_at > datetime.now(UTC)),
        )
        .options(
            joinedload(Task.student, innerjoin=True).load_only(Account.username),
            selectinload(Task.files),
        )
        .limit(limit + 1)
    )
    is_backward = False
    if cursor is None:
        wanted = wanted.order_by(Task.id)
    else:
        try:
            edge, is_backward = edge_of(cursor)
        except ValueError as error:
            raise HTTPException(404, "There is no such page.") from error
        if is_backward:
            wanted = wanted.where(Task.id < edge).order_by(Task.id.desc())
        else:
            wanted = wanted.where(Task.id > edge).order_by(Task.id)
    found = list(await session.scalars(wanted))
    tasks = found[:limit]
    has_more = len(found) > limit
    if is_backward:
        tasks.reverse()
    has_next, has_previous = (True, has_more) if is_backward else (has_more, cursor is not None)
    address = f"/api/tasks/available?limit={limit}&cursor="
    return TaskPage(
        results=[_task(task) for task in tasks],
        next=address + cursor_of(tasks[-1].id) if has_next and tasks else None,
        previous=address + cursor_of(tasks[0].id, is_backward=True) if has_previous and tasks else None,
    )


@app.get("/api/wallet")
async def wallet(session: ReadingSession, caller: SignedIn) -> WalletShown:
    """Show what the caller has."""
    word = func.split_part(Balance.account, ":", 1)
    rows = await session.execute(
        select(word, Balance.currency, func.sum(Balance.balance), func.max(Balance.changed_at))
        .where(Balance.owner_id == caller.id, Balance.currency != "CRD")
        .group_by(word, Balance.currency)
    )
    sums: dict[str, dict[str, int]] = {}
    changed: dict[str, datetime] = {}
    for kind, currency, total, changed_at in rows:
        sums.setdefault(currency, {})[kind] = int(total)
        changed[currency] = max(changed.get(currency, changed_at), changed_at)
    if not sums:
        raise services.NOT_FOUND
    wallets = [
        CurrencyWallet(
            balance=money(each.get("wallet", 0) + each.get("owed", 0)),
            currency=currency,
            pending=money(each.get("pending", 0)),
            reserved=money(each.get("reserved", 0)),
            held=money(each.get("escrow", 0)),
            updated_at=changed[currency],
        )
        for currency, each in sorted(sums.items())
    ]
    return WalletShown(**wallets[0].model_dump(), wallets=wallets)


@app.post("/api/tasks/{task_id}/claim")
async def claim_task(session: Session, caller: WriterOnly, task_id: UUID) -> ClaimedTask:
    """Claim a task."""
    now = datetime.now(UTC)
    task, writer = await services.claim_task(session, task_id, caller.id, now)
    shown = _task(task, opened_at=now, writer=writer.account)
    quota = Quota(
        plan=writer.plan or "",
        daily_limit=None,
        daily_count=writer.used,
        left=None,
        open_claims=writer.open_claims,
        open_claims_limit=OPEN_CLAIMS_MAX,
    )
    return ClaimedTask(**dict(shown), quota=quota)


@app.post("/api/payments/lipana/callback")
async def lipana_callback(session: Session, request: Request, said: Callback) -> Told:
    """Hear from the payment provider."""
    body = await request.body()
    if not is_signed(body, request.headers.get("x-lipana-signature", "")):
        raise HTTPException(401, "The signature is wrong.")
    is_new = await services.take_callback(session, body, said.data, datetime.now(UTC))
    return Told(detail="processed" if is_new else "already processed")


@app.post("/api/admin/submissions/{submission_id}/approve")
async def approve_submission(
    session: Session, caller: AdminOnly, request: Request, submission_id: UUID, said: ApprovalInput
) -> Approval:
    """Approve work, which pays its writer."""
    now = datetime.now(UTC)
    ip = request.client.host if request.client else ""
    submission, rating, release, found = await services.approve_submission(
        session, submission_id, said.version, caller.id, ip, now
    )
    files = [_file(file, now) for file in found]
    author = rating.writer.account
    task = _task(submission.task, opened_at=now, writer=author)
    task.submission = SubmissionInTask(
        id=submission.id, status=submission.status, version=submission.version, late=submission.is_late
    )
    return Approval(
        id=submission.id,
        writer=Person.model_validate(author),
        file=files[0] if files else None,
        files=files,
        notes=submission.notes,
        status=submission.status,
        version=submission.version,
        late=submission.is_late,
        rejection_reason=submission.rejection_reason,
        created_at=submission.created_at,
        updated_at=submission.updated_at,
        reviewed_at=now,
        assignment=task,
        release=ReleaseShown(
            id=release.id,
            writer=release.writer_id,
            amount=money(release.amount),
            fee=money(release.fee),
            net=money(release.amount - release.fee),
            currency=release.currency,
            assignment=release.task_id,
            source=release.source,
            created_at=release.created_at,
        ),
        rating=Rated(points=rating.points, badge="Platinum"),
    )


def _file(file: File, opened_at: datetime | None) -> FileShown:
    shown = FileShown.model_validate(file)
    if opened_at is not None:
        shown.url = file_link(file.id, opened_at)
    return shown


def _task(task: Task, *, opened_at: datetime | None = None, writer: Account | None = None) -> TaskShown:
    claim = None
    if task.claim_id and task.claimed_at and task.claim_due_at and task.claim_expires_at:
        claim = ClaimShown(
            id=task.claim_id,
            claimed_at=task.claimed_at,
            due_at=task.claim_due_at,
            expires_at=task.claim_expires_at,
            late=task.claim_due_at < task.updated_at,
        )
    return TaskShown(
        id=task.id,
        title=task.title,
        description=task.description,
        status=task.status,
        stage="completed" if task.status == "COMPLETED" else task.stage,
        budget=Money(amount=money(task.budget), currency=task.currency or "") if task.budget else None,
        funded=task.budget is not None,
        due_at=task.due_at,
        files=[_file(file, opened_at) for file in task.files],
        student=Person.model_validate(task.student),
        writer=None if writer is None else Person.model_validate(writer),
        claim=claim,
        rejection_reason=task.rejection_reason,
        revision=task.revision,
        created_at=task.created_at,
        updated_at=task.updated_at,
    )
