"""Runs of jobs: a row for each due one, so that two schedulers are as good as one and a dead worker is noticed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Integer, bindparam, insert, null, text, update

from application.core.kernel.ports import Clock, DeadMessage, IdSource
from application.core.kernel.request_context import current_request
from application.core.operations.ports import JobState, PolicyRow
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId
from domain.core.operations.schedule import RunDueAlready
from infrastructure.postgres.core.kernel_tables import job_runs
from infrastructure.postgres.core.outbox import dead_messages
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import INSTANT, TEXT
from infrastructure.postgres.tables import UUID as UUID_TYPE
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

LEASE = timedelta(seconds=60)
ERROR_LENGTH_MAX = 2_000
_ROWS_MAX = 500

_runs = job_runs.c

_PLAN = Statement(
    text(
        "INSERT INTO job_runs (id, job, due_at)"
        " SELECT d.id, d.job, d.due_at FROM unnest(:ids, :jobs, :dues) AS d(id, job, due_at)"
        # a run that is still open, or that began after this one was due, has done its work
        " WHERE NOT EXISTS (SELECT FROM job_runs AS r WHERE r.job = d.job"
        " AND (r.finished_at IS NULL OR r.started_at >= d.due_at))"
        " ON CONFLICT ON CONSTRAINT uq_job_runs_job_due DO NOTHING RETURNING job"
    ).bindparams(
        bindparam("ids", type_=ARRAY(UUID_TYPE)),
        bindparam("jobs", type_=ARRAY(TEXT)),
        bindparam("dues", type_=ARRAY(INSTANT)),
    )
)
_TAKE = Statement(
    text(
        "UPDATE job_runs SET leased_until = :leased_until, started_at = COALESCE(started_at, :now)"
        " WHERE id = (SELECT r.id FROM job_runs AS r"
        " WHERE r.finished_at IS NULL AND r.due_at <= :now AND (r.leased_until IS NULL OR r.leased_until <= :now)"
        " AND r.job = ANY(:jobs)"
        " AND NOT EXISTS (SELECT FROM job_runs AS o WHERE o.job = r.job AND o.finished_at IS NULL"
        " AND o.leased_until > :now AND o.id <> r.id)"
        " ORDER BY r.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING id, job, failures, trace_id"
    ).bindparams(
        bindparam("leased_until", type_=INSTANT), bindparam("now", type_=INSTANT), bindparam("jobs", type_=ARRAY(TEXT))
    )
)
_RENEW = Statement(
    update(job_runs)
    .where(_runs.id == bindparam("run_id"), _runs.finished_at.is_(None))
    .values(leased_until=bindparam("until", type_=INSTANT))
)
_FINISH = Statement(
    update(job_runs)
    .where(_runs.id == bindparam("run_id"), _runs.finished_at.is_(None))
    .values(
        finished_at=bindparam("now", type_=INSTANT),
        handled=bindparam("count", type_=Integer),
        leased_until=null(),
        last_error=null(),
    )
)
_FAIL = Statement(
    update(job_runs)
    .where(_runs.id == bindparam("run_id"), _runs.finished_at.is_(None))
    .values(
        failures=_runs.failures + 1,
        last_error=bindparam("error", type_=TEXT),
        leased_until=bindparam("until", type_=INSTANT),
        finished_at=bindparam("given_up_at", type_=INSTANT),
    )
)
_REQUEST = Statement(
    insert(job_runs).values({name: bindparam(name) for name in ("id", "job", "due_at", "requested_by", "trace_id")})
)
_STATES = Statement(
    text(
        "WITH RECURSIVE names AS (SELECT min(job) AS job FROM job_runs"
        " UNION ALL SELECT (SELECT min(r.job) FROM job_runs AS r WHERE r.job > n.job) FROM names AS n"
        " WHERE n.job IS NOT NULL)"
        " SELECT n.job, last.started_at, last.finished_at, last.handled, last.last_error, last.failures,"
        " (SELECT min(o.due_at) FROM job_runs AS o WHERE o.job = n.job AND o.finished_at IS NULL) AS waiting_since,"
        " (SELECT s.finished_at FROM job_runs AS s WHERE s.job = n.job AND s.handled IS NOT NULL"
        " ORDER BY s.due_at DESC LIMIT 1) AS succeeded_at"
        " FROM names AS n CROSS JOIN LATERAL (SELECT * FROM job_runs AS r WHERE r.job = n.job"
        " ORDER BY (r.started_at IS NULL), r.due_at DESC LIMIT 1) AS last"
        " WHERE n.job IS NOT NULL LIMIT :rows_max"
    ).bindparams(bindparam("rows_max", type_=Integer))
)
_POLICY_ROWS = Statement(
    text(
        "SELECT p.name, p.value, p.valid_from, p.reason, p.set_by FROM policies AS p"
        " WHERE p.valid_from >= COALESCE((SELECT max(f.valid_from) FROM policies AS f"
        " WHERE f.name = p.name AND f.valid_from <= :now), p.valid_from)"
        " ORDER BY p.name, p.valid_from DESC, p.id DESC LIMIT :rows_max"
    ).bindparams(bindparam("now", type_=INSTANT), bindparam("rows_max", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is ours until its lease ends."""

    id: UUID
    job: str
    failures: int
    trace_id: str | None
    """Of who asked for it."""


class PostgresJobRuns:
    """Plans, takes and ends runs; each call is one statement that commits by itself."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def plan(self, due: Mapping[str, datetime]) -> list[str]:
        """Write down runs by job and due time, and return the jobs for which that was new."""
        async with self._database.connection() as connection:
            rows = await _PLAN.fetch(
                connection, ids=[self._ids.new() for _ in due], jobs=list(due), dues=list(due.values())
            )
        return [row["job"] for row in rows]

    async def take(self, jobs: Sequence[str]) -> Run | None:
        """Lease the run of one of these jobs that has waited longest, if any is due."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            row = await _TAKE.fetch_row(connection, now=now, leased_until=now + LEASE, jobs=list(jobs))
        return None if row is None else Run(**row)

    async def renew(self, run: Run) -> None:
        """Push the end of the lease away, because the run goes on."""
        async with self._database.connection() as connection:
            await _RENEW.execute(connection, run_id=run.id, until=self._clock.now() + LEASE)

    async def finish(self, run: Run, handled: int) -> None:
        """Write down that the run is over."""
        async with self._database.connection() as connection:
            await _FINISH.execute(connection, run_id=run.id, now=self._clock.now(), count=handled)

    async def fail(self, run: Run, error: str, *, again_after: timedelta | None) -> None:
        """Write down that a try failed; None gives the run up, and the next due one starts afresh."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            await _FAIL.execute(
                connection,
                run_id=run.id,
                error=error[:ERROR_LENGTH_MAX],
                until=None if again_after is None else now + again_after,
                given_up_at=now if again_after is None else None,
            )


class PostgresOperationsQueries:
    """The read models of operations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def job_states(self) -> Mapping[str, JobState]:
        async with self._database.connection() as connection:
            rows = await _STATES.fetch(connection, rows_max=_ROWS_MAX)
        return {
            row["job"]: JobState(
                last_started_at=row["started_at"],
                last_finished_at=row["finished_at"],
                last_handled=row["handled"],
                last_error=row["last_error"],
                failures=row["failures"],
                waiting_since=row["waiting_since"],
                last_succeeded_at=row["succeeded_at"],
            )
            for row in rows
        }

    async def dead_letters(self) -> Sequence[DeadMessage]:
        async with self._database.connection() as connection:
            return await dead_messages(connection, _ROWS_MAX)

    async def policy_rows(self) -> list[PolicyRow]:
        async with self._database.connection() as connection:
            rows = await _POLICY_ROWS.fetch(connection, now=self._clock.now(), rows_max=_ROWS_MAX)
        return [PolicyRow(**row) for row in rows]


JOB_REFUSALS: Mapping[str, type[DomainError]] = {"uq_job_runs_job_due": RunDueAlready}


class PostgresJobRequests:
    """Runs that a person asks for, in a unit of work."""

    def __init__(self, uow: PostgresUnitOfWork) -> None:
        self._requested: list[dict[str, object]] = []
        uow.attach(self)

    def request(self, run_id: UUID, job: str, *, due_at: datetime, by: AccountId | None) -> None:
        trace_id = current_request().trace_id
        self._requested.append({"id": run_id, "job": job, "due_at": due_at, "requested_by": by, "trace_id": trace_id})

    def stage(self, batch: WriteBatch) -> None:
        for row in self._requested:
            batch.stage(_REQUEST, **row)
        self._requested.clear()
