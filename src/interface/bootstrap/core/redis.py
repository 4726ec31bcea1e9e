"""What uses Redis, where it is configured; the library is imported only there, as it takes a while."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import UUID

from application.core.identity.ports import AttemptCounter
from application.core.kernel.realtime import Realtime
from application.core.operations.health import HealthCheck
from domain.core.kernel.errors import Unavailable
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.queue.relay import OutboxRelay
from interface.bootstrap.settings import Settings, SettingsRefused

if TYPE_CHECKING:
    from redis.asyncio import Redis


def shared_counter(settings: Settings, counter: AttemptCounter, resources: AsyncExitStack) -> AttemptCounter:
    """Return the counter of attempts, with its refusals remembered in Redis if there is one. Raises SettingsRefused."""
    if not settings.redis_url:
        return counter
    from infrastructure.redis.counters import ANSWER_WITHIN_S, RedisAttemptCounter

    return RedisAttemptCounter(counter, _opened(settings, resources, within_s=ANSWER_WITHIN_S))


def redis_checks(settings: Settings, resources: AsyncExitStack, *, within_s: float | None = None) -> list[HealthCheck]:
    """Return what looks at Redis, if there is one, and waits so long for it. Raises SettingsRefused."""
    if not settings.redis_url:
        return []
    from infrastructure.redis.health import ANSWER_WITHIN_S, RedisCheck

    waits_s = within_s or ANSWER_WITHIN_S
    return [RedisCheck(_opened(settings, resources, within_s=waits_s), within_s=waits_s)]


def _opened(settings: Settings, resources: AsyncExitStack, *, within_s: float) -> "Redis":
    """Return a client, which is closed with `resources`. Raises SettingsRefused."""
    from infrastructure.redis.connection import open_redis

    try:
        redis = open_redis(settings.redis_url, within_s=within_s)
    except ValueError as error:
        raise SettingsRefused("REDIS_URL: is not an address") from error  # what the library says may quote the password
    resources.push_async_callback(redis.aclose)
    return redis


def redis_realtime(settings: Settings) -> Realtime:
    """Return what carries wake-ups through Redis."""
    from infrastructure.redis.realtime import RedisRealtime

    return RedisRealtime(settings.redis_url)


async def relay_through_redis(
    settings: Settings,
    outbox: PostgresOutbox,
    deliver: Callable[[UUID], Awaitable[None]],
    *,
    written: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    """Send what is due through Redis, and deliver what comes from there, until stopped. Raises DatabaseUnavailable."""
    from infrastructure.redis.broker import RedisDeliveryBroker

    broker = RedisDeliveryBroker(settings.redis_url, deliver)
    no_more, failure = asyncio.Event(), None
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(broker.consume(no_more))
            try:
                await OutboxRelay(outbox, broker, written=written).run(stop)
            except Unavailable as error:
                failure = error  # raised once what runs has ended
            finally:
                no_more.set()
    finally:
        await broker.close()
    if failure is not None:
        raise failure
