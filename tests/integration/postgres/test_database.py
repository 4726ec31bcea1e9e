"""The pool under cancellation: whoever is cut off, wherever, leaves no connection out, no transaction and no lock."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from infrastructure.postgres.database import Database, commit

CUTS = 60


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=2)
    yield database
    await database.close()


@pytest.fixture
async def owner(database_dsn: str) -> "AsyncIterator[asyncpg.Connection]":
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def write(database: Database, number: int) -> None:
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        await connection.execute("INSERT INTO cut_off VALUES ($1)", number)
        await commit(connection)


async def test_work_cut_off_at_any_step_leaves_the_pool_clean(database: Database, owner: asyncpg.Connection) -> None:
    await owner.execute("CREATE TABLE cut_off (number int)")
    await owner.execute("GRANT ALL ON cut_off TO public")
    await write(database, 0)
    for steps in range(CUTS):
        work = asyncio.create_task(write(database, steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        for _ in range(1 + steps % 3):  # some are cut off again while they clean up
            work.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({work}, timeout=5)
        assert work.done()
        assert database.borrowed == 0
        left_open = await owner.fetchval(
            "SELECT string_agg(state || ': ' || query, '; ') FROM pg_stat_activity"
            " WHERE application_name = 'soko' AND datname = current_database() AND state <> 'idle'"
        )
        assert (steps, left_open) == (steps, None)
    for number in range(2 * database.pool_size):  # each connection of the pool still serves
        await asyncio.wait_for(write(database, number), 5)


async def test_a_commit_that_goes_on_after_its_request_was_given_up_is_cut_off_with_its_connection(
    database: Database, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.postgres.database.GRACE_S", 0.05)
    await owner.execute("CREATE TABLE cut_off (number int)")
    await owner.execute("GRANT ALL ON cut_off TO public")
    await owner.execute(
        "CREATE FUNCTION wait_for_owner() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(2); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON cut_off DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION wait_for_owner()"
    )
    await owner.execute("SELECT pg_advisory_lock(2)")
    work = asyncio.create_task(write(database, 1))
    async with asyncio.timeout(5):
        while True:
            if await owner.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                break
            await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):  # nothing else, or whoever gave the request up would wait for more
        await work
    assert database.borrowed == 0
    await owner.execute("SELECT pg_advisory_unlock(2)")
    await asyncio.wait_for(write(database, 2), 5)


async def test_a_connection_lent_for_reading_comes_back_clean_when_its_reader_is_cut_off(
    database: Database, owner: asyncpg.Connection
) -> None:
    async def read() -> None:
        async with database.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(20)")

    work = asyncio.create_task(read())
    await until_asleep(owner)
    work.cancel()
    await asyncio.wait({work}, timeout=5)
    assert work.cancelled()
    assert database.borrowed == 0
    async with database.connection() as connection:
        assert await asyncio.wait_for(connection.fetchval("SELECT 1"), 5) == 1


async def until_asleep(owner: asyncpg.Connection) -> None:
    async with asyncio.timeout(5):
        while True:
            if await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
                return
            await asyncio.sleep(0.01)
