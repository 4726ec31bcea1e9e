import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from application.core.kernel.ports import Page
from application.core.notifications.queries import NoticeFilter
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.notifications import (
    PostgresMailAddresses,
    PostgresNoticeQueries,
    PostgresWaitingMails,
)
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from interface.bootstrap.area import SubscriptionList
from tests.contract.core.mail_queue import CODE, MailQueueContract, mail, queue
from tests.contract.core.notices import ADA, BEN, NoticesContract, delivery, notice, tell
from tests.fakes.core.system import NOON, FixedClock, SequentialIds

PostgresUnits = Callable[[], PostgresCoreUnitOfWork]


@pytest.fixture
def queries(database: Database) -> PostgresNoticeQueries:
    return PostgresNoticeQueries(database)


@pytest.fixture
def waiting(database: Database) -> PostgresWaitingMails:
    return PostgresWaitingMails(database)


class TestPostgresNotices(NoticesContract):
    async def test_numbers_stay_gap_free_and_nobody_waits_in_a_circle_when_many_write_at_once(
        self, unit_of_work: PostgresUnits, queries: PostgresNoticeQueries
    ) -> None:
        people = [AccountId(UUID(int=0xA000 + number)) for number in range(4)]
        chance = random.Random(7)

        async def write(number: int) -> None:
            told = chance.sample(people, 3)
            commits = number % 5 != 0
            async with unit_of_work() as uow:
                uow.notices.add(delivery(number), *(notice(person, str(number)) for person in told))
                if commits:
                    await uow.commit()

        await asyncio.gather(*(write(number) for number in range(60)))
        total = 0
        for person in people:
            listing = await queries.list_of(person, NoticeFilter(), Page(100))
            numbers = sorted(one.seq for one in listing.results)
            assert numbers == list(range(1, len(numbers) + 1))
            total += len(numbers)
        assert total == 48 * 3

    async def test_the_list_is_in_the_order_of_the_numbers_whatever_the_clocks_of_the_writers_say(
        self, database: Database, unit_of_work: PostgresUnits, queries: PostgresNoticeQueries, clock: FixedClock
    ) -> None:
        """Two processes write; the ids of the second are all lower than those of the first."""

        def behind() -> PostgresCoreUnitOfWork:
            return PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())

        ids = SequentialIds()
        for number in range(1, 7):
            await tell((unit_of_work, behind)[number % 2], number, notice(ADA, str(number)))
        seen: list[int] = []
        page = Page(2)
        while True:
            listing = await queries.list_of(ADA, NoticeFilter(after=1), page)
            seen += [one.seq for one in listing.results]
            if listing.next is None:
                break
            page = Page(2, listing.next)
        assert seen == [6, 5, 4, 3, 2]

    async def test_an_event_delivered_twice_at_once_is_told_once(
        self, unit_of_work: PostgresUnits, queries: PostgresNoticeQueries
    ) -> None:
        async def write() -> None:
            async with unit_of_work() as uow:
                uow.notices.add(delivery(1), notice(ADA), notice(BEN))
                await uow.commit()

        results = await asyncio.gather(*(write() for _ in range(4)), return_exceptions=True)
        assert None in results
        assert all(one is None or isinstance(one, asyncpg.UniqueViolationError) for one in results)
        for person in (ADA, BEN):
            listing = await queries.list_of(person, NoticeFilter(), Page())
            assert [one.seq for one in listing.results] == [1]


class TestPostgresMailQueue(MailQueueContract):
    async def test_many_senders_take_each_mail_once(
        self, unit_of_work: PostgresUnits, waiting: PostgresWaitingMails
    ) -> None:
        await queue(unit_of_work, *(mail(f"m{number}") for number in range(40)))
        later = NOON + timedelta(minutes=5)
        batches = await asyncio.gather(*(waiting.take(now=NOON, leased_until=later, limit=7) for _ in range(8)))
        taken = [one.message_id for batch in batches for one in batch]
        assert sorted(taken) == sorted({f"m{number}" for number in range(40)})

    async def test_nothing_of_a_mail_is_kept_once_it_is_sent_or_given_up(
        self, unit_of_work: PostgresUnits, waiting: PostgresWaitingMails, database: Database
    ) -> None:
        await queue(unit_of_work, mail("m1"), mail("m2"))
        one, two = await waiting.take(now=NOON, leased_until=NOON, limit=10)
        await waiting.sent(one, now=NOON)
        await waiting.give_up(two, now=NOON, error="notifications.mail_refused")
        async with database.connection() as connection:
            kept = await connection.fetch("SELECT mail_queue::text AS row FROM mail_queue")
        assert len(kept) == 2
        assert all(CODE not in row["row"] and "ada@" not in row["row"] for row in kept)


async def test_addresses_are_verified_ones(database: Database, unit_of_work: PostgresUnits) -> None:
    assert await PostgresMailAddresses(database).verified([ADA, BEN]) == {}
    columns = (
        "username, password_hash, first_name, last_name, bio, avatar, city, county, country, is_active, epoch, roles,"
        " role_states, joined_at"
    )
    values = "'', '', '', '', '', '', '', '', true, 0, '{}', '{}', now()"
    async with database.connection() as connection:
        for account, name, verified in ((ADA, "ada", "'ada@example.test'"), (BEN, "ben", "NULL")):
            await connection.execute(
                f"INSERT INTO accounts (id, {columns}, verified_email, claimed_email)"
                f" VALUES ($1, '{name}', {values}, {verified}, 'claim@example.test')",
                account,
            )
    assert await PostgresMailAddresses(database).verified([ADA, BEN]) == {ADA: "ada@example.test"}
