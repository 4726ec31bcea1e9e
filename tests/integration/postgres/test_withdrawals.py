from tests.contract.core.withdrawals import WithdrawalsContract


class TestPostgresWithdrawals(WithdrawalsContract):
    pass
