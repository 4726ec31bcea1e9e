import pytest

from tests.contract.core.files import FilesContract, Units
from tests.fakes.core.files import InMemoryFileQueries
from tests.fakes.core.store import InMemoryStore


class TestInMemoryFiles(FilesContract):
    @pytest.fixture
    def store(self) -> InMemoryStore:
        return InMemoryStore()

    @pytest.fixture
    def unit_of_work(self, store: InMemoryStore) -> Units:
        return store.unit_of_work

    @pytest.fixture
    def queries(self, store: InMemoryStore) -> InMemoryFileQueries:
        return InMemoryFileQueries(store)
