"""What a unit of work reads to change is its own until it ends, and whoever looks for work passes over it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, TypeAlias

import asyncpg
import pytest

from infrastructure.postgres.assignments.repositories import PostgresAssignmentsUnitOfWork
from infrastructure.postgres.core.files import PostgresFileQueries
from infrastructure.postgres.core.housekeeping import PostgresHousekeeping
from infrastructure.postgres.core.receipts import PostgresReceipts
from infrastructure.postgres.database import Database
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.builders.assignments import WRITER
from tests.contract.assignments.repositories import a_purchase
from tests.contract.core.earnings_holds import ADA, a_hold
from tests.contract.core.files import announced, stored
from tests.fakes.core.system import NOON, FixedClock

Unit: TypeAlias = PostgresAssignmentsUnitOfWork
Units: TypeAlias = Callable[[], Unit]
LATER: Final = NOON + timedelta(days=9)
PURCHASE, HOLD, NEXT_HOLD, FILE = a_purchase(), a_hold(1, days=1), a_hold(2, days=2), stored()


@pytest.fixture
def units(database: Database, clock: FixedClock) -> Units:
    ids = UuidV7Source()
    return lambda: PostgresAssignmentsUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())


async def have_one_of_each(units: Units) -> None:
    async with units() as uow:
        uow.subscriptions.add(PURCHASE)
        uow.earnings_holds.add(HOLD)
        uow.files.add(FILE)
        await uow.commit()


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda uow: uow.subscriptions.get(PURCHASE.id), id="plan"),
        pytest.param(lambda uow: uow.subscriptions.pending_of(WRITER), id="pending plan"),
        pytest.param(lambda uow: uow.earnings_holds.find(HOLD.subject, ADA), id="earnings"),
        pytest.param(lambda uow: uow.files.get(FILE.id), id="file"),
    ],
)
async def test_who_reads_to_change_waits_for_who_did_before(
    units: Units, read: Callable[[Unit], Awaitable[object]]
) -> None:
    await have_one_of_each(units)
    async with units() as first:
        assert await read(first) is not None
        async with units() as second:
            await second.connection.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await read(second)
    async with units() as third:
        assert await read(third) is not None


async def test_two_who_release_earnings_find_different_ones(units: Units) -> None:
    async with units() as uow:
        uow.earnings_holds.add(HOLD)
        uow.earnings_holds.add(NEXT_HOLD)
        await uow.commit()
    async with units() as first, units() as second, units() as third, asyncio.timeout(5):
        assert await first.earnings_holds.find_due(now=LATER) == HOLD
        assert await second.earnings_holds.find_due(now=LATER) == NEXT_HOLD
        assert await third.earnings_holds.find_due(now=LATER) is None


@asynccontextmanager
async def holding_the_oldest(database: Database, table: str) -> AsyncIterator[None]:
    """Hold the first row of a table as somebody does who is about to change it."""
    async with database.connection() as connection, connection.transaction():
        assert await connection.fetchval(f"SELECT id FROM {table} ORDER BY id LIMIT 1 FOR UPDATE") is not None
        yield


async def test_the_sweep_of_files_and_uploads_passes_over_those_in_use(database: Database, units: Units) -> None:
    files, queries = [stored(purpose="upload") for _ in range(2)], PostgresFileQueries(database)
    uploads = [announced() for _ in range(2)]
    async with units() as uow:
        uow.files.add(*files)
        for upload in uploads:
            uow.uploads.add(upload)
        await uow.commit()
    async with asyncio.timeout(5):
        async with holding_the_oldest(database, "files"):
            assert await queries.give_up_unattached(uploaded_before=LATER, limit=9) == [files[1].key]
        async with holding_the_oldest(database, "file_uploads"):
            assert await queries.end_uploads(begun_before=LATER, limit=9) == [uploads[1].key]
        assert await queries.give_up_unattached(uploaded_before=LATER, limit=9) == [files[0].key]
        assert await queries.end_uploads(begun_before=LATER, limit=9) == [uploads[0].key]


async def test_housekeeping_passes_over_what_is_in_use(database: Database, clock: FixedClock) -> None:
    receipts, keep = PostgresReceipts(database, clock=clock, ids=UuidV7Source()), PostgresHousekeeping(database)
    await receipts.open("account:a", "one", b"f")
    await receipts.open("account:a", "two", b"f")
    async with asyncio.timeout(5):
        async with holding_the_oldest(database, "receipts"):
            assert await keep.delete_receipts(before=LATER, rows_max=9) == 1
        assert await keep.delete_receipts(before=LATER, rows_max=9) == 1
