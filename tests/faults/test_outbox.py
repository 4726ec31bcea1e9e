"""D1 and D2: what was committed has its effect exactly once, though workers are killed with SIGKILL."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from infrastructure.postgres.core.outbox import LEASE
from infrastructure.postgres.database import Database
from tests.faults.outbox_worker import Counting, ThingCounted
from tests.faults.processes import kill, killed_at_the_end, python

COMMITS, ROLLBACKS, KILLS = 400, 40, 4


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def counted(database: Database) -> Counter[int]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT target FROM audit_entries WHERE action = 'COUNTED'")
    return Counter(int(row["target"]) for row in rows)


async def until_open_messages_are(database: Database, at_most: int, *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while True:
            async with database.connection() as connection:
                waiting = await connection.fetchval("SELECT count(*) FROM outbox_messages WHERE done_at IS NULL")
            if waiting <= at_most:
                return
            await asyncio.sleep(0.05)


async def until_a_message_is_taken(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(60):
        while True:
            if await connection.fetchval("SELECT count(*) FROM outbox_messages WHERE attempts = 1"):
                return
            await asyncio.sleep(0.05)


async def test_each_committed_event_has_one_effect_while_workers_are_killed(
    database: Database, database_url: str
) -> None:
    counting, chance = Counting(database), random.Random(11)

    async def count(number: int, *, commit: bool) -> None:
        async with counting.unit_of_work() as uow:
            uow.record(ThingCounted(number=number))
            if commit:
                await uow.commit()

    async def write(numbers: range) -> None:
        for number in numbers:
            await count(number, commit=True)
            if number % (COMMITS // ROLLBACKS) == 0:
                await count(COMMITS + number, commit=False)

    per_life = COMMITS // KILLS
    for life in range(KILLS):
        with killed_at_the_end(python("-m", "tests.faults.outbox_worker", database_url)) as worker:
            await write(range(life * per_life, (life + 1) * per_life))
            # somewhere in the middle of what it has to do
            await until_open_messages_are(database, chance.randint(1, per_life // 2) + life, within_s=60)
            kill(worker)
    with killed_at_the_end(python("-m", "tests.faults.outbox_worker", database_url)):
        # the promise is 30 s after the last kill; the rest is what a busy machine takes to start Python
        await until_open_messages_are(database, 0, within_s=LEASE.total_seconds() + 25)
    assert await counted(database) == dict.fromkeys(range(COMMITS), 1)


async def test_a_message_of_a_dead_worker_is_done_without_any_further_traffic(
    database: Database, database_url: str, database_dsn: str
) -> None:
    counting = Counting(database)
    blocker = await asyncpg.connect(database_dsn)
    async with blocker.transaction():
        await blocker.execute(
            "LOCK TABLE audit_entries IN ACCESS EXCLUSIVE MODE"
        )  # the worker stands still in its effect
        with killed_at_the_end(python("-m", "tests.faults.outbox_worker", database_url)) as worker:
            async with counting.unit_of_work() as uow:
                uow.record(ThingCounted(number=1))
                await uow.commit()
            await until_a_message_is_taken(blocker)
            kill(worker)
    await blocker.close()
    with killed_at_the_end(python("-m", "tests.faults.outbox_worker", database_url)):
        await until_open_messages_are(database, 0, within_s=60)
    assert await counted(database) == {1: 1}
