"""Identity on a real PostgreSQL: the contracts, what revocations follow, and what the cleaner leaves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from application.core.identity.clean_tokens import CleanTokens
from application.core.identity.ports import TooManyAttempts
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import Unavailable
from infrastructure.local.realtime import InMemoryRealtime
from infrastructure.postgres.core.identity import PostgresAttemptCounter, PostgresTickets
from infrastructure.postgres.core.identity_housekeeping import PostgresIdentityHousekeeping
from infrastructure.postgres.core.identity_queries import PostgresIdentityQueries
from infrastructure.postgres.core.revocations import PostgresRevocations
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from infrastructure.system.ids import UuidV7Source
from tests.contract.core.identity_repositories import (
    IDS,
    QUARTER,
    AccountRepositoryContract,
    AttemptCounterContract,
    BlockRepositoryContract,
    CodeRepositoryContract,
    IdentityQueriesContract,
    RevocationBoardContract,
    SecondFactorRepositoryContract,
    SignInRepositoryContract,
    TicketStoreContract,
    Units,
    a_code,
    a_sign_in,
    an_account,
    claims,
    store,
)
from tests.contract.core.realtime import until
from tests.fakes.core.system import NOON, FixedClock


class Nobody:
    def subscribers_of(self, event_name: str) -> tuple[str, ...]:
        return ()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, pool_size=5)
    yield opened
    await opened.close()


@pytest.fixture
def unit_of_work(database: Database, clock: FixedClock) -> Units:
    ids = UuidV7Source()
    return lambda: PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=Nobody())


class TestPostgresAccounts(AccountRepositoryContract): ...


class TestPostgresSignIns(SignInRepositoryContract): ...


class TestPostgresCodes(CodeRepositoryContract): ...


class TestPostgresSecondFactors(SecondFactorRepositoryContract): ...


class TestPostgresBlocks(BlockRepositoryContract): ...


class TestPostgresIdentityQueries(IdentityQueriesContract):
    @pytest.fixture
    def queries(self, database: Database, clock: FixedClock) -> PostgresIdentityQueries:
        return PostgresIdentityQueries(database, clock)


class TestPostgresAttemptCounter(AttemptCounterContract):
    @pytest.fixture
    def counter(self, database: Database) -> PostgresAttemptCounter:
        return PostgresAttemptCounter(database)

    async def test_of_forty_at_once_no_more_than_the_limit_pass(self, counter: PostgresAttemptCounter) -> None:
        outcomes = await asyncio.gather(
            *(counter.take(b"key", limit=10, window=QUARTER, now=NOON) for _ in range(40)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes].count(TooManyAttempts) == 30
        assert outcomes.count(None) == 10


class TestPostgresTickets(TicketStoreContract):
    @pytest.fixture
    def tickets(self, database: Database) -> PostgresTickets:
        return PostgresTickets(database)


class Elapsed:
    """Seconds that a test counts."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
async def revocations(database: Database, clock: FixedClock, elapsed: Elapsed) -> PostgresRevocations:
    followed = PostgresRevocations(database, clock, elapsed=elapsed)
    await followed.refresh()
    return followed


def follows(board: PostgresRevocations) -> bool:
    try:
        board.covers(claims(an_account("anybody").id, IDS.new(), epoch=0))
    except Unavailable:
        return False
    return True


class TestPostgresRevocations(RevocationBoardContract):
    @pytest.fixture
    def board(self, revocations: PostgresRevocations) -> PostgresRevocations:
        return revocations

    async def test_a_higher_epoch_and_an_ended_sign_in_are_followed(
        self, revocations: PostgresRevocations, unit_of_work: Units
    ) -> None:
        account, other = an_account("amina"), an_account("brian")
        sign_in = a_sign_in(other)
        await store(unit_of_work, account, other)
        async with unit_of_work() as uow:
            uow.sessions.add(sign_in)
            await uow.commit()
        async with unit_of_work() as uow:
            (await uow.accounts.get(account.id)).end_access()
            loaded = await uow.sessions.get(sign_in.id)
            assert loaded is not None
            loaded.end(EndReason.LOGOUT, now=NOON)
            await uow.commit()
        family = IDS.new()
        assert revocations.covers(claims(account.id, family, epoch=0)) is False
        await revocations.refresh()
        assert revocations.covers(claims(account.id, family, epoch=0)) is True
        assert revocations.covers(claims(account.id, family, epoch=1)) is False
        assert revocations.covers(claims(other.id, sign_in.id, epoch=0)) is True

    async def test_a_change_that_is_undone_revokes_nothing(
        self, revocations: PostgresRevocations, unit_of_work: Units
    ) -> None:
        account = an_account("amina")
        await store(unit_of_work, account)
        async with unit_of_work() as uow:
            (await uow.accounts.get(account.id)).end_access()
        await revocations.refresh()
        assert revocations.covers(claims(account.id, IDS.new(), epoch=0)) is False

    async def test_a_process_that_is_told_reads_at_once_and_stops_at_once(
        self, database: Database, unit_of_work: Units, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("infrastructure.postgres.core.revocations.REFRESH_S", 3600.0)
        monkeypatch.setattr("infrastructure.postgres.core.revocations.SPACING_S", 0.01)
        line, stop, account = InMemoryRealtime(), asyncio.Event(), an_account("amina")
        here = PostgresRevocations(database, clock, realtime=line)
        there = PostgresRevocations(database, clock, realtime=line)
        await store(unit_of_work, account)
        running = asyncio.create_task(there.run(stop))
        await until("it follows", lambda: follows(there))
        async with unit_of_work() as uow:
            (await uow.accounts.get(account.id)).end_access()
            await uow.commit()
        here.epochs_ended(account.id, before=1)
        await until("it has read", lambda: there.covers(claims(account.id, IDS.new(), epoch=0)))
        stop.set()
        async with asyncio.timeout(5):
            await running

    async def test_a_row_that_commits_after_a_later_refresh_is_not_missed(
        self, revocations: PostgresRevocations, unit_of_work: Units, clock: FixedClock
    ) -> None:
        account = an_account("amina")
        await store(unit_of_work, account)
        async with unit_of_work() as uow:
            (await uow.accounts.get(account.id)).end_access()
            await uow.flush()  # stamped now, committed a minute later
            clock.advance(timedelta(minutes=1))
            await revocations.refresh()
            await uow.commit()
        await revocations.refresh()
        assert revocations.covers(claims(account.id, IDS.new(), epoch=0)) is True

    async def test_a_process_that_starts_knows_what_was_revoked_before(
        self, database: Database, unit_of_work: Units, clock: FixedClock, elapsed: Elapsed
    ) -> None:
        account = an_account("amina")
        await store(unit_of_work, account)
        async with unit_of_work() as uow:
            (await uow.accounts.get(account.id)).end_access()
            await uow.commit()
        clock.advance(timedelta(minutes=119))
        late = PostgresRevocations(database, clock, elapsed=elapsed)
        with pytest.raises(Unavailable):
            late.covers(claims(account.id, IDS.new(), epoch=1))
        await late.refresh()
        assert late.covers(claims(account.id, IDS.new(), epoch=0)) is True

    async def test_who_cannot_follow_for_more_than_5_s_lets_nobody_in(
        self, revocations: PostgresRevocations, elapsed: Elapsed
    ) -> None:
        anybody = claims(an_account("amina").id, IDS.new(), epoch=0)
        elapsed.seconds = 5.0
        assert revocations.covers(anybody) is False
        elapsed.seconds = 5.1
        with pytest.raises(Unavailable):
            revocations.covers(anybody)
        await revocations.refresh()
        assert revocations.covers(anybody) is False


async def test_the_cleaner_deletes_what_is_over_and_keeps_what_is_in_use(
    database: Database, unit_of_work: Units, clock: FixedClock
) -> None:
    holder = an_account("amina", email="a@example.test")
    holder.verify_contact(holder.contacts[0].kind, "a@example.test", now=NOON)
    claimant = an_account("brian", email="a@example.test")
    young = an_account("carol", email="a@example.test", claimed_at_minute=24 * 60 * 5)
    await store(unit_of_work, holder, claimant, young)
    old, live = a_sign_in(holder), a_sign_in(holder)
    live.expires_at = NOON + timedelta(days=60)
    async with unit_of_work() as uow:
        uow.sessions.add(old)
        uow.sessions.add(live)
        uow.codes.add(a_code(holder))
        await uow.commit()
    await PostgresAttemptCounter(database).count(b"key", window=QUARTER, now=NOON)
    clock.advance(timedelta(days=31))
    clean = CleanTokens(housekeeping=PostgresIdentityHousekeeping(database), clock=clock)
    assert [await clean(200), await clean(200)] == [1, 0]
    async with unit_of_work() as uow:
        assert await uow.sessions.get(old.id) is None
        assert await uow.sessions.get(live.id) is not None
        assert (await uow.accounts.get(claimant.id)).contacts == []
        assert len((await uow.accounts.get(young.id)).contacts) == 1
        assert len((await uow.accounts.get(holder.id)).contacts) == 1
