"""Goal D2: what a worker held when it was killed is done by another, without any further traffic."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.database import Database
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.redis.broker import GROUP, STREAM, RedisDeliveryBroker
from infrastructure.system.clock import SystemClock
from interface.bootstrap.background import Background, Loop
from tests.faults.outbox_worker import Counting, ThingCounted
from tests.faults.processes import kill, killed_at_the_end, python
from tests.integration.redis.valkey import Valkey

OPEN = "SELECT count(*) FROM outbox_messages WHERE done_at IS NULL"
COUNTED = "SELECT array_agg(target ORDER BY target::int) FROM audit_entries WHERE action = 'COUNTED'"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def holds_one(valkey: Valkey) -> bool:
    return valkey.command("XPENDING", STREAM, GROUP).startswith(b"*4\r\n:1\r\n")


async def wait_for(database: Database, sql: str, wanted: int, *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while True:
            async with database.connection() as connection:
                if await connection.fetchval(sql) == wanted:
                    return
            await asyncio.sleep(0.05)


async def test_what_a_killed_worker_was_doing_is_done_once_by_another(
    database: Database, database_url: str, database_dsn: str, valkey: Valkey
) -> None:
    counting = Counting(database)
    blocker = await asyncpg.connect(database_dsn)
    async with blocker.transaction():  # the worker stands still in its effect
        await blocker.execute("LOCK TABLE audit_entries IN ACCESS EXCLUSIVE MODE")
        worker = python("-m", "tests.integration.redis.worker", database_url, valkey.url)
        with killed_at_the_end(worker):
            async with counting.unit_of_work() as uow:
                uow.record(ThingCounted(number=1))
                await uow.commit()
            async with asyncio.timeout(60):
                while not holds_one(valkey):  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(0.02)
            kill(worker)
    await blocker.close()
    # no relay beside it: whatever is delivered from here on was taken over
    outbox = PostgresOutbox(database, SystemClock())
    other = RedisDeliveryBroker(
        valkey.url, DeliverMessage(outbox, counting.subscriptions), reclaim_after=timedelta(seconds=1)
    )
    async with Background((Loop("other worker", other.consume),)):
        await wait_for(database, OPEN, 0, within_s=30)
    await other.close()
    async with database.connection() as connection:
        assert await connection.fetchval(COUNTED) == ["1"]
