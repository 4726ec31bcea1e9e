"""The oracle is worth what it notices: one planted fault per rule."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from domain.core.ledger.accounts import FEES, AccountRef
from infrastructure.postgres.database import Database
from tests.contract.core.ledger import ADA, BEN, CLEARING, Units, post, transfer
from tests.contract.core.withdrawals import a_withdrawal
from tests.fakes.core.system import FixedClock
from tests.integration.postgres.conftest import PostgresUnits
from tests.oracle import BOOKS, assert_sound, broken_rules

TASK = UUID(int=0x7A5C)


@pytest.fixture
async def superuser(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as somebody who can do anything, triggers off."""
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


async def some_history(units: Units) -> None:
    wallet, earned = AccountRef.wallet(ADA), AccountRef.wallet(BEN)
    await post(
        units,
        transfer("a:1", (CLEARING, wallet, 1000_00)),
        transfer("a:2", (wallet, earned, 340_00), (wallet, FEES, 60_00)),
        transfer("a:3", (CLEARING, wallet, 5), currency="USD"),
        transfer("a:4", (AccountRef.owed(BEN), CLEARING, 10_00)),
    )


async def test_sound_books_break_no_rule(unit_of_work: PostgresUnits, database: Database, clock: FixedClock) -> None:
    await some_history(unit_of_work)
    asked = a_withdrawal(owner=ADA)
    async with unit_of_work() as uow:
        uow.withdrawals.add(asked)
        await uow.ledger.post(
            transfer("a:5", (CLEARING, AccountRef.wallet(ADA), asked.amount.minor)),
            transfer("a:6", (AccountRef.wallet(ADA), AccountRef.reserved(ADA), asked.amount.minor)),
        )
        await uow.commit()
    await assert_sound(database, clock)


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        ("DELETE FROM ledger_postings WHERE transfer_id = (SELECT id FROM ledger_transfers WHERE reference = 'a:3')",
         {"O1", "O2", "O3"}),
        ("UPDATE ledger_postings SET currency = 'USD' WHERE leg = 1", {"O1", "O2", "O3"}),
        ("UPDATE ledger_balances SET balance = balance + 1 WHERE currency = 'USD'", {"O2", "O3"}),
        ("UPDATE ledger_balances SET balance = 0 WHERE account LIKE 'owed:%'", {"O2", "O3"}),
        ("UPDATE ledger_balances SET balance = -1 WHERE currency = 'USD'", {"O2", "O3", "O4 floor"}),
        ("UPDATE ledger_balances SET account = replace(account, 'wallet', 'reserved') WHERE currency = 'USD'",
         {"O3", "O4 reserved"}),
        ("UPDATE ledger_balances SET account = replace(account, 'wallet', 'pending') WHERE currency = 'USD'",
         {"O3", "O4 pending"}),
        ("UPDATE ledger_balances SET account = replace(account, 'wallet:user', 'escrow:task') WHERE currency = 'USD'",
         {"O3", "O4 escrow"}),
        ("UPDATE ledger_balances SET account = replace(account, 'wallet:user', 'escrow:order') WHERE currency = 'USD'",
         {"O3", "O4 orders"}),
    ],
)  # fmt: skip
async def test_each_fault_is_named_by_its_rule(
    unit_of_work: Units, database: Database, clock: FixedClock, superuser: asyncpg.Connection,
    fault: str, rules: set[str],
) -> None:  # fmt: skip
    await some_history(unit_of_work)
    await superuser.execute("ALTER TABLE ledger_balances DROP CONSTRAINT ck_ledger_balances_floor")
    assert await broken_rules(superuser) == {}
    await superuser.execute(fault)
    assert set(await broken_rules(superuser)) == rules
    assert rules <= BOOKS.keys()
    with pytest.raises(AssertionError):
        await assert_sound(database, clock)


async def test_a_broken_chain_is_noticed(
    unit_of_work: Units, database: Database, clock: FixedClock, superuser: asyncpg.Connection
) -> None:
    await some_history(unit_of_work)
    await assert_sound(database, clock)
    await superuser.execute("UPDATE ledger_transfers SET subject = 'test:2' WHERE reference = 'a:2'")
    assert await broken_rules(superuser) == {}
    with pytest.raises(AssertionError):
        await assert_sound(database, clock)
