"""Prove the ledger in one consistent state: set by set, in batches that stay small however large the books are."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, bindparam, func, select, text

from application.core.ledger.proof import AssetSum, Breach, Broken, LedgerProof, Progress, unwatched
from domain.core.ledger.accounts import FLOORLESS_CLASSES, AccountRef
from domain.core.ledger.transfer import held_floor
from infrastructure.postgres.core.ledger_seals import LEDGER_CHAIN
from infrastructure.postgres.core.ledger_tables import ledger_balances
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Connection, Statement
from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT

ACCOUNTS_BATCH = 2_000
BROKEN_MAX = 100
SEALED_WITHIN = timedelta(minutes=10)
"""Transfers are sealed every minute; one that waits this long waits for somebody to look."""

_COUNT = Statement(select(func.count()).select_from(ledger_balances))
_EDGE = Statement(
    text(
        "SELECT max(account) FROM"
        " (SELECT account FROM ledger_balances WHERE account > :after ORDER BY account LIMIT :limit_rows) AS b"
    ).bindparams(bindparam("after", type_=TEXT), bindparam("limit_rows", type_=BIGINT))
)
# Accounts without a floor have no row: they stand between the others, and their postings are what they are worth.
_ACCOUNTS = Statement(
    text(
        "WITH moved AS ("
        "  SELECT account, currency, sum(amount) AS total FROM ("
        "    SELECT destination AS account, currency, amount FROM ledger_postings"
        "    WHERE destination > :after AND (:edge IS NULL OR destination <= :edge)"
        "    UNION ALL SELECT source, currency, -amount FROM ledger_postings"
        "    WHERE source > :after AND (:edge IS NULL OR source <= :edge)"
        "  ) AS m GROUP BY account, currency"
        "), stored AS ("
        "  SELECT account, currency, balance FROM ledger_balances"
        "  WHERE account > :after AND (:edge IS NULL OR account <= :edge)"
        "), found AS ("
        "  SELECT account, currency, s.balance, coalesce(m.total, 0) AS total,"
        "  split_part(account, ':', 1) = ANY(:floorless) AS is_floorless"
        "  FROM stored AS s FULL JOIN moved AS m USING (account, currency)"
        ")"
        " SELECT NULL AS account, currency,"
        " sum(CASE WHEN is_floorless THEN total ELSE coalesce(balance, 0) END)::bigint AS stored, NULL::bigint AS total"
        " FROM found GROUP BY currency"
        " UNION ALL (SELECT account, currency, coalesce(balance, 0), total::bigint FROM found"
        "  WHERE NOT is_floorless AND (coalesce(balance, 0) <> total"
        "  OR CASE WHEN starts_with(account, 'owed:') THEN balance > 0 ELSE balance < 0 END) LIMIT :broken_max)"
    ).bindparams(
        bindparam("after", type_=TEXT),
        bindparam("edge", type_=TEXT),
        bindparam("floorless", type_=ARRAY(TEXT)),
        bindparam("broken_max", type_=BIGINT),
    )
)
_LATE = Statement(
    text(
        "SELECT t.id, t.posted_at FROM ledger_unsealed AS u JOIN ledger_transfers AS t ON t.id = u.transfer_id"
        " WHERE t.posted_at < :before ORDER BY u.transfer_id LIMIT :limit_rows"
    ).bindparams(bindparam("before", type_=INSTANT), bindparam("limit_rows", type_=BIGINT))
)
_SUMS = Statement(
    text(
        "SELECT currency, sum(amount)::bigint AS total FROM ("
        "  SELECT p.currency, p.amount FROM ledger_postings AS p JOIN ledger_transfers AS t ON t.id = p.transfer_id"
        "  WHERE t.posted_at <= :as_of"
        "  UNION ALL SELECT p.currency, -p.amount FROM ledger_postings AS p"
        "  JOIN ledger_transfers AS t ON t.id = p.transfer_id WHERE t.posted_at <= :as_of"
        ") AS m GROUP BY currency ORDER BY currency"
    ).bindparams(bindparam("as_of", type_=INSTANT))
)


class PostgresLedgerBooks:
    """The whole ledger, for proofs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prove(self, *, now: datetime, progress: Progress = unwatched) -> LedgerProof:
        """Recompute balances, floors, sums and seals."""
        async with self._one_state() as connection:
            sums, broken = await self._accounts(connection, progress)
            broken += await self._seals(connection, progress)
            late = await _LATE.fetch(connection, before=now - SEALED_WITHIN, limit_rows=BROKEN_MAX)
        broken += [
            Broken(
                breach=Breach.UNSEALED_TOO_LONG,
                name=f"transfer:{row['id']}",
                detail=f"posted {row['posted_at'].isoformat()}",
            )
            for row in late
        ]
        assets = tuple(AssetSum(asset, minor) for asset, minor in sorted(sums.items()))
        return LedgerProof(assets=assets, broken=tuple(broken[:BROKEN_MAX]))

    async def sums(self, *, as_of: datetime) -> tuple[AssetSum, ...]:
        """Return the sum per asset at an instant."""
        async with self._one_state() as connection:
            rows = await _SUMS.fetch(connection, as_of=as_of)
        return tuple(AssetSum(row["currency"], row["total"]) for row in rows)

    @asynccontextmanager
    async def _one_state(self) -> AsyncIterator[Connection]:
        async with self._database.transaction() as connection:
            await connection.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                "SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '10min'"
            )
            yield connection

    async def _accounts(self, connection: Connection, progress: Progress) -> tuple[Counter[str], list[Broken]]:
        total, done = await _COUNT.fetch_value(connection), 0
        sums: Counter[str] = Counter()
        broken: list[Broken] = []
        after: str | None = ""
        while after is not None:
            edge: str | None = await _EDGE.fetch_value(connection, after=after, limit_rows=ACCOUNTS_BATCH)
            rows = await _ACCOUNTS.fetch(
                connection, after=after, edge=edge, floorless=list(FLOORLESS_CLASSES), broken_max=BROKEN_MAX
            )
            for row in rows:
                if row["account"] is None:
                    sums[row["currency"]] += row["stored"]
                else:
                    broken.append(_broken_balance(row["account"], row["currency"], row["stored"], row["total"]))
            after = edge
            done = min(total, done + ACCOUNTS_BATCH)
            progress("balances", done, total)
        return sums, broken

    async def _seals(self, connection: Connection, progress: Progress) -> list[Broken]:
        total, done = await LEDGER_CHAIN.count(connection), 0
        broken: list[Broken] = []
        async for checked, links in LEDGER_CHAIN.verify(connection):
            done += checked
            progress("seals", done, total)
            broken += [
                Broken(
                    breach=Breach.CHAIN_BROKEN,
                    name=f"transfer:{link.id}",
                    detail=link.reason if link.seq is None else f"seal {link.seq}: {link.reason}",
                )
                for link in links
            ]
            if len(broken) >= BROKEN_MAX:
                break
        return broken


def _broken_balance(account: str, currency: str, stored: int, total: int) -> Broken:
    if stored != total:
        detail = f"{currency}: stored {stored}, postings sum to {total} minor units"
        return Broken(breach=Breach.BALANCE_DIFFERS, name=account, detail=detail)
    assert not held_floor(AccountRef(account), stored)
    return Broken(breach=Breach.FLOOR_BROKEN, name=account, detail=f"{currency}: {stored} minor units")
