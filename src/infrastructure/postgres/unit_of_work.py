"""One transaction of PostgreSQL, with the repositories that live in it."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import ClassVar, Protocol, Self

import asyncpg
import msgspec
from sqlalchemy import ARRAY, bindparam, null, text, update

from application.core.kernel.ports import AuditEntry, Clock, Delivery, IdSource
from application.core.kernel.receipts import KeyTakenOver
from application.core.kernel.request_context import current_request
from domain.core.kernel.errors import DomainError
from domain.core.kernel.events import Event
from infrastructure.postgres.core.kernel_tables import outbox_messages, receipts
from infrastructure.postgres.database import Database, commit
from infrastructure.postgres.statements import Connection, Statement, WriteBatch, as_rows
from infrastructure.postgres.tables import INSTANT, TEXT, UUID

_ADD_MESSAGES = Statement(
    text(
        "INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, span_id,"
        " occurred_at, due_at)"
        " SELECT m.id, m.event_id, m.event_name, m.subscriber, m.payload, :trace_id, :span_id, :now, :now"
        " FROM json_to_recordset(CAST(:rows AS json))"
        " AS m(id uuid, event_id uuid, event_name text, subscriber text, payload jsonb)"
    ).bindparams(
        bindparam("trace_id", type_=TEXT),
        bindparam("span_id", type_=TEXT),
        bindparam("now", type_=INSTANT),
        bindparam("rows", type_=TEXT),
    )
)
_ADD_AUDIT = Statement(
    text(
        "INSERT INTO audit_entries"
        " (id, action, target, actor_id, actor_label, before, after, reason, ip, user_agent, trace_id, created_at)"
        " SELECT e.id, e.action, e.target, :actor_id, :actor_label, e.before, e.after, e.reason,"
        " :ip, :user_agent, :trace_id, :now"
        " FROM json_to_recordset(CAST(:rows AS json))"
        " AS e(id uuid, action text, target text, before jsonb, after jsonb, reason text)"
    ).bindparams(
        bindparam("actor_id", type_=UUID),
        bindparam("actor_label", type_=TEXT),
        bindparam("ip", type_=TEXT),
        bindparam("user_agent", type_=TEXT),
        bindparam("trace_id", type_=TEXT),
        bindparam("now", type_=INSTANT),
        bindparam("rows", type_=TEXT),
    )
)
_ADD_UNSEALED = Statement(
    text("INSERT INTO audit_unsealed (entry_id) SELECT unnest(:ids)").bindparams(bindparam("ids", type_=ARRAY(UUID)))
)
_FINISH_MESSAGE = Statement(
    update(outbox_messages)
    .where(outbox_messages.c.id == bindparam("message_id"), outbox_messages.c.done_at.is_(None))
    .values(done_at=bindparam("now"), last_error=null())
    .returning(outbox_messages.c.id)
)
_MARK_EFFECT = Statement(
    update(receipts)
    .where(receipts.c.id == bindparam("receipt_id"))
    .values(effect_at=bindparam("now"))
    .returning(receipts.c.id)
)


class DeliveredBefore(DomainError):
    """Another worker has done this delivery already; nothing of this one may stay."""

    code = "kernel.delivered_before"


class Repository(Protocol):
    """What the unit of work asks of a repository when it commits."""

    def stage(self, batch: WriteBatch) -> None:
        """Put the writes of what was loaded and changed, or added, into the batch."""
        ...


class Subscriptions(Protocol):
    """Who hears which event."""

    def subscribers_of(self, event_name: str) -> Iterable[str]: ...


class PostgresUnitOfWork:
    """The kernel's part of every unit of work; `postgres/core` and the verticals add repositories.

    Writes are collected and sent in one statement just before COMMIT, so a use case costs BEGIN, its loads, one write
    and COMMIT.
    """

    refusals: ClassVar[Mapping[str, type[DomainError]]] = {}
    """What a violated constraint means, by its name. A subclass merges its repositories' tables."""

    def __init__(self, database: Database, *, clock: Clock, ids: IdSource, subscriptions: Subscriptions) -> None:
        self._database = database
        self.clock = clock
        self.ids = ids
        self._subscriptions = subscriptions
        self._transaction = database.transaction()
        self._connection: Connection | None = None
        self._repositories: list[Repository] = []
        self._messages: list[Mapping[str, object]] = []
        self._audit: list[AuditEntry] = []
        self._deliveries: list[Delivery] = []
        self._wakes: set[str] = set()
        self._has_messages = False

    async def __aenter__(self) -> Self:
        self._connection = await self._transaction.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        await self._transaction.__aexit__(kind, error, trace)

    @property
    def connection(self) -> Connection:
        """The connection of the running transaction."""
        assert self._connection is not None, "a unit of work is used inside its block"
        return self._connection

    def attach(self, repository: Repository) -> None:
        """Have a repository asked for its writes at commit."""
        self._repositories.append(repository)

    def record(self, *events: Event) -> None:
        """Put events in the outbox of this transaction, one message per subscriber."""
        for event in events:
            event_id, name = self.ids.new(), event.event_name()
            payload = msgspec.Raw(msgspec.json.encode(event))  # as the event is now
            for subscriber in self._subscriptions.subscribers_of(name):
                self._messages.append(
                    {
                        "id": self.ids.new(),
                        "event_id": event_id,
                        "event_name": name,
                        "subscriber": subscriber,
                        "payload": payload,
                    }
                )

    def audit(self, entry: AuditEntry) -> None:
        """Put an entry in the audit trail of this transaction."""
        self._audit.append(entry)

    def done(self, delivery: Delivery) -> None:
        """Mark a delivery as done in this transaction."""
        self._deliveries.append(delivery)

    def wake(self, *topics: str) -> None:
        """Wake whoever follows these topics, once this transaction is committed."""
        self._wakes.update(topics)

    async def flush(self) -> None:
        """Send what is pending without ending the transaction; for a write that a later read must see."""
        batch = WriteBatch()
        for repository in self._repositories:
            repository.stage(batch)
        now = self.clock.now()
        self._stage_records(batch, now)
        try:
            await batch.flush(self.connection)
        except asyncpg.IntegrityConstraintViolationError as error:
            refusal = self.refusals.get(error.constraint_name or "")
            if refusal is None:
                raise  # a constraint without a name in the table is a mistake of ours
            raise refusal from error

    async def commit(self) -> None:
        """Write what is pending and commit. Raises the refusal that a violated constraint stands for."""
        for delivery in self._deliveries:
            # before the batch: two workers on one delivery meet on this row, and the second finds it done
            if await _FINISH_MESSAGE.fetch_value(self.connection, message_id=delivery.id, now=self.clock.now()) is None:
                raise DeliveredBefore
        self._deliveries.clear()
        await self._mark_effect()
        await self.flush()
        await commit(self.connection)
        if self._has_messages:
            self._database.messages_written.set()  # the relay of this process need not wait for its next look
        if self._wakes:
            wakes, self._wakes = self._wakes, set()
            self._database.publish(wakes)

    async def _mark_effect(self) -> None:
        """Note in the receipt of an idempotent request that its effect is in this transaction. Raises KeyTakenOver.

        Not in the batch: a request that stood still for longer than its key's lease must find that out before COMMIT.
        """
        key = current_request().key
        if key is not None:
            marked = await _MARK_EFFECT.fetch_value(self.connection, receipt_id=key.receipt_id, now=self.clock.now())
            if marked is None:
                raise KeyTakenOver

    def _stage_records(self, batch: WriteBatch, now: datetime) -> None:
        request = current_request()
        if self._messages:
            batch.stage(
                _ADD_MESSAGES,
                trace_id=request.trace_id,
                span_id=request.span_id,
                now=now,
                rows=as_rows(self._messages),
            )
            self._messages.clear()
            self._has_messages = True
        if self._audit:
            for statement, values in audit_writes([(self.ids.new(), entry) for entry in self._audit], now):
                batch.stage(statement, **values)
            self._audit.clear()


def audit_writes(
    entries: Sequence[tuple[uuid.UUID, AuditEntry]], now: datetime
) -> tuple[tuple[Statement, Mapping[str, object]], ...]:
    """Return what puts entries, each with its id, in the audit trail, on behalf of the current request."""
    request = current_request()
    rows = [
        {
            "id": entry_id,
            "action": entry.action,
            "target": entry.target,
            "before": entry.before,
            "after": entry.after,
            "reason": entry.reason,
        }
        for entry_id, entry in entries
    ]
    added = {
        "actor_id": request.actor_id,
        "actor_label": request.actor_label,
        "ip": request.ip,
        "user_agent": request.user_agent,
        "trace_id": request.trace_id,
        "now": now,
        "rows": as_rows(rows),
    }
    return (_ADD_AUDIT, added), (_ADD_UNSEALED, {"ids": [entry_id for entry_id, _ in entries]})
