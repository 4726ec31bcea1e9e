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

        async def is_somebody_waiting() -> bool:
            return store.lock.locked() and bool(store.lock._waiters)

        orders = OrderStore(
            units=store.units(InMemoryGigsUnitOfWork),
            queries=InMemoryOrderQueries(store),
            is_somebody_waiting=is_somebody_waiting,
        )
        await furnish(orders)
        return orders


class TestInMemoryOrders(InMemoryOrderStore, OrderRepositoryContract): ...


class TestInMemoryOrderQueries(InMemoryOrderStore, OrderQueriesContract): ...
