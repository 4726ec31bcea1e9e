"""What an operator's commands for the outbox need: one connection, beside a running server or without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from application.core.kernel.ports import DeadMessage
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.database import Database
from infrastructure.system.clock import SystemClock


async def dead_messages(url: str, rows_max: int) -> list[DeadMessage]:
    """Return what was given up, the longest dead first. Raises DatabaseUnavailable."""
    async with _outbox(url) as outbox:
        return await outbox.dead(rows_max)


async def replay_message(url: str, message_id: UUID) -> bool:
    """Make a message due again, and tell whether there was such a dead one. Raises DatabaseUnavailable."""
    async with _outbox(url) as outbox:
        return await outbox.replay(message_id)


@asynccontextmanager
async def _outbox(url: str) -> AsyncIterator[PostgresOutbox]:
    database = Database(url, pool_size=1, application="soko outbox")
    try:
        yield PostgresOutbox(database, SystemClock())
    finally:
        await database.close()
