"""The oracle is worth what it notices: one planted fault per rule."""

from uuid import UUID

import asyncpg
import pytest

from domain.core.ledger.accounts import FEES, AccountRef
from infrastructure.postgres.database import Database
from tests.contract.core.ledger import ADA, BEN, CLEARING, Units, post, transfer
from tests.contract.core.withdrawals import a_withdrawal
from tests.fakes.core.system import FixedClock
from tests.integration.postgres.conftest import PostgresUnits
from tests.oracle import AT_REST, BOOKS, assert_sound, broken_rules

TASK = UUID(int=0x7A5C)


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


_NOTICE = (
    "INSERT INTO notices (id, recipient, seq, event_id, category, title, message, metadata, is_mailed, created_at)"
    f" SELECT gen_random_uuid(), '{ADA}', {{seq}}, event_id, 'x', 'x', 'x', '{{{{}}}}', false, now()"
    " FROM outbox_messages WHERE subscriber = 'notifications.tell_payer'"
)
_TASK = (
    "INSERT INTO tasks (id, student_id, title, description, status, stage, revision, moves, claim_rounds, version,"
    " claim_id, created_at, updated_at) VALUES (gen_random_uuid(), '{ADA}', 'x', 'x', 'IN_PROGRESS', 'work', 0, 0, 0,"
    " 1, gen_random_uuid(), now(), now())"
).replace("{ADA}", str(ADA))


async def a_quiet_market(superuser: asyncpg.Connection) -> None:
    """Write down one event that told one person, and five claims under a plan of five a day."""
    for subscriber in ("notifications.tell_payer", "nobody.told"):
        await superuser.execute(
            "INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at,"
            " attempts, done_at) VALUES (gen_random_uuid(), gen_random_uuid(), 'x', $1, '{}', 'x', now(), now(), 1,"
            " now())",
            subscriber,
        )
    await superuser.execute(_NOTICE.format(seq=1))
    await superuser.execute("INSERT INTO notice_counters (account_id, last_seq) VALUES ($1, 1)", ADA)
    await superuser.execute(
        "INSERT INTO writer_subscriptions (id, writer_id, plan, listed, amount, currency, state, starts_at, created_at)"
        " VALUES (gen_random_uuid(), $1, 'P2', 1, 1, 'KES', 'active', now(), now())",
        ADA,
    )
    await superuser.execute(
        "INSERT INTO claims (id, task_id, writer_id, day, claimed_at, due_at, expires_at, ended_at, end_reason)"
        " SELECT gen_random_uuid(), gen_random_uuid(), $1, '2026-03-02', now(), now(), now(), now(), 'completed'"
        " FROM generate_series(1, 5)",
        ADA,
    )


MARKET_FAULTS = (
    ("UPDATE claims SET ended_at = NULL WHERE id = (SELECT id FROM claims LIMIT 1)", "O7 holder"),
    (_TASK, "O7 holder"),
    ("INSERT INTO claims SELECT gen_random_uuid(), task_id, writer_id, day, claimed_at, due_at, expires_at,"
     " ended_at, end_reason FROM claims LIMIT 1", "O7 daily limit"),
    ("UPDATE outbox_messages SET done_at = NULL WHERE subscriber = 'nobody.told'", "O8 undelivered"),
    ("DELETE FROM notices; DELETE FROM notice_counters", "O8 without effect"),
    ("DELETE FROM outbox_messages WHERE subscriber = 'notifications.tell_payer'", "O8 without event"),
    (_NOTICE.format(seq=2) + "; UPDATE notice_counters SET last_seq = 2", "O8 twice"),
    ("UPDATE notice_counters SET last_seq = 2", "O8 gap"),
    ("INSERT INTO payment_intents (id, reference, payer_id, purpose, subject, amount, currency, destination, kind,"
     " status, expires_at, created_at) VALUES (gen_random_uuid(), 'SK1', gen_random_uuid(), 'WRITER_PLAN',"
     " gen_random_uuid(), 1, 'KES', 'x', 'x', 'succeeded', now(), now())", "O8 plans"),
)  # fmt: skip


async def test_each_fault_of_the_market_is_named_by_its_rule(superuser: asyncpg.Connection) -> None:
    await superuser.execute("ALTER TABLE notices DROP CONSTRAINT uq_notices_event_recipient")
    await a_quiet_market(superuser)
    assert await broken_rules(superuser, BOOKS | AT_REST) == {}
    for fault, rule in MARKET_FAULTS:
        planted = superuser.transaction()
        await planted.start()
        await superuser.execute(fault)
        assert set(await broken_rules(superuser, BOOKS | AT_REST)) == {rule}, fault
        await planted.rollback()


async def test_who_holds_a_transaction_or_a_lock_of_the_database_is_noticed(
    superuser: asyncpg.Connection, database_dsn: str
) -> None:
    idle = await asyncpg.connect(database_dsn)
    await idle.execute("BEGIN; SELECT pg_advisory_lock(7)")
    assert set(await broken_rules(superuser, AT_REST)) == {"O10 in transaction", "O10 advisory lock"}
    await idle.close()
