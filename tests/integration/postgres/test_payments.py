import pytest

from infrastructure.postgres.core.payments import PostgresCallbackInbox
from infrastructure.postgres.core.payments_queries import PostgresPaymentQueries
from infrastructure.postgres.database import Database
from tests.contract.core.payments import PaymentsContract, PaymentStores
from tests.integration.postgres.conftest import PostgresUnits


class TestPostgresPayments(PaymentsContract):
    @pytest.fixture
    def stores(self, unit_of_work: PostgresUnits, database: Database) -> PaymentStores:
        return PaymentStores(unit_of_work, PostgresCallbackInbox(database), PostgresPaymentQueries(database))
