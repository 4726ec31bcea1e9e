"""Wake-ups between processes by PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from domain.core.kernel.ids import AccountId
from infrastructure.local.wake_ups import TOPICS_WAITING_MAX
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from infrastructure.postgres.realtime import PostgresRealtime
from interface.bootstrap.background import Background, Loop
from tests.contract.core.notices import ADA, BEN, delivery, notice
from tests.contract.core.realtime import Heard, RealtimeContract, until

PostgresUnits = Callable[[], PostgresCoreUnitOfWork]
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'soko realtime' AND datname = current_database()"


async def running(realtime: PostgresRealtime) -> AsyncIterator[PostgresRealtime]:
    """Run it as a process does, from the moment at which it listens."""
    first = Heard(realtime, "anything")
    async with Background((Loop("realtime", realtime.run),)):
        await until("it listens", lambda: first.times == 1)
        first.leave()
        yield realtime


@pytest.fixture
async def here(database: Database) -> AsyncIterator[PostgresRealtime]:
    async for one in running(PostgresRealtime(database)):
        yield one


@pytest.fixture
async def there(database: Database) -> AsyncIterator[PostgresRealtime]:
    async for one in running(PostgresRealtime(database)):
        yield one


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


class TestPostgresRealtime(RealtimeContract):
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

    async def test_what_a_process_says_itself_does_not_come_back_to_it(
        self, here: PostgresRealtime, there: PostgresRealtime
    ) -> None:
        ours, theirs, later = Heard(here, "a"), Heard(there, "a"), Heard(here, "b")
        here.publish(["a"])
        await until("the other has heard", lambda: theirs.times == 1)
        there.publish(["b"])
        await until("what was said later has come", lambda: later.times == 1)
        assert ours.times == 1

    async def test_a_process_that_is_cut_off_for_long_wakes_everybody_instead_of_remembering_all(
        self, database: Database, there: PostgresRealtime
    ) -> None:
        cut_off, theirs = PostgresRealtime(database), Heard(there, "never named")
        cut_off.publish([f"t{number}" for number in range(TOPICS_WAITING_MAX + 1)])
        async with Background((Loop("realtime", cut_off.run),)):
            await until("they were woken", lambda: theirs.times == 1)

    async def test_it_stops_at_once_and_says_what_is_left(self, database: Database, there: PostgresRealtime) -> None:
        theirs, stop, realtime = Heard(there, "a"), asyncio.Event(), PostgresRealtime(database)
        realtime.publish(["a"])
        stop.set()
        async with asyncio.timeout(2):
            await realtime.run(stop)
        await until("it was said", lambda: theirs.times == 1)


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
