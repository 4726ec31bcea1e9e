import pytest

from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.ids import AccountId
from tests.builders.gigs import people
from tests.contract.gigs.catalogue import (
    CatalogueStore,
    CategoryRepositoryContract,
    OfferingListContract,
    OfferingRepositoryContract,
    WorkerListContract,
    WorkerRepositoryContract,
)
from tests.fakes.core.store import InMemoryStore
from tests.fakes.gigs.catalogue import InMemoryGigsQueries, InMemoryGigsUnitOfWork


class InMemoryCatalogue:
    @pytest.fixture
    def catalogue(self) -> CatalogueStore:
        store = InMemoryStore()
        for account in people():
            store.tables["accounts"][account.id] = account

        async def shut(account_id: AccountId) -> None:
            store.tables["accounts"][account_id].is_active = False

        async def take_role(account_id: AccountId) -> None:
            store.tables["accounts"][account_id].grants = [RoleGrant(Role.WORKER, GrantStatus.SUSPENDED)]

        return CatalogueStore(
            units=store.units(InMemoryGigsUnitOfWork),
            queries=InMemoryGigsQueries(store),
            shut=shut,
            take_role=take_role,
        )


class TestInMemoryCategories(InMemoryCatalogue, CategoryRepositoryContract): ...


class TestInMemoryOfferings(InMemoryCatalogue, OfferingRepositoryContract): ...


class TestInMemoryOfferingLists(InMemoryCatalogue, OfferingListContract): ...


class TestInMemoryWorkers(InMemoryCatalogue, WorkerRepositoryContract): ...


class TestInMemoryWorkerLists(InMemoryCatalogue, WorkerListContract): ...
