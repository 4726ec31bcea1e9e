import pytest

from infrastructure.postgres.core.files import PostgresFileQueries
from infrastructure.postgres.database import Database
from tests.contract.core.files import FilesContract


class TestPostgresFiles(FilesContract):
    @pytest.fixture
    def queries(self, database: Database) -> PostgresFileQueries:
        return PostgresFileQueries(database)
