"""The ledger on PostgreSQL: the contract, then what only a database can do."""

from tests.contract.core.earnings_holds import EarningsHoldsContract
from tests.contract.core.ledger import LedgerContract


class TestPostgresLedger(LedgerContract):
    pass


class TestPostgresEarningsHolds(EarningsHoldsContract):
    pass
