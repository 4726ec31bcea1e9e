import pytest

from tests.contract.core.reminders import SentRemindersContract, Units
from tests.fakes.core.store import InMemoryStore


class TestInMemorySentReminders(SentRemindersContract):
    @pytest.fixture
    def unit_of_work(self) -> Units:
        return InMemoryStore().unit_of_work
