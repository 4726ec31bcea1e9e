"""Idempotency keys in PostgreSQL. A row is made or found in one statement; its id fences the effect."""

from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, delete, text, update

from application.core.kernel.ports import Clock, IdSource
from application.core.kernel.receipts import KEY_LEASE, KEY_LIFE, KeyInProgress, KeyReused, ReplyLost, StoredReply
from infrastructure.postgres.core.kernel_tables import receipts
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import INSTANT, TEXT
from infrastructure.postgres.tables import UUID as UUID_TYPE

_OPEN_TRIES = 5

_receipts = receipts.c

_OPEN = Statement(
    text(
        "WITH mine AS ("
        "INSERT INTO receipts AS r (id, owner, key, fingerprint, leased_until, created_at)"
        " VALUES (:id, :owner, :key, :fingerprint, :leased_until, :now)"
        " ON CONFLICT ON CONSTRAINT uq_receipts_owner_key DO UPDATE SET id = excluded.id,"
        " fingerprint = excluded.fingerprint, leased_until = excluded.leased_until, created_at = excluded.created_at,"
        " effect_at = NULL, status = NULL, headers = NULL, body = NULL"
        # forgotten after its life; free when whoever held it is gone and nothing was done
        " WHERE r.created_at <= :forgotten OR (r.leased_until <= :now AND r.effect_at IS NULL AND r.status IS NULL"
        " AND r.fingerprint = excluded.fingerprint)"
        " RETURNING id)"
        " SELECT m.id AS mine, NULL AS fingerprint, NULL AS leased_until, NULL AS effect_at, NULL AS status,"
        " NULL AS headers, NULL AS body FROM mine AS m"
        " UNION ALL"
        " SELECT NULL, r.fingerprint, r.leased_until, r.effect_at, r.status, r.headers, r.body FROM receipts AS r"
        " WHERE r.owner = :owner AND r.key = :key AND NOT EXISTS (SELECT FROM mine)"
    ).bindparams(
        bindparam("id", type_=UUID_TYPE),
        bindparam("owner", type_=TEXT),
        bindparam("key", type_=TEXT),
        bindparam("fingerprint", type_=LargeBinary),
        bindparam("leased_until", type_=INSTANT),
        bindparam("now", type_=INSTANT),
        bindparam("forgotten", type_=INSTANT),
    )
)
_KEEP = Statement(
    update(receipts)
    .where(_receipts.id == bindparam("receipt_id"))
    .values(status=bindparam("reply_status"), headers=bindparam("reply_headers"), body=bindparam("reply_body"))
)
_KEEP_IF_DONE = Statement(
    update(receipts)
    .where(_receipts.id == bindparam("receipt_id"), _receipts.effect_at.is_not(None))
    .values(status=bindparam("reply_status"), headers=bindparam("reply_headers"), body=bindparam("reply_body"))
    .returning(_receipts.id)
)
_FREE = Statement(delete(receipts).where(_receipts.id == bindparam("receipt_id"), _receipts.effect_at.is_(None)))
_LOSE_IF_DONE = Statement(
    update(receipts)
    .where(_receipts.id == bindparam("receipt_id"), _receipts.effect_at.is_not(None))
    .values(leased_until=bindparam("until", type_=INSTANT))
)
_LOSE = Statement(
    update(receipts)
    .where(_receipts.id == bindparam("receipt_id"))
    .values(
        effect_at=text("COALESCE(effect_at, :now)").bindparams(bindparam("now", type_=INSTANT)),
        leased_until=bindparam("until", type_=INSTANT),
    )
)


class PostgresReceipts:
    """Keeps receipts; each call is one statement or two that commit by themselves."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def open(self, owner: str, key: str, fingerprint: bytes) -> UUID | StoredReply:
        now = self._clock.now()
        async with self._database.connection() as connection:
            for _ in range(_OPEN_TRIES):
                row = await _OPEN.fetch_row(
                    connection,
                    id=self._ids.new(),
                    owner=owner,
                    key=key,
                    fingerprint=fingerprint,
                    leased_until=now + KEY_LEASE,
                    now=now,
                    forgotten=now - KEY_LIFE,
                )
                if row is not None:
                    break
            else:  # somebody else's row was there, yet not for our snapshot, time and again
                raise KeyInProgress
        if row["mine"] is not None:
            mine: UUID = row["mine"]
            return mine
        if row["fingerprint"] != fingerprint:
            raise KeyReused
        if row["status"] is not None:
            return StoredReply(row["status"], row["headers"], row["body"])
        if row["leased_until"] > now:
            raise KeyInProgress
        raise ReplyLost

    async def close(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> None:
        now = self._clock.now()
        async with self._database.connection() as connection:
            if is_refusal:
                if reply is not None:
                    values = {"reply_status": reply.status, "reply_headers": reply.headers, "reply_body": reply.body}
                    if await _KEEP_IF_DONE.fetch_value(connection, receipt_id=receipt_id, **values) is not None:
                        return
                await _FREE.execute(connection, receipt_id=receipt_id)
                await _LOSE_IF_DONE.execute(connection, receipt_id=receipt_id, until=now)
            elif reply is None:
                await _LOSE.execute(connection, receipt_id=receipt_id, now=now, until=now)
            else:
                values = {"reply_status": reply.status, "reply_headers": reply.headers, "reply_body": reply.body}
                await _KEEP.execute(connection, receipt_id=receipt_id, **values)
