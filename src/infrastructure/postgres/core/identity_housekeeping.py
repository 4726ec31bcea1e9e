"""Delete what identity keeps for a while only."""

from datetime import datetime

from sqlalchemy import BigInteger, bindparam, text

from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import INSTANT

_PARAMETERS = (bindparam("before", type_=INSTANT), bindparam("rows_max", type_=BigInteger))


def _deletion(table: str, key: str, column: str) -> Statement:
    sql = (
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {column} <= :before"  # noqa: S608 - ours
        f" ORDER BY {column} LIMIT :rows_max FOR UPDATE SKIP LOCKED)"
    )
    return Statement(text(sql).bindparams(*_PARAMETERS))


def _dropping(kind: str) -> Statement:
    sql = (
        f"UPDATE accounts SET claimed_{kind} = NULL, claimed_{kind}_at = NULL WHERE id IN ("  # noqa: S608 - ours
        f"SELECT a.id FROM accounts a JOIN accounts holder ON holder.verified_{kind} = a.claimed_{kind}"
        f" WHERE a.claimed_{kind}_at <= :before LIMIT :rows_max FOR UPDATE OF a SKIP LOCKED)"
    )
    return Statement(text(sql).bindparams(*_PARAMETERS))


_AT_THEIR_END = (_deletion("socket_tickets", "digest", "expires_at"), _deletion("attempt_counters", "key", "ends_at"))
_A_WHILE_LATER = (
    _deletion("sign_ins", "id", "expires_at"),
    _deletion("one_time_codes", "id", "expires_at"),
    _deletion("access_revocations", "id", "created_at"),
)
_CLAIMS = (_dropping("email"), _dropping("phone"))


class PostgresIdentityHousekeeping:
    """Deletes in batches, each its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clean(self, *, now: datetime, ended_before: datetime, claims_before: datetime, rows_max: int) -> int:
        largest = 0
        async with self._database.connection() as connection:
            for statements, before in ((_AT_THEIR_END, now), (_A_WHILE_LATER, ended_before), (_CLAIMS, claims_before)):
                for statement in statements:
                    status = await statement.execute(connection, before=before, rows_max=rows_max)
                    largest = max(largest, int(status.rpartition(" ")[2]))
        return largest
