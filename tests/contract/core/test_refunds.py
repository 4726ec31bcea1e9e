import pytest

from tests.contract.core.refunds import RefundsContract, RefundStores
from tests.fakes.core.payments_queries import InMemoryPaymentQueries
from tests.fakes.core.store import InMemoryStore


class TestInMemoryRefunds(RefundsContract):
    @pytest.fixture
    def stores(self) -> RefundStores:
        store = InMemoryStore()
        return RefundStores(store.unit_of_work, InMemoryPaymentQueries(store))
