import pytest

from tests.contract.core.withdrawals import WithdrawalsContract, WithdrawalUnits
from tests.fakes.core.store import InMemoryStore


class TestInMemoryWithdrawals(WithdrawalsContract):
    @pytest.fixture
    def unit_of_work(self) -> WithdrawalUnits:
        return InMemoryStore().unit_of_work
