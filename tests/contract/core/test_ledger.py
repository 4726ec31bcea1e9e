import pytest

from tests.contract.core.ledger import LedgerContract, Units
from tests.fakes.core.store import InMemoryStore


class TestInMemoryLedger(LedgerContract):
    @pytest.fixture
    def unit_of_work(self) -> Units:
        return InMemoryStore().unit_of_work
