"""The bank test: money between accounts under load, watched all the while by readers of the whole."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from time import perf_counter

import pytest

from domain.core.kernel.ids import AccountId
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import InsufficientFunds
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from interface.bootstrap.area import SubscriptionList
from tests.contract.core.ledger import CLEARING, Units, post, transfer
from tests.fakes.core.system import FixedClock, SequentialIds
from tests.oracle import assert_sound, broken_rules

IS_DRILL = bool(os.environ.get("SOKO_DRILL"))
WRITERS, READERS, TRANSFERS = (64, 8, 20_000) if IS_DRILL else (12, 3, 600)
ACCOUNTS, EACH_MINOR = 12, 500_00
HOT = 4
HOT_TRANSFERS = 20_000 if IS_DRILL else 400
P99_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class Bank:
    """Two pools for those who write, as two processes have, and one for those who read."""

    units: tuple[Units, Units]
    reading: Database


@pytest.fixture
async def bank(database_url: str, clock: FixedClock) -> AsyncIterator[Bank]:
    pools = [Database(database_url, pool_size=size) for size in (WRITERS // 2, WRITERS // 2, READERS)]

    def units(number: int) -> Units:
        ids = SequentialIds(start=(number + 1) << 50)
        return lambda: PostgresCoreUnitOfWork(pools[number], clock=clock, ids=ids, subscriptions=SubscriptionList())

    yield Bank((units(0), units(1)), pools[2])
    for pool in pools:
        assert pool.borrowed == 0
        await pool.close()


async def open_accounts(units: Units, count: int) -> list[AccountRef]:
    """Have wallets with the same amount in each."""
    wallets = [AccountRef.wallet(AccountId(SequentialIds(start=7_000 + number).new())) for number in range(count)]
    await post(units, *(transfer(f"open:{n}", (CLEARING, wallet, EACH_MINOR)) for n, wallet in enumerate(wallets)))
    return wallets


def movements(
    wallets: list[AccountRef], count: int, *, most_minor: int
) -> Iterator[tuple[int, AccountRef, AccountRef, AccountRef, int]]:
    """Yield a number, three wallets and an amount; all who write take from one of these, each the next."""
    chance = random.Random(count)
    for number in range(count):
        payer, one, other = chance.sample(wallets, 3)
        yield number, payer, one, other, chance.randint(1, most_minor)


async def test_money_is_conserved_while_everybody_moves_and_reads_it(bank: Bank, clock: FixedClock) -> None:
    """Goal M2: every read of the whole has the one right total, and no balance is below zero."""
    wallets = await open_accounts(bank.units[0], ACCOUNTS)
    refused, reads = 0, 0
    work = movements(wallets, TRANSFERS, most_minor=2 * EACH_MINOR // 3)
    writers_left = WRITERS

    async def write(units: Units) -> None:
        nonlocal refused, writers_left
        for number, payer, one, other, minor in work:
            legs = ((payer, one, minor), (payer, other, minor))[: 1 + number % 2]
            try:
                await post(units, transfer(f"move:{number}", *legs))
            except InsufficientFunds:
                refused += 1
        writers_left -= 1

    async def read() -> None:
        nonlocal reads
        while writers_left:
            async with bank.reading.transaction() as connection:
                await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                total = await connection.fetchval("SELECT sum(balance)::bigint FROM ledger_balances")
                assert total == ACCOUNTS * EACH_MINOR
                assert await broken_rules(connection) == {}
            reads += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            tasks.create_task(write(bank.units[number % 2]))
        for _ in range(READERS):
            tasks.create_task(read())
    async with bank.reading.connection() as connection:
        posted = await connection.fetchval("SELECT count(*) FROM ledger_transfers WHERE reference LIKE 'move:%'")
    assert posted + refused == TRANSFERS
    assert refused > 0, "the amounts are to meet the floor"
    assert reads > READERS
    await assert_sound(bank.reading, clock)


async def test_contention_on_a_few_accounts_stays_inside(bank: Bank, clock: FixedClock) -> None:
    """Goal C5: transfers both ways between hot accounts never end in a deadlock, and none waits long."""
    wallets = await open_accounts(bank.units[0], HOT)
    work = movements(wallets, HOT_TRANSFERS, most_minor=100)
    took_s: list[float] = []

    async def write(units: Units) -> None:
        for number, payer, one, other, minor in work:
            start = perf_counter()
            # legs in either order: what is locked is sorted by the ledger, whoever asks
            await post(units, transfer(f"move:{number}", (payer, other, minor), (one, payer, minor)))
            took_s.append(perf_counter() - start)

    async with asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            tasks.create_task(write(bank.units[number % 2]))
    assert len(took_s) == HOT_TRANSFERS
    assert sorted(took_s)[HOT_TRANSFERS * 99 // 100] <= P99_MAX_S
    await assert_sound(bank.reading, clock)
