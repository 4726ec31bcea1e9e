"""What the vertical's replies show: read models, straight from the database, always bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.assignments.ports import TaskLabels
from application.core.files.ports import ShownFile
from application.core.kernel.ports import Listing, Page
from domain.assignments.plan import SubscriptionId
from domain.assignments.submission import Submission, SubmissionStatus
from domain.assignments.task import ClaimId, Task, TaskId, TaskStatus
from domain.assignments.writer import Writer
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody, as others see him."""

    id: AccountId
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimView:
    """The active claim of a task."""

    id: ClaimId
    claimed_at: datetime
    due_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSummary:
    """The work on a task, in a line."""

    id: UUID
    status: SubmissionStatus
    version: int
    is_late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentView:
    """A task with everything that its reply shows."""

    id: TaskId
    title: str
    description: str
    status: TaskStatus
    stage: str
    budget: Money | None
    due_at: datetime | None
    files: tuple[ShownFile, ...]
    student: Person
    writer: Person | None
    claim: ClaimView | None
    submission: SubmissionSummary | None
    rejection_reason: str | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionView:
    """The work of one claim."""

    id: UUID
    task_id: TaskId
    student_id: AccountId
    task_is_completed: bool
    writer: Person
    files: tuple[ShownFile, ...]
    """The files of the current version; the first is the one named `file`."""
    notes: str
    status: SubmissionStatus
    version: int
    is_late: bool
    rejection_reason: str | None
    created_at: datetime
    updated_at: datetime
    reviewed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """A writer's plan and counters as they are stored, and the plan payment that is open."""

    writer: Writer
    pending_reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReminder:
    """Somebody who should be reminded, once per key."""

    key: str
    kind: str
    recipient: AccountId | None
    subject_id: UUID
    title: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DuePlan:
    """A bought plan whose time is over."""

    subscription_id: SubscriptionId
    writer_id: AccountId


class TaskBoard(Protocol):
    """What every writer may claim. It may lag: a task that was claimed a moment ago may still be on it."""

    async def available(self, page: Page, *, now: datetime) -> Listing[AssignmentView]:
        """Return approved, unclaimed tasks, oldest first."""
        ...


class AssignmentsQueries(TaskBoard, Protocol):
    """Reads of the vertical, which show everything that was written.

    Promises: each is one round trip; lists are stable while rows are added.
    """

    async def assignment(self, task_id: TaskId) -> AssignmentView:
        """Return a task. Raises TaskNotFound."""
        ...

    async def of_student(self, student_id: AccountId, status: str | None, page: Page) -> Listing[AssignmentView]: ...

    async def of_writer(self, writer_id: AccountId, status: str | None, page: Page) -> Listing[AssignmentView]: ...

    async def all(self, status: str | None, page: Page) -> Listing[AssignmentView]: ...

    async def submission(self, submission_id: UUID) -> SubmissionView:
        """Return a submission. Raises SubmissionNotFound."""
        ...

    async def submissions_of(self, person_id: AccountId, page: Page) -> Listing[SubmissionView]:
        """Return the work that somebody wrote, and the work on his own tasks, newest first."""
        ...

    async def submissions(self, status: str | None, page: Page) -> Listing[SubmissionView]:
        """Return all submissions, the longest waiting first."""
        ...

    async def plan_of(self, writer_id: AccountId) -> PlanView: ...

    async def expired_claims(self, *, now: datetime, limit: int) -> Sequence[TaskId]:
        """Return tasks whose claim is over and whose work does not wait for review, the longest over first."""
        ...

    async def expired_tasks(self, *, now: datetime, open_since: datetime, limit: int) -> Sequence[TaskId]:
        """Return open tasks past their due time, or approved before `open_since` without one."""
        ...

    async def expired_plans(self, *, now: datetime, limit: int) -> Sequence[DuePlan]: ...

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueReminder]:
        """Return what people should be reminded of and were not yet."""
        ...


def assignment_view(
    task: Task, labels: TaskLabels, *, writer: Person | None, submission: Submission | None = None
) -> AssignmentView:
    """Return the reply of a task that was loaded for a change, without reading it again."""
    claim = task.claim
    return AssignmentView(
        id=task.id,
        title=task.title,
        description=task.description,
        status=task.status,
        stage=task.shown_stage,
        budget=task.budget,
        due_at=task.due_at,
        files=labels.files,
        student=Person(id=task.student_id, username=labels.student),
        writer=writer,
        claim=None
        if claim is None
        else ClaimView(id=claim.id, claimed_at=claim.claimed_at, due_at=claim.due_at, expires_at=claim.expires_at),
        submission=None
        if submission is None
        else SubmissionSummary(
            id=submission.id, status=submission.status, version=submission.version, is_late=submission.is_late
        ),
        rejection_reason=task.rejection_reason,
        revision=task.revision,
        created_at=task.created_at,
        updated_at=task.updated_at,
    )


def submission_view(
    submission: Submission, task: Task, *, writer: Person, files: tuple[ShownFile, ...]
) -> SubmissionView:
    """Return the reply of a submission that was loaded for a change, without reading it again."""
    return SubmissionView(
        id=submission.id,
        task_id=task.id,
        student_id=task.student_id,
        task_is_completed=task.status is TaskStatus.COMPLETED,
        writer=writer,
        files=files,
        notes=submission.notes,
        status=submission.status,
        version=submission.version,
        is_late=submission.is_late,
        rejection_reason=submission.rejection_reason,
        created_at=submission.created_at,
        updated_at=submission.updated_at,
        reviewed_at=submission.reviewed_at,
    )
