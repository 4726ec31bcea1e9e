"""What carries message ids to workers. PostgreSQL knows what is to be done; a broker may lose every id it holds."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from taskiq import InMemoryBroker

DELIVER = "outbox.deliver"
"""The name of the task, the same for every broker."""

AT_ONCE = 4
"""Deliveries of one process at the same time: well below its pool, so that requests find connections."""


class InProcessBroker:
    """taskiq's broker in memory: the same task as on a queue, run in this process."""

    def __init__(self, deliver: Callable[[UUID], Awaitable[None]], *, at_once: int = AT_ONCE) -> None:
        self._broker = InMemoryBroker(max_async_tasks=at_once, sync_tasks_pool_size=1)

        async def run(message_id: str) -> None:  # taskiq renames what it registers, so it cannot be a method
            try:
                await deliver(UUID(message_id))
            finally:
                self._leave()

        self._task = self._broker.register_task(run, task_name=DELIVER)
        self._at_once = at_once
        self._running = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def start(self) -> None:
        """Be ready to carry."""
        await self._broker.startup()

    async def stop(self) -> None:
        """Let the running deliveries end, and carry no more."""
        await self.drain()
        await self._broker.shutdown()

    async def drain(self) -> None:
        """Return when nothing is being delivered."""
        await self._broker.wait_all()

    @property
    def room(self) -> int:
        return self._at_once - self._running

    async def send(self, message_id: UUID) -> None:
        self._running += 1
        if self.room <= 0:
            self._has_room.clear()
        try:
            await self._task.kiq(str(message_id))
        except BaseException:
            self._leave()
            raise

    async def wait_for_room(self) -> None:
        await self._has_room.wait()

    def _leave(self) -> None:
        self._running -= 1
        self._has_room.set()
