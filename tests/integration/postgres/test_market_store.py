"""The assignment market's stores on a real PostgreSQL: the contracts that the stores in memory keep."""

import pytest

from domain.core.identity.account import Account
from domain.core.identity.blocks import Block
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.assignments.queries import PostgresAssignmentsQueries
from infrastructure.postgres.assignments.repositories import PostgresAssignmentsUnitOfWork
from infrastructure.postgres.database import Database
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.builders.assignments import IDS, NAMES
from tests.contract.assignments.queries import AssignmentsQueriesContract
from tests.contract.assignments.repositories import (
    MarketStore,
    ReleaseRepositoryContract,
    SubmissionRepositoryContract,
    SubscriptionRepositoryContract,
    TaskRepositoryContract,
    WriterRepositoryContract,
)
from tests.fakes.core.system import NOON, FixedClock


class PostgresMarket:
    @pytest.fixture
    async def market(self, database: Database, clock: FixedClock) -> MarketStore:
        ids = UuidV7Source()

        def units() -> PostgresAssignmentsUnitOfWork:
            return PostgresAssignmentsUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())

        async with units() as uow:
            for account, name in NAMES.items():
                uow.accounts.add(Account(id=account, username=name, password_hash="hash", joined_at=NOON))
            await uow.commit()

        async def block(blocker: AccountId, blocked: AccountId) -> None:
            async with units() as uow:
                one = Block(id=IDS.new(), blocker_id=blocker, blocked_id=blocked, reason="rude", created_at=NOON)
                await uow.blocks.add(one)
                await uow.commit()

        async def have(account: AccountId, *, is_active: bool) -> None:
            async with units() as uow:
                (await uow.accounts.get(account)).is_active = is_active
                await uow.commit()

        async def shut(account: AccountId) -> None:
            await have(account, is_active=False)

        async def reopen(account: AccountId) -> None:
            await have(account, is_active=True)

        return MarketStore(
            units=units, queries=PostgresAssignmentsQueries(database), block=block, shut=shut, open=reopen
        )


class TestPostgresTasks(PostgresMarket, TaskRepositoryContract): ...


class TestPostgresWriters(PostgresMarket, WriterRepositoryContract): ...


class TestPostgresSubmissions(PostgresMarket, SubmissionRepositoryContract): ...


class TestPostgresSubscriptions(PostgresMarket, SubscriptionRepositoryContract): ...


class TestPostgresReleases(PostgresMarket, ReleaseRepositoryContract): ...


class TestPostgresAssignmentsQueries(PostgresMarket, AssignmentsQueriesContract): ...
