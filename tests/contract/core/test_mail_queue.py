import pytest

from tests.contract.core.mail_queue import MailQueueContract
from tests.contract.core.notices import Units
from tests.fakes.core.notifications import InMemoryWaitingMails
from tests.fakes.core.store import InMemoryStore


class TestInMemoryMailQueue(MailQueueContract):
    @pytest.fixture
    def store(self) -> InMemoryStore:
        return InMemoryStore()

    @pytest.fixture
    def unit_of_work(self, store: InMemoryStore) -> Units:
        return store.unit_of_work

    @pytest.fixture
    def waiting(self, store: InMemoryStore) -> InMemoryWaitingMails:
        return InMemoryWaitingMails(store)
