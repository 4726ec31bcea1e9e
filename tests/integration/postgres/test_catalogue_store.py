"""The catalogue on a real PostgreSQL: the contracts that the store in memory keeps, and what only it can show."""

import asyncio

import pytest

from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.gigs.offering import CategoryExists
from infrastructure.postgres.database import Database
from infrastructure.postgres.gigs.queries import PostgresGigsQueries
from infrastructure.postgres.gigs.unit_of_work import PostgresGigsUnitOfWork
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.builders.gigs import a_category, an_offering, people
from tests.contract.gigs.catalogue import (
    CatalogueStore,
    CategoryRepositoryContract,
    OfferingListContract,
    OfferingRepositoryContract,
    WorkerListContract,
    WorkerRepositoryContract,
    add_category,
    put,
)
from tests.fakes.core.system import FixedClock


class PostgresCatalogue:
    @pytest.fixture
    async def catalogue(self, database: Database, clock: FixedClock) -> CatalogueStore:
        ids = UuidV7Source()

        def units() -> PostgresGigsUnitOfWork:
            return PostgresGigsUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())

        async with units() as uow:
            for account in people():
                uow.accounts.add(account)
            await uow.commit()

        async def shut(account_id: AccountId) -> None:
            async with units() as uow:
                (await uow.accounts.get(account_id)).is_active = False
                await uow.commit()

        async def take_role(account_id: AccountId) -> None:
            async with units() as uow:
                account = await uow.accounts.get(account_id)
                account.grants = [RoleGrant(Role.WORKER, GrantStatus.SUSPENDED)]
                await uow.commit()

        return CatalogueStore(units=units, queries=PostgresGigsQueries(database), shut=shut, take_role=take_role)


class TestPostgresCategories(PostgresCatalogue, CategoryRepositoryContract):
    async def test_of_two_with_one_name_at_once_one_is_refused(self, catalogue: CatalogueStore) -> None:
        async with catalogue.units() as first, catalogue.units() as second:
            first.categories.add(a_category("Gardens"))
            await first.flush()
            second.categories.add(a_category("gardens"))
            waiting = asyncio.create_task(second.commit())
            await asyncio.sleep(0)
            await first.commit()
            with pytest.raises(CategoryExists):
                await waiting


class TestPostgresOfferings(PostgresCatalogue, OfferingRepositoryContract):
    async def test_a_loaded_service_is_locked(self, catalogue: CatalogueStore) -> None:
        offering = an_offering(await add_category(catalogue))
        await put(catalogue, offering)

        async def raise_price() -> None:
            async with catalogue.units() as uow:
                loaded = await uow.offerings.get(offering.id)
                loaded.base_price += Money(1_00)
                await uow.commit()

        await asyncio.gather(*(raise_price() for _ in range(4)))
        assert (await catalogue.queries.offering(offering.id)).base_price == Money(2_504_00)


class TestPostgresOfferingLists(PostgresCatalogue, OfferingListContract): ...


class TestPostgresWorkers(PostgresCatalogue, WorkerRepositoryContract): ...


class TestPostgresWorkerLists(PostgresCatalogue, WorkerListContract): ...
