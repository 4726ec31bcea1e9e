"""Alarms about the books on PostgreSQL, and what must hold beside them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, bindparam, select, text, update

from application.core.ledger.alarms import Alarm
from application.core.ledger.proof import Breach, Broken
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.ledger_tables import ledger_alarms
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, as_rows
from infrastructure.postgres.tables import INSTANT, TEXT
from infrastructure.postgres.tables import UUID as UUID_TYPE
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

BROKEN_MAX = 100
_TRANSFER = "transfer:"

_A = ledger_alarms.c
_COLUMNS = (_A.id, _A.breach, _A.name, _A.owner_id.label("owner"), _A.detail, _A.found_at)
_OWNERS_OF_TRANSFERS = Statement(
    text(
        "SELECT DISTINCT p.transfer_id AS id, CAST(split_part(a.name, ':', 3) AS uuid) AS owner"
        " FROM ledger_postings AS p CROSS JOIN LATERAL (VALUES (p.source), (p.destination)) AS a(name)"
        " WHERE p.transfer_id = ANY(:ids) AND split_part(a.name, ':', 2) = 'user' ORDER BY 1, 2"
    ).bindparams(bindparam("ids", type_=ARRAY(UUID_TYPE)))
)
_OWNERS_OF_ACCOUNTS = Statement(
    text(
        "SELECT DISTINCT account AS name, owner_id AS owner FROM ledger_balances"
        " WHERE account = ANY(:names) AND owner_id IS NOT NULL ORDER BY 1, 2"
    ).bindparams(bindparam("names", type_=ARRAY(TEXT)))
)
_RAISE = Statement(
    text(
        "INSERT INTO ledger_alarms (id, breach, name, owner_id, detail, found_at)"
        " SELECT a.id, a.breach, a.name, a.owner, a.detail, :now FROM json_to_recordset(CAST(:rows AS json))"
        " AS a(id uuid, breach text, name text, owner uuid, detail text) ON CONFLICT DO NOTHING RETURNING id"
    ).bindparams(bindparam("rows", type_=TEXT), bindparam("now", type_=INSTANT))
)
_CLOSE = Statement(
    update(ledger_alarms)
    .where(_A.id == bindparam("wanted_id", type_=UUID_TYPE), _A.closed_at.is_(None))
    .values(
        closed_at=bindparam("now", type_=INSTANT),
        closed_by=bindparam("by", type_=UUID_TYPE),
        reason=bindparam("because", type_=TEXT),
    )
    .returning(*_COLUMNS)
)
_OPEN = Statement(
    select(*_COLUMNS).where(_A.closed_at.is_(None)).order_by(_A.id).limit(bindparam("rows_max", type_=BigInteger))
)
# What a person's `reserved` and `pending` accounts hold is what his open withdrawals and waiting earnings say.
_HELD = Statement(
    text(
        "WITH wanted AS ("
        "  SELECT 'reserved:user:' || owner_id AS account, currency, amount FROM withdrawals"
        "  WHERE stage = ANY(ARRAY['pending', 'approved', 'processing'])"
        "  UNION ALL SELECT 'pending:user:' || payee_id, currency, amount - taken_back FROM earnings_holds"
        "  WHERE released_at IS NULL"
        "  UNION ALL SELECT account, currency, -balance FROM ledger_balances"
        "  WHERE owner_id IS NOT NULL AND (starts_with(account, 'reserved:') OR starts_with(account, 'pending:'))"
        ") SELECT account, currency, sum(amount)::bigint AS missing FROM wanted GROUP BY account, currency"
        " HAVING sum(amount) <> 0 ORDER BY account LIMIT :rows_max"
    ).bindparams(bindparam("rows_max", type_=BigInteger))
)


class PostgresLedgerAlarms:
    """The alarms of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work

    async def owners(self, names: Collection[str]) -> Mapping[str, Sequence[AccountId]]:
        """Return who is meant by accounts and transfers."""
        found: defaultdict[str, list[AccountId]] = defaultdict(list)
        ids = [UUID(name.removeprefix(_TRANSFER)) for name in names if name.startswith(_TRANSFER)]
        for row in await _OWNERS_OF_TRANSFERS.fetch(self._unit.connection, ids=ids):
            found[f"{_TRANSFER}{row['id']}"].append(AccountId(row["owner"]))
        for row in await _OWNERS_OF_ACCOUNTS.fetch(self._unit.connection, names=sorted(names)):
            found[row["name"]].append(AccountId(row["owner"]))
        for name in names:  # an account of somebody whose stored balance is gone
            parts = name.split(":")
            if name not in found and len(parts) == 3 and parts[1] == "user":
                found[name].append(AccountId(UUID(parts[2])))
        return found

    async def raise_new(self, alarms: Sequence[Alarm]) -> Sequence[Alarm]:
        """Store those that are not open yet."""
        rows = [
            {"id": one.id, "breach": one.breach, "name": one.name, "owner": one.owner, "detail": one.detail}
            for one in alarms
        ]
        now = self._unit.clock.now()
        stored = {row["id"] for row in await _RAISE.fetch(self._unit.connection, rows=as_rows(rows), now=now)}
        return [one for one in alarms if one.id in stored]

    async def close(self, alarm_id: UUID, *, by: AccountId | None, reason: str, now: datetime) -> Alarm | None:
        """Close one that is open."""
        row = await _CLOSE.fetch_row(self._unit.connection, wanted_id=alarm_id, by=by, because=reason, now=now)
        return None if row is None else Alarm(**row)


class PostgresAlarmQueries:
    """Reads open alarms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_alarms(self, rows_max: int) -> Sequence[Alarm]:
        async with self._database.connection() as connection:
            return [Alarm(**row) for row in await _OPEN.fetch(connection, rows_max=rows_max)]


class PostgresHeldCheck:
    """Whether what is set aside is what is still to be decided about (goal O4)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def broken(self) -> Sequence[Broken]:
        """Return the accounts that hold more or less than they should."""
        async with self._database.connection() as connection:
            rows = await _HELD.fetch(connection, rows_max=BROKEN_MAX)
        return [
            Broken(
                breach=Breach.HELD_DIFFERS,
                name=row["account"],
                detail=f"{row['currency']}: {row['missing']} minor units should be there and are not",
            )
            for row in rows
        ]
