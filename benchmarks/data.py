"""The rows that every contender meets, made by PostgreSQL itself.

A row's id is a function of its kind and number, so nothing has to be read back: the load, the checks and both servers
name the same rows. Ids look like UUIDv7 and sort by number, as real ones sort by time.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

import asyncpg
from argon2 import PasswordHasher

from infrastructure.security.passwords import LANES, MEMORY_KIB, PASSES

PASSWORD = "correct horse battery staple"

FIRST_MOMENT_MS = 1_700_000_000_000
"""The time in the ids, in Unix milliseconds; each row is one later than the row before."""

POSTING_MINOR = 100_00
BUDGET_MINOR = 1_500_00
PAYMENT_MINOR = 500_00
OPEN_CLAIMS_MAX = 1_000
"""The open claims of a badge, set as an administrator would: the limit is checked, and never met."""

PAGE = 20
FILE_EVERY = 5
"""Every fifth task has a file."""


class Kind(IntEnum):
    """What a row is; part of its id."""

    STUDENT = 1
    WRITER = 2
    ADMIN = 3
    OPEN_TASK = 4
    REVIEWED_TASK = 5
    CLAIM = 6
    SUBMISSION = 7
    INTENT = 8
    ATTEMPT = 9
    WALLET_TRANSFER = 10
    OPEN_HOLD = 11
    REVIEWED_HOLD = 12
    TASK_FILE = 13
    WORK_FILE = 14
    SUBSCRIPTION = 15
    POLICY = 16
    CLIENT = 17
    WORKER = 18
    CATEGORY = 19
    SERVICE = 20
    UNPAID_ORDER = 21
    DELIVERED_ORDER = 22
    ORDER_INTENT = 23
    ORDER_ATTEMPT = 24
    ORDER_TRANSFER = 25
    CLIENT_TRANSFER = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many rows there are."""

    open_tasks: int = 200_000
    wallets: int = 100_000
    postings_per_wallet: int = 20
    writers: int = 1_000
    """The first half of twice as many accounts claims, the other half has work in review."""
    payments: int = 100_000
    submissions: int = 50_000
    services: int = 200_000
    workers: int = 2_000
    clients: int = 10_000
    unpaid_orders: int = 60_000
    delivered_orders: int = 50_000

    def divided_by(self, divisor: int) -> "Scale":
        """Return the same market, smaller."""
        return Scale(
            open_tasks=self.open_tasks // divisor,
            wallets=self.wallets // divisor,
            postings_per_wallet=self.postings_per_wallet,
            writers=self.writers // min(divisor, 10),
            payments=self.payments // divisor,
            submissions=self.submissions // divisor,
            services=self.services // divisor,
            workers=self.workers // min(divisor, 10),
            clients=self.clients // min(divisor, 10),
            unpaid_orders=self.unpaid_orders // divisor,
            delivered_orders=self.delivered_orders // divisor,
        )


def row_id(kind: Kind, number: int) -> UUID:
    """Return the id of a row; `bench_id` is the same function in SQL."""
    return UUID(f"{FIRST_MOMENT_MS + number:012x}7{kind:03x}8000{number:012x}")


def reference_of(payment: int) -> str:
    """Return the reference of a payment."""
    return f"SK{payment:010d}"


def phone_of(payment: int) -> str:
    """Return the phone that a payment was asked from."""
    return f"+2547{payment:08d}"


def transaction_of(payment: int) -> str:
    """Return the provider's id of a payment."""
    return f"BENCHTX{payment:08d}"


_FUNCTION = f"""
CREATE FUNCTION bench_id(kind int, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex({FIRST_MOMENT_MS} + number), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8000'
        || lpad(to_hex(number), 12, '0'))::uuid
$$
"""

_ACCOUNT_COLUMNS = (
    "id, username, password_hash, first_name, last_name, bio, avatar, city, county, country, is_active, epoch, roles,"
    " role_states, verified_email, verified_email_at, joined_at"
)
_TASK_COLUMNS = (
    "id, student_id, title, description, status, stage, budget, currency, due_at, approved_at, revision, moves,"
    " claim_rounds, version, created_at, updated_at"
)


def _accounts(kind: Kind, count: int, role: str) -> str:
    return f"""
    INSERT INTO accounts ({_ACCOUNT_COLUMNS})
    SELECT bench_id({kind:d}, n), '{role}' || n, $1, 'Asha', 'Otieno', '', '', 'Nairobi', 'Nairobi', 'Kenya', true, 0,
        ARRAY['{role}'], ARRAY['active'], '{role}' || n || '@example.org', now(), now()
    FROM generate_series(1, {count}) AS n
    """  # noqa: S608  words of this module only


def _tasks(kind: Kind, count: int, students: int) -> str:
    return f"""
    INSERT INTO tasks ({_TASK_COLUMNS})
    SELECT bench_id({kind:d}, n), bench_id({Kind.STUDENT:d}, 1 + n % {students}),
        'Essay ' || n || ' on markets of East Africa',
        repeat('Compare two markets that you know; name your sources. ', 8),
        'APPROVED', 'open', {BUDGET_MINOR}, 'KES', now() + interval '30 days', now(), 1, 1, 0, 0, now(), now()
    FROM generate_series(1, {count}) AS n
    """  # noqa: S608


def _files(kind: Kind, subject: Kind, purpose: str, count: int, step: int) -> str:
    return f"""
    INSERT INTO files (id, owner_id, purpose, subject_id, key, name, size, sha256, content_type, state, uploaded_at)
    SELECT bench_id({kind:d}, n), bench_id({Kind.STUDENT:d}, 1), '{purpose}', bench_id({subject:d}, n),
        '{kind:d}/' || n, 'brief.pdf', 48213, '\\x00'::bytea, 'application/pdf', 'ready', now()
    FROM generate_series({step}, {count}, {step}) AS n
    """  # noqa: S608


def _holds(kind: Kind, task: Kind, count: int, students: int) -> tuple[str, str, str]:
    """Fund tasks: a transfer, its posting and the escrow's balance."""
    return (
        f"""
        INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)
        SELECT bench_id({kind:d}, n), 'task:' || bench_id({task:d}, n) || ':hold:1', 'HOLD', 'assignments',
            'task:' || bench_id({task:d}, n), now()
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
        SELECT bench_id({kind:d}, n), 0, 'clearing:lipana', 'escrow:task:' || bench_id({task:d}, n),
            {BUDGET_MINOR}, 'KES'
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at)
        SELECT 'escrow:task:' || bench_id({task:d}, n), 'KES', {BUDGET_MINOR},
            bench_id({Kind.STUDENT:d}, 1 + n % {students}), now()
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
    )


def _wallets(wallets: int, postings: int) -> tuple[str, str, str]:
    return (
        f"""
        INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)
        SELECT bench_id({Kind.WALLET_TRANSFER:d}, n), 'bench:wallet:' || n, 'TOPUP', 'payments', 'payment:' || n, now()
        FROM generate_series(1, {wallets}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
        SELECT bench_id({Kind.WALLET_TRANSFER:d}, n), leg, 'clearing:lipana',
            'wallet:user:' || bench_id({Kind.STUDENT:d}, n), {POSTING_MINOR}, 'KES'
        FROM generate_series(1, {wallets}) AS n, generate_series(0, {postings - 1}) AS leg
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at)
        SELECT 'wallet:user:' || bench_id({Kind.STUDENT:d}, n), 'KES', {postings * POSTING_MINOR},
            bench_id({Kind.STUDENT:d}, n), now()
        FROM generate_series(1, {wallets}) AS n
        """,  # noqa: S608
    )


def _writers(writers: int, submissions: int) -> tuple[str, ...]:
    """Make writers with the highest plan and badge; the second half holds work in review."""
    accounts = 2 * writers
    return (
        f"""
        INSERT INTO writers (account_id, used, open_claims, subscription_id, plan, plan_worth, plan_starts_at,
            plan_ends_at)
        SELECT bench_id({Kind.WRITER:d}, n), 0, CASE WHEN n > {writers} THEN {submissions} ELSE 0 END,
            bench_id({Kind.SUBSCRIPTION:d}, n), 'P10', 129000, now() - interval '1 day', now() + interval '29 days'
        FROM generate_series(1, {accounts}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ratings (account_id, points)
        SELECT bench_id({Kind.WRITER:d}, n), 100 FROM generate_series(1, {accounts}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at)
        SELECT prefix || bench_id({Kind.WRITER:d}, n), 'KES', 0, bench_id({Kind.WRITER:d}, n), now()
        FROM generate_series(1, {accounts}) AS n, unnest(ARRAY['wallet:user:', 'owed:user:', 'pending:user:'])
            AS prefix
        """,  # noqa: S608
    )


def _work(submissions: int, writers: int) -> tuple[str, ...]:
    writer = f"bench_id({Kind.WRITER:d}, {writers} + 1 + n % {writers})"
    return (
        f"""
        UPDATE tasks AS t SET status = 'IN_PROGRESS', stage = 'review', claim_id = bench_id({Kind.CLAIM:d}, n),
            claim_writer_id = {writer}, claimed_at = now(), claim_due_at = now() + interval '3 days',
            claim_expires_at = now() + interval '84 hours', claim_day = current_date, version = 1,
            submission_id = bench_id({Kind.SUBMISSION:d}, n)
        FROM generate_series(1, {submissions}) AS n WHERE t.id = bench_id({Kind.REVIEWED_TASK:d}, n)
        """,  # noqa: S608
        f"""
        INSERT INTO claims (id, task_id, writer_id, day, claimed_at, due_at, expires_at)
        SELECT bench_id({Kind.CLAIM:d}, n), bench_id({Kind.REVIEWED_TASK:d}, n), {writer}, current_date, now(),
            now() + interval '3 days', now() + interval '84 hours'
        FROM generate_series(1, {submissions}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO submissions (id, task_id, claim_id, writer_id, status, version, notes, is_late, created_at,
            updated_at)
        SELECT bench_id({Kind.SUBMISSION:d}, n), bench_id({Kind.REVIEWED_TASK:d}, n), bench_id({Kind.CLAIM:d}, n),
            {writer}, 'PENDING_REVIEW', 1, 'All sources are in the annex.', false, now(), now()
        FROM generate_series(1, {submissions}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO submission_versions (submission_id, number, notes, is_late, file_ids, submitted_at)
        SELECT bench_id({Kind.SUBMISSION:d}, n), 1, 'All sources are in the annex.', false,
            ARRAY[bench_id({Kind.WORK_FILE:d}, n)], now()
        FROM generate_series(1, {submissions}) AS n
        """,  # noqa: S608
    )


def _payments(payments: int, students: int) -> tuple[str, str]:
    payer = f"bench_id({Kind.STUDENT:d}, 1 + n % {students})"
    return (
        f"""
        INSERT INTO payment_intents (id, reference, payer_id, purpose, subject, amount, currency, destination, kind,
            status, expires_at, created_at)
        SELECT bench_id({Kind.INTENT:d}, n), 'SK' || lpad(n::text, 10, '0'), {payer}, 'WALLET',
            bench_id({Kind.INTENT:d}, n), {PAYMENT_MINOR}, 'KES', 'wallet:user:' || {payer}, 'TOPUP', 'open',
            now() + interval '1 day', now()
        FROM generate_series(1, {payments}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO payment_attempts (id, intent_id, purpose, method, gateway, phone, status, transaction_id,
            went_to_wallet, is_retry, next_check_at, created_at, sent_at)
        SELECT bench_id({Kind.ATTEMPT:d}, n), bench_id({Kind.INTENT:d}, n), 'WALLET', 'mpesa', 'lipana',
            '+2547' || lpad(n::text, 8, '0'), 'pending', 'BENCHTX' || lpad(n::text, 8, '0'), false, false,
            now() + interval '1 day', now(), now()
        FROM generate_series(1, {payments}) AS n
        """,  # noqa: S608
    )


async def seed(dsn: str, scale: Scale, more: Iterable[str]) -> None:
    """Fill a migrated, empty database, and leave it as tidy as one that has run for a while.

    `more` are further statements, which need nothing but the accounts.
    """
    password_hash = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES).hash(PASSWORD)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_FUNCTION)
        for kind, count, role in (
            (Kind.STUDENT, scale.wallets, "student"),
            (Kind.WRITER, 2 * scale.writers, "writer"),
            (Kind.ADMIN, 1, "admin"),
            (Kind.CLIENT, scale.clients, "client"),
            (Kind.WORKER, scale.workers, "worker"),
        ):
            await connection.execute(_accounts(kind, count, role), password_hash)
        await connection.execute(
            "INSERT INTO policies (id, name, value, valid_from, reason, created_at) VALUES"
            " ($1, 'assignments.open_claims_platinum', $2, now(), 'benchmark', now())",
            row_id(Kind.POLICY, 1),
            str(OPEN_CLAIMS_MAX),
        )
    finally:
        await connection.close()
    students = scale.wallets
    await asyncio.gather(
        _run(dsn, _wallets(scale.wallets, scale.postings_per_wallet)),
        _run(
            dsn,
            [
                _tasks(Kind.OPEN_TASK, scale.open_tasks, students),
                _files(Kind.TASK_FILE, Kind.OPEN_TASK, "student", scale.open_tasks, FILE_EVERY),
                *_holds(Kind.OPEN_HOLD, Kind.OPEN_TASK, scale.open_tasks, students),
                _tasks(Kind.REVIEWED_TASK, scale.submissions, students),
                *_holds(Kind.REVIEWED_HOLD, Kind.REVIEWED_TASK, scale.submissions, students),
                *_work(scale.submissions, scale.writers),
                _files(Kind.WORK_FILE, Kind.REVIEWED_TASK, "writer", scale.submissions, 1),
                *_writers(scale.writers, scale.submissions),
                *_payments(scale.payments, students),
            ],
        ),
        _run(dsn, more),
    )
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _run(dsn: str, statements: Iterable[str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET session_replication_role = replica")  # rows that fit by construction
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
