"""The floor's connections to PostgreSQL, and what it is told where a request is not right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


class Refused(Exception):
    """The request is not right; the number is its status."""


class Connections:
    """A fixed number of connections, each lent to one request at a time."""

    def __init__(self, connections: list[asyncpg.Connection]) -> None:
        self._idle: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
        for connection in connections:
            self._idle.put_nowait(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection."""
        connection = await self._idle.get()
        try:
            yield connection
        finally:
            self._idle.put_nowait(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection with a transaction, which is rolled back unless the block commits it."""
        async with self.connection() as connection:
            await connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
