"""Every row of a database at one instant, out of it and into another one.

The rows leave and come by COPY in its text format, which is the same for every version of PostgreSQL; the schema is not
among them, since the migrations make it. Tables are read after those that they refer to.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import asyncpg

from application.core.kernel.ports import AuditEntry
from application.core.operations.backup import BackupRefused
from domain.core.identity.sign_ins import EndReason
from infrastructure.postgres.core.revocations import every_family_until
from infrastructure.postgres.database import unavailable_when_down
from infrastructure.postgres.migrations import revision_of
from infrastructure.postgres.statements import Connection
from infrastructure.postgres.unit_of_work import audit_writes

CONNECT_TIMEOUT_S: Final = 10.0
SETTINGS: Final = {
    "application_name": "soko backup",
    "statement_timeout": "0",  # a large table takes its time
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "10s",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
}
"""What the text of a value depends on, the same when it is written as when it is read."""

_TABLES = """
    SELECT c.oid, c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
        AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    GROUP BY c.oid, c.relname ORDER BY c.relname
"""
_REFERENCES = "SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid"
_BOOKS = """
    SELECT currency, count(*) AS postings, sum(amount)::text AS moved FROM ledger_postings GROUP BY currency ORDER BY 1
"""
_FILES = "SELECT key, size, sha256 FROM files ORDER BY key"
_OTHERS = """
    SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1
"""
_SEQUENCES = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename) AS name, last_value FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
_END_SIGN_INS = "UPDATE sign_ins SET ended_at = $1, end_reason = $2 WHERE ended_at IS NULL"
_END_ACCESS = "INSERT INTO access_revocations (id, family_id, created_at) VALUES ($1, $2, $3)"
_WITHDRAW_CODES = "UPDATE one_time_codes SET used_at = $1 WHERE used_at IS NULL"
_WITHDRAW_RECOVERY = "UPDATE second_factors SET recovery_digests = '{}' WHERE recovery_digests <> '{}'"
_HAND_OVER = """
    UPDATE withdrawals SET stage = 'processing', gateway = NULL, next_step_at = NULL WHERE stage = 'approved'
"""


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table and the columns of it that are stored, in their order."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """All postings of a currency: how many, and the sum of their minor units."""

    postings: int
    minor: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a row says of a file: where its bytes are, how many, and their SHA-256."""

    key: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a restore took back of what opened accounts."""

    sessions: int
    codes: int
    """One-time codes that were not used."""
    recovery: int
    """Second factors without recovery codes now."""


class TargetRefused(BackupRefused):
    """The database cannot take a backup; the message says why."""


class Snapshot:
    """One instant of a database, for as long as its transaction lasts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def taken_at(self) -> datetime:
        """Return the database's own time at which the transaction began."""
        return cast(datetime, await self._connection.fetchval("SELECT transaction_timestamp()"))

    async def revision(self) -> str | None:
        """Return the revision of the schema."""
        return await revision_of(self._connection)

    async def tables(self) -> list[TableShape]:
        """Return every table, each after those that it refers to."""
        return await _tables(self._connection)

    async def copy(self, table: TableShape, write: Callable[[bytes], Awaitable[None]]) -> int:
        """Hand out every row of a table and return how many there were."""
        # asyncpg takes any coroutine function; its stubs name only two kinds of file
        status = await cast(Any, self._connection).copy_from_table(
            table.name, schema_name="public", columns=table.columns, output=write, format="text"
        )
        return int(status.split()[-1])

    async def moved(self) -> dict[str, Moved]:
        """Return what all postings come to, by currency."""
        return await _moved(self._connection)

    async def sequences(self) -> dict[str, int]:
        """Return where numbering goes on from, by sequence; a sequence is never behind the rows of the snapshot."""
        return {row["name"]: row["last_value"] for row in await self._connection.fetch(_SEQUENCES)}

    async def files(self) -> AsyncIterator[StoredFile]:
        """Yield every file that a row claims, ordered by key."""
        async for row in self._connection.cursor(_FILES, prefetch=500):
            yield StoredFile(row["key"], row["size"], bytes(row["sha256"]))

    async def is_claimed_now(self, dsn: str, key: str) -> bool:
        """Tell whether a file is still claimed outside of the snapshot."""
        async with _connected(dsn) as now:
            return bool(await now.fetchval("SELECT EXISTS (SELECT FROM files WHERE key = $1)", key))


@asynccontextmanager
async def open_snapshot(dsn: str) -> AsyncIterator[Snapshot]:
    """Hold one instant of a database while the block reads it; others read and write meanwhile. Raises Unavailable."""
    async with _connected(dsn) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield Snapshot(connection)


class Target:
    """A database that is to take a backup."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def revision(self) -> str | None:
        """Return the revision of the schema, None for a database without one."""
        return await revision_of(self._connection)

    async def filled_tables(self) -> list[str]:
        """Return the names of the tables that have a row."""
        return [
            table.name
            for table in await _tables(self._connection)
            if await self._connection.fetchval(f'SELECT EXISTS (SELECT FROM public."{table.name}")')  # noqa: S608  a name from the catalogue
        ]

    async def others(self) -> list[str]:
        """Return what else is connected to the database, by the names that programs give themselves."""
        return [row[0] or "a program without a name" for row in await self._connection.fetch(_OTHERS)]

    @asynccontextmanager
    async def loading(self) -> AsyncIterator["Loading"]:
        """Load in one transaction; a server that starts meanwhile waits for its end, and finds all of it or nothing."""
        async with self._connection.transaction():
            await self._connection.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
            yield Loading(self._connection)
        await self._connection.execute("ANALYZE")


class Loading:
    """A transaction that brings rows in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def tables(self) -> dict[str, TableShape]:
        """Return the tables that the schema has, by name."""
        return {table.name: table for table in await _tables(self._connection)}

    async def copy(self, table: TableShape, rows: AsyncIterator[bytes]) -> int:
        """Store the rows of a table and return how many there were."""
        status = await self._connection.copy_to_table(
            table.name, schema_name="public", columns=table.columns, source=rows, format="text"
        )
        return int(status.split()[-1])

    async def number_on(self, sequences: Mapping[str, int]) -> None:
        """Let the numbering go on from where it was."""
        for name, last in sequences.items():
            await self._connection.execute("SELECT setval($1::regclass, $2)", name, last)

    async def moved(self) -> dict[str, Moved]:
        """Return what all postings come to, by currency."""
        return await _moved(self._connection)

    async def end_sessions(self, *, now: datetime, revocation_id: UUID) -> Ended:
        """End every sign-in that ever was, and withdraw all codes that may have been used since the backup.

        Which of them were ended or used since, nobody knows any more. Second factors stay, so that nobody is let in
        with a password alone.
        """
        sessions = await self._count(_END_SIGN_INS, now, EndReason.RESTORED.value)
        await self._connection.execute(_END_ACCESS, revocation_id, every_family_until(now), now)
        codes = await self._count(_WITHDRAW_CODES, now)
        has_factors = "second_factors" in await self.tables()  # older schemas have none
        recovery = await self._count(_WITHDRAW_RECOVERY) if has_factors else 0
        return Ended(sessions=sessions, codes=codes, recovery=recovery)

    async def record(self, entry: AuditEntry, *, entry_id: UUID, now: datetime) -> None:
        """Put an entry in the audit trail, on behalf of the current request."""
        for statement, values in audit_writes([(entry_id, entry)], now):
            await statement.execute(self._connection, **values)

    async def hand_over_payouts(self) -> int:
        """Leave every approved withdrawal to a person, and return how many there were.

        Whether it was sent after the backup was made, only the provider knows; sending it again could pay it twice.
        """
        return await self._count(_HAND_OVER)

    async def _count(self, sql: str, *values: object) -> int:
        return int((await self._connection.execute(sql, *values)).split()[-1])


@asynccontextmanager
async def open_target(dsn: str) -> AsyncIterator[Target]:
    """Connect to a database that is to take a backup. Raises Unavailable."""
    async with _connected(dsn) as connection:
        yield Target(connection)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    async with unavailable_when_down():
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, server_settings=SETTINGS)
    try:
        yield connection
    finally:
        await connection.close()


async def _tables(connection: Connection) -> list[TableShape]:
    shapes = {row["oid"]: TableShape(row["name"], tuple(row["columns"])) for row in await connection.fetch(_TABLES)}
    refers: dict[int, set[int]] = {oid: set() for oid in shapes}
    for row in await connection.fetch(_REFERENCES):
        if row["conrelid"] in shapes and row["confrelid"] in shapes:
            refers[row["conrelid"]].add(row["confrelid"])
    return [shapes[oid] for oid in _after_what_they_refer_to(refers)]


def _after_what_they_refer_to(refers: Mapping[int, set[int]]) -> Sequence[int]:
    ordered: list[int] = []
    left = dict(refers)
    while left:
        free = [one for one, others in left.items() if not others & left.keys()]
        if not free:
            raise TargetRefused("tables refer to each other in a circle; a backup cannot order them")
        ordered += free
        for one in free:
            del left[one]
    return ordered


async def _moved(connection: Connection) -> dict[str, Moved]:
    return {row["currency"]: Moved(row["postings"], int(row["moved"])) for row in await connection.fetch(_BOOKS)}
