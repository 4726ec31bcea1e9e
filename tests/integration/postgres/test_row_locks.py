"""What a unit of work reads to change is its own until it ends, and whoever looks for work passes over it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, TypeAlias

import asyncpg
import pytest

from infrastructure.postgres.assignments.repositories import PostgresAssignmentsUnitOfWork
from infrastructure.postgres.core.files import PostgresFileQueries
from infrastructure.postgres.core.housekeeping import PostgresHousekeeping
from infrastructure.postgres.core.identity_housekeeping import PostgresIdentityHousekeeping
from infrastructure.postgres.core.job_runs import PostgresJobRuns
from infrastructure.postgres.core.notifications import PostgresWaitingMails
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.core.receipts import PostgresReceipts
from infrastructure.postgres.database import Database
from infrastructure.postgres.gigs.unit_of_work import PostgresGigsUnitOfWork
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.builders.assignments import WRITER
from tests.builders.gigs import a_review
from tests.contract.assignments.repositories import a_purchase
from tests.contract.core.earnings_holds import ADA, a_hold
from tests.contract.core.files import announced, stored
from tests.contract.core.identity_repositories import a_code, a_factor, a_sign_in, an_account
from tests.contract.core.mail_queue import mail
from tests.contract.core.payments import a_case, an_intent
from tests.contract.core.withdrawals import ADMIN, HERE, a_withdrawal
from tests.e2e.together import WAITING
from tests.fakes.core.system import NOON, FixedClock


class Unit(PostgresAssignmentsUnitOfWork, PostgresGigsUnitOfWork):
    """Both markets in one transaction, so that one table of reads serves both."""


Units: TypeAlias = Callable[[], Unit]
ADD_MESSAGE: Final = (
    "INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at,"
    " dead_at) VALUES ($1, $1, 'told', 'somebody', '{}', 'trace', $2, $2, $3) RETURNING id"
)
ADD_RUN: Final = "INSERT INTO job_runs (id, job, due_at) VALUES ($1, $2, $3)"
LATER: Final = NOON + timedelta(days=9)
PURCHASE, HOLD, NEXT_HOLD, FILE = a_purchase(), a_hold(1, days=1), a_hold(2, days=2), stored()
AMINA = an_account("amina")
SIGN_IN, CODE, FACTOR = a_sign_in(AMINA), a_code(AMINA), a_factor(AMINA.id)
INTENT, CASE, REVIEW = an_intent(), a_case(), a_review()
WITHDRAWAL = a_withdrawal()


@pytest.fixture
def units(database: Database, clock: FixedClock) -> Units:
    ids = UuidV7Source()
    return lambda: Unit(database, clock=clock, ids=ids, subscriptions=SubscriptionList())


async def have_one_of_each(units: Units) -> None:
    async with units() as uow:
        uow.subscriptions.add(PURCHASE)
        uow.earnings_holds.add(HOLD)
        uow.files.add(FILE)
        uow.accounts.add(AMINA)
        uow.sessions.add(SIGN_IN)
        uow.codes.add(CODE)
        uow.second_factors.add(FACTOR)
        uow.intents.add(INTENT)
        uow.cases.add(CASE)
        uow.reviews.add(REVIEW)
        uow.withdrawals.add(WITHDRAWAL)
        await uow.commit()
    async with units() as uow:
        await uow.workers.get(AMINA.id)  # opens it
        await uow.commit()


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda uow: uow.subscriptions.get(PURCHASE.id), id="plan"),
        pytest.param(lambda uow: uow.subscriptions.pending_of(WRITER), id="pending plan"),
        pytest.param(lambda uow: uow.earnings_holds.find(HOLD.subject, ADA), id="earnings"),
        pytest.param(lambda uow: uow.files.get(FILE.id), id="file"),
        pytest.param(lambda uow: uow.accounts.get(AMINA.id), id="account"),
        pytest.param(lambda uow: uow.sessions.get(SIGN_IN.id), id="sign-in"),
        pytest.param(lambda uow: uow.codes.get(CODE.id), id="code"),
        pytest.param(lambda uow: uow.codes.newest(AMINA.id, CODE.purpose, CODE.address), id="newest code"),
        pytest.param(lambda uow: uow.second_factors.get(AMINA.id), id="second factor"),
        pytest.param(lambda uow: uow.intents.get(INTENT.id), id="payment"),
        pytest.param(lambda uow: uow.intents.pushes(HERE, since=NOON), id="phone"),
        pytest.param(lambda uow: uow.cases.get(CASE.id), id="payment case"),
        pytest.param(lambda uow: uow.reviews.get(REVIEW.id), id="review"),
        pytest.param(lambda uow: uow.withdrawals.get(WITHDRAWAL.id), id="withdrawal"),
        pytest.param(lambda uow: uow.workers.get(AMINA.id), id="worker's profile"),
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


async def test_two_who_pay_out_find_different_withdrawals(units: Units) -> None:
    sooner, later = a_withdrawal(1), a_withdrawal(2)
    async with units() as uow:
        for hours, one in enumerate((sooner, later)):
            one.approve(ADMIN, payable_at=NOON + timedelta(hours=hours))
            uow.withdrawals.add(one)
        await uow.commit()
    async with units() as first, units() as second, units() as third, asyncio.timeout(5):
        found = [await uow.withdrawals.find_due(now=LATER) for uow in (first, second, third)]
    assert found == [sooner, later, None]


async def test_two_who_seal_secrets_anew_find_different_ones(units: Units) -> None:
    async with units() as uow:
        uow.accounts.add(AMINA)
        uow.second_factors.add(FACTOR)
        await uow.commit()
    async with units() as first, units() as second, asyncio.timeout(5):
        assert await first.second_factors.sealed_otherwise(b"newk", 9) == [FACTOR]
        assert await second.second_factors.sealed_otherwise(b"newk", 9) == []


async def test_two_who_release_earnings_find_different_ones(units: Units) -> None:
    async with units() as uow:
        uow.earnings_holds.add(HOLD)
        uow.earnings_holds.add(NEXT_HOLD)
        await uow.commit()
    async with units() as first, units() as second, units() as third, asyncio.timeout(5):
        assert await first.earnings_holds.find_due(now=LATER) == HOLD
        assert await second.earnings_holds.find_due(now=LATER) == NEXT_HOLD
        assert await third.earnings_holds.find_due(now=LATER) is None


async def test_of_two_who_replay_a_dead_event_one_does(units: Units, superuser: asyncpg.Connection) -> None:
    dead = await superuser.fetchval(ADD_MESSAGE, uuid.UUID(int=1), NOON, NOON)

    async def replay() -> object:
        async with units() as uow:
            found = await uow.dead_letters.replay(dead, now=NOON)
            await uow.commit()
            return found

    async with units() as first, asyncio.timeout(5):
        assert await first.dead_letters.replay(dead, now=NOON) is not None
        second = asyncio.create_task(replay())
        while not await superuser.fetchval(WAITING):  # noqa: ASYNC110 - another process sets this
            await asyncio.sleep(0.002)
        await first.commit()
        assert await second is None


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


async def test_two_who_relay_take_different_messages(
    database: Database, superuser: asyncpg.Connection, clock: FixedClock
) -> None:
    for number in (1, 2):
        await superuser.execute(ADD_MESSAGE, uuid.UUID(int=number), NOON, None)
    async with asyncio.timeout(5), holding_the_oldest(database, "outbox_messages"):
        taken = await PostgresOutbox(database, clock).take(9)
    assert [one.delivery.id for one in taken] == [uuid.UUID(int=2)]


async def test_two_who_work_take_different_runs(
    database: Database, superuser: asyncpg.Connection, clock: FixedClock
) -> None:
    for number, job in enumerate(("first", "second"), start=1):
        await superuser.execute(ADD_RUN, uuid.UUID(int=number), job, NOON)
    async with asyncio.timeout(5), holding_the_oldest(database, "job_runs"):
        taken = await PostgresJobRuns(database, clock, UuidV7Source()).take(["first", "second"])
    assert taken is not None
    assert taken.job == "second"


async def test_two_who_send_mail_take_different_ones(database: Database, units: Units) -> None:
    async with units() as uow:
        for message_id in ("<one@soko.test>", "<two@soko.test>"):
            uow.mails.add(mail(message_id))
        await uow.commit()
    queue = PostgresWaitingMails(database)
    async with asyncio.timeout(5), holding_the_oldest(database, "mail_queue"):
        taken = await queue.take(now=LATER, leased_until=LATER, limit=9)
    assert [one.message_id for one in taken] == ["<two@soko.test>"]


async def test_the_sweep_of_identity_passes_over_what_is_in_use(database: Database, units: Units) -> None:
    holder, claimant = an_account("brian", email="a@example.test"), an_account("carol", email="a@example.test")
    holder.verify_contact(holder.contacts[0].kind, "a@example.test", now=NOON)
    async with units() as uow:
        uow.accounts.add(AMINA)
        uow.accounts.add(claimant)
        uow.accounts.add(holder)
        uow.sessions.add(SIGN_IN)
        await uow.commit()
    keep, far = PostgresIdentityHousekeeping(database), NOON + timedelta(days=400)

    async def clean() -> int:
        return await keep.clean(now=far, ended_before=far, claims_before=far, rows_max=9)

    async with asyncio.timeout(5), database.connection() as connection:
        async with connection.transaction():
            await connection.execute("SELECT FROM sign_ins FOR UPDATE")
            await connection.execute("SELECT FROM accounts WHERE username = 'carol' FOR UPDATE")
            assert await clean() == 0
        assert await clean() == 1
        assert await connection.fetchval("SELECT count(*) FROM sign_ins") == 0
        assert await connection.fetchval("SELECT count(*) FROM accounts WHERE claimed_email IS NOT NULL") == 0


async def test_housekeeping_passes_over_what_is_in_use(database: Database, clock: FixedClock) -> None:
    receipts, keep = PostgresReceipts(database, clock=clock, ids=UuidV7Source()), PostgresHousekeeping(database)
    await receipts.open("account:a", "one", b"f")
    await receipts.open("account:a", "two", b"f")
    async with asyncio.timeout(5):
        async with holding_the_oldest(database, "receipts"):
            assert await keep.delete_receipts(before=LATER, rows_max=9) == 1
        assert await keep.delete_receipts(before=LATER, rows_max=9) == 1
