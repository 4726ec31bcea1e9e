import pytest

from infrastructure.postgres.core.payments_queries import PostgresPaymentQueries
from infrastructure.postgres.database import Database
from tests.contract.core.refunds import RefundsContract, RefundStores
from tests.integration.postgres.conftest import PostgresUnits


class TestPostgresRefunds(RefundsContract):
    @pytest.fixture
    def stores(self, unit_of_work: PostgresUnits, database: Database) -> RefundStores:
        return RefundStores(unit_of_work, PostgresPaymentQueries(database))
