"""Wake-ups between processes by PostgreSQL."""

from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from infrastructure.postgres.realtime import PostgresRealtime
from tests.contract.core.notices import ADA, BEN, delivery, notice
from tests.contract.core.realtime import CarriedRealtimeContract, Heard, running, until

PostgresUnits = Callable[[], PostgresCoreUnitOfWork]
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'soko realtime' AND datname = current_database()"


@pytest.fixture
async def here(database: Database) -> AsyncIterator[PostgresRealtime]:
    async with running(PostgresRealtime(database)) as one:
        yield one


@pytest.fixture
async def there(database: Database) -> AsyncIterator[PostgresRealtime]:
    async with running(PostgresRealtime(database)) as one:
        yield one


@pytest.fixture
def idle(database: Database) -> PostgresRealtime:
    return PostgresRealtime(database)


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


class TestPostgresRealtime(CarriedRealtimeContract):
    async def test_after_a_lost_connection_everybody_is_woken_and_nothing_stays_unsaid(
        self, here: PostgresRealtime, there: PostgresRealtime, owner: asyncpg.Connection
    ) -> None:
        ours, theirs = Heard(here, "a"), Heard(there, "b")
        before = {row["pid"] for row in await owner.fetch(LISTENERS)}
        assert len(before) == 2
        await owner.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS l")
        here.publish(["c"])  # while nobody carries it
        await until("both were woken, as they may have missed something", lambda: min(ours.times, theirs.times) == 1)
        after = {row["pid"] for row in await owner.fetch(LISTENERS)}
        assert len(after) == 2
        assert not before & after
        here.publish(["b"])
        await until("wake-ups are carried again", lambda: theirs.times == 2)


async def test_who_is_told_something_is_woken_after_the_commit_and_never_for_what_was_undone(
    database: Database, unit_of_work: PostgresUnits
) -> None:
    """Goal D7."""
    woken: list[str] = []
    seen: list[int] = []

    def publish(topics: object) -> None:
        assert isinstance(topics, set)
        woken.extend(sorted(topics))

    database.publish = publish

    async def tell(number: int, *people: AccountId, commit: bool) -> None:
        async with unit_of_work() as uow:
            uow.notices.add(delivery(number), *(notice(person) for person in people))
            await uow.flush()
            seen.append(len(woken))
            if commit:
                await uow.commit()

    await tell(1, ADA, commit=False)
    await tell(2, ADA, BEN, commit=True)
    assert woken == sorted([f"person:{ADA}", f"person:{BEN}"])
    await tell(3, BEN, commit=False)
    assert len(woken) == 2
    assert seen == [0, 0, 2], "nobody was woken before a commit"
