"""Requests at the same instant: as close together as a server takes them, or in a line of one's own making."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

import asyncpg
import httpx

TOGETHER: Final = 12
"""Requests under way at once: those that hold the eight connections of the server, and some that wait for one."""
WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
"""Counts the sessions of this database that wait for a lock."""


async def gather(requests: Sequence[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """Send requests as close together as a server takes them."""
    gate = asyncio.Semaphore(TOGETHER)

    async def through(request: Awaitable[httpx.Response]) -> httpx.Response:
        async with gate:
            return await request

    return list(await asyncio.gather(*(through(request) for request in requests)))


def outcomes(replies: Sequence[httpx.Response]) -> Counter[tuple[int, str]]:
    """Count what was answered: the status, and the code of a refusal."""
    return Counter((reply.status_code, reply.json().get("code") or "") for reply in replies)


@asynccontextmanager
async def in_line(
    dsn: str, table: Literal["gigs_orders", "payment_intents", "tasks"], row: str
) -> AsyncIterator[Callable[[Awaitable[httpx.Response]], Awaitable["asyncio.Future[httpx.Response]"]]]:
    """Hold a row, so that requests for it queue in the order in which they are sent; let them go at the end."""
    holder, onlooker = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    sent: list[asyncio.Future[httpx.Response]] = []

    async def queued(request: Awaitable[httpx.Response]) -> asyncio.Future[httpx.Response]:
        sent.append(asyncio.ensure_future(request))
        async with asyncio.timeout(5):
            while len(sent) > await onlooker.fetchval(WAITING):  # noqa: ASYNC110 - another process sets this
                await asyncio.sleep(0.005)
        return sent[-1]

    try:
        async with holder.transaction():
            await holder.execute(f"SELECT FROM {table} WHERE id = $1 FOR UPDATE", row)
            yield queued
    finally:
        await holder.close()
        await onlooker.close()
        await asyncio.wait(sent)
