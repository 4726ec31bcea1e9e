"""Every CHECK, unique key and foreign key refuses a row that breaks it and nothing else; history is only added to.

Most of them only a mistake of ours could meet: the domain refuses first. So the rows are written past it, where it
matters without foreign keys and triggers.
"""

import importlib
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql

from infrastructure.postgres.tables import metadata
from tests.fakes.core.system import NOON

SOURCE = Path(__file__).parents[3] / "src"
HISTORY = (
    "audit_entries", "audit_seals", "gigs_order_events", "ledger_postings", "ledger_seals", "ledger_transfers",
)  # fmt: skip
HOUR_LATER = NOON.replace(hour=NOON.hour + 1)
SOMEBODY = UUID(int=0xADA)

Row = dict[str, Any]

SOUND: Mapping[str, Row] = {
    "accounts": {"roles": [], "role_states": []},
    "files": {"state": "ready"},
    "gigs_orders": {"status": "pending", "stage": "paid", "scheduled_at": NOON, "ends_at": HOUR_LATER},
    "releases": {"amount": 2, "fee": 1, "source": "escrow"},
    "review_summaries": {"total": 5, "reviews": 1},
    "submissions": {"status": "APPROVED"},
    "tasks": {"status": "APPROVED"},
    "writer_subscriptions": {"state": "active"},
    "access_revocations": {"family_id": SOMEBODY},
}
"""What the database takes, where not any value will do."""

BROKEN: Mapping[str, list[Row]] = {
    "ck_access_revocations_one": [
        {"account_id": SOMEBODY, "before_epoch": 1},
        {"family_id": None},
        {"family_id": None, "account_id": SOMEBODY},
    ],
    "ck_accounts_roles": [{"roles": ["student"]}],
    "ck_blocks_another": [{"blocker_id": SOMEBODY, "blocked_id": SOMEBODY}],
    "ck_earnings_holds_amount": [{"amount": 0}],
    "ck_file_uploads_size": [{"size": 0}],
    "ck_files_size": [{"size": 0}],
    "ck_files_state": [{"state": "lost"}],
    "ck_gigs_job_offers_outcome": [{"outcome": "accepted"}, {"ended_at": NOON}],
    "ck_gigs_orders_end": [{"status": "completed"}, {"ended_at": NOON}],
    "ck_gigs_orders_ends_at": [{"ends_at": NOON}],
    "ck_gigs_orders_nobody_serves_himself": [{"worker_id": SOMEBODY, "client_id": SOMEBODY}],
    "ck_gigs_orders_offer": [{"stage": "offered"}, {"offer_id": SOMEBODY}],
    "ck_gigs_orders_quantity": [{"quantity": 0}, {"quantity": 1001}],
    "ck_gigs_orders_somebody_works": [{"status": "in_progress"}],
    "ck_gigs_orders_unit_price": [{"unit_price": -1}],
    "ck_job_runs_handled": [{"handled": -1}],
    "ck_ledger_balances_floor": [{"account": "wallet:user:x", "balance": -1}, {"account": "owed:x", "balance": 1}],
    "ck_ledger_postings_amount": [{"amount": 0}, {"amount": 1_000_000_000_001}],
    "ck_ledger_postings_moves": [{"source": "wallet:user:x", "destination": "wallet:user:x"}],
    "ck_mail_queue_forgotten": [
        {"sent_at": NOON, "subject": "", "text": "", "to_address": "a@example.test"},
        {"dead_at": NOON, "subject": "", "to_address": None},
        {"sent_at": NOON, "text": "", "to_address": None},
    ],
    "ck_offerings_base_price": [{"base_price": -1}],
    "ck_payment_intents_amount": [{"amount": 0}],
    "ck_payment_refunds_amount": [{"amount": 0}],
    "ck_payment_refunds_wallet_waits_for_nobody": [{"status": "pending", "gateway": None}],
    "ck_ratings_points": [{"points": -1}],
    "ck_releases_amount": [{"amount": 0, "fee": 0}, {"fee": -1}, {"fee": 3}],
    "ck_releases_source": [{"source": "elsewhere"}],
    "ck_review_summaries_total": [{"total": 0}, {"total": 6}],
    "ck_reviews_nobody_himself": [{"reviewer_id": SOMEBODY, "person_id": SOMEBODY}],
    "ck_reviews_rating": [{"rating": 0}, {"rating": 6}],
    "ck_submissions_status": [{"status": "LOST"}],
    "ck_tasks_budget": [{"budget": 0, "currency": "KES"}, {"budget": 1, "currency": None}],
    "ck_tasks_claimed": [{"status": "IN_PROGRESS"}, {"claim_id": SOMEBODY}],
    "ck_tasks_status": [{"status": "LOST"}],
    "ck_withdrawals_amount": [{"amount": 0}],
    "ck_worker_profiles_experience_years": [{"experience_years": -1}, {"experience_years": 61}],
    "ck_worker_profiles_hourly_rate": [{"hourly_rate": -1}],
    "ck_writer_subscriptions_amount": [{"amount": 0}, {"listed": 0}],
    "ck_writer_subscriptions_state": [{"state": "lost"}],
    "ck_writers_open_claims": [{"open_claims": -1}],
    "ck_writers_plan": [{"plan": "P3"}],
    "ck_writers_used": [{"used": -1}],
}
"""For each CHECK what it refuses; the rest of the row is sound."""

IN_FORCE: Mapping[str, list[Row]] = {
    "uq_claims_task_active": [{"ended_at": None}],
    "uq_gigs_job_offers_open": [{"ended_at": None}],
    "uq_ledger_alarms_open": [{"closed_at": None}, {"closed_at": None, "owner_id": None}],
    "uq_payment_attempts_in_flight": [
        {"status": status} for status in ("created", "sending", "pending", "unknown", "review")
    ],
    "uq_payment_attempts_push": [{"status": status} for status in ("sending", "pending", "unknown")],
    "uq_payment_intents_open": [{"status": "open"}],
    "uq_writer_subscriptions_pending": [{"state": "pending"}],
}
"""For each unique index of some rows only what those rows have."""

_numbers = count(1)
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its dialects untyped


def tables() -> dict[str, Table]:
    """Return every table by its name."""
    for path in sorted((SOURCE / "infrastructure/postgres").rglob("*tables.py")):
        importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    return dict(metadata.tables)


def sound(table: Table, **chosen: object) -> Row:
    """Return a row that the database takes, unlike any other."""
    row = {column.name: _value_of(column) for column in table.columns if not column.nullable}
    return row | SOUND.get(table.name, {}) | chosen


def _value_of(column: Column[Any]) -> object:
    number = next(_numbers)
    of_kind: dict[str, object] = {
        "UUID": UUID(int=number),
        "TEXT": f"text {number}",
        "BIGINT": number,
        "INTEGER": 1,
        "SMALLINT": 1,
        "BOOLEAN": False,
        "TIMESTAMP WITH TIME ZONE": NOON,
        "DATE": NOON.date(),
        "BYTEA": b"bytes %d" % number,
        "JSONB": "{}",
    }
    kind = column.type.compile(_DIALECT).partition(" COLLATE ")[0]
    return [] if kind.endswith("[]") else of_kind[kind]


def unique_keys(table: Table) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the columns of each unique constraint and index."""
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield str(constraint.name), [column.name for column in constraint.columns]
    for index in table.indexes:
        if index.unique:
            yield str(index.name), [column.name for column in index.columns]


async def write(connection: asyncpg.Connection, table: Table, *rows: Row) -> str | None:
    """Write rows, and take them back; return the constraint that refused one."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        for row in rows:
            names, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
            await connection.execute(f"INSERT INTO {table.name} ({names}) VALUES ({places})", *row.values())
    except asyncpg.IntegrityConstraintViolationError as error:
        return str(error.constraint_name)
    finally:
        await transaction.rollback()
    return None


async def test_a_sound_row_is_taken_and_twice_what_differs_in_all(superuser: asyncpg.Connection) -> None:
    refused = {name: await write(superuser, table, sound(table), sound(table)) for name, table in tables().items()}
    assert {name: by for name, by in refused.items() if by} == {}


async def test_each_check_refuses_what_breaks_it(superuser: asyncpg.Connection) -> None:
    checks = {
        str(constraint.name): table
        for table in tables().values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert sorted(BROKEN) == sorted(checks), "BROKEN says for each what it refuses"
    passed = [
        (name, broken)
        for name, rows in BROKEN.items()
        for broken in rows
        if await write(superuser, checks[name], sound(checks[name], **broken)) != name
    ]
    assert passed == []


async def test_each_unique_key_refuses_the_second_row(superuser: asyncpg.Connection) -> None:
    passed = []
    for table in tables().values():
        for name, key in unique_keys(table):
            for in_force in IN_FORCE.get(name, [{}]):
                shared = {column: _value_of(table.columns[column]) for column in key} | in_force
                one, other = sound(table, **shared), sound(table, **shared)
                if await write(superuser, table, one, other) != name:
                    passed.append((name, in_force))
    assert passed == []


@pytest.mark.parametrize("in_force", sorted(IN_FORCE))
def test_what_is_said_of_an_index_is_said_of_one_that_there_is(in_force: str) -> None:
    assert in_force in {name for table in tables().values() for name, _ in unique_keys(table)}


@pytest.fixture
async def owner(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as who owns the tables, with all that is in force for him."""
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def test_each_foreign_key_refuses_what_refers_to_nothing(owner: asyncpg.Connection) -> None:
    passed = []
    for table in tables().values():
        keys = [one for one in table.constraints if isinstance(one, ForeignKeyConstraint)]
        for key in keys:
            transaction = owner.transaction()
            await transaction.start()
            for other in keys:
                if other is not key:  # what one row refers to nowhere, the first of them would refuse
                    await owner.execute(f"ALTER TABLE {table.name} DROP CONSTRAINT IF EXISTS {other.name}")
            row = sound(table, **{column.name: _value_of(column) for column in key.columns})
            if await write(owner, table, row) != key.name:
                passed.append(key.name)
            await transaction.rollback()
    assert passed == []


@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
async def test_history_is_only_added_to_also_by_who_owns_it(owner: asyncpg.Connection, change: str) -> None:
    for name in HISTORY:
        column = next(iter(tables()[name].columns)).name
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"{name} is history"):
            await owner.execute(change.format(name, column))
