"""The assignment market in memory: its repositories on the store of the core, and its reads over what is committed.

Usernames are rows of `people`; who is blocked or suspended is a row of `blocks` or `suspended`.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from application.assignments.ports import ClaimLoad, ReviewLoad, TaskLabels
from application.assignments.queries import (
    AssignmentView,
    DuePlan,
    DueReminder,
    Person,
    PlanView,
    SubmissionView,
    assignment_view,
    submission_view,
)
from application.assignments.see_files import TaskParties
from application.core.files.ports import ShownFile
from application.core.kernel.ports import Listing, Page
from domain.assignments.claim_rules import AlreadyClaimed
from domain.assignments.plan import PlanPaymentInFlight, SubscriptionId, SubscriptionState, WriterSubscription
from domain.assignments.release import AlreadyReleased, Release
from domain.assignments.submission import Submission, SubmissionNotFound, SubmissionStatus
from domain.assignments.task import Claim, ClaimId, Stage, Task, TaskId, TaskNotFound, TaskStatus
from domain.assignments.writer import Writer
from domain.core.kernel.errors import FieldError, Invalid, NotFound
from domain.core.kernel.ids import AccountId, FileId
from domain.core.kernel.money import Money
from tests.fakes.core.files import files_of, shown_file
from tests.fakes.core.store import InMemoryCoreUnitOfWork, InMemoryStore

ENDED = {TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.EXPIRED}
Row = TypeVar("Row")


class InMemoryTasks:
    """Tasks; the claims of each are kept as history."""

    def __init__(self, unit_of_work: "InMemoryAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._tasks = unit_of_work.table("tasks")
        self._claims = unit_of_work.table("claims")
        self._loaded: dict[TaskId, Task] = {}
        self._labels: dict[TaskId, TaskLabels] = {}
        unit_of_work.at_commit(self._write_claims)

    def add(self, task: Task) -> None:
        assert task.id not in self._tasks
        self._tasks[task.id] = task
        self._loaded[task.id] = task

    async def get(self, task_id: TaskId) -> Task:
        if task_id not in self._tasks:
            raise TaskNotFound
        task: Task = self._tasks[task_id]
        self._loaded[task_id] = task
        files = files_of(self._unit.table("files").values(), "student", task.id)
        self._labels[task_id] = TaskLabels(student=self._unit.name_of(task.student_id), files=files)
        return task

    async def get_for_claim(self, task_id: TaskId, writer_id: AccountId) -> ClaimLoad:
        task = await self.get(task_id)
        blocks = self._unit.table("blocks")
        pair = {(task.student_id, writer_id), (writer_id, task.student_id)}
        return ClaimLoad(
            task=task,
            writer=await self._unit.writers.get(writer_id),
            writer_name=self._unit.name_of(writer_id),
            is_blocked=any(one in pair for one in blocks),
        )

    def labels_of(self, task: Task) -> TaskLabels:
        return self._labels[task.id]

    async def held_by(self, writer_id: AccountId) -> Sequence[TaskId]:
        return sorted(task.id for task in self._tasks.values() if task.is_held_by(writer_id))

    async def follow_student(self, student_id: AccountId) -> None:
        is_shut = student_id in self._unit.table("suspended")
        for task in self._tasks.values():
            if task.student_id == student_id and task.status not in ENDED:
                task.is_hidden = is_shut

    def _write_claims(self) -> None:
        for task in self._loaded.values():
            active = [] if task.claim is None else [task.claim]
            for claim in (*task.ended_claims, *active):
                self._claims[claim.id] = (task.id, claim)
            task.ended_claims.clear()
        open_claims = [task_id for task_id, claim in self._claims.values() if claim.ended_at is None]
        if len(open_claims) != len(set(open_claims)):
            raise AlreadyClaimed


class InMemoryWriters:
    """Counters by account; the points are the rating's."""

    def __init__(self, unit_of_work: "InMemoryAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._writers = unit_of_work.table("writers")

    async def get(self, writer_id: AccountId) -> Writer:
        if writer_id not in self._writers:
            self._writers[writer_id] = a_fresh_writer(writer_id)
        writer: Writer = self._writers[writer_id]
        rating = self._unit.table("ratings").get(writer_id)
        writer.points = 0 if rating is None else rating.points
        return writer


def a_fresh_writer(writer_id: AccountId) -> Writer:
    return Writer(account_id=writer_id, points=0, plan=None, day=None, used=0, open_claims=0, free_return_day=None)


class InMemorySubmissions:
    """Submissions by id, one for each claim."""

    def __init__(self, unit_of_work: "InMemoryAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._submissions = unit_of_work.table("submissions")
        self._versions = unit_of_work.table("submission_versions")
        unit_of_work.at_commit(self._write_versions)

    def add(self, submission: Submission) -> None:
        assert all(one.claim_id != submission.claim_id for one in self._submissions.values()), "uq_submissions_claim"
        self._submissions[submission.id] = submission

    async def of_claim(self, claim_id: ClaimId) -> Submission | None:
        return next((one for one in self._submissions.values() if one.claim_id == claim_id), None)

    async def get_for_review(self, submission_or_task_id: UUID) -> ReviewLoad:
        wanted = submission_or_task_id
        found = [one for one in self._submissions.values() if wanted in (one.id, one.task_id)]
        if not found:
            if wanted not in self._unit.table("tasks"):
                raise SubmissionNotFound
            task = await self._unit.tasks.get(TaskId(wanted))
            return ReviewLoad(task=task, submission=None, writer_name=None, work_files=())
        submission = max(found, key=lambda one: one.id.int)
        return ReviewLoad(
            task=await self._unit.tasks.get(submission.task_id),
            submission=submission,
            writer_name=self._unit.name_of(submission.writer_id),
            work_files=self._unit.work_files(submission),
        )

    def _write_versions(self) -> None:
        for submission in self._submissions.values():
            for version in submission.new_versions:
                self._versions[submission.id, version.number] = version
            submission.new_versions.clear()


class InMemorySubscriptions:
    """Bought plans by id."""

    def __init__(self, unit_of_work: "InMemoryAssignmentsUnitOfWork") -> None:
        self._subscriptions = unit_of_work.table("writer_subscriptions")
        unit_of_work.at_commit(self._refuse_second_pending)

    def add(self, subscription: WriterSubscription) -> None:
        self._subscriptions[subscription.id] = subscription

    async def get(self, subscription_id: SubscriptionId) -> WriterSubscription:
        if subscription_id not in self._subscriptions:
            raise NotFound
        found: WriterSubscription = self._subscriptions[subscription_id]
        return found

    async def pending_of(self, writer_id: AccountId) -> WriterSubscription | None:
        return next((one for one in self._pending() if one.writer_id == writer_id), None)

    def _pending(self) -> list[WriterSubscription]:
        return [one for one in self._subscriptions.values() if one.state is SubscriptionState.PENDING]

    def _refuse_second_pending(self) -> None:
        writers = [one.writer_id for one in self._pending()]
        if len(writers) != len(set(writers)):
            raise PlanPaymentInFlight


class InMemoryReleases:
    """Releases by id."""

    def __init__(self, unit_of_work: "InMemoryAssignmentsUnitOfWork") -> None:
        self._releases = unit_of_work.table("releases")
        unit_of_work.at_commit(self._refuse_second_release)

    def add(self, release: Release) -> None:
        self._releases[release.id] = release

    async def of_task(self, task_id: TaskId) -> Release | None:
        return next((one for one in self._releases.values() if one.task_id == task_id), None)

    async def was_paid_lately(self, writer_id: AccountId, amount: Money, *, since: datetime) -> bool:
        return any(
            one.task_id is None and (one.writer_id, one.amount) == (writer_id, amount) and one.created_at > since
            for one in self._releases.values()
        )

    def _refuse_second_release(self) -> None:
        paid = [one.task_id for one in self._releases.values() if one.task_id is not None]
        if len(paid) != len(set(paid)):
            raise AlreadyReleased


class InMemoryAssignmentsUnitOfWork(InMemoryCoreUnitOfWork):
    """One transaction over the vertical and the core."""

    def name_of(self, account_id: AccountId) -> str:
        name: str = self.table("people").get(account_id, "")
        return name

    def work_files(self, submission: Submission) -> tuple[ShownFile, ...]:
        """Return the files of the current version."""
        pending = [one for one in submission.new_versions if one.number == submission.version]
        version = pending[0] if pending else self.table("submission_versions")[submission.id, submission.version]
        files = self.table("files")
        return tuple(shown_file(files[file_id]) for file_id in sorted(version.file_ids) if file_id in files)

    @cached_property
    def tasks(self) -> InMemoryTasks:
        return InMemoryTasks(self)

    @cached_property
    def writers(self) -> InMemoryWriters:
        return InMemoryWriters(self)

    @cached_property
    def submissions(self) -> InMemorySubmissions:
        return InMemorySubmissions(self)

    @cached_property
    def subscriptions(self) -> InMemorySubscriptions:
        return InMemorySubscriptions(self)

    @cached_property
    def releases(self) -> InMemoryReleases:
        return InMemoryReleases(self)


class InMemoryAssignmentsQueries:
    """Reads over what is committed; a cursor is the id of the edge, and lists go forward only."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def assignment(self, task_id: TaskId) -> AssignmentView:
        task = self._store.rows("tasks").get(task_id)
        if task is None:
            raise TaskNotFound
        return self._task(task)

    async def available(self, page: Page, *, now: datetime) -> Listing[AssignmentView]:
        return self._tasks(
            lambda task: (
                task.status is TaskStatus.APPROVED and not task.is_hidden and (task.due_at is None or task.due_at > now)
            ),
            None,
            page,
            newest_first=False,
        )

    async def of_student(self, student_id: AccountId, status: str | None, page: Page) -> Listing[AssignmentView]:
        return self._tasks(lambda task: task.student_id == student_id, status, page)

    async def of_writer(self, writer_id: AccountId, status: str | None, page: Page) -> Listing[AssignmentView]:
        return self._tasks(lambda task: writer_id == _worker(task), status, page)

    async def all(self, status: str | None, page: Page) -> Listing[AssignmentView]:
        return self._tasks(lambda task: True, status, page)

    async def submission(self, submission_id: UUID) -> SubmissionView:
        found = self._store.rows("submissions").get(submission_id)
        if found is None:
            raise SubmissionNotFound
        return self._work(found)

    async def submissions_of(self, person_id: AccountId, page: Page) -> Listing[SubmissionView]:
        tasks = self._store.rows("tasks")
        found = [
            one
            for one in self._store.rows("submissions").values()
            if person_id in (one.writer_id, tasks[one.task_id].student_id)
        ]
        return _page(found, page, self._work, newest_first=True)

    async def submissions(self, status: str | None, page: Page) -> Listing[SubmissionView]:
        found = [one for one in self._store.rows("submissions").values() if status in (None, one.status)]
        return _page(found, page, self._work, newest_first=False)

    async def plan_of(self, writer_id: AccountId) -> PlanView:
        writer = self._store.rows("writers").get(writer_id) or a_fresh_writer(writer_id)
        rating = self._store.rows("ratings").get(writer_id)
        writer.points = 0 if rating is None else rating.points
        pending = [
            self._store.tables["payment_intents"].get(one.intent_id)
            for one in self._store.tables["writer_subscriptions"].values()
            if one.writer_id == writer_id and one.state is SubscriptionState.PENDING
        ]
        waiting = [one.reference for one in pending if one is not None and one.is_open and one.in_flight is not None]
        return PlanView(writer=writer, pending_reference=waiting[0] if waiting else None)

    async def parties(self, task_id: TaskId) -> TaskParties | None:
        task = self._store.rows("tasks").get(task_id)
        if task is None:
            return None
        return TaskParties(task.student_id, None if task.claim is None else task.claim.writer_id, task.status)

    async def is_writer(self, account_id: AccountId) -> bool:
        return account_id in self._store.rows("writer_roles")

    async def expired_claims(self, *, now: datetime, limit: int) -> Sequence[TaskId]:
        due = [
            (task.claim.expires_at, task.id)
            for task in self._store.rows("tasks").values()
            if task.claim is not None and task.stage is not Stage.REVIEW and task.claim.has_expired_at(now)
        ]
        return [task_id for _, task_id in sorted(due)[:limit]]

    async def expired_tasks(self, *, now: datetime, open_since: datetime, limit: int) -> Sequence[TaskId]:
        due = [
            task.id
            for task in self._store.rows("tasks").values()
            if task.status is TaskStatus.APPROVED
            and (task.due_at < now if task.due_at is not None else task.approved_at < open_since)
        ]
        return due[:limit]

    async def expired_plans(self, *, now: datetime, limit: int) -> Sequence[DuePlan]:
        due = sorted(
            (one for one in self._store.rows("writer_subscriptions").values() if _is_over(one, now)),
            key=lambda one: one.ends_at,
        )
        return [DuePlan(subscription_id=one.id, writer_id=one.writer_id) for one in due[:limit]]

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueReminder]:
        sent = self._store.rows("sent_reminders")
        due = [
            one for one in (*self._claims_due(now), *self._plans_due(now), *self._waiting(now)) if one.key not in sent
        ]
        return due[:limit]

    def _claims_due(self, now: datetime) -> Iterable[DueReminder]:
        for task in self._store.rows("tasks").values():
            claim: Claim | None = task.claim
            if claim is None or task.stage is Stage.REVIEW or now >= claim.expires_at:
                continue
            left = claim.due_at - now
            if left <= timedelta():
                word, kind = "overdue", "claim_overdue"
            elif left <= timedelta(hours=1):
                word, kind = "due_1h", "claim_due_1h"
            elif left <= timedelta(hours=24):
                word, kind = "due_24h", "claim_due_24h"
            else:
                continue
            yield DueReminder(
                key=f"claim:{claim.id}:{word}:{claim.rounds}",
                kind=kind,
                recipient=claim.writer_id,
                subject_id=task.id,
                title=task.title,
                due_at=claim.due_at,
            )

    def _plans_due(self, now: datetime) -> Iterable[DueReminder]:
        for writer in self._store.rows("writers").values():
            if writer.plan is None or not now < writer.plan.ends_at <= now + timedelta(days=3):
                continue
            days = 1 if writer.plan.ends_at <= now + timedelta(days=1) else 3
            yield DueReminder(
                key=f"plan:{writer.plan.subscription_id}:{writer.plan.ends_at}:ends_{days}d",
                kind=f"plan_ends_{days}d",
                recipient=writer.account_id,
                subject_id=writer.plan.subscription_id,
                title=writer.plan.plan,
                due_at=writer.plan.ends_at,
            )

    def _waiting(self, now: datetime) -> Iterable[DueReminder]:
        tasks = self._store.rows("tasks")
        for work in self._store.rows("submissions").values():
            waits = work.status is SubmissionStatus.PENDING_REVIEW and tasks[work.task_id].stage is Stage.REVIEW
            if waits and work.updated_at <= now - timedelta(hours=48):
                yield _to_staff(
                    f"work:{work.id}:{work.version}:waits", "work_waits_48h", work.id, tasks[work.task_id].title
                )
        for task in tasks.values():
            if task.status is TaskStatus.PENDING_APPROVAL and task.updated_at <= now - timedelta(hours=24):
                yield _to_staff(f"task:{task.id}:{task.revision}:waits", "task_waits_24h", task.id, task.title)

    def _name(self, account_id: AccountId) -> str:
        name: str = self._store.rows("people").get(account_id, "")
        return name

    def _tasks(
        self, wanted: Callable[[Task], bool], status: str | None, page: Page, *, newest_first: bool = True
    ) -> Listing[AssignmentView]:
        found = [
            task for task in self._store.rows("tasks").values() if wanted(task) and status in (None, str(task.status))
        ]
        return _page(found, page, self._task, newest_first=newest_first)

    def _task(self, task: Task) -> AssignmentView:
        worker = _worker(task)
        labels = TaskLabels(
            student=self._name(task.student_id),
            files=files_of(self._store.rows("files").values(), "student", task.id),
        )
        return assignment_view(
            task,
            labels,
            writer=None if worker is None else Person(id=worker, username=self._name(worker)),
            submission=self._store.rows("submissions").get(task.submission_id),
        )

    def _work(self, submission: Submission) -> SubmissionView:
        version = self._store.rows("submission_versions")[submission.id, submission.version]
        files = self._store.rows("files")
        return submission_view(
            submission,
            self._store.rows("tasks")[submission.task_id],
            writer=Person(id=submission.writer_id, username=self._name(submission.writer_id)),
            files=tuple(shown_file(files[FileId(one)]) for one in sorted(version.file_ids)),
        )


def _worker(task: Task) -> AccountId | None:
    return task.completed_by if task.claim is None else task.claim.writer_id


def _is_over(subscription: WriterSubscription, now: datetime) -> bool:
    return (
        subscription.state is SubscriptionState.ACTIVE
        and subscription.ends_at is not None
        and subscription.ends_at <= now
    )


def _to_staff(key: str, kind: str, subject: UUID, title: str) -> DueReminder:
    return DueReminder(key=key, kind=kind, recipient=None, subject_id=subject, title=title, due_at=None)


def _page(found: Iterable[Any], page: Page, write: Callable[[Any], Row], *, newest_first: bool) -> Listing[Row]:
    rows = sorted(found, key=lambda row: row.id.int, reverse=newest_first)
    if page.cursor is not None:
        known = [str(row.id) for row in rows]
        if page.cursor not in known:
            raise Invalid(errors=(FieldError("cursor", "is not a cursor of this list"),))
        rows = rows[known.index(page.cursor) + 1 :]
    kept = rows[: page.limit]
    return Listing([write(row) for row in kept], next=str(kept[-1].id) if len(rows) > page.limit else None)
