import pytest

from tests.contract.core.earnings_holds import EarningsHoldsContract, EarningsUnits
from tests.contract.core.ledger import LedgerContract, Units
from tests.fakes.core.store import InMemoryStore


class TestInMemoryLedger(LedgerContract):
    @pytest.fixture
    def unit_of_work(self) -> Units:
        return InMemoryStore().unit_of_work


class TestInMemoryEarningsHolds(EarningsHoldsContract):
    @pytest.fixture
    def unit_of_work(self) -> EarningsUnits:
        return InMemoryStore().unit_of_work
