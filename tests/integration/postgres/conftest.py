"""A database and units of work over it."""

from collections.abc import AsyncIterator, Callable

import pytest

from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from interface.bootstrap.area import SubscriptionList
from tests.fakes.core.system import FixedClock, SequentialIds

PostgresUnits = Callable[[], PostgresCoreUnitOfWork]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Connect as the server does: as the runtime role."""
    database = Database(database_url, pool_size=8)
    yield database
    assert database.borrowed == 0
    await database.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def unit_of_work(database: Database, clock: FixedClock) -> PostgresUnits:
    ids = SequentialIds(start=1 << 40)
    return lambda: PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())
