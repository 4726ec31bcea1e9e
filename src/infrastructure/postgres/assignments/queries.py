"""The vertical's reads: one round trip each."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
    union_all,
)

from application.assignments.queries import (
    AssignmentView,
    ClaimView,
    DuePlan,
    DueReminder,
    Person,
    PlanView,
    SubmissionSummary,
    SubmissionView,
)
from application.assignments.see_files import TaskParties
from application.core.kernel.ports import Listing, Page
from domain.assignments.plan import SubscriptionId
from domain.assignments.submission import SubmissionNotFound, SubmissionStatus
from domain.assignments.task import ClaimId, Stage, TaskId, TaskNotFound, TaskStatus
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from infrastructure.postgres.assignments.repositories import read_writer
from infrastructure.postgres.assignments.tables import (
    submission_versions,
    submissions,
    tasks,
    writer_subscriptions,
)
from infrastructure.postgres.core.files import files_where, shown_files
from infrastructure.postgres.core.files_tables import files
from infrastructure.postgres.core.identity_tables import accounts
from infrastructure.postgres.database import Reads
from infrastructure.postgres.keyset import Cut, KeysetList
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import INSTANT, TEXT, UUID

_students, _holders = accounts.alias("student"), accounts.alias("holder")
_TASK: Select[Any] = (
    select(
        tasks.c.id,
        tasks.c.student_id,
        tasks.c.title,
        tasks.c.description,
        tasks.c.status,
        tasks.c.stage,
        tasks.c.budget,
        tasks.c.currency,
        tasks.c.due_at,
        tasks.c.rejection_reason,
        tasks.c.revision,
        tasks.c.claim_id,
        tasks.c.claim_writer_id,
        tasks.c.claimed_at,
        tasks.c.claim_due_at,
        tasks.c.claim_expires_at,
        tasks.c.completed_by,
        tasks.c.created_at,
        tasks.c.updated_at,
        _students.c.username.label("student_name"),
        _holders.c.username.label("writer_name"),
        submissions.c.id.label("work_id"),
        submissions.c.status.label("work_status"),
        submissions.c.version.label("work_version"),
        submissions.c.is_late.label("work_is_late"),
        files_where((files.c.subject_id == tasks.c.id) & (files.c.purpose == "student")).label("files"),
    )
    .select_from(tasks)
    .join(_students, _students.c.id == tasks.c.student_id)
    .outerjoin(_holders, _holders.c.id == func.coalesce(tasks.c.claim_writer_id, tasks.c.completed_by))
    .outerjoin(submissions, submissions.c.id == tasks.c.submission_id)
)
_ONE_TASK = Statement(_TASK.where(tasks.c.id == bindparam("wanted")))

# What lists of open tasks show: nobody holds them, so neither writer nor work is looked for.
_AVAILABLE = KeysetList(
    select(
        tasks.c.id,
        tasks.c.student_id,
        tasks.c.title,
        tasks.c.description,
        tasks.c.budget,
        tasks.c.currency,
        tasks.c.due_at,
        tasks.c.revision,
        tasks.c.created_at,
        tasks.c.updated_at,
        _students.c.username.label("student_name"),
        files_where((files.c.subject_id == tasks.c.id) & (files.c.purpose == "student")).label("files"),
    )
    .select_from(tasks)
    .join(_students, _students.c.id == tasks.c.student_id)
    .where(
        tasks.c.status == literal_column("'APPROVED'"),  # a constant, so that the partial index is seen to fit
        ~tasks.c.is_hidden,
        tasks.c.due_at.is_(None) | (tasks.c.due_at > bindparam("now", type_=INSTANT)),
    ),
    tasks.c.id,
    newest_first=False,
)


def _lists(condition: ColumnElement[bool] | None) -> tuple[KeysetList, KeysetList]:
    """Return a list of tasks, newest first: of all statuses, and of one."""
    query = _TASK if condition is None else _TASK.where(condition)
    return KeysetList(query, tasks.c.id), KeysetList(
        query.where(tasks.c.status == bindparam("status", type_=TEXT)), tasks.c.id
    )


_OF_STUDENT = _lists(tasks.c.student_id == bindparam("person", type_=UUID))
_OF_WRITER = _lists(func.coalesce(tasks.c.claim_writer_id, tasks.c.completed_by) == bindparam("person", type_=UUID))
_ALL = _lists(None)

_writer_accounts = accounts.alias("writer")
_WORK: Select[Any] = (
    select(
        submissions,
        tasks.c.student_id,
        tasks.c.status.label("task_status"),
        _writer_accounts.c.username.label("writer_name"),
        files_where(
            files.c.id
            == any_(
                cast(
                    select(submission_versions.c.file_ids)
                    .where(
                        submission_versions.c.submission_id == submissions.c.id,
                        submission_versions.c.number == submissions.c.version,
                    )
                    .correlate(submissions)
                    .scalar_subquery(),
                    ARRAY(UUID),
                )
            )
        ).label("files"),
    )
    .select_from(submissions)
    .join(tasks, tasks.c.id == submissions.c.task_id)
    .join(_writer_accounts, _writer_accounts.c.id == submissions.c.writer_id)
)
_ONE_WORK = Statement(_WORK.where(submissions.c.id == bindparam("wanted")))


def _work_of_one(cut: Cut) -> Select[Any]:
    """Return what one person wrote and what was written for him; each part stops at the page by itself."""
    person = bindparam("person", type_=UUID)
    written = cut(select(submissions.c.id).where(submissions.c.writer_id == person), submissions.c.id)
    ordered = submissions.alias("ordered")
    asked_for = cut(
        select(ordered.c.id).join(tasks, tasks.c.id == ordered.c.task_id).where(tasks.c.student_id == person),
        ordered.c.id,
    )
    found = union_all(written.subquery().select(), asked_for.subquery().select()).subquery()
    return cut(_WORK.where(submissions.c.id.in_(select(found.c.id))), submissions.c.id)


_WORK_OF_ONE = KeysetList(_work_of_one, submissions.c.id)
_ALL_WORK = KeysetList(_WORK, submissions.c.id, newest_first=False)
_WORK_BY_STATUS = KeysetList(
    _WORK.where(submissions.c.status == bindparam("status", type_=TEXT)), submissions.c.id, newest_first=False
)

_PLAN = Statement(
    text(
        "SELECT p.id AS account_id, w.day, COALESCE(w.used, 0) AS used, COALESCE(w.open_claims, 0) AS open_claims,"
        " w.free_return_day, w.subscription_id, w.plan, w.plan_worth, w.plan_starts_at, w.plan_ends_at,"
        " COALESCE(r.points, 0) AS points,"
        " (SELECT i.reference FROM writer_subscriptions AS s JOIN payment_intents AS i ON i.id = s.intent_id"
        "  WHERE s.writer_id = p.id AND s.state = 'pending' AND i.status = 'open' AND EXISTS (SELECT"
        "  FROM payment_attempts AS a WHERE a.intent_id = i.id"
        "  AND a.status IN ('created', 'sending', 'pending', 'unknown', 'review'))) AS pending_reference"
        " FROM (SELECT :wanted AS id) AS p LEFT JOIN writers AS w ON w.account_id = p.id"
        " LEFT JOIN ratings AS r ON r.account_id = p.id"
    ).bindparams(bindparam("wanted", type_=UUID))
)
_PARTIES = Statement(
    select(tasks.c.student_id, tasks.c.claim_writer_id, tasks.c.status).where(tasks.c.id == bindparam("wanted"))
)
_EXPIRED_CLAIMS = Statement(
    select(tasks.c.id)
    .where(
        tasks.c.claim_id.is_not(None),
        tasks.c.stage != literal_column("'review'"),
        tasks.c.claim_expires_at < bindparam("now", type_=INSTANT),
    )
    .order_by(tasks.c.claim_expires_at)
    .limit(bindparam("limit_rows", type_=BigInteger))
)
_EXPIRED_TASKS = Statement(
    text(
        "(SELECT id FROM tasks WHERE status = 'APPROVED' AND due_at < :now ORDER BY due_at LIMIT :limit_rows)"
        " UNION ALL"
        " (SELECT id FROM tasks WHERE status = 'APPROVED' AND due_at IS NULL AND approved_at < :open_since"
        "  ORDER BY approved_at LIMIT :limit_rows) LIMIT :limit_rows"
    ).bindparams(
        bindparam("now", type_=INSTANT),
        bindparam("open_since", type_=INSTANT),
        bindparam("limit_rows", type_=BigInteger),
    )
)
_EXPIRED_PLANS = Statement(
    select(writer_subscriptions.c.id, writer_subscriptions.c.writer_id)
    .where(
        writer_subscriptions.c.state == literal_column("'active'"), writer_subscriptions.c.ends_at <= bindparam("now")
    )
    .order_by(writer_subscriptions.c.ends_at)
    .limit(bindparam("limit_rows", type_=BigInteger))
)
_DUE_REMINDERS = Statement(
    text(
        "SELECT due.* FROM ("
        " SELECT format('claim:%s:due_24h:%s', claim_id, claim_rounds) AS key, 'claim_due_24h' AS kind,"
        "  claim_writer_id AS recipient, id AS subject_id, title, claim_due_at AS due_at"
        " FROM tasks WHERE claim_id IS NOT NULL AND stage <> 'review'"
        "  AND claim_due_at > :now + interval '1 hour' AND claim_due_at <= :now + interval '24 hours'"
        " UNION ALL SELECT format('claim:%s:due_1h:%s', claim_id, claim_rounds), 'claim_due_1h',"
        "  claim_writer_id, id, title, claim_due_at"
        " FROM tasks WHERE claim_id IS NOT NULL AND stage <> 'review'"
        "  AND claim_due_at > :now AND claim_due_at <= :now + interval '1 hour'"
        " UNION ALL SELECT format('claim:%s:overdue:%s', claim_id, claim_rounds), 'claim_overdue',"
        "  claim_writer_id, id, title, claim_due_at"
        " FROM tasks WHERE claim_id IS NOT NULL AND stage <> 'review'"
        "  AND claim_due_at <= :now AND claim_expires_at > :now"
        " UNION ALL SELECT format('plan:%s:%s:ends_3d', subscription_id, plan_ends_at), 'plan_ends_3d',"
        "  account_id, subscription_id, plan, plan_ends_at"
        " FROM writers WHERE plan IS NOT NULL AND plan_ends_at > :now + interval '1 day'"
        "  AND plan_ends_at <= :now + interval '3 days'"
        " UNION ALL SELECT format('plan:%s:%s:ends_1d', subscription_id, plan_ends_at), 'plan_ends_1d',"
        "  account_id, subscription_id, plan, plan_ends_at"
        " FROM writers WHERE plan IS NOT NULL AND plan_ends_at > :now AND plan_ends_at <= :now + interval '1 day'"
        " UNION ALL SELECT format('work:%s:%s:waits', s.id, s.version), 'work_waits_48h', NULL, s.id, t.title, NULL"
        " FROM submissions AS s JOIN tasks AS t ON t.id = s.task_id"
        " WHERE s.status = 'PENDING_REVIEW' AND t.stage = 'review' AND s.updated_at <= :now - interval '48 hours'"
        " UNION ALL SELECT format('task:%s:%s:waits', id, revision), 'task_waits_24h', NULL, id, title, NULL"
        " FROM tasks WHERE status = 'PENDING_APPROVAL' AND updated_at <= :now - interval '24 hours'"
        ") AS due WHERE NOT EXISTS (SELECT FROM sent_reminders AS s WHERE s.key = due.key) LIMIT :limit_rows"
    ).bindparams(bindparam("now", type_=INSTANT), bindparam("limit_rows", type_=BigInteger))
)
_IS_WRITER = Statement(
    select(accounts.c.id).where(
        accounts.c.id == bindparam("wanted"), literal_column("'writer'") == any_(accounts.c.roles)
    )
)


class PostgresAssignmentsQueries:
    """Reads of the vertical."""

    def __init__(self, database: Reads) -> None:
        self._database = database

    async def assignment(self, task_id: TaskId) -> AssignmentView:
        """Return a task. Raises TaskNotFound."""
        async with self._database.connection() as connection:
            row = await _ONE_TASK.fetch_row(connection, wanted=task_id)
        if row is None:
            raise TaskNotFound
        return _assignment(row)

    async def available(self, page: Page, *, now: datetime) -> Listing[AssignmentView]:
        """Return approved, unclaimed tasks, oldest first."""
        async with self._database.connection() as connection:
            return await _AVAILABLE.fetch(connection, page, _open_task, now=now)

    async def of_student(self, student_id: AccountId, status: str | None, page: Page) -> Listing[AssignmentView]:
        """Return a student's tasks, newest first."""
        return await self._tasks(_OF_STUDENT, status, page, person=student_id)

    async def of_writer(self, writer_id: AccountId, status: str | None, page: Page) -> Listing[AssignmentView]:
        """Return the tasks that a writer holds or has completed, newest first."""
        return await self._tasks(_OF_WRITER, status, page, person=writer_id)

    async def all(self, status: str | None, page: Page) -> Listing[AssignmentView]:
        """Return all tasks, newest first."""
        return await self._tasks(_ALL, status, page)

    async def _tasks(
        self, lists: tuple[KeysetList, KeysetList], status: str | None, page: Page, **values: object
    ) -> Listing[AssignmentView]:
        of_all, of_status = lists
        async with self._database.connection() as connection:
            if status is None:
                return await of_all.fetch(connection, page, _assignment, **values)
            return await of_status.fetch(connection, page, _assignment, status=status, **values)

    async def submission(self, submission_id: uuid.UUID) -> SubmissionView:
        """Return a submission. Raises SubmissionNotFound."""
        async with self._database.connection() as connection:
            row = await _ONE_WORK.fetch_row(connection, wanted=submission_id)
        if row is None:
            raise SubmissionNotFound
        return _work(row)

    async def submissions_of(self, person_id: AccountId, page: Page) -> Listing[SubmissionView]:
        """Return the work that somebody wrote, and the work on his own tasks, newest first."""
        async with self._database.connection() as connection:
            return await _WORK_OF_ONE.fetch(connection, page, _work, person=person_id)

    async def submissions(self, status: str | None, page: Page) -> Listing[SubmissionView]:
        """Return all work, oldest first."""
        async with self._database.connection() as connection:
            if status is None:
                return await _ALL_WORK.fetch(connection, page, _work)
            return await _WORK_BY_STATUS.fetch(connection, page, _work, status=status)

    async def plan_of(self, writer_id: AccountId) -> PlanView:
        """Return a writer's plan and counters."""
        async with self._database.connection() as connection:
            row = await _PLAN.fetch_row(connection, wanted=writer_id)
        assert row is not None
        return PlanView(writer=read_writer(row), pending_reference=row["pending_reference"])

    async def parties(self, task_id: TaskId) -> TaskParties | None:
        """Return who has to do with a task now."""
        async with self._database.connection() as connection:
            row = await _PARTIES.fetch_row(connection, wanted=task_id)
        if row is None:
            return None
        holder = row["claim_writer_id"]
        return TaskParties(
            AccountId(row["student_id"]), None if holder is None else AccountId(holder), TaskStatus(row["status"])
        )

    async def is_writer(self, account_id: AccountId) -> bool:
        """Tell whether an account has, or had, the role of a writer."""
        async with self._database.connection() as connection:
            return bool(await _IS_WRITER.fetch_value(connection, wanted=account_id))

    async def expired_claims(self, *, now: datetime, limit: int) -> Sequence[TaskId]:
        """Return tasks whose claim is over, the longest over first."""
        async with self._database.connection() as connection:
            rows = await _EXPIRED_CLAIMS.fetch(connection, now=now, limit_rows=limit)
        return [TaskId(row["id"]) for row in rows]

    async def expired_tasks(self, *, now: datetime, open_since: datetime, limit: int) -> Sequence[TaskId]:
        """Return open tasks whose time is over."""
        async with self._database.connection() as connection:
            rows = await _EXPIRED_TASKS.fetch(connection, now=now, open_since=open_since, limit_rows=limit)
        return [TaskId(row["id"]) for row in rows]

    async def expired_plans(self, *, now: datetime, limit: int) -> Sequence[DuePlan]:
        """Return purchases whose time is over."""
        async with self._database.connection() as connection:
            rows = await _EXPIRED_PLANS.fetch(connection, now=now, limit_rows=limit)
        return [
            DuePlan(subscription_id=SubscriptionId(row["id"]), writer_id=AccountId(row["writer_id"])) for row in rows
        ]

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueReminder]:
        """Return what people should be reminded of and were not yet."""
        async with self._database.connection() as connection:
            rows = await _DUE_REMINDERS.fetch(connection, now=now, limit_rows=limit)
        return [
            DueReminder(
                key=row["key"],
                kind=row["kind"],
                recipient=None if row["recipient"] is None else AccountId(row["recipient"]),
                subject_id=row["subject_id"],
                title=row["title"],
                due_at=row["due_at"],
            )
            for row in rows
        ]


def _budget(row: asyncpg.Record) -> Money | None:
    return None if row["budget"] is None else Money(row["budget"], row["currency"])


def _open_task(row: asyncpg.Record) -> AssignmentView:
    return AssignmentView(
        id=row["id"],
        title=row["title"],
        description=row["description"],
        status=TaskStatus.APPROVED,
        stage=Stage.OPEN,
        budget=_budget(row),
        due_at=row["due_at"],
        files=shown_files(row["files"]),
        student=Person(id=row["student_id"], username=row["student_name"]),
        writer=None,
        claim=None,
        submission=None,
        rejection_reason=None,
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _assignment(row: asyncpg.Record) -> AssignmentView:
    holder = row["claim_writer_id"] or row["completed_by"]
    stage, status = row["stage"], TaskStatus(row["status"])
    return AssignmentView(
        id=row["id"],
        title=row["title"],
        description=row["description"],
        status=status,
        stage=status.lower() if stage == Stage.ENDED else stage,
        budget=_budget(row),
        due_at=row["due_at"],
        files=shown_files(row["files"]),
        student=Person(id=row["student_id"], username=row["student_name"]),
        writer=None if holder is None else Person(id=holder, username=row["writer_name"] or ""),
        claim=None
        if row["claim_id"] is None
        else ClaimView(
            id=ClaimId(row["claim_id"]),
            claimed_at=row["claimed_at"],
            due_at=row["claim_due_at"],
            expires_at=row["claim_expires_at"],
        ),
        submission=None
        if row["work_id"] is None
        else SubmissionSummary(
            id=row["work_id"],
            status=SubmissionStatus(row["work_status"]),
            version=row["work_version"],
            is_late=row["work_is_late"],
        ),
        rejection_reason=row["rejection_reason"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _work(row: asyncpg.Record) -> SubmissionView:
    return SubmissionView(
        id=row["id"],
        task_id=TaskId(row["task_id"]),
        student_id=AccountId(row["student_id"]),
        task_is_completed=row["task_status"] == TaskStatus.COMPLETED,
        writer=Person(id=row["writer_id"], username=row["writer_name"]),
        files=shown_files(row["files"]),
        notes=row["notes"],
        status=SubmissionStatus(row["status"]),
        version=row["version"],
        is_late=row["is_late"],
        rejection_reason=row["rejection_reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        reviewed_at=row["reviewed_at"],
    )
