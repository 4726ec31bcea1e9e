"""ledger.sealed_and_proven and ledger.append_only: O1 to O4, O9 and M6."""

import asyncio
import os
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from typer.testing import CliRunner

from application.core.ledger.proof import AssetSum, Breach, Broken, LedgerProof
from domain.core.kernel.ids import AccountId
from domain.core.ledger.accounts import FEES, AccountRef
from infrastructure.postgres.core.ledger_proof import PostgresLedgerBooks
from infrastructure.postgres.core.ledger_seals import PostgresLedgerSeals
from infrastructure.postgres.database import Database
from interface.cli.core.ledger import AlarmsDesk, ledger_commands
from tests.contract.core.ledger import ADA, BEN, CLEARING, ESCROW, Units, post, transfer
from tests.fakes.core.system import FixedClock

FULL = 100_000
MOVING = {"ledger_alarms", "ledger_balances", "ledger_unsealed", "audit_unsealed"}
"""What is no history: sums of it, what waits for its seal, and what is wrong with it."""
CHAIN_ROWS = FULL if os.environ.get("SOKO_DRILL") else 5_000


@pytest.fixture
def seals(database: Database, clock: FixedClock) -> PostgresLedgerSeals:
    return PostgresLedgerSeals(database, clock)


async def prove(database: Database, clock: FixedClock) -> LedgerProof:
    return await PostgresLedgerBooks(database).prove(now=clock.now())


async def some_history(units: Units) -> None:
    wallet = AccountRef.wallet(ADA)
    await post(
        units,
        transfer("a:1", (CLEARING, wallet, 1000_00)),
        transfer("a:2", (wallet, ESCROW, 400_00)),
        transfer("a:3", (ESCROW, AccountRef.wallet(BEN), 340_00), (ESCROW, FEES, 60_00)),
        transfer("a:4", (CLEARING, wallet, 5), currency="USD"),
        transfer("a:5", (AccountRef.owed(BEN), CLEARING, 10_00)),
    )


async def test_sound_books_prove(
    unit_of_work: Units, database: Database, clock: FixedClock, seals: PostgresLedgerSeals
) -> None:
    empty = await prove(database, clock)
    assert (empty.is_balanced, empty.assets, empty.broken) == (True, (), ())
    await some_history(unit_of_work)
    assert await seals.seal(100) == 5
    assert await seals.seal(100) == 0
    proof = await prove(database, clock)
    assert [(asset.asset, asset.minor) for asset in proof.assets] == [("KES", 0), ("USD", 0)]
    assert proof.broken == ()
    assert proof.is_balanced
    sums = await PostgresLedgerBooks(database).sums(as_of=clock.now())
    assert [(asset.asset, asset.minor) for asset in sums] == [("KES", 0), ("USD", 0)]


@pytest.mark.parametrize(
    ("change", "breach", "name"),
    [
        ("UPDATE ledger_balances SET balance = balance + 1 WHERE account = '{wallet}'", "balance_differs", "{wallet}"),
        ("DELETE FROM ledger_balances WHERE account = '{wallet}' AND currency = 'USD'", "balance_differs", "{wallet}"),
        ("UPDATE ledger_postings SET amount = amount + 1 WHERE transfer_id = '{second}'", "chain_broken", "{second}"),
        ("UPDATE ledger_postings SET leg = 2 WHERE transfer_id = '{second}'", "chain_broken", "{second}"),
        ("DELETE FROM ledger_postings WHERE transfer_id = '{second}'", "chain_broken", "{second}"),
        ("UPDATE ledger_transfers SET reference = 'a:b' WHERE id = '{second}'", "chain_broken", "{second}"),
        ("UPDATE ledger_transfers SET posted_at = posted_at + '1us' WHERE id = '{second}'", "chain_broken", "{second}"),
        ("DELETE FROM ledger_transfers WHERE id = '{second}'", "chain_broken", "{second}"),
        ("UPDATE ledger_seals SET hash = set_byte(hash, 3, get_byte(hash, 3) # 1) WHERE seq = 2",
         "chain_broken", "{second}"),
        ("DELETE FROM ledger_seals WHERE seq = 2", "chain_broken", "{second}"),
        ("INSERT INTO ledger_transfers SELECT gen_random_uuid(), 'x:1', kind, area, subject, NULL, NULL, posted_at"
         " FROM ledger_transfers LIMIT 1", "chain_broken", ""),
    ],
)  # fmt: skip
async def test_each_change_of_history_is_named(
    unit_of_work: Units, database: Database, clock: FixedClock, seals: PostgresLedgerSeals,
    superuser: asyncpg.Connection, change: str, breach: str, name: str,
) -> None:  # fmt: skip
    await some_history(unit_of_work)
    await seals.seal(100)
    second = await superuser.fetchval("SELECT transfer_id FROM ledger_seals WHERE seq = 2")
    names = {"wallet": AccountRef.wallet(ADA).name, "second": str(second)}
    await superuser.execute(change.format(**names))
    proof = await prove(database, clock)
    assert not proof.is_balanced
    assert any(one.breach == breach and name.format(**names) in one.name for one in proof.broken), proof


async def test_an_overdraft_is_named(
    unit_of_work: Units, database: Database, clock: FixedClock, superuser: asyncpg.Connection
) -> None:
    await post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)))
    await superuser.execute("ALTER TABLE ledger_balances DROP CONSTRAINT ck_ledger_balances_floor")
    await superuser.execute("UPDATE ledger_postings SET source = destination, destination = source")
    await superuser.execute("UPDATE ledger_balances SET balance = -100")
    proof = await prove(database, clock)
    assert [one.breach for one in proof.broken] == [Breach.FLOOR_BROKEN]


async def test_a_transfer_left_unsealed_is_named_after_ten_minutes(
    unit_of_work: Units, database: Database, clock: FixedClock
) -> None:
    await some_history(unit_of_work)
    assert (await prove(database, clock)).is_balanced
    clock.set(clock.now().replace(hour=13))
    proof = await prove(database, clock)
    assert {one.breach for one in proof.broken} == {Breach.UNSEALED_TOO_LONG}
    assert len(proof.broken) == 5


async def test_what_commits_late_is_sealed_late_and_never_skipped(
    unit_of_work: Units, database: Database, clock: FixedClock, seals: PostgresLedgerSeals
) -> None:
    early = transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100))
    late = transfer("a:2", (CLEARING, AccountRef.wallet(BEN), 100))
    assert early.id < late.id
    async with unit_of_work() as slow:
        await slow.ledger.post(early)
        await slow.flush()
        await post(unit_of_work, late)
        assert await seals.seal(100) == 1
        await slow.commit()
    assert await seals.seal(100) == 1
    async with database.connection() as connection:
        sealed = await connection.fetch("SELECT transfer_id FROM ledger_seals ORDER BY seq")
    assert [row["transfer_id"] for row in sealed] == [late.id, early.id]
    assert (await prove(database, clock)).is_balanced


async def test_many_sealers_make_one_chain(
    unit_of_work: Units, database: Database, clock: FixedClock, seals: PostgresLedgerSeals
) -> None:
    await post(unit_of_work, *(transfer(f"a:{n}", (CLEARING, AccountRef.wallet(ADA), 1)) for n in range(200)))
    counts = await asyncio.gather(*(seals.seal(60) for _ in range(8)))
    while more := await seals.seal(60):
        counts.append(more)
    assert sum(counts) == 200
    assert (await prove(database, clock)).is_balanced


async def test_history_cannot_be_changed_by_the_server(
    unit_of_work: Units, database: Database, seals: PostgresLedgerSeals
) -> None:
    """Goal M6: the runtime role may not UPDATE, DELETE or TRUNCATE any table of the ledger or the trail."""
    await some_history(unit_of_work)
    await seals.seal(100)
    columns = {
        "ledger_transfers": "area",
        "ledger_postings": "currency",
        "ledger_seals": "hash",
        "audit_entries": "action",
        "audit_seals": "hash",
    }
    async with database.connection() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE tablename ~ '^(ledger|audit)_'")
        assert {row["tablename"] for row in tables} - MOVING == columns.keys()
        for table, column in columns.items():
            before = await connection.fetch(f"SELECT * FROM {table}")
            for change in (
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(change)
            assert await connection.fetch(f"SELECT * FROM {table}") == before


async def test_history_cannot_be_changed_by_its_owner_by_mistake(unit_of_work: Units, database_dsn: str) -> None:
    await some_history(unit_of_work)
    owner = await asyncpg.connect(database_dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("UPDATE ledger_postings SET amount = 1")
    finally:
        await owner.close()


async def test_one_flipped_byte_is_found_in_time(
    database: Database, clock: FixedClock, seals: PostgresLedgerSeals, superuser: asyncpg.Connection
) -> None:
    """Goal M6: among 100,000 rows in the drill, fewer in every run, the verifier names the one."""
    owner = AccountRef.wallet(AccountId(UUID(int=7))).name
    await superuser.execute(
        "INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, 'seed:' || n, 'TOPUP', 'payments', 'seed', $2"
        " FROM generate_series(1, $1::int) AS n",
        CHAIN_ROWS,
        clock.now(),
    )
    await superuser.execute(
        "INSERT INTO ledger_postings SELECT id, 0, 'clearing:lipana', $1, 100, 'KES' FROM ledger_transfers", owner
    )
    await superuser.execute("INSERT INTO ledger_unsealed SELECT id FROM ledger_transfers")
    await superuser.execute(
        "INSERT INTO ledger_balances (account, currency, balance, changed_at)"
        " VALUES ($1, 'KES', $2::bigint * 100, now())",
        owner,
        CHAIN_ROWS,
    )
    while await seals.seal(5_000):
        pass
    assert (await prove(database, clock)).is_balanced
    victim = UUID(int=CHAIN_ROWS // 2)
    await superuser.execute("UPDATE ledger_transfers SET subject = 'seee' WHERE id = $1", victim)
    start = perf_counter()
    proof = await prove(database, clock)
    took_s = perf_counter() - start
    assert [one.name for one in proof.broken] == [f"transfer:{victim}"]
    assert took_s < 60 * CHAIN_ROWS / FULL + 2


def a_proof(*, is_sound: bool) -> LedgerProof:
    broken = () if is_sound else (Broken(breach=Breach.CHAIN_BROKEN, name="transfer:7", detail="seal 7: was changed"),)
    return LedgerProof(assets=(AssetSum("KES", 0),), broken=broken)


def never_opened() -> AlarmsDesk:
    raise AssertionError("the proof needs the books only")


@pytest.mark.parametrize(
    ("is_sound", "status", "said"), [(True, 0, "The books are sound."), (False, 1, "transfer:7: seal 7: was changed")]
)
def test_the_command_says_what_is_broken_by_name_and_status(is_sound: bool, status: int, said: str) -> None:
    def proving(progress: Any) -> LedgerProof:
        progress("seals", 1, 2)
        return a_proof(is_sound=is_sound)

    result = CliRunner().invoke(ledger_commands(proving, never_opened), ["verify"])
    assert result.exit_code == status
    assert said in result.output
    assert "KES: 0.00" in result.output
