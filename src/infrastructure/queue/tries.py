"""What a try of a delivery and a run of a job have in common: a lease that is kept, and words for a failure."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from domain.core.kernel.errors import Unavailable


@asynccontextmanager
async def kept_lease(renew: Callable[[], Awaitable[None]], *, life: timedelta) -> AsyncIterator[None]:
    """Renew a lease three times in its life while the block runs, so that slow is not taken for dead.

    Where the database is away the lease may end; then the work is done again, and has its effect once.
    """

    async def go_on() -> None:
        while True:
            await asyncio.sleep(life.total_seconds() / 3)
            with suppress(Unavailable):
                await renew()

    renewing = asyncio.create_task(go_on())
    try:
        yield
    finally:
        renewing.cancel()


def said_by(error: Exception) -> str:
    """Return an error's kind and its first line: in the others the driver quotes rows."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]
