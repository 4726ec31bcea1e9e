"""The migrations, up, all the way down and up again."""

import asyncio
import shutil
import time
from pathlib import Path

import asyncpg
import pytest

from infrastructure.postgres import migrations as migrations_module
from infrastructure.postgres.database import DatabaseUnavailable
from infrastructure.postgres.migrations import Migrations, revision_of
from interface.bootstrap.runtime import MIGRATIONS

OBJECTS = """
SELECT c.relkind::text || ' ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public'
UNION ALL SELECT 'trigger ' || tgname || ' ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'constraint ' || conname FROM pg_constraint
UNION ALL SELECT 'function ' || proname || ' ' || md5(prosrc) FROM pg_proc p JOIN pg_namespace n
ON n.oid = p.pronamespace WHERE n.nspname = 'public'
ORDER BY 1
"""


async def test_down_to_nothing_and_up_again_is_the_same_schema(database_url: str, database_dsn: str) -> None:
    migrations = Migrations(MIGRATIONS, database_url)
    connection = await asyncpg.connect(database_dsn)
    try:
        before = [row[0] for row in await connection.fetch(OBJECTS)]
        assert len(before) > 100
        assert await migrations.upgrade() is False
        await migrations.downgrade()
        assert await revision_of(connection) is None
        left = [row[0] for row in await connection.fetch(OBJECTS) if "alembic_version" not in row[0]]
        assert [name for name in left if name.startswith(("r ", "trigger", "function"))] == []
        assert await migrations.upgrade() is True
        assert await revision_of(connection) == migrations.head
        assert [row[0] for row in await connection.fetch(OBJECTS)] == before
    finally:
        await connection.close()


async def test_a_lock_that_is_held_makes_it_give_up_and_stops_nobody_meanwhile(
    database_url: str, database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations_module, "TRIES", 2)
    monkeypatch.setattr(migrations_module, "PAUSE_S", 0.05)
    shutil.copytree(MIGRATIONS, tmp_path / "alembic")
    (tmp_path / "src").symlink_to(MIGRATIONS.parent / "src")  # where its env.py looks for the tables
    head = Migrations(MIGRATIONS, database_url).head
    (tmp_path / "alembic" / "versions" / "next.py").write_text(NEXT.format(head=head))
    migrations = Migrations(tmp_path / "alembic", database_url)
    holder, reader = await asyncpg.connect(database_dsn), await asyncpg.connect(database_dsn)
    try:
        async with asyncio.timeout(30), holder.transaction():
            await holder.execute("SELECT count(*) FROM tasks")  # as a report that runs for hours does
            upgrading = asyncio.create_task(migrations.upgrade())
            slowest = 0.0
            while not upgrading.done():
                began = time.monotonic()
                await reader.fetchval("SELECT count(*) FROM tasks")
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.01)
            with pytest.raises(DatabaseUnavailable, match="gave up after 2 tries"):
                await upgrading
        assert slowest < 3 * migrations_module.LOCK_TIMEOUT_MS / 1000
        assert await revision_of(reader) == head
        assert await migrations.upgrade() is True
        assert await revision_of(reader) == "next"
    finally:
        await holder.close()
        await reader.close()


NEXT = """
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN note text")
"""

OLD_ACCOUNT = """
    INSERT INTO accounts (id, username, password_hash, first_name, last_name, bio, avatar, city, county, country,
        is_active, epoch, roles, role_states, joined_at)
    VALUES (gen_random_uuid(), $1, 'hash', '', '', '', '', '', '', '', true, 0, $2, $3, now())
"""


async def test_who_was_a_worker_before_there_were_profiles_has_one(database_url: str, database_dsn: str) -> None:
    migrations = Migrations(MIGRATIONS, database_url)
    connection = await asyncpg.connect(database_dsn)
    try:
        await migrations.downgrade("0002")
        for username, role in (("wanja", "worker"), ("stella", "student")):
            await connection.execute(OLD_ACCOUNT, username, [role], ["active"])
        await migrations.upgrade()
        found = await connection.fetch(
            "SELECT a.username, s.reviews FROM worker_profiles AS p JOIN accounts AS a ON a.id = p.account_id"
            " JOIN review_summaries AS s ON s.person_id = p.account_id AND s.area = 'gigs'"
        )
        assert [tuple(row) for row in found] == [("wanja", 0)]
    finally:
        await connection.close()
