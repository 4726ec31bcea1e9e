from dataclasses import replace

import asyncpg
import pytest

from infrastructure.postgres.core.files import PostgresFileQueries
from infrastructure.postgres.database import Database
from tests.contract.core.files import FilesContract, Units, claim, stored


class TestPostgresFiles(FilesContract):
    @pytest.fixture
    def queries(self, database: Database) -> PostgresFileQueries:
        return PostgresFileQueries(database)

    async def test_the_bytes_of_one_file_are_claimed_by_no_other(
        self, unit_of_work: Units, queries: PostgresFileQueries
    ) -> None:
        """Else who removes one file removes the other's bytes; only a mistake of ours could make such keys."""
        file, other = stored(), stored()
        await claim(unit_of_work, file)
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_files_key"):
            await claim(unit_of_work, replace(other, key=file.key))
        assert await queries.find(other.id) is None
