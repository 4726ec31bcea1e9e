"""The audit trail on PostgreSQL: reading, sealing and proving it."""

from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

import asyncpg
from sqlalchemy import bindparam, select

from application.core.audit.queries import AuditFilter, AuditView
from application.core.audit.trail import BrokenEntry, Progress, TrailProof
from application.core.kernel.ports import Clock, Listing, Page
from infrastructure.postgres.core.audit_chain import AUDIT_CHAIN
from infrastructure.postgres.core.kernel_tables import audit_entries
from infrastructure.postgres.database import Database, commit
from infrastructure.postgres.hash_chain import BROKEN_MAX
from infrastructure.postgres.keyset import KeysetList

_SKEW = timedelta(hours=1)
"""An id carries the time it was made, an entry the time of its transaction; this far apart they never are."""

_LAST_ID = (1 << 80) - 1

_CONDITIONS = {
    "wanted_actor": audit_entries.c.actor_id == bindparam("wanted_actor"),
    "wanted_label": audit_entries.c.actor_label == bindparam("wanted_label"),
    "wanted_action": audit_entries.c.action == bindparam("wanted_action"),
    "wanted_target": audit_entries.c.target == bindparam("wanted_target"),
    "since": audit_entries.c.created_at >= bindparam("since"),
    "first_id": audit_entries.c.id >= bindparam("first_id"),
    "until": audit_entries.c.created_at < bindparam("until"),
    "last_id": audit_entries.c.id <= bindparam("last_id"),
}


@lru_cache(maxsize=64)
def _list_by(names: frozenset[str]) -> KeysetList:
    """Return the list with just these conditions, so that each kind of question can use its own index."""
    conditions = [_CONDITIONS[name] for name in sorted(names)]
    return KeysetList(select(audit_entries).where(*conditions), audit_entries.c.id)


class PostgresAuditQueries:
    """Reads of the trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, wanted: AuditFilter, page: Page) -> Listing[AuditView]:
        values = _values(wanted)
        async with self._database.connection() as connection:
            return await _list_by(frozenset(values)).fetch(connection, page, _read, **values)


class PostgresAuditTrailChain:
    """Seals entries and recomputes the seals."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def seal(self, batch_max: int) -> int:
        async with self._database.transaction() as connection:
            sealed = await AUDIT_CHAIN.seal(connection, now=self._clock.now(), batch_max=batch_max)
            await commit(connection)
        return sealed

    async def verify(self, progress: Progress) -> TrailProof:
        checked, broken = 0, []
        async with self._database.transaction() as connection:
            await connection.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                "SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '10min'"
            )
            total = await AUDIT_CHAIN.count(connection)
            async for seals, links in AUDIT_CHAIN.verify(connection):
                checked += seals
                broken += [BrokenEntry(link.id, link.seq, link.reason) for link in links]
                progress(checked, total)
                if len(broken) >= BROKEN_MAX:
                    break
        return TrailProof(checked, tuple(broken[:BROKEN_MAX]))


def _values(wanted: AuditFilter) -> dict[str, object]:
    values: dict[str, object] = {}
    if wanted.actor is not None:
        try:
            values["wanted_actor"] = UUID(wanted.actor)
        except ValueError:
            values["wanted_label"] = wanted.actor
    if wanted.action is not None:
        values["wanted_action"] = wanted.action
    if wanted.target is not None:
        values["wanted_target"] = wanted.target
    if wanted.since is not None:
        values |= {"since": wanted.since, "first_id": UUID(int=_milliseconds(wanted.since - _SKEW) << 80)}
    if wanted.until is not None:
        values |= {"until": wanted.until, "last_id": UUID(int=_milliseconds(wanted.until + _SKEW) << 80 | _LAST_ID)}
    return values


def _milliseconds(at: datetime) -> int:
    return min(max(0, int(at.timestamp() * 1000)), (1 << 48) - 1)


def _read(row: asyncpg.Record) -> AuditView:
    return AuditView(
        id=row["id"],
        action=row["action"],
        target=row["target"],
        actor_id=row["actor_id"],
        actor_label=row["actor_label"],
        on_behalf_of=row["on_behalf_of"],
        before=row["before"],
        after=row["after"],
        reason=row["reason"],
        ip=row["ip"],
        user_agent=row["user_agent"],
        trace_id=row["trace_id"],
        created_at=row["created_at"],
    )
