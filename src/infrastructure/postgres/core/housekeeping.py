"""Delete what the kernel's tables keep for a while only."""

from datetime import datetime

from sqlalchemy import Integer, bindparam, text

from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import INSTANT


def _delete(table: str, instant: str) -> Statement:
    return Statement(
        text(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {instant} < :before"  # noqa: S608 - ours
            f" ORDER BY {instant} LIMIT :rows_max FOR UPDATE SKIP LOCKED) RETURNING id"
        ).bindparams(bindparam("before", type_=INSTANT), bindparam("rows_max", type_=Integer))
    )


_RECEIPTS = _delete("receipts", "created_at")
_MESSAGES = _delete("outbox_messages", "done_at")
_RUNS = _delete("job_runs", "finished_at")


class PostgresHousekeeping:
    """Deletes in statements that commit by themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_receipts(self, *, before: datetime, rows_max: int) -> int:
        return await self._run(_RECEIPTS, before, rows_max)

    async def delete_messages(self, *, before: datetime, rows_max: int) -> int:
        return await self._run(_MESSAGES, before, rows_max)

    async def delete_runs(self, *, before: datetime, rows_max: int) -> int:
        return await self._run(_RUNS, before, rows_max)

    async def _run(self, statement: Statement, before: datetime, rows_max: int) -> int:
        async with self._database.connection() as connection:
            return len(await statement.fetch(connection, before=before, rows_max=rows_max))
