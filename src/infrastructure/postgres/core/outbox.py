"""The outbox as its relay and the deliveries see it. The row is the truth; whoever carries its id may lose it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, BigInteger, Boolean, any_, bindparam, func, null, select, text, update

from application.core.kernel.ports import Clock, DeadMessage, Delivery
from application.core.operations.ports import MessageView
from infrastructure.postgres.core.kernel_tables import outbox_messages
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Connection, Statement
from infrastructure.postgres.tables import INSTANT, TEXT
from infrastructure.postgres.tables import UUID as UUID_TYPE
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

LEASE = timedelta(seconds=20)
"""A message that was taken is not taken again for so long; a delivery that takes longer renews its lease."""

ERROR_LENGTH_MAX = 2_000

_OPEN = (outbox_messages.c.done_at.is_(None), outbox_messages.c.dead_at.is_(None))
_messages = outbox_messages.c

_TAKE = Statement(
    update(outbox_messages)
    .where(
        _messages.id.in_(
            select(_messages.id)
            .where(*_OPEN, _messages.due_at <= bindparam("now", type_=INSTANT))
            .order_by(_messages.due_at, _messages.id)
            .limit(bindparam("rows_max", type_=BigInteger))
            .with_for_update(skip_locked=True)
        )
    )
    .values(due_at=bindparam("leased_until", type_=INSTANT), attempts=_messages.attempts + 1)
    .returning(outbox_messages)
)
_GIVE_BACK = Statement(
    update(outbox_messages)
    .where(_messages.id == any_(bindparam("message_ids", type_=ARRAY(UUID_TYPE))), *_OPEN)
    .values(due_at=bindparam("now", type_=INSTANT), attempts=_messages.attempts - 1)
)
_READ = Statement(select(outbox_messages).where(_messages.id == bindparam("message_id"), *_OPEN))
_TAKE_OVER = Statement(
    update(outbox_messages)
    .where(
        _messages.id == bindparam("message_id"),
        _messages.due_at == bindparam("lease_seen", type_=INSTANT),
        *_OPEN,
    )
    .values(due_at=bindparam("leased_until", type_=INSTANT), attempts=_messages.attempts + 1)
    .returning(outbox_messages)
)
_POSTPONE = Statement(
    update(outbox_messages)
    .where(_messages.id == bindparam("message_id"), *_OPEN)
    .values(
        due_at=bindparam("due", type_=INSTANT),
        last_error=func.coalesce(bindparam("error", type_=TEXT), _messages.last_error),
    )
)
_BURY = Statement(
    update(outbox_messages)
    .where(_messages.id == bindparam("message_id"), *_OPEN)
    .values(dead_at=bindparam("now", type_=INSTANT), last_error=bindparam("error", type_=TEXT))
)
_REPLAY = Statement(
    update(outbox_messages)
    .where(_messages.id == bindparam("message_id", type_=UUID_TYPE), _messages.dead_at.is_not(None))
    .values(dead_at=null(), attempts=0, due_at=bindparam("now", type_=INSTANT))
    .returning(_messages.id)
)
_DEAD = Statement(
    select(_messages.id, _messages.event_name, _messages.subscriber, _messages.dead_at, _messages.last_error)
    .where(_messages.dead_at.is_not(None))
    .order_by(_messages.dead_at, _messages.id)
    .limit(bindparam("rows_max", type_=BigInteger))
)
_DEAD_ONE = Statement(
    select(_messages.id, _messages.event_name, _messages.subscriber, _messages.dead_at, _messages.last_error)
    .where(_messages.id == bindparam("message_id", type_=UUID_TYPE), _messages.dead_at.is_not(None))
    .with_for_update()
)
_STATE = Statement(
    text(
        "SELECT count(*) AS waiting, min(o.occurred_at) AS oldest,"
        " (SELECT count(*) FROM (SELECT 1 FROM outbox_messages WHERE dead_at IS NOT NULL LIMIT :rows_max) AS d) AS dead"
        " FROM (SELECT occurred_at FROM outbox_messages WHERE done_at IS NULL AND dead_at IS NULL"
        " ORDER BY due_at, id LIMIT :rows_max) AS o"
    ).bindparams(bindparam("rows_max", type_=BigInteger))
)


_VIEW = select(*(_messages[field.name] for field in fields(MessageView)))
_LIST = Statement(
    _VIEW.where(
        _messages.done_at.is_(None),
        text("(CAST(:is_dead AS boolean) IS NULL OR (dead_at IS NOT NULL) = :is_dead)").bindparams(
            bindparam("is_dead", type_=Boolean)
        ),
    )
    .order_by(_messages.occurred_at, _messages.id)
    .limit(bindparam("rows_max", type_=BigInteger))
)
_SHOW = Statement(_VIEW.where(_messages.id == bindparam("message_id", type_=UUID_TYPE)))


class PostgresDeadLetters:
    """Events that were given up, in a unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work

    async def replay(self, message_id: UUID, *, now: datetime) -> DeadMessage | None:
        """Make one due again and return what it was."""
        row = await _DEAD_ONE.fetch_row(self._unit.connection, message_id=message_id)
        if row is None:
            return None
        await _REPLAY.fetch_value(self._unit.connection, message_id=message_id, now=now)
        return DeadMessage(**row)


async def dead_messages(connection: Connection, rows_max: int) -> list[DeadMessage]:
    """Return the messages that were given up, the longest dead first."""
    return [DeadMessage(**row) for row in await _DEAD.fetch(connection, rows_max=rows_max)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event for one subscriber, as stored. `payload` is plain JSON values."""

    delivery: Delivery
    event_name: str
    subscriber: str
    payload: Any
    trace_id: str
    span_id: str | None
    attempts: int
    last_error: str | None
    leased_until: datetime

    @classmethod
    def of(cls, row: Record) -> "Message":
        """Return a stored message."""
        return cls(
            delivery=Delivery(row["id"], row["event_id"], row["occurred_at"]),
            event_name=row["event_name"],
            subscriber=row["subscriber"],
            payload=row["payload"],
            trace_id=row["trace_id"],
            span_id=row["span_id"],
            attempts=row["attempts"],
            last_error=row["last_error"],
            leased_until=row["due_at"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxState:
    """How far deliveries are behind; the counts stop at 10,000."""

    waiting: int
    dead: int
    oldest_waiting_since: datetime | None


class PostgresOutbox:
    """Takes, postpones and buries messages; each call is one statement that commits by itself."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, rows_max: int) -> list[Message]:
        """Lease the messages that are due and return them, oldest first; others get them when the lease ends."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            rows = await _TAKE.fetch(connection, now=now, leased_until=now + LEASE, rows_max=rows_max)
        return sorted(map(Message.of, rows), key=lambda each: each.delivery.id.int)  # RETURNING keeps no order

    async def give_back(self, message_ids: Sequence[UUID]) -> None:
        """Make messages due again that were taken and not sent, as if they had not been taken."""
        async with self._database.connection() as connection:
            await _GIVE_BACK.execute(connection, message_ids=list(message_ids), now=self._clock.now())

    async def read(self, message_id: UUID) -> Message | None:
        """Return a message that is still to be delivered, else None.

        One that comes when half of its lease is over has waited for long, or its worker has died: it is taken anew,
        which counts as an attempt, unless somebody else was faster.
        """
        now = self._clock.now()
        async with self._database.connection() as connection:
            row = await _READ.fetch_row(connection, message_id=message_id)
            if row is not None and not self.is_lease_young(row["due_at"]):
                row = await _TAKE_OVER.fetch_row(
                    connection, message_id=message_id, lease_seen=row["due_at"], leased_until=now + LEASE
                )
        return None if row is None else Message.of(row)

    def is_lease_young(self, leased_until: datetime) -> bool:
        """Tell whether at least half of a lease is left."""
        return leased_until >= self._clock.now() + LEASE / 2

    async def renew(self, message_id: UUID) -> None:
        """Push the end of a lease away, because the delivery still runs."""
        await self._postpone(message_id, LEASE, None)

    async def retry(self, message_id: UUID, *, after: timedelta, error: str) -> None:
        """Let a failed delivery be tried again after a while."""
        await self._postpone(message_id, after, error[:ERROR_LENGTH_MAX])

    async def bury(self, message_id: UUID, error: str) -> None:
        """Give a message up, with the reason; an operator may replay it (`soko outbox replay`)."""
        async with self._database.connection() as connection:
            await _BURY.execute(
                connection, message_id=message_id, now=self._clock.now(), error=error[:ERROR_LENGTH_MAX]
            )

    async def messages(self, *, is_dead: bool | None, rows_max: int) -> list[MessageView]:
        """Return messages that are not delivered, the oldest first; None: those that wait and those given up."""
        async with self._database.connection() as connection:
            return [MessageView(**row) for row in await _LIST.fetch(connection, is_dead=is_dead, rows_max=rows_max)]

    async def message(self, message_id: UUID) -> MessageView | None:
        """Return a message, delivered or not."""
        async with self._database.connection() as connection:
            row = await _SHOW.fetch_row(connection, message_id=message_id)
        return None if row is None else MessageView(**row)

    async def dead(self, rows_max: int) -> list[DeadMessage]:
        """Return the messages that were given up, the longest dead first."""
        async with self._database.connection() as connection:
            return await dead_messages(connection, rows_max)

    async def replay(self, message_id: UUID) -> bool:
        """Make a message that was given up due again, and tell whether there was one."""
        async with self._database.connection() as connection:
            return await _REPLAY.fetch_value(connection, message_id=message_id, now=self._clock.now()) is not None

    def age_s(self, since: datetime) -> float:
        """Return how long ago that was, in seconds."""
        return max((self._clock.now() - since).total_seconds(), 0.0)

    async def state(self) -> OutboxState:
        """Return how far deliveries are behind."""
        async with self._database.connection() as connection:
            row = await _STATE.fetch_row(connection, rows_max=10_000)
        assert row is not None, "an aggregate has one row"
        return OutboxState(waiting=row["waiting"], dead=row["dead"], oldest_waiting_since=row["oldest"])

    async def _postpone(self, message_id: UUID, by: timedelta, error: str | None) -> None:
        async with self._database.connection() as connection:
            await _POSTPONE.execute(connection, message_id=message_id, due=self._clock.now() + by, error=error)
