"""The audit trail: with the change or not at all, never changed, sealed, proven, and found again."""

import os
from datetime import timedelta
from time import perf_counter
from uuid import UUID

import asyncpg
import pytest
from typer.testing import CliRunner

from application.core.audit.queries import AuditFilter
from application.core.audit.trail import BrokenEntry, TrailProof
from application.core.kernel.ports import AuditEntry, Page
from application.core.kernel.request_context import RequestContext, request_context
from domain.core.kernel.errors import Invalid
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.audit import PostgresAuditQueries, PostgresAuditTrailChain
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from interface.bootstrap.area import SubscriptionList
from interface.cli.core.audit import audit_commands
from tests.fakes.core.system import NOON, FixedClock, SequentialIds

ADA = AccountId(UUID(int=0xADA))
FULL = 100_000
CHAIN_ROWS = FULL if os.environ.get("SOKO_DRILL") else 5_000


@pytest.fixture
def chain(database: Database, clock: FixedClock) -> PostgresAuditTrailChain:
    return PostgresAuditTrailChain(database, clock)


@pytest.fixture
def queries(database: Database) -> PostgresAuditQueries:
    return PostgresAuditQueries(database)


async def write(
    database: Database,
    clock: FixedClock,
    *entries: AuditEntry,
    actor: AccountId | None = None,
    label: str = "cli",
    commits: bool = True,
) -> None:
    """Audit entries at the clock's time, with ids of that time."""
    ids = SequentialIds(at=clock.now())
    context = RequestContext(
        trace_id="trace-1", actor_id=actor, actor_label=label, ip="203.0.113.7", user_agent="curl/8"
    )
    with request_context(context):
        async with PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList()) as uow:
            for entry in entries:
                uow.audit(entry)
            if commits:
                await uow.commit()


def entry(action: str = "PATCH_USER", target: str = "account:1", reason: str | None = None) -> AuditEntry:
    return AuditEntry(action=action, target=target, reason=reason)


async def verify(chain: PostgresAuditTrailChain) -> TrailProof:
    return await chain.verify(lambda done, total: None)


async def found(queries: PostgresAuditQueries, **wanted: object) -> list[str]:
    listing = await queries.entries(AuditFilter(**wanted), Page())  # type: ignore[arg-type]
    return [f"{one.action} {one.target}" for one in listing.results]


async def test_an_entry_keeps_who_what_why_and_from_where(
    database: Database, clock: FixedClock, queries: PostgresAuditQueries
) -> None:
    told = AuditEntry(
        action="REFUND", target="payment:1", before={"status": "SUCCESS"}, after={"status": "x"}, reason="double"
    )
    ids = SequentialIds(start=9)
    with request_context(RequestContext(trace_id="t", actor_id=ADA, ip="203.0.113.7", user_agent="curl/8")):
        async with PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList()) as uow:
            uow.audit(told)
            await uow.commit()
    [one] = (await queries.entries(AuditFilter(), Page())).results
    assert (one.action, one.target, one.actor_id, one.reason) == ("REFUND", "payment:1", ADA, "double")
    assert (one.before, one.after) == ({"status": "SUCCESS"}, {"status": "x"})
    assert (one.ip, one.user_agent, one.trace_id, one.created_at) == ("203.0.113.7", "curl/8", "t", NOON)


async def test_an_entry_without_its_commit_is_not_there(
    database: Database, clock: FixedClock, queries: PostgresAuditQueries, chain: PostgresAuditTrailChain
) -> None:
    await write(database, clock, entry(), commits=False)
    assert await found(queries) == []
    assert await chain.seal(200) == 0


async def test_each_filter_narrows_the_list(
    database: Database, clock: FixedClock, queries: PostgresAuditQueries
) -> None:
    await write(database, clock, entry("REFUND", "payment:1"), actor=ADA, label="account")
    clock.advance(timedelta(days=3))
    await write(database, clock, entry("REFUND", "payment:2"))
    clock.advance(timedelta(days=3))
    await write(database, clock, entry("RUN_JOB", "job:1"), actor=ADA, label="account")
    assert await found(queries) == ["RUN_JOB job:1", "REFUND payment:2", "REFUND payment:1"]
    assert await found(queries, actor=str(ADA)) == ["RUN_JOB job:1", "REFUND payment:1"]
    assert await found(queries, actor="cli") == ["REFUND payment:2"]
    assert await found(queries, action="REFUND") == ["REFUND payment:2", "REFUND payment:1"]
    assert await found(queries, target="payment:1") == ["REFUND payment:1"]
    assert await found(queries, action="REFUND", actor=str(ADA)) == ["REFUND payment:1"]
    middle = NOON + timedelta(days=3)
    assert await found(queries, since=middle) == ["RUN_JOB job:1", "REFUND payment:2"]
    assert await found(queries, until=middle) == ["REFUND payment:1"]
    assert await found(queries, since=middle, until=middle + timedelta(seconds=1)) == ["REFUND payment:2"]
    assert await found(queries, since=NOON.replace(year=1)) == await found(queries)
    assert await found(queries, until=NOON.replace(year=9999)) == await found(queries)


async def test_pages_go_forth_and_back(database: Database, clock: FixedClock, queries: PostgresAuditQueries) -> None:
    await write(database, clock, *(entry(target=f"account:{number}") for number in range(1, 6)))
    first = await queries.entries(AuditFilter(), Page(2))
    second = await queries.entries(AuditFilter(), Page(2, first.next))
    assert [one.target for one in [*first.results, *second.results]] == [f"account:{n}" for n in (5, 4, 3, 2)]
    assert [one.target for one in (await queries.entries(AuditFilter(), Page(2, second.previous))).results] == [
        "account:5",
        "account:4",
    ]
    with pytest.raises(Invalid):
        await queries.entries(AuditFilter(), Page(2, "nonsense"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET reason = 'other'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "UPDATE audit_seals SET hash = ''",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals",
    ],
)
async def test_the_server_can_neither_change_nor_delete_the_trail(
    database: Database, clock: FixedClock, chain: PostgresAuditTrailChain, statement: str
) -> None:
    await write(database, clock, entry(reason="why"))
    await chain.seal(200)
    async with database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    assert await verify(chain) == TrailProof(1, ())


async def test_entries_are_sealed_once_in_batches(
    database: Database, clock: FixedClock, chain: PostgresAuditTrailChain
) -> None:
    await write(database, clock, *(entry(target=f"account:{number}") for number in range(5)))
    assert [await chain.seal(3), await chain.seal(3), await chain.seal(3)] == [3, 2, 0]
    assert await verify(chain) == TrailProof(5, ())


async def test_a_changed_byte_among_many_is_named(
    database: Database, clock: FixedClock, chain: PostgresAuditTrailChain, superuser: asyncpg.Connection
) -> None:
    await superuser.execute(
        "INSERT INTO audit_entries (id, action, target, actor_label, reason, trace_id, created_at)"
        " SELECT gen_random_uuid(), 'RUN_JOB', 'job:' || n, 'cli', 'reason ' || n, 't', $1"
        " FROM generate_series(1, $2::int) AS s(n)",
        NOON,
        CHAIN_ROWS,
    )
    await superuser.execute("INSERT INTO audit_unsealed (entry_id) SELECT id FROM audit_entries")
    while await chain.seal(2_000):
        pass
    changed = await superuser.fetchrow(
        "UPDATE audit_entries SET reason = 'Reason 77' WHERE reason = 'reason 77' RETURNING id"
    )
    deleted = await superuser.fetchrow("DELETE FROM audit_entries WHERE reason = 'reason 99' RETURNING id")
    started = perf_counter()
    proof = await verify(chain)
    assert perf_counter() - started < 60
    assert proof.checked == CHAIN_ROWS
    assert {(one.id, one.reason) for one in proof.broken} == {
        (changed["id"], "the row or its seal was changed"),
        (deleted["id"], "the row is missing"),
    }


async def test_an_entry_kept_from_being_sealed_is_named(
    database: Database, clock: FixedClock, chain: PostgresAuditTrailChain, superuser: asyncpg.Connection
) -> None:
    await write(database, clock, entry())
    await superuser.execute("DELETE FROM audit_unsealed")
    assert await chain.seal(200) == 0
    [broken] = (await verify(chain)).broken
    assert broken.reason == "the row was never to be sealed"


def test_the_command_says_what_is_broken_and_exits_with_one() -> None:
    sound = CliRunner().invoke(audit_commands(lambda progress: TrailProof(3, ())), ["verify"])
    assert (sound.exit_code, sound.stdout) == (0, "3 sealed entries checked.\nThe audit trail is sound.\n")
    broken = TrailProof(3, (BrokenEntry(UUID(int=7), 2, "the row or its seal was changed"),))
    told = CliRunner().invoke(audit_commands(lambda progress: broken), ["verify"])
    assert told.exit_code == 1
    assert f"seal 2, entry {UUID(int=7)}: the row or its seal was changed" in told.stderr
    assert "The audit trail is broken." in told.stderr
