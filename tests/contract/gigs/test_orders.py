import pytest

from tests.contract.gigs.order_queries import OrderQueriesContract
from tests.contract.gigs.orders import OrderRepositoryContract, OrderStore, furnish
from tests.fakes.core.store import InMemoryStore
from tests.fakes.gigs.catalogue import InMemoryGigsUnitOfWork
from tests.fakes.gigs.order_queries import InMemoryOrderQueries


class InMemoryOrderStore:
    @pytest.fixture
    async def orders(self) -> OrderStore:
        store = InMemoryStore()
        orders = OrderStore(
            units=store.units(InMemoryGigsUnitOfWork), queries=InMemoryOrderQueries(store), is_one_writer=True
        )
        await furnish(orders)
        return orders


class TestInMemoryOrders(InMemoryOrderStore, OrderRepositoryContract): ...


class TestInMemoryOrderQueries(InMemoryOrderStore, OrderQueriesContract): ...
