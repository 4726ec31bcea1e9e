"""The ledger on PostgreSQL: the contract, then what only a database can do."""

import asyncpg
import pytest

from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.transfer import ReferenceConflict
from infrastructure.postgres.database import Database
from tests.contract.core.earnings_holds import EarningsHoldsContract
from tests.contract.core.ledger import ADA, CLEARING, LedgerContract, post, transfer
from tests.integration.postgres.conftest import PostgresUnits


class TestPostgresLedger(LedgerContract):
    async def test_of_two_units_with_one_new_reference_the_second_commit_is_refused(
        self, unit_of_work: PostgresUnits
    ) -> None:
        """Neither account has a floor, so no lock makes one wait for the other: the unique index decides."""
        first, second = (transfer("a:1", (FEES, CLEARING, 100)) for _ in range(2))
        async with unit_of_work() as one, unit_of_work() as other:
            await one.ledger.post(first)
            await other.ledger.post(second)
            await one.commit()
            with pytest.raises(ReferenceConflict):
                await other.commit()
        async with unit_of_work() as again:
            assert await again.ledger.post(second) == [first]

    @pytest.mark.parametrize(("account", "minor"), [(AccountRef.wallet(ADA), -1), (AccountRef.owed(ADA), 1)])
    async def test_a_balance_below_its_floor_cannot_be_stored_whoever_writes_it(
        self, unit_of_work: PostgresUnits, database: Database, account: AccountRef, minor: int
    ) -> None:
        await post(
            unit_of_work,
            transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)),
            transfer("a:2", (AccountRef.owed(ADA), CLEARING, 100)),
        )
        async with database.connection() as connection:
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(
                    "UPDATE ledger_balances SET balance = $2 WHERE account = $1", account.name, minor
                )


class TestPostgresEarningsHolds(EarningsHoldsContract):
    pass
