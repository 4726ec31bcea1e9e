"""Tasks, writers and work as tests of the assignment market start from."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from application.assignments.terms import claim_terms, task_terms
from domain.assignments.plan import ActivePlan, Plan, SubscriptionId
from domain.assignments.submission import Submission, SubmissionId, SubmissionStatus, SubmissionVersion
from domain.assignments.task import ClaimId, RejectionOutcome, Stage, Task, TaskId, TaskStatus
from domain.assignments.writer import Writer
from domain.core.files.file import FileState, StoredFile
from domain.core.kernel.ids import AccountId, FileId
from domain.core.kernel.money import Money
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=1 << 30)

STUDENT, OTHER_STUDENT = AccountId(UUID(int=0x57)), AccountId(UUID(int=0x58))
WRITER, OTHER_WRITER = AccountId(UUID(int=0x3A)), AccountId(UUID(int=0x3B))
ADMIN = AccountId(UUID(int=0xAD))
NAMES = {STUDENT: "stella", OTHER_STUDENT: "sam", WRITER: "wanjiku", OTHER_WRITER: "victor", ADMIN: "amina"}

TASK_TERMS = task_terms(DefaultPolicies())
CLAIM_TERMS = claim_terms(DefaultPolicies())


def a_task(*, budget: Money | None = None, due_at: datetime | None = None, **changes: Any) -> Task:
    """Return a task that waits for approval, as posted at noon."""
    task, _ = Task.post(
        id=TaskId(IDS.new()),
        student_id=STUDENT,
        title="Essay on tides",
        description="900 words",
        budget=budget,
        due_at=due_at,
        terms=TASK_TERMS,
        now=NOON,
    )
    for name, value in changes.items():
        assert hasattr(task, name)
        setattr(task, name, value)
    return task


def an_open_task(*, now: datetime = NOON, **changes: Any) -> Task:
    """Return a task that writers can see."""
    task = a_task(**changes)
    task.approve(budget=None, seen_revision=task.revision, terms=TASK_TERMS, now=now)
    return task


def a_claimed_task(*, writer: AccountId = WRITER, now: datetime = NOON, **changes: Any) -> Task:
    """Return a task that a writer works on."""
    task = an_open_task(now=now, **changes)
    task.claim_for(writer, id=ClaimId(IDS.new()), terms=TASK_TERMS, now=now)
    return task


def a_task_in(stage: Stage, status: TaskStatus, *, budget: Money | None = None) -> Task:
    """Return a task at any place of its life, brought there by its own verbs."""
    match status, stage:
        case TaskStatus.PENDING_APPROVAL, _:
            return a_task(budget=budget)
        case TaskStatus.REJECTED, _:
            task = a_task(budget=budget)
            task.reject(reason="no", terms=TASK_TERMS, now=NOON)
        case TaskStatus.APPROVED, _:
            return an_open_task(budget=budget)
        case TaskStatus.CANCELLED, _:
            task = a_task(budget=budget)
            task.cancel(reason=None, terms=TASK_TERMS, now=NOON)
        case TaskStatus.EXPIRED, _:
            task = an_open_task(budget=budget)
            task.expire(terms=TASK_TERMS, now=NOON + timedelta(days=31))
        case TaskStatus.IN_PROGRESS, Stage.WORKING:
            return a_claimed_task(budget=budget)
        case TaskStatus.IN_PROGRESS, _:
            task = a_claimed_task(budget=budget)
            deliver(task)
            if stage is Stage.CHANGES:
                refuse(task)
        case _:
            task = a_claimed_task(budget=budget)
            deliver(task)
            task.accept_work(admin_id=ADMIN, version=None, now=NOON)
    assert (task.status, task.stage) == (status, stage)
    return task


def deliver(task: Task, *, now: datetime = NOON) -> None:
    """Have the writer deliver."""
    assert task.claim is not None
    task.submit(task.claim.writer_id, now=now)
    task.submission_id = task.submission_id or IDS.new()


def refuse(task: Task, outcome: RejectionOutcome = RejectionOutcome.CHANGES, *, now: datetime = NOON) -> None:
    """Have an administrator refuse the work."""

    task.refuse_work(admin_id=ADMIN, outcome=outcome, reason="cite two", terms=TASK_TERMS, now=now)


def a_plan(plan: Plan = Plan.P2, *, worth: int = 259_00, starts_at: datetime = NOON, days: int = 30) -> ActivePlan:
    return ActivePlan(SubscriptionId(IDS.new()), plan, Money(worth), starts_at, starts_at + timedelta(days=days))


def a_writer(
    *,
    account_id: AccountId = WRITER,
    plan: ActivePlan | None = None,
    points: int = 0,
    day: date | None = None,
    used: int = 0,
    open_claims: int = 0,
) -> Writer:
    return Writer(
        account_id=account_id,
        points=points,
        plan=plan,
        day=day,
        used=used,
        open_claims=open_claims,
        free_return_day=None,
    )


def a_submission(task: Task) -> Submission:
    """Return the first work on a claimed task, not delivered yet."""
    assert task.claim is not None
    return Submission(
        id=SubmissionId(IDS.new()),
        task_id=task.id,
        claim_id=task.claim.id,
        writer_id=task.claim.writer_id,
        status=SubmissionStatus.PENDING_REVIEW,
        version=0,
        notes="",
        is_late=False,
        rejection_reason=None,
        created_at=NOON,
        updated_at=NOON,
        reviewed_at=None,
    )


def a_version(number: int, *files: StoredFile, notes: str = "", at: datetime = NOON) -> SubmissionVersion:
    return SubmissionVersion(
        number=number, notes=notes, is_late=False, file_ids=tuple(file.id for file in files), submitted_at=at
    )


def a_file(task: Task, *, purpose: str = "student", owner: AccountId = STUDENT, name: str = "brief.pdf") -> StoredFile:
    file_id = FileId(IDS.new())
    return StoredFile(
        id=file_id,
        owner=owner,
        purpose=purpose,
        subject=task.id,
        key=f"{purpose}/{task.id}/{file_id}",
        name=name,
        size=14,
        sha256=bytes(32),
        content_type="application/pdf",
        state=FileState.READY,
        uploaded_at=NOON,
    )
