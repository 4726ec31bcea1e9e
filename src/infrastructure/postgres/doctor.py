"""What a database is like, for `soko doctor`: each question by itself, on a connection of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import asyncpg

from application.core.operations.doctor import Check, Doubt, Look, NotAsked, Trouble
from application.core.operations.health import LATE, SILENT
from infrastructure.postgres.database import RUNTIME_ROLE
from infrastructure.postgres.migrations import revision_of
from infrastructure.postgres.statements import Connection

MAJOR_MIN: Final = 15
VERSION_PER_MAJOR: Final = 10_000
CONNECT_S: Final = 4.0
SKEW_DOUBTED: Final = timedelta(seconds=2)
SKEW_MAX: Final = timedelta(seconds=30)
"""Tokens of another machine are believed for 60 s before their time; half of that is left for the other one."""
PROOF_OLD: Final = timedelta(minutes=15)
"""Three proofs of the job ledger.prove have not come."""
CONNECT_ADVICE: Final = "set DATABASE_URL to a PostgreSQL that runs and lets this user in"
REPLICA_ADVICE: Final = "set DATABASE_REPLICA_URL to a replica that runs, or leave it empty"
SERVER_SETTINGS: Final = {"application_name": "soko doctor", "statement_timeout": "4000", "timezone": "UTC"}

Question: TypeAlias = Callable[[Connection], Awaitable[str]]

_HISTORY_RIGHTS: Final = """
    SELECT table_name FROM unnest(ARRAY['ledger_transfers', 'ledger_postings', 'audit_entries']) AS t(table_name)
    WHERE to_regclass(table_name) IS NOT NULL AND has_table_privilege($1, to_regclass(table_name), 'UPDATE, DELETE')
"""
_OUTBOX: Final = """
    SELECT count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
        count(*) FILTER (WHERE done_at IS NULL AND dead_at IS NULL) AS waiting,
        min(due_at) FILTER (WHERE done_at IS NULL AND dead_at IS NULL) AS oldest
    FROM outbox_messages WHERE done_at IS NULL
"""
_RUNS: Final = """
    SELECT DISTINCT ON (job) job, started_at, finished_at, failures, last_error FROM job_runs
    WHERE started_at IS NOT NULL ORDER BY job, started_at DESC
"""


class Unreached(Trouble):
    """There is no connection."""


class DatabaseQuestions:
    """The checks of one database; `pool` is how many connections each process may open.

    When it cannot be reached, the first check says so, and the others only that they were not made.
    """

    def __init__(self, dsn: str, head: str, *, pool: int) -> None:
        self._dsn = dsn
        self._head = head
        self._pool = pool
        self._first_tried = asyncio.Event()
        self._is_reached = False

    def checks(self) -> list[Check]:
        """Return them in the order in which to read them."""
        asked: list[tuple[str, Question, str]] = [
            ("database", self._version, CONNECT_ADVICE),
            ("database connections", self._connections, "raise max_connections, or lower SOKO_DATABASE_POOL"),
            ("database clock", self._clock, "let both machines keep time by NTP"),
            ("database schema", self._schema, "run `soko migrate`"),
            ("database role", self._role, "run `soko migrate` as a user who may create roles"),
            ("worker", self._worker, "start `soko worker` and `soko scheduler`"),
            ("outbox", self._outbox, "start `soko worker`"),
            ("jobs", self._jobs, "read the log of the worker"),
            ("ledger", self._ledger, "run `soko ledger verify`"),
        ]
        (name, ask, advice), *rest = asked
        return [
            Check(name, self._first(ask), advice),
            *(Check(name, self._after_first(ask), advice) for name, ask, advice in rest),
        ]

    def _first(self, ask: Question) -> Look:
        async def look() -> str:
            try:
                async with connected(self._dsn) as connection:
                    self._is_reached = True
                    self._first_tried.set()
                    return await ask(connection)
            finally:
                self._first_tried.set()

        return look

    def _after_first(self, ask: Question) -> Look:
        async def look() -> str:
            try:
                async with connected(self._dsn) as connection:
                    return await ask(connection)
            except Unreached as trouble:
                await self._first_tried.wait()
                if self._is_reached:
                    raise
                raise NotAsked("not looked at: the database cannot be reached") from trouble

        return look

    async def _version(self, connection: Connection) -> str:
        number = int(await connection.fetchval("SHOW server_version_num"))
        encoding, recovering = await connection.fetchrow(
            "SELECT current_setting('server_encoding'), pg_is_in_recovery()"
        )
        found = f"PostgreSQL {await connection.fetchval('SHOW server_version')}, {encoding}"
        if number < MAJOR_MIN * VERSION_PER_MAJOR:
            raise Trouble(found, f"use PostgreSQL {MAJOR_MIN} or later")
        if encoding != "UTF8":
            raise Trouble(found, "make the database with ENCODING 'UTF8'")
        if recovering:
            raise Trouble(f"{found}, which is a replica", "name the primary in DATABASE_URL")
        return f"{found}; it needs no extension"

    async def _connections(self, connection: Connection) -> str:
        most, kept, used = await connection.fetchrow(
            "SELECT current_setting('max_connections')::int,"
            " current_setting('superuser_reserved_connections')::int"
            " + coalesce(current_setting('reserved_connections', true)::int, 0),"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
        )
        each = self._pool + 2  # a process listens on one, and migrates on another
        processes = (most - kept) // each
        found = f"{used} of {most} in use; enough for {processes} processes with a pool of {self._pool}"
        advice = "raise max_connections, or lower SOKO_DATABASE_POOL"
        if processes < 1:
            raise Trouble(found, advice)
        if used > 0.8 * (most - kept):
            raise Doubt(found, advice)
        return found

    async def _clock(self, connection: Connection) -> str:
        before = datetime.now(UTC)
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        skew = abs(theirs - (before + (datetime.now(UTC) - before) / 2))
        found = f"{skew.total_seconds():.2f} s from this machine's"
        if skew > SKEW_MAX:
            raise Trouble(found, "let both machines keep time by NTP; tokens and leases go by it")
        if skew > SKEW_DOUBTED:
            raise Doubt(found, "let both machines keep time by NTP")
        return found

    async def _schema(self, connection: Connection) -> str:
        found = await revision_of(connection)
        if found is None:
            raise Doubt("there is none yet", "run `soko migrate`; a server does it as well when it starts")
        if found != self._head:
            raise Trouble(f"at {found}, this version needs {self._head}", "run `soko migrate` of the newest version")
        return f"at {found}"

    async def _role(self, connection: Connection) -> str:
        if await revision_of(connection) is None:
            raise NotAsked("the schema comes first")
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", RUNTIME_ROLE):
            raise Trouble(f"there is no role {RUNTIME_ROLE}", "run `soko migrate` as a user who may create roles")
        try:
            await connection.execute(f"SET ROLE {RUNTIME_ROLE}")
        except asyncpg.InsufficientPrivilegeError as error:
            user = await connection.fetchval("SELECT quote_ident(current_user)")
            raise Trouble(f"{user} may not become {RUNTIME_ROLE}", f"GRANT {RUNTIME_ROLE} TO {user}") from error
        await connection.execute("RESET ROLE")
        open_tables = [row[0] for row in await connection.fetch(_HISTORY_RIGHTS, RUNTIME_ROLE)]
        if open_tables:
            named = ", ".join(open_tables)
            raise Trouble(
                f"{RUNTIME_ROLE} may change history: {named}", f"REVOKE UPDATE, DELETE ON {named} FROM {RUNTIME_ROLE}"
            )
        return f"the server acts as {RUNTIME_ROLE}, which may add to ledger and audit trail and change nothing there"

    async def _worker(self, connection: Connection) -> str:
        await self._require_schema(connection)
        since = await connection.fetchval("SELECT now() - max(started_at) FROM job_runs")
        if since is None:
            raise Doubt("no job has ever run", "start `soko worker` and `soko scheduler`, or `soko run`")
        found = f"the last job began {since.total_seconds():.0f} s ago"
        if since > SILENT:
            raise Doubt(found, "start `soko worker` and `soko scheduler`, or `soko run`; jobs run every minute")
        return found

    async def _outbox(self, connection: Connection) -> str:
        await self._require_schema(connection)
        row = await connection.fetchrow(_OUTBOX)
        behind = None if row["oldest"] is None else datetime.now(UTC) - row["oldest"]
        found = f"{row['waiting']} events wait"
        if behind is not None and behind > LATE:
            raise Doubt(
                f"{found}, the oldest for {behind.total_seconds():.0f} s", "start `soko worker`, or more of them"
            )
        if row["dead"]:
            raise Doubt(
                f"{row['dead']} events were given up", "see `soko outbox dead`; `soko outbox replay ID` tries one again"
            )
        return found

    async def _jobs(self, connection: Connection) -> str:
        await self._require_schema(connection)
        runs = await connection.fetch(_RUNS)
        failed = [row["job"] for row in runs if row["last_error"] is not None and row["finished_at"] is None]
        if failed:
            raise Doubt(f"the last run failed: {', '.join(failed)}", "read the log of the worker; it is tried again")
        return f"the last run of each of {len(runs)} went well"

    async def _ledger(self, connection: Connection) -> str:
        await self._require_schema(connection)
        row = await connection.fetchrow(
            "SELECT now() - finished_at AS age, finished_at, failures FROM job_runs WHERE job = 'ledger.prove'"
            " AND started_at IS NOT NULL ORDER BY started_at DESC LIMIT 1"
        )
        if row is None:
            raise Doubt(
                "the books were never proven",
                "run `soko ledger verify`; the job ledger.prove does it every five minutes",
            )
        if row["finished_at"] is None and row["failures"]:
            raise Trouble("the last proof of the books failed", "run `soko ledger verify`; it names what is wrong")
        if row["age"] is None or row["age"] > PROOF_OLD:
            raise Doubt("the last proof of the books is old", "run `soko ledger verify`, and look at the scheduler")
        return f"the books proved {row['age'].total_seconds() / 60:.0f} min ago"

    async def _require_schema(self, connection: Connection) -> None:
        if await revision_of(connection) != self._head:
            raise NotAsked("the schema comes first")


def replica_check(dsn: str, *, lag_max_s: float) -> Check:
    """Return the check of a streaming replica."""

    async def look() -> str:
        async with connected(dsn, advice=REPLICA_ADVICE) as connection:
            recovering, lag_s = await connection.fetchrow(
                "SELECT pg_is_in_recovery(),"
                " extract(epoch FROM now() - coalesce(pg_last_xact_replay_timestamp(), now()))::float8"
            )
        if not recovering:
            raise Trouble("it is no replica but a primary", "name a streaming replica in DATABASE_REPLICA_URL, or none")
        found = f"it follows; what it replayed last was written {lag_s:.0f} s ago"
        if lag_s > lag_max_s:
            raise Doubt(
                found, "nothing, where little is written; else look at the replica: it is not read while behind"
            )
        return found

    return Check("replica", look, REPLICA_ADVICE)


@asynccontextmanager
async def connected(dsn: str, *, advice: str = CONNECT_ADVICE) -> AsyncIterator[Connection]:
    """Lend a connection for one question. Raises Unreached with `advice`."""
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_S, server_settings=SERVER_SETTINGS)
    except TimeoutError as error:
        raise Unreached("no connection within 4 s", advice) from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unreached(f"no connection: {str(error) or type(error).__name__}", advice) from error
    try:
        yield connection
    finally:
        await connection.close(timeout=1)
