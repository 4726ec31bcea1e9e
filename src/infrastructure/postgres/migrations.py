"""Bring a database to the schema of this code, one process at a time.

Alembic is imported where it is needed only: a server whose database is at head starts a second sooner without it.
"""

import asyncio
import re
from pathlib import Path
from typing import Literal

import asyncpg
from sqlalchemy.exc import DBAPIError

from infrastructure.postgres.database import DatabaseUnavailable, dsn_of, unavailable_when_down
from infrastructure.postgres.statements import Connection

_REVISION = re.compile(r"""^revision\b.*?=\s*["'](\w+)["']""", re.MULTILINE)
_DOWN_REVISION = re.compile(r"""^down_revision\b.*?=\s*["'](\w+)["']""", re.MULTILINE)

_ONE_AT_A_TIME = 7310
"""The advisory lock under which a database is migrated; nothing else takes it, so that nobody waits for a migration."""

LOCK_TIMEOUT_MS = 1_000
"""A migration that waits for a lock makes everybody behind it wait, too: so it gives up, and tries again."""

TRIES = 20
PAUSE_S = 1.5
"""Between two tries those who queued up are served. All tries together are half a minute to a minute."""

CONNECT_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.1
OTHERS_S_MAX = 600.0
"""How long another process may take to migrate while this one waits to serve."""


class Migrations:
    """The migrations in a folder, applied to one database; `url` is the SQLAlchemy URL."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._dsn = dsn_of(url)
        self.head = head_of(folder)
        """The revision that this code was written for."""
        self.revisions = frozenset(_revisions(folder))
        """Every revision that this code can bring a database to."""

    async def upgrade(self, revision: str | None = None) -> bool:
        """Apply what is missing up to a revision, the head if none is named, and tell whether anything was.

        A lock that others hold is waited for briefly and again; requests go on between the tries. What was applied
        before giving up stays applied. Raises DatabaseUnavailable.
        """
        wanted = revision or self.head
        async with unavailable_when_down():
            connection = await asyncpg.connect(self._dsn, timeout=CONNECT_TIMEOUT_S)
        try:
            if await revision_of(connection) == wanted:
                return False
            await self._take_turn(connection)
            if await revision_of(connection) == wanted:  # whoever held the lock has done it
                return False
            await self._run_patiently(revision or "head")
            return True
        finally:
            await connection.close()

    async def _take_turn(self, connection: Connection) -> None:
        """Wait until no other process migrates this database. Raises DatabaseUnavailable."""
        waited = 0.0
        while not await connection.fetchval(f"SELECT pg_try_advisory_lock({_ONE_AT_A_TIME})"):
            if waited >= OTHERS_S_MAX:
                raise DatabaseUnavailable("another process has been migrating the database for ten minutes")
            await asyncio.sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S

    async def _run_patiently(self, revision: str) -> None:
        for left in reversed(range(TRIES)):
            try:
                await asyncio.to_thread(self._run, "upgrade", revision)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != asyncpg.LockNotAvailableError.sqlstate:
                    raise
                if not left:
                    raise DatabaseUnavailable(
                        f"the migration gave up after {TRIES} tries: other sessions hold locks that it needs"
                        " (pg_locks names them); nothing waits for it now, so try again"
                    ) from error
                await asyncio.sleep(PAUSE_S)
            else:
                return

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
    revisions = _revisions(folder)
    (head,) = revisions.keys() - revisions.values()
    return head


def _revisions(folder: Path) -> dict[str, str | None]:
    """Return every revision, with the one that it goes on from."""
    found: dict[str, str | None] = {}
    for path in (folder / "versions").glob("*.py"):
        source = path.read_text()
        if revision := _REVISION.search(source):
            before = _DOWN_REVISION.search(source)
            found[revision[1]] = before[1] if before else None
    return found


async def revision_of(connection: Connection) -> str | None:
    """Return the revision a database is at, None for one that was never migrated."""
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    return revision
