"""The loops that run beside the requests: each is started again when it fails, and all stop together."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from domain.core.kernel.errors import Unavailable

RESTART_AFTER_S = 1.0
"""A loop that failed is started again after this time: long enough not to fill the log while a database is away."""

STOP_WITHIN_S = 10.0
"""What is running when the server stops may take this long to end; then it is cancelled, and done again elsewhere."""

_log = structlog.get_logger("soko.background")


@dataclass(frozen=True, slots=True)
class Loop:
    """Work without an end: `run` returns soon after its event is set, and may raise whatever it likes."""

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]


def every(interval: timedelta, name: str, work: Callable[[], Awaitable[None]]) -> Loop:
    """Return a loop that does `work`, waits `interval`, and does it again."""

    async def run(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await work()
            await wait_for(stop, interval.total_seconds())

    return Loop(name, run)


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so long, and tell whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()


class Background:
    """`async with Background(loops):` and they run until the block ends."""

    def __init__(self, loops: tuple[Loop, ...]) -> None:
        self._loops = loops
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep_running(loop), name=loop.name) for loop in self._loops]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_WITHIN_S)
        for task in late:
            _log.warning("loop_cancelled", loop=task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _keep_running(self, loop: Loop) -> None:
        while not self._stop.is_set():
            try:
                await loop.run(self._stop)
            except Exception as error:
                if isinstance(error, Unavailable):  # ten traces a second would say no more
                    _log.error("loop_failed", loop=loop.name, reason=error.sentence)
                else:
                    _log.error("loop_failed", loop=loop.name, exc_info=error)
                await wait_for(self._stop, RESTART_AFTER_S)
