"""The ledger on PostgreSQL: the contract, then what only a database can do."""

from tests.contract.core.ledger import LedgerContract


class TestPostgresLedger(LedgerContract):
    pass
