"""The whole server while Redis fails: it answers, its limits hold, and the queue is built again from PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from infrastructure.postgres.core.outbox import LEASE, PostgresOutbox
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.queue.relay import OutboxRelay
from infrastructure.redis.broker import RedisDeliveryBroker
from infrastructure.redis.counters import RedisAttemptCounter
from infrastructure.redis.realtime import RedisRealtime
from interface.bootstrap.background import Background, Loop
from interface.bootstrap.core.redis import relay_through_redis
from interface.bootstrap.settings import read_settings
from tests.e2e.market import Market, open_market
from tests.integration.redis.valkey import Valkey

ANSWERED_WITHIN_S = 1.0
GUESSES = 10
OPEN = "SELECT count(*) FROM outbox_messages WHERE done_at IS NULL"
HEAL = {"flush": "start", "fill": "empty", "kill": "start", "pause": "resume"}


@pytest.fixture
async def market(database_url: str, tmp_path: Path, valkey: Valkey) -> AsyncIterator[Market]:
    environment = {"REDIS_URL": valkey.url, "SOKO_BROKER": "redis", "SOKO_REALTIME": "redis"}
    async with open_market(database_url, tmp_path, environment=environment) as market:
        yield market


def deliver(market: Market) -> tuple[PostgresOutbox, DeliverMessage]:
    outbox = PostgresOutbox(market.database, market.clock)
    return outbox, DeliverMessage(outbox, market.subscriptions)


def worker(market: Market, valkey: Valkey) -> Loop:
    """Return the loop that a worker process runs."""
    outbox, delivery = deliver(market)
    settings = read_settings({"REDIS_URL": valkey.url, "SOKO_BROKER": "redis"})

    async def run(stop: asyncio.Event) -> None:
        written = market.database.messages_written
        await relay_through_redis(settings, outbox, delivery, written=written, stop=stop)

    return Loop("outbox relay", run)


async def send_what_is_due(market: Market, valkey: Valkey) -> int:
    """Send what is due to a worker that never comes."""
    outbox, delivery = deliver(market)
    broker = RedisDeliveryBroker(valkey.url, delivery)
    try:
        return await OutboxRelay(outbox, broker, written=asyncio.Event()).relay_due()
    finally:
        await broker.close()


async def until_nothing_waits(market: Market) -> None:
    async with asyncio.timeout(20):
        while True:
            if await market.value(OPEN) == 0:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", sorted(HEAL))
async def test_the_server_answers_its_limits_hold_and_the_queue_comes_back(
    fault: str, market: Market, valkey: Valkey
) -> None:
    """Goal F3."""
    assert isinstance(market.adapters.attempts, RedisAttemptCounter)
    assert isinstance(market.adapters.realtime, RedisRealtime)
    took: list[float] = []

    async def timed(call: Callable[..., Any], *arguments: Any) -> httpx.Response:
        began = time.monotonic()
        reply: httpx.Response = await call(*arguments)
        took.append(time.monotonic() - began)
        return reply

    async def guess() -> int:
        body = {"username": "amina", "password": "wrong-guess-7"}
        return (await timed(market.post, None, "/api/auth/login", body)).status_code

    amina = await market.register("amina", "student")
    await market.top_up(amina, 50_000)  # shillings
    assert [await guess() for _ in range(GUESSES - 1)] == [401] * (GUESSES - 1)
    brian = {"username": "brian", "email": "brian@example.test", "password": "Tall-trees-7"}
    assert (await market.post(None, "/api/auth/register", brian)).status_code == 201
    waiting = await market.value(OPEN)
    assert await send_what_is_due(market, valkey) == waiting > 0

    getattr(valkey, fault)()
    took.clear()
    assert [await guess() for _ in range(3)] == [401, 429, 429]
    assert (await timed(market.get, amina, "/api/wallet")).status_code == 200
    carol = {"username": "carol", "email": "carol@example.test", "password": "Tall-trees-7"}
    assert (await timed(market.post, None, "/api/auth/register", carol)).status_code == 201
    assert max(took) < ANSWERED_WITHIN_S
    health = await market.get(None, "/health/ready")
    checks = {each["name"]: each for each in health.json()["checks"]}
    assert (health.status_code, checks["redis"]["status"]) == (200, "ok" if fault == "flush" else "down")

    getattr(valkey, HEAL[fault])()
    market.clock.advance(LEASE)
    async with Background((worker(market, valkey),)):
        await until_nothing_waits(market)
    assert await market.value("SELECT count(*) FROM outbox_messages WHERE dead_at IS NOT NULL OR attempts > 2") == 0
    assert [await market.wallet(amina), await guess()] == [5_000_000, 429]
