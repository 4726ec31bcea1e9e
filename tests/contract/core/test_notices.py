import pytest

from tests.contract.core.notices import NoticesContract, Units
from tests.fakes.core.notifications import InMemoryNoticeQueries, InMemoryWaitingMails
from tests.fakes.core.store import InMemoryStore


class TestInMemoryNotices(NoticesContract):
    @pytest.fixture
    def store(self) -> InMemoryStore:
        return InMemoryStore()

    @pytest.fixture
    def unit_of_work(self, store: InMemoryStore) -> Units:
        return store.unit_of_work

    @pytest.fixture
    def queries(self, store: InMemoryStore) -> InMemoryNoticeQueries:
        return InMemoryNoticeQueries(store)

    @pytest.fixture
    def waiting(self, store: InMemoryStore) -> InMemoryWaitingMails:
        return InMemoryWaitingMails(store)
