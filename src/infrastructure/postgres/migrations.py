"""Bring a database to the schema of this code, one process at a time.

Alembic is imported where it is needed only: a server whose database is at head starts a second sooner without it.
"""

import asyncio
import re
from pathlib import Path
from typing import Literal

import asyncpg

from infrastructure.postgres.database import unavailable_when_down
from infrastructure.postgres.statements import Connection

_REVISION = re.compile(r"""^revision\b.*?=\s*["'](\w+)["']""", re.MULTILINE)
_DOWN_REVISION = re.compile(r"""^down_revision\b.*?=\s*["'](\w+)["']""", re.MULTILINE)

_ONE_AT_A_TIME = 7306
"""The advisory lock under which a database is migrated."""


class Migrations:
    """The migrations in a folder, applied to one database; `url` is the SQLAlchemy URL."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._dsn = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self.head = head_of(folder)
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
            await asyncio.to_thread(self._run, "upgrade", "head")
            return True
        finally:
            await connection.close()

    async def downgrade(self, revision: str = "base") -> None:
        """Take migrations back down to a revision; `base` takes all of them, and every row with them."""
        await asyncio.to_thread(self._run, "downgrade", revision)

    def _run(self, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
        import alembic.command
        import alembic.config

        config = alembic.config.Config()
        config.set_main_option("script_location", str(self._folder))
        config.attributes["url"] = self._url
        getattr(alembic.command, direction)(config, revision)


def head_of(folder: Path) -> str:
    """Return the one revision that no other goes on from."""
    sources = [path.read_text() for path in (folder / "versions").glob("*.py")]
    revisions = {found[1] for source in sources if (found := _REVISION.search(source))}
    (head,) = revisions - {found[1] for source in sources if (found := _DOWN_REVISION.search(source))}
    return head


async def revision_of(connection: Connection) -> str | None:
    """Return the revision a database is at, None for one that was never migrated."""
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    return revision
