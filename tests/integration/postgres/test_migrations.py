"""The migrations, up, all the way down and up again."""

import asyncpg

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
