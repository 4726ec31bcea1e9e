"""A value that PostgreSQL or the driver cannot write is the client's mistake, not ours."""

from datetime import datetime
from typing import Any

import asyncpg
import pytest

from infrastructure.postgres.database import Database, ValueNotStorable

BEYOND_YEAR_9999 = datetime.fromisoformat("9999-12-31T23:59:59-23:59")


@pytest.fixture
async def database(database_url: str) -> Any:
    opened = Database(database_url, pool_size=1)
    yield opened
    assert opened.borrowed == 0
    await opened.close()


async def test_what_nobody_can_store_is_refused_as_a_value(database: Database) -> None:
    for kind, value in (("timestamptz", BEYOND_YEAR_9999), ("bigint", 2**63), ("text", "\ud800"), ("text", "\0")):
        with pytest.raises(ValueNotStorable):
            async with database.transaction() as connection:
                await connection.fetch(f"SELECT $1::{kind}", value)
        with pytest.raises(ValueNotStorable):
            async with database.connection() as connection:
                await connection.executemany(f"SELECT $1::{kind}", [(value,)])


async def test_a_statement_that_is_wrong_stays_a_mistake_of_ours(database: Database) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.connection() as connection:
            await connection.fetch("SELECT 1 / 0")
