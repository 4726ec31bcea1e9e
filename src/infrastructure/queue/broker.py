"""What carries messages to workers. PostgreSQL knows what is to be done; a broker may lose all that it holds."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog
from taskiq import InMemoryBroker

from domain.core.kernel.errors import Unavailable
from infrastructure.postgres.core.outbox import Message

DELIVER = "outbox.deliver"
"""The name of the task, the same for every broker."""

AT_ONCE = 4
"""Deliveries of one process at the same time: well below its pool, so that requests find connections."""

AHEAD_S: Final = 0.25
"""What is held beyond what is delivered now is work for about so long: others could do it, and its lease runs."""

HELD_MAX: Final = 100
TAKEN_INTO_ACCOUNT: Final = 16
"""The time of a delivery is a moving average over about so many."""

_log = structlog.get_logger("soko.broker")


class InProcessBroker:
    """taskiq's broker in memory: the same task as on a queue, run in this process.

    It holds more messages than it delivers at once where deliveries are fast, so that they are taken many at a time;
    and a task delivers until nothing is held, since to begin one costs as much as a short delivery.
    """

    def __init__(self, deliver: Callable[[Message], Awaitable[None]], *, at_once: int = AT_ONCE) -> None:
        self._broker = InMemoryBroker(sync_tasks_pool_size=1)
        self._deliver = deliver
        self._held: dict[UUID, Message] = {}
        self._waiting: deque[UUID] = deque()

        async def run() -> None:  # taskiq renames what it registers, so it cannot be a method
            await self._run()

        self._task = self._broker.register_task(run, task_name=DELIVER)
        self._at_once = at_once
        self._running = 0
        self._each_s = AHEAD_S
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def start(self) -> None:
        """Be ready to carry."""
        await self._broker.startup()

    async def stop(self) -> None:
        """Let what is held be delivered, and carry no more."""
        await self.drain()
        await self._broker.shutdown()

    async def drain(self) -> None:
        """Return when nothing is being delivered."""
        await self._broker.wait_all()

    @property
    def room(self) -> int:
        return held_most(self._at_once, self._each_s) - len(self._held)

    async def send(self, message: Message) -> None:
        message_id = message.delivery.id
        if message_id not in self._held:  # else its lease ended here; it is delivered under the new one
            self._waiting.append(message_id)
        self._held[message_id] = message
        if self.room <= 0:
            self._has_room.clear()
        if self._running < self._at_once:
            self._running += 1
            try:
                await self._task.kiq()
            except BaseException:
                self._running -= 1
                raise

    async def wait_for_room(self) -> None:
        await self._has_room.wait()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._waiting:
                message_id = self._waiting.popleft()
                began = clock()
                try:
                    await self._deliver(self._held[message_id])
                except Unavailable as error:  # it is taken again when its lease ends
                    _log.warning("delivery_interrupted", reason=type(error).__name__)
                except Exception as error:
                    _log.error("delivery_broke", exc_info=error)
                finally:
                    self._each_s += (clock() - began - self._each_s) / TAKEN_INTO_ACCOUNT
                    self._leave(message_id)
        finally:
            self._running -= 1

    def _leave(self, message_id: UUID) -> None:
        del self._held[message_id]
        if len(self._held) < max(self._at_once, held_most(self._at_once, self._each_s) // 2):
            self._has_room.set()  # not for each: what is taken together costs one statement


def held_most(at_once: int, each_s: float) -> int:
    """Return how many messages a process holds that delivers so many at once, each in so many seconds."""
    ahead = int(AHEAD_S * at_once / each_s) if each_s > 0 else HELD_MAX
    return min(at_once + ahead, HELD_MAX)
