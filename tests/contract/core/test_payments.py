import pytest

from tests.contract.core.payments import PaymentsContract, PaymentStores
from tests.fakes.core.payments_queries import InMemoryCallbackInbox, InMemoryPaymentQueries
from tests.fakes.core.store import InMemoryStore


class TestInMemoryPayments(PaymentsContract):
    @pytest.fixture
    def stores(self) -> PaymentStores:
        store = InMemoryStore()
        return PaymentStores(store.unit_of_work, InMemoryCallbackInbox(store), InMemoryPaymentQueries(store))
