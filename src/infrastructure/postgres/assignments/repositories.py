"""The vertical's aggregates on PostgreSQL."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import Column, Table, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from application.assignments.ports import ClaimLoad, ReviewLoad, TaskLabels
from domain.assignments.claim_rules import AlreadyClaimed
from domain.assignments.plan import (
    ActivePlan,
    Plan,
    PlanPaymentInFlight,
    SubscriptionId,
    SubscriptionState,
    WriterSubscription,
)
from domain.assignments.release import AlreadyReleased, Release, ReleaseId, ReleaseSource
from domain.assignments.submission import (
    Submission,
    SubmissionId,
    SubmissionNotFound,
    SubmissionStatus,
    SubmissionVersion,
)
from domain.assignments.task import Claim, ClaimId, Stage, Task, TaskId, TaskNotFound, TaskStatus
from domain.assignments.writer import Writer
from domain.core.kernel.errors import DomainError, NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from infrastructure.postgres.assignments.tables import (
    claims,
    releases,
    submission_versions,
    submissions,
    tasks,
    writer_subscriptions,
    writers,
)
from infrastructure.postgres.core.files import shown_files
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID

_FILES_OF_TASK = (
    "(SELECT jsonb_agg(jsonb_build_array(f.id, f.name, f.size, f.content_type, f.uploaded_at) ORDER BY f.id)"
    " FROM files AS f WHERE f.subject_id = t.id AND f.purpose = 'student')"
)
"""A task's files as arrays, or NULL."""

_TASK_AND_LABELS = ", ".join(
    (
        "t.*",
        "(SELECT a.username FROM accounts AS a WHERE a.id = t.student_id) AS student_name",
        f"{_FILES_OF_TASK} AS files",
    )
)
_WRITER = (
    "w.account_id, w.day, w.used, w.open_claims, w.free_return_day, w.subscription_id, w.plan, w.plan_worth,"
    " w.plan_starts_at, w.plan_ends_at"
)
_WRITER_POINTS = "COALESCE((SELECT r.points FROM ratings AS r WHERE r.account_id = w.account_id), 0) AS points"


def _query(sql: str, **types: Any) -> Statement:
    return Statement(text(sql).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items())))


def _update_by_key(table: Table, key: Column[Any]) -> Statement:
    """Return an update of all columns by key; each parameter is called `new_` and its column."""
    values = {
        column.name: bindparam(f"new_{column.name}", type_=column.type) for column in table.c if column is not key
    }
    return Statement(update(table).where(key == bindparam(f"new_{key.name}", type_=key.type)).values(values))


def _new(row: Mapping[str, object]) -> dict[str, object]:
    return {f"new_{name}": value for name, value in row.items()}


_GET_TASK = _query(
    f"SELECT {_TASK_AND_LABELS} FROM tasks AS t WHERE t.id = :task_id FOR UPDATE OF t",  # noqa: S608 - constants only
    task_id=UUID,
)
_GET_FOR_CLAIM = _query(
    f"SELECT {_TASK_AND_LABELS}, {_WRITER}, {_WRITER_POINTS},"  # noqa: S608 - constants of this module only
    " (SELECT a.username FROM accounts AS a WHERE a.id = w.account_id) AS writer_name,"
    " EXISTS (SELECT FROM blocks AS b WHERE (b.blocker_id, b.blocked_id) IN"
    " ((t.student_id, w.account_id), (w.account_id, t.student_id))) AS is_blocked"
    " FROM tasks AS t CROSS JOIN writers AS w WHERE t.id = :task_id AND w.account_id = :writer_id FOR UPDATE OF t, w",
    task_id=UUID,
    writer_id=UUID,
)
_GET_WRITER = _query(
    f"SELECT {_WRITER}, {_WRITER_POINTS} FROM writers AS w WHERE w.account_id = :writer_id FOR UPDATE OF w",  # noqa: S608
    writer_id=UUID,
)
_MAKE_WRITER = Statement(
    insert_or(writers).values(account_id=bindparam("account_id"), used=0, open_claims=0).on_conflict_do_nothing()
)
_HELD_BY = Statement(select(tasks.c.id).where(tasks.c.claim_writer_id == bindparam("writer_id")).order_by(tasks.c.id))
# what the account is now decides, not the event that was heard: events may be late, and arrive in any order
_FOLLOW_STUDENT = _query(
    "UPDATE tasks SET is_hidden = NOT a.is_active FROM accounts AS a WHERE a.id = :student_id AND student_id = a.id"
    " AND status NOT IN ('COMPLETED', 'CANCELLED', 'EXPIRED') AND is_hidden = a.is_active",
    student_id=UUID,
)
_ADD_TASK = Statement(insert(tasks))
_SAVE_TASK = _update_by_key(tasks, tasks.c.id)
_ADD_CLAIM = Statement(insert(claims))
_SAVE_CLAIM = Statement(
    update(claims)
    .where(claims.c.id == bindparam("claim"))
    .values(
        due_at=bindparam("new_due_at"),
        expires_at=bindparam("new_expires_at"),
        ended_at=bindparam("new_ended_at"),
        end_reason=bindparam("new_end_reason"),
    )
)
_SAVE_WRITER = _update_by_key(writers, writers.c.account_id)
_SUBMISSION_OF_CLAIM = Statement(select(submissions).where(submissions.c.claim_id == bindparam("wanted_claim")))
# The task is locked first, under whose lock the others change: what PostgreSQL locks after a wait it reads again, so
# all four rows are as of now. The files of a version that was committed during the wait are not seen; then it is asked
# once more.
_GET_FOR_REVIEW = _query(
    f"SELECT {_TASK_AND_LABELS}, {_WRITER}, r.points,"  # noqa: S608 - constants of this module only
    " (SELECT a.username FROM accounts AS a WHERE a.id = s.writer_id) AS writer_name,"
    " s.id AS s_id, s.task_id AS s_task_id, s.claim_id AS s_claim_id, s.writer_id AS s_writer_id, s.status AS s_status,"
    " s.version AS s_version, s.notes AS s_notes, s.is_late AS s_is_late, s.rejection_reason AS s_rejection_reason,"
    " s.created_at AS s_created_at, s.updated_at AS s_updated_at, s.reviewed_at AS s_reviewed_at,"
    " (SELECT jsonb_agg(jsonb_build_array(f.id, f.name, f.size, f.content_type, f.uploaded_at) ORDER BY f.id)"
    "  FROM submission_versions AS v JOIN files AS f ON f.id = ANY(v.file_ids)"
    "  WHERE v.submission_id = s.id AND v.number = s.version) AS work_files"
    " FROM submissions AS s JOIN tasks AS t ON t.id = s.task_id JOIN writers AS w ON w.account_id = s.writer_id"
    " JOIN ratings AS r ON r.account_id = s.writer_id"
    " WHERE s.id = :submission_id FOR UPDATE OF t, w, r, s",
    submission_id=UUID,
)
_SUBMISSION_TO_REVIEW = _query(
    "SELECT s.id, s.writer_id, EXISTS (SELECT FROM ratings AS r WHERE r.account_id = s.writer_id) AS is_rated"
    " FROM submissions AS s WHERE s.id = :wanted OR s.task_id = :wanted ORDER BY s.id DESC LIMIT 1",
    wanted=UUID,
)
_TASK_EXISTS = Statement(select(tasks.c.id).where(tasks.c.id == bindparam("wanted")))
_ADD_SUBMISSION = Statement(insert(submissions))
_SAVE_SUBMISSION = _update_by_key(submissions, submissions.c.id)
_ADD_VERSION = Statement(insert(submission_versions))
_GET_SUBSCRIPTION = Statement(
    select(writer_subscriptions).where(writer_subscriptions.c.id == bindparam("wanted")).with_for_update()
)
_PENDING_SUBSCRIPTION = Statement(
    select(writer_subscriptions)
    .where(writer_subscriptions.c.writer_id == bindparam("of_writer"), writer_subscriptions.c.state == "pending")
    .with_for_update()
)
_ADD_SUBSCRIPTION = Statement(insert(writer_subscriptions))
_SAVE_SUBSCRIPTION = _update_by_key(writer_subscriptions, writer_subscriptions.c.id)
_RELEASE_OF_TASK = Statement(select(releases).where(releases.c.task_id == bindparam("wanted")))
_PAID_LATELY = _query(
    "SELECT EXISTS (SELECT FROM releases WHERE task_id IS NULL AND writer_id = :writer_id AND created_at > :since"
    " AND amount = :amount AND currency = :currency)",
    writer_id=UUID,
    since=INSTANT,
    amount=BIGINT,
    currency=TEXT,
)
_ADD_RELEASE = Statement(insert(releases))

ASSIGNMENTS_REFUSALS: Mapping[str, type[DomainError]] = {
    "uq_claims_task_active": AlreadyClaimed,
    "uq_writer_subscriptions_pending": PlanPaymentInFlight,
    "uq_releases_task": AlreadyReleased,
}


class PostgresTasks:
    """Tasks inside one unit of work."""

    def __init__(self, unit_of_work: "PostgresAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._loaded: dict[TaskId, tuple[Task, dict[str, object]]] = {}
        self._labels: dict[TaskId, TaskLabels] = {}
        self._added: list[Task] = []
        self._known_claims: set[ClaimId] = set()
        unit_of_work.attach(self)

    def add(self, task: Task) -> None:
        """Store a new task at commit."""
        self._added.append(task)

    async def get(self, task_id: TaskId) -> Task:
        """Return a task, locked. Raises TaskNotFound."""
        if task_id in self._loaded:
            return self._loaded[task_id][0]
        row = await _GET_TASK.fetch_row(self._unit.connection, task_id=task_id)
        if row is None:
            raise TaskNotFound
        return self.loaded(row)

    async def get_for_claim(self, task_id: TaskId, writer_id: AccountId) -> ClaimLoad:
        """Return task and writer, both locked, the task first. Raises TaskNotFound."""
        row = await _GET_FOR_CLAIM.fetch_row(self._unit.connection, task_id=task_id, writer_id=writer_id)
        if row is None:  # no such task, or a writer who never claimed and bought nothing
            await _MAKE_WRITER.execute(self._unit.connection, account_id=writer_id)
            row = await _GET_FOR_CLAIM.fetch_row(self._unit.connection, task_id=task_id, writer_id=writer_id)
        if row is None:
            raise TaskNotFound
        return ClaimLoad(
            task=self.loaded(row),
            writer=self._unit.writers.loaded(row),
            writer_name=row["writer_name"] or "",
            is_blocked=row["is_blocked"],
        )

    def loaded(self, row: asyncpg.Record) -> Task:
        """Take a task that a statement of the unit has read and locked, together with its labels."""
        task = _task(row)
        self._loaded[task.id] = (task, _task_row(task))
        self._labels[task.id] = TaskLabels(student=row["student_name"] or "", files=shown_files(row["files"]))
        if task.claim is not None:
            self._known_claims.add(task.claim.id)
        return task

    def labels_of(self, task: Task) -> TaskLabels:
        """Return what was read along with a task."""
        return self._labels[task.id]

    async def held_by(self, writer_id: AccountId) -> Sequence[TaskId]:
        """Return the tasks that a writer holds, in the order of ids, not locked."""
        return [TaskId(row["id"]) for row in await _HELD_BY.fetch(self._unit.connection, writer_id=writer_id)]

    async def follow_student(self, student_id: AccountId) -> None:
        """Hide a student's tasks while his account is shut, and show them while it is open."""
        await _FOLLOW_STUDENT.execute(self._unit.connection, student_id=student_id)

    def stage(self, batch: WriteBatch) -> None:
        """Write the tasks that are new or changed, and the claims that began or ended."""
        for task in self._added:
            row = _task_row(task)
            batch.stage(_ADD_TASK, **row)
            self._loaded[task.id] = (task, row)
        self._added.clear()
        for task_id, (task, before) in self._loaded.items():
            after = _task_row(task)
            if after == before:
                continue
            batch.stage(_SAVE_TASK, **_new(after))
            self._loaded[task_id] = (task, after)
            self._stage_claims(batch, task)

    def _stage_claims(self, batch: WriteBatch, task: Task) -> None:
        active = [] if task.claim is None else [task.claim]
        for claim in (*task.ended_claims, *active):
            if claim.id in self._known_claims:
                batch.stage(
                    _SAVE_CLAIM,
                    claim=claim.id,
                    new_due_at=claim.due_at,
                    new_expires_at=claim.expires_at,
                    new_ended_at=claim.ended_at,
                    new_end_reason=claim.end,
                )
            else:
                self._known_claims.add(claim.id)
                batch.stage(
                    _ADD_CLAIM,
                    id=claim.id,
                    task_id=task.id,
                    writer_id=claim.writer_id,
                    day=claim.day,
                    claimed_at=claim.claimed_at,
                    due_at=claim.due_at,
                    expires_at=claim.expires_at,
                    ended_at=claim.ended_at,
                    end_reason=claim.end,
                )
        task.ended_claims.clear()


class PostgresWriters:
    """Writers' counters inside one unit of work."""

    def __init__(self, unit_of_work: "PostgresAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._loaded: dict[AccountId, tuple[Writer, dict[str, object]]] = {}
        unit_of_work.attach(self)

    async def get(self, writer_id: AccountId) -> Writer:
        """Return a writer, locked, with fresh counters where there were none."""
        if writer_id in self._loaded:
            return self._loaded[writer_id][0]
        row = await _GET_WRITER.fetch_row(self._unit.connection, writer_id=writer_id)
        if row is None:
            await _MAKE_WRITER.execute(self._unit.connection, account_id=writer_id)
            row = await _GET_WRITER.fetch_row(self._unit.connection, writer_id=writer_id)
        assert row is not None
        return self.loaded(row)

    def loaded(self, row: asyncpg.Record) -> Writer:
        """Take a writer that a statement of the unit has read and locked."""
        writer = read_writer(row)
        self._loaded[writer.account_id] = (writer, _writer_row(writer))
        return writer

    def stage(self, batch: WriteBatch) -> None:
        """Write the counters that changed."""
        for writer_id, (writer, before) in self._loaded.items():
            after = _writer_row(writer)
            if after != before:
                batch.stage(_SAVE_WRITER, **_new(after))
                self._loaded[writer_id] = (writer, after)


class PostgresSubmissions:
    """Submissions inside one unit of work."""

    def __init__(self, unit_of_work: "PostgresAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._loaded: dict[ClaimId, tuple[Submission, dict[str, object]]] = {}
        self._added: list[Submission] = []
        unit_of_work.attach(self)

    def add(self, submission: Submission) -> None:
        """Store a new submission at commit."""
        self._added.append(submission)

    async def of_claim(self, claim_id: ClaimId) -> Submission | None:
        """Return the submission under a claim, if work was delivered."""
        if claim_id in self._loaded:
            return self._loaded[claim_id][0]
        row = await _SUBMISSION_OF_CLAIM.fetch_row(self._unit.connection, wanted_claim=claim_id)
        return None if row is None else self._take(_submission(row))

    async def get_for_review(self, submission_or_task_id: uuid.UUID) -> ReviewLoad:
        """Return what a review decides on, locked. Raises SubmissionNotFound."""
        connection = self._unit.connection
        row = await _GET_FOR_REVIEW.fetch_row(connection, submission_id=submission_or_task_id)
        if row is None:  # a task's id, or a writer without a rating yet
            found = await _SUBMISSION_TO_REVIEW.fetch_row(connection, wanted=submission_or_task_id)
            if found is None:
                return await self._of_task_without_work(submission_or_task_id)
            if not found["is_rated"]:
                await self._unit.ratings.get(AccountId(found["writer_id"]))
            row = await _GET_FOR_REVIEW.fetch_row(connection, submission_id=found["id"])
            assert row is not None, "submissions are never deleted"
        if row["work_files"] is None:  # every version has files: a newer one was committed during the wait for the lock
            row = await _GET_FOR_REVIEW.fetch_row(connection, submission_id=row["s_id"])
            assert row is not None, "submissions are never deleted"
        self._unit.ratings.loaded(AccountId(row["s_writer_id"]), row["points"])
        self._unit.writers.loaded(row)
        return ReviewLoad(
            task=self._unit.tasks.loaded(row),
            submission=self._take(_submission(row, prefix="s_")),
            writer_name=row["writer_name"],
            work_files=shown_files(row["work_files"]),
        )

    async def _of_task_without_work(self, task_id: uuid.UUID) -> ReviewLoad:
        if await _TASK_EXISTS.fetch_value(self._unit.connection, wanted=task_id) is None:
            raise SubmissionNotFound
        task = await self._unit.tasks.get(TaskId(task_id))
        return ReviewLoad(task=task, submission=None, writer_name=None, work_files=())

    def _take(self, submission: Submission) -> Submission:
        self._loaded[submission.claim_id] = (submission, _submission_row(submission))
        return submission

    def stage(self, batch: WriteBatch) -> None:
        """Write the submissions that are new or changed, and their new versions."""
        for submission in self._added:
            row = _submission_row(submission)
            batch.stage(_ADD_SUBMISSION, **row)
            self._loaded[submission.claim_id] = (submission, row)
        self._added.clear()
        for claim_id, (submission, before) in self._loaded.items():
            after = _submission_row(submission)
            if after != before:
                batch.stage(_SAVE_SUBMISSION, **_new(after))
                self._loaded[claim_id] = (submission, after)
            for version in submission.new_versions:
                batch.stage(_ADD_VERSION, **_version_row(submission, version))
            submission.new_versions.clear()


class PostgresSubscriptions:
    """Bought plans inside one unit of work."""

    def __init__(self, unit_of_work: "PostgresAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._loaded: dict[SubscriptionId, tuple[WriterSubscription, dict[str, object]]] = {}
        self._added: list[WriterSubscription] = []
        unit_of_work.attach(self)

    def add(self, subscription: WriterSubscription) -> None:
        """Store a new purchase at commit."""
        self._added.append(subscription)

    async def get(self, subscription_id: SubscriptionId) -> WriterSubscription:
        """Return a purchase, locked. Raises NotFound."""
        if subscription_id in self._loaded:
            return self._loaded[subscription_id][0]
        row = await _GET_SUBSCRIPTION.fetch_row(self._unit.connection, wanted=subscription_id)
        if row is None:
            raise NotFound
        return self._take(_subscription(row))

    async def pending_of(self, writer_id: AccountId) -> WriterSubscription | None:
        """Return the purchase that a writer is paying for, if any."""
        row = await _PENDING_SUBSCRIPTION.fetch_row(self._unit.connection, of_writer=writer_id)
        return None if row is None else self._take(_subscription(row))

    def _take(self, subscription: WriterSubscription) -> WriterSubscription:
        self._loaded[subscription.id] = (subscription, _subscription_row(subscription))
        return subscription

    def stage(self, batch: WriteBatch) -> None:
        """Write the purchases that are new or changed."""
        for subscription in self._added:
            row = _subscription_row(subscription)
            batch.stage(_ADD_SUBSCRIPTION, **row)
            self._loaded[subscription.id] = (subscription, row)
        self._added.clear()
        for subscription_id, (subscription, before) in self._loaded.items():
            after = _subscription_row(subscription)
            if after != before:
                batch.stage(_SAVE_SUBSCRIPTION, **_new(after))
                self._loaded[subscription_id] = (subscription, after)


class PostgresReleases:
    """Releases inside one unit of work."""

    def __init__(self, unit_of_work: "PostgresAssignmentsUnitOfWork") -> None:
        self._unit = unit_of_work
        self._added: list[Release] = []
        unit_of_work.attach(self)

    def add(self, release: Release) -> None:
        """Store a release at commit."""
        self._added.append(release)

    async def of_task(self, task_id: TaskId) -> Release | None:
        """Return what a task paid, if it paid."""
        row = await _RELEASE_OF_TASK.fetch_row(self._unit.connection, wanted=task_id)
        return None if row is None else _release(row)

    async def was_paid_lately(self, writer_id: AccountId, amount: Money, *, since: datetime) -> bool:
        """Tell whether a release without a task paid this writer the same amount since then."""
        return bool(
            await _PAID_LATELY.fetch_value(
                self._unit.connection, writer_id=writer_id, since=since, amount=amount.minor, currency=amount.currency
            )
        )

    def stage(self, batch: WriteBatch) -> None:
        """Write the new releases."""
        for release in self._added:
            batch.stage(
                _ADD_RELEASE,
                id=release.id,
                task_id=release.task_id,
                writer_id=release.writer_id,
                amount=release.amount.minor,
                fee=release.fee.minor,
                currency=release.amount.currency,
                source=str(release.source),
                released_by=release.released_by,
                note=release.note,
                created_at=release.created_at,
            )
        self._added.clear()


class PostgresAssignmentsUnitOfWork(PostgresCoreUnitOfWork):
    """One transaction over the vertical and the core."""

    refusals: ClassVar[Mapping[str, type[DomainError]]] = {**PostgresCoreUnitOfWork.refusals, **ASSIGNMENTS_REFUSALS}

    @cached_property
    def tasks(self) -> PostgresTasks:
        """Tasks."""
        return PostgresTasks(self)

    @cached_property
    def writers(self) -> PostgresWriters:
        """Writers' counters."""
        return PostgresWriters(self)

    @cached_property
    def submissions(self) -> PostgresSubmissions:
        """The work."""
        return PostgresSubmissions(self)

    @cached_property
    def subscriptions(self) -> PostgresSubscriptions:
        """Bought plans."""
        return PostgresSubscriptions(self)

    @cached_property
    def releases(self) -> PostgresReleases:
        """What was paid."""
        return PostgresReleases(self)


def _money(minor: int | None, currency: str | None) -> Money | None:
    return None if minor is None or currency is None else Money(minor, currency)


def _task(row: asyncpg.Record) -> Task:
    claim = (
        None
        if row["claim_id"] is None
        else Claim(
            id=ClaimId(row["claim_id"]),
            writer_id=AccountId(row["claim_writer_id"]),
            claimed_at=row["claimed_at"],
            due_at=row["claim_due_at"],
            expires_at=row["claim_expires_at"],
            day=row["claim_day"],
            rounds=row["claim_rounds"],
        )
    )
    return Task(
        id=TaskId(row["id"]),
        student_id=AccountId(row["student_id"]),
        title=row["title"],
        description=row["description"],
        status=TaskStatus(row["status"]),
        stage=Stage(row["stage"]),
        budget=_money(row["budget"], row["currency"]),
        due_at=row["due_at"],
        rejection_reason=row["rejection_reason"],
        approved_at=row["approved_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        is_hidden=row["is_hidden"],
        revision=row["revision"],
        moves=row["moves"],
        claim=claim,
        version=row["version"],
        submission_id=row["submission_id"],
        completed_by=row["completed_by"],
    )


def _task_row(task: Task) -> dict[str, object]:
    claim = task.claim
    return {
        "id": task.id,
        "student_id": task.student_id,
        "title": task.title,
        "description": task.description,
        "status": str(task.status),
        "stage": str(task.stage),
        "budget": None if task.budget is None else task.budget.minor,
        "currency": None if task.budget is None else task.budget.currency,
        "due_at": task.due_at,
        "rejection_reason": task.rejection_reason,
        "approved_at": task.approved_at,
        "is_hidden": task.is_hidden,
        "revision": task.revision,
        "moves": task.moves,
        "claim_id": None if claim is None else claim.id,
        "claim_writer_id": None if claim is None else claim.writer_id,
        "claimed_at": None if claim is None else claim.claimed_at,
        "claim_due_at": None if claim is None else claim.due_at,
        "claim_expires_at": None if claim is None else claim.expires_at,
        "claim_day": None if claim is None else claim.day,
        "claim_rounds": 0 if claim is None else claim.rounds,
        "version": task.version,
        "submission_id": task.submission_id,
        "completed_by": task.completed_by,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
    }


def read_writer(row: asyncpg.Record) -> Writer:
    """Read a writer's counters and plan."""
    plan = (
        None
        if row["plan"] is None
        else ActivePlan(
            SubscriptionId(row["subscription_id"]),
            Plan(row["plan"]),
            Money(row["plan_worth"]),
            row["plan_starts_at"],
            row["plan_ends_at"],
        )
    )
    return Writer(
        account_id=AccountId(row["account_id"]),
        points=row["points"],
        plan=plan,
        day=row["day"],
        used=row["used"],
        open_claims=row["open_claims"],
        free_return_day=row["free_return_day"],
    )


def _writer_row(writer: Writer) -> dict[str, object]:
    plan = writer.plan
    return {
        "account_id": writer.account_id,
        "day": writer.day,
        "used": writer.used,
        "open_claims": writer.open_claims,
        "free_return_day": writer.free_return_day,
        "subscription_id": None if plan is None else plan.subscription_id,
        "plan": None if plan is None else str(plan.plan),
        "plan_worth": None if plan is None else plan.worth.minor,
        "plan_starts_at": None if plan is None else plan.starts_at,
        "plan_ends_at": None if plan is None else plan.ends_at,
    }


def _submission(row: asyncpg.Record, *, prefix: str = "") -> Submission:
    return Submission(
        id=SubmissionId(row[f"{prefix}id"]),
        task_id=TaskId(row[f"{prefix}task_id"]),
        claim_id=ClaimId(row[f"{prefix}claim_id"]),
        writer_id=AccountId(row[f"{prefix}writer_id"]),
        status=SubmissionStatus(row[f"{prefix}status"]),
        version=row[f"{prefix}version"],
        notes=row[f"{prefix}notes"],
        is_late=row[f"{prefix}is_late"],
        rejection_reason=row[f"{prefix}rejection_reason"],
        created_at=row[f"{prefix}created_at"],
        updated_at=row[f"{prefix}updated_at"],
        reviewed_at=row[f"{prefix}reviewed_at"],
    )


def _submission_row(submission: Submission) -> dict[str, object]:
    return {
        "id": submission.id,
        "task_id": submission.task_id,
        "claim_id": submission.claim_id,
        "writer_id": submission.writer_id,
        "status": str(submission.status),
        "version": submission.version,
        "notes": submission.notes,
        "is_late": submission.is_late,
        "rejection_reason": submission.rejection_reason,
        "created_at": submission.created_at,
        "updated_at": submission.updated_at,
        "reviewed_at": submission.reviewed_at,
    }


def _version_row(submission: Submission, version: SubmissionVersion) -> dict[str, object]:
    return {
        "submission_id": submission.id,
        "number": version.number,
        "notes": version.notes,
        "is_late": version.is_late,
        "file_ids": list(version.file_ids),
        "submitted_at": version.submitted_at,
    }


def _subscription(row: asyncpg.Record) -> WriterSubscription:
    return WriterSubscription(
        id=SubscriptionId(row["id"]),
        writer_id=AccountId(row["writer_id"]),
        plan=Plan(row["plan"]),
        listed=Money(row["listed"], row["currency"]),
        amount=Money(row["amount"], row["currency"]),
        intent_id=None if row["intent_id"] is None else IntentId(row["intent_id"]),
        state=SubscriptionState(row["state"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        created_at=row["created_at"],
    )


def _subscription_row(subscription: WriterSubscription) -> dict[str, object]:
    return {
        "id": subscription.id,
        "writer_id": subscription.writer_id,
        "plan": str(subscription.plan),
        "listed": subscription.listed.minor,
        "amount": subscription.amount.minor,
        "currency": subscription.amount.currency,
        "intent_id": subscription.intent_id,
        "state": str(subscription.state),
        "starts_at": subscription.starts_at,
        "ends_at": subscription.ends_at,
        "created_at": subscription.created_at,
    }


def _release(row: asyncpg.Record) -> Release:
    return Release(
        id=ReleaseId(row["id"]),
        task_id=None if row["task_id"] is None else TaskId(row["task_id"]),
        writer_id=AccountId(row["writer_id"]),
        amount=Money(row["amount"], row["currency"]),
        fee=Money(row["fee"], row["currency"]),
        source=ReleaseSource(row["source"]),
        released_by=AccountId(row["released_by"]),
        note=row["note"],
        created_at=row["created_at"],
    )
