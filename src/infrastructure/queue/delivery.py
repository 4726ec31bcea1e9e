"""Deliver one message: decode its event, call who hears it, and see to what happens when that fails."""

from datetime import timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from application.core.kernel.ports import EventHandler
from application.core.kernel.request_context import RequestContext, request_context
from application.core.kernel.tracing import NO_TRACING, SpanKind, Tracing
from application.core.operations.figures import Figures
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.events import Event
from infrastructure.postgres.core.outbox import LEASE, Message, PostgresOutbox
from infrastructure.postgres.unit_of_work import DeliveredBefore
from infrastructure.queue.tries import kept_lease, said_by

TRIES_MAX = 16
"""With the waits below some two hours: longer than a restart or a short outage, short enough to be looked at today."""

RETRY_FIRST = timedelta(seconds=1)
RETRY_LONGEST = timedelta(minutes=15)

_log = structlog.get_logger("soko.outbox")


class Subscriber(Protocol):
    """Who hears one kind of event."""

    @property
    def event(self) -> type[Event]: ...

    @property
    def handler(self) -> EventHandler: ...


class Subscribers(Protocol):
    """Those who hear events, by the name that is stored with each message."""

    def named(self, name: str) -> Subscriber | None: ...


class DeliverMessage:
    """Delivers; never raises for what a handler does, only when the database is away."""

    def __init__(
        self,
        outbox: PostgresOutbox,
        subscribers: Subscribers,
        *,
        figures: Figures | None = None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._outbox = outbox
        self._subscribers = subscribers
        self._figures = figures or Figures()
        self._tracing = tracing

    async def __call__(self, message_id: UUID) -> None:
        """Deliver a message if it is still to be delivered. Raises DatabaseUnavailable."""
        message = await self._outbox.read(message_id)
        if message is not None:  # else the broker carried its id twice, or too late
            await self._deliver(message)

    async def taken(self, message: Message) -> None:
        """Deliver a message as it was taken, unless it has waited for long since. Raises DatabaseUnavailable."""
        if self._outbox.is_lease_young(message.leased_until):
            await self._deliver(message)
        else:
            await self(message.delivery.id)

    async def _deliver(self, message: Message) -> None:
        message_id = message.delivery.id
        subscriber = self._subscribers.named(message.subscriber)
        if subscriber is None:
            self._figures.deliveries[message.event_name, "dead"] += 1
            await self._outbox.bury(message_id, f"nobody is called {message.subscriber} any more")
            _log.error("message_dead", event_name=message.event_name, subscriber=message.subscriber, reason="removed")
            return
        if message.attempts > TRIES_MAX:  # no try of it ever came to an end: it takes its worker with it
            self._figures.deliveries[message.event_name, "dead"] += 1
            await self._outbox.bury(message_id, message.last_error or "every worker that tried has died")
            _log.error("message_dead", event_name=message.event_name, subscriber=message.subscriber, reason="deadly")
            return
        begun = self._tracing.span(
            f"deliver {message.event_name}",
            kind=SpanKind.CONSUMER,
            trace_id=message.trace_id,
            parent_id=message.span_id,
        )
        with begun as span, request_context(RequestContext(trace_id=message.trace_id, span_id=span.id)):
            span.note("soko.subscriber", message.subscriber)
            try:
                async with kept_lease(partial(self._outbox.renew, message_id), life=LEASE):
                    event = msgspec.convert(message.payload, subscriber.event)
                    await subscriber.handler(event, message.delivery)
            except DeliveredBefore:
                return
            except Exception as error:
                span.failed(type(error).__name__)
                await self._failed(message, error)
            else:
                self._done(message)

    def _done(self, message: Message) -> None:
        took_s = self._outbox.age_s(message.delivery.occurred_at)
        self._figures.deliveries[message.event_name, "done"] += 1
        self._figures.delivery_times[message.event_name,].observe(took_s)
        _log.info(
            "delivered",
            event_name=message.event_name,
            subscriber=message.subscriber,
            attempts=message.attempts,
            seconds=round(took_s, 3),
        )

    async def _failed(self, message: Message, error: Exception) -> None:
        said = said_by(error)
        facts = {"event_name": message.event_name, "subscriber": message.subscriber, "attempts": message.attempts}
        if message.attempts >= TRIES_MAX:
            self._figures.deliveries[message.event_name, "dead"] += 1
            await self._outbox.bury(message.delivery.id, said)
            _log.error("message_dead", **facts, exc_info=error)
            return
        self._figures.deliveries[message.event_name, "failed"] += 1
        wait = min(RETRY_FIRST * 2 ** (message.attempts - 1), RETRY_LONGEST)
        await self._outbox.retry(message.delivery.id, after=wait, error=said)
        is_expected = isinstance(error, Unavailable)
        _log.warning(
            "message_failed", **facts, retry_in_s=wait.total_seconds(), exc_info=None if is_expected else error
        )
