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
