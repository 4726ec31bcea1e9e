"""Orders on a real PostgreSQL: the contracts that the store in memory keeps, and what only a database does."""

import pytest

from infrastructure.postgres.database import Database
from infrastructure.postgres.gigs.order_queries import PostgresOrderQueries
from infrastructure.postgres.gigs.unit_of_work import PostgresGigsUnitOfWork
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.contract.gigs.order_queries import OrderQueriesContract
from tests.contract.gigs.orders import OrderRepositoryContract, OrderStore, furnish
from tests.fakes.core.system import FixedClock


class PostgresOrderStore:
    @pytest.fixture
    async def orders(self, database: Database, clock: FixedClock) -> OrderStore:
        ids = UuidV7Source()

        def units() -> PostgresGigsUnitOfWork:
            return PostgresGigsUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())

        store = OrderStore(units=units, queries=PostgresOrderQueries(database), is_one_writer=False)
        await furnish(store)
        return store


class TestPostgresOrders(PostgresOrderStore, OrderRepositoryContract): ...


class TestPostgresOrderQueries(PostgresOrderStore, OrderQueriesContract): ...
