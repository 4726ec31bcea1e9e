"""Bring a database to the schema of this code, one process at a time."""

import asyncio
from pathlib import Path

import alembic.command
import alembic.config
import alembic.script
import asyncpg

from infrastructure.postgres.database import unavailable_when_down
from infrastructure.postgres.statements import Connection

_ONE_AT_A_TIME = 7306
"""The advisory lock under which a database is migrated."""


class Migrations:
    """The migrations in a folder, applied to one database; `url` is the SQLAlchemy URL."""

    def __init__(self, folder: Path, url: str) -> None:
        self._config = alembic.config.Config()
        self._config.set_main_option("script_location", str(folder))
        self._config.attributes["url"] = url
        self._dsn = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self.head = alembic.script.ScriptDirectory.from_config(self._config).get_current_head()
        """The revision that this code was written for."""

    async def upgrade(self) -> bool:
        """Apply what is missing, and tell whether anything was. Raises DatabaseUnavailable."""
        async with unavailable_when_down():
            connection = await asyncpg.connect(self._dsn)
        try:
            if await revision_of(connection) == self.head:
                return False
            await connection.execute(f"SELECT pg_advisory_lock({_ONE_AT_A_TIME})")
            if await revision_of(connection) == self.head:  # whoever held the lock has done it
                return False
            await asyncio.to_thread(alembic.command.upgrade, self._config, "head")
            return True
        finally:
            await connection.close()

    async def downgrade(self, revision: str = "base") -> None:
        """Take migrations back down to a revision; `base` takes all of them, and every row with them."""
        await asyncio.to_thread(alembic.command.downgrade, self._config, revision)


async def revision_of(connection: Connection) -> str | None:
    """Return the revision a database is at, None for one that was never migrated."""
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    return revision
