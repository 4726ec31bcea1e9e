"""How the database, its schema and what waits in it are."""

from datetime import datetime

from sqlalchemy import BigInteger, bindparam, text

from application.core.kernel.ports import Clock
from application.core.operations.health import NotHealthy, PaymentSigns, UndecidedPayments, VitalSigns
from infrastructure.postgres.core.job_runs import PostgresOperationsQueries
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.database import Database, DatabaseUnavailable
from infrastructure.postgres.migrations import revision_of
from infrastructure.postgres.statements import Statement

COUNTED_MAX = 10_000
"""Nobody needs to know how far beyond this a queue is, and counting it would take ever longer."""

_ROWS_MAX = bindparam("rows_max", type_=BigInteger)
_UNDECIDED = Statement(
    text(
        "SELECT gateway, count(*), min(created_at) FROM (SELECT gateway, created_at FROM payment_attempts"
        " WHERE status IN ('sending', 'pending', 'unknown') LIMIT :rows_max) AS a GROUP BY gateway ORDER BY gateway"
    ).bindparams(_ROWS_MAX)
)
_WAITING_FOR_PEOPLE = Statement(
    text(
        "SELECT (SELECT count(*) FROM (SELECT FROM payment_cases WHERE resolved_at IS NULL LIMIT :rows_max) AS c)"
        " AS cases,"
        " (SELECT count(*) FROM (SELECT FROM ledger_alarms WHERE closed_at IS NULL LIMIT :rows_max) AS l) AS alarms"
    ).bindparams(_ROWS_MAX)
)


class DatabaseCheck:
    name = "database"
    is_needed = True

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> str:
        try:
            async with self._database.connection() as connection:
                await connection.fetchval("SELECT 1")
        except DatabaseUnavailable as error:
            if self._database.borrowed == self._database.pool_size:
                raise NotHealthy(f"all {self._database.pool_size} connections are in use") from error
            raise
        return f"{self._database.borrowed} of {self._database.pool_size} connections in use"


class MigrationsCheck:
    name = "migrations"
    is_needed = True

    def __init__(self, database: Database, head: str) -> None:
        self._database = database
        self._head = head

    async def check(self) -> str:
        async with self._database.connection() as connection:
            found = await revision_of(connection)
        if found != self._head:
            raise NotHealthy(f"at {found}, this version needs {self._head}")
        return f"at {found}"


class PostgresVitals:
    """Reads figures with a few short queries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._outbox = PostgresOutbox(database, clock)
        self._operations = PostgresOperationsQueries(database, clock)

    async def read(self) -> VitalSigns:
        outbox, jobs = await self._outbox.state(), await self._operations.job_states()
        started = [state.last_started_at for state in jobs.values()]
        return VitalSigns(
            outbox_waiting=outbox.waiting,
            outbox_dead=outbox.dead,
            outbox_oldest_s=self._age(outbox.oldest_waiting_since),
            last_job_started_s=min((self._age(at) for at in started if at is not None), default=None),
            job_lag_s={name: self._age(state.waiting_since) for name, state in jobs.items()},
            job_failures={name: state.failures for name, state in jobs.items()},
            job_succeeded_s={
                name: self._age(state.last_succeeded_at)
                for name, state in jobs.items()
                if state.last_succeeded_at is not None
            },
        )

    async def payments(self) -> PaymentSigns:
        async with self._database.connection() as connection:
            undecided = await _UNDECIDED.fetch(connection, rows_max=COUNTED_MAX)
            waiting = await _WAITING_FOR_PEOPLE.fetch_row(connection, rows_max=COUNTED_MAX)
        assert waiting is not None, "two counts are one row"
        return PaymentSigns(
            undecided=[UndecidedPayments(gateway=g, count=n, oldest_s=self._age(at)) for g, n, at in undecided],
            cases_open=waiting["cases"],
            ledger_alarms_open=waiting["alarms"],
        )

    def _age(self, since: datetime | None) -> float:
        return 0.0 if since is None else max((self._clock.now() - since).total_seconds(), 0.0)
