"""Message ids through a Redis stream, from the relays to the workers; any of them may be lost, doubled or late.

The outbox knows what is to be done: what is not done when its lease ends is sent again. So Redis may be wiped, and what
stands in the stream for long is only in the way and is removed.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from taskiq import AckableMessage, BrokerMessage
from taskiq.exceptions import SendTaskError
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from infrastructure.postgres.core.outbox import LEASE, Message
from infrastructure.queue.broker import AT_ONCE, DELIVER
from infrastructure.queue.relay import BrokerAway
from infrastructure.redis.connection import AWAY, PREFIX, line_settings, raise_if_cancelled

STREAM = f"{PREFIX}outbox"
GROUP = "workers"

RECLAIM_AFTER = LEASE / 2 + timedelta(seconds=1)
"""Whoever was silent about an id for so long is dead, and another worker takes it over.

By then less than half of the lease is left, so that taking over counts as an attempt (`PostgresOutbox.read`): a message
that kills each worker is given up at last.
"""

FORGET_AFTER = timedelta(minutes=10)
"""What is older is removed: an id that nobody can get any more, or a worker of an earlier life."""

TIDY_EVERY = timedelta(minutes=1)
BLOCK_S = 1.0
"""How long the server holds a question for the next id; also how often the dead are looked for."""

ANSWER_WITHIN_S = 2.0
"""Longer than the server may hold a question."""

LOOK_EVERY_S = 0.05
ROOM_WITHIN_S = 1.0
WAIT_FIRST_S, WAIT_LONGEST_S = 0.1, 2.0

_log = structlog.get_logger("soko.broker")


class StreamBroker(RedisStreamBroker):
    """taskiq's stream broker, with what it lacks: it finds the ids of dead workers on a quiet queue too, removes what
    is done, finds what was sent before the first worker came, and outlives a server that is wiped, full or away.
    """

    def __init__(self, url: str, *, reclaim_after: timedelta = RECLAIM_AFTER) -> None:
        super().__init__(
            url,
            queue_name=STREAM,
            consumer_group_name=GROUP,
            consumer_id="0",  # from the first id, not only from those sent after the group was made
            xread_block=int(BLOCK_S * 1000),
            xread_count=1,
            unacknowledged_batch_size=1,
            idle_timeout=int(reclaim_after.total_seconds() * 1000),
            max_connection_pool_size=AT_ONCE + 4,
            timeout=ANSWER_WITHIN_S,  # for a free connection
            **line_settings(ANSWER_WITHIN_S),
        )
        self.redis = Redis(connection_pool=self.connection_pool)  # making one takes longer than a question
        self._reclaimed_at = float("-inf")
        self._held: set[Any] = set()
        self._outage = _Outage()

    async def kick(self, message: BrokerMessage) -> None:
        """Put one id into the stream. Raises one of `AWAY`."""
        await self.redis.xadd(STREAM, {"data": message.message})

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield ids one at a time, for ever; while Redis is away, wait longer and longer."""
        while True:
            try:
                entries = await self._reclaimed()
                raise_if_cancelled()
                entries = entries or await self._fresh()
                raise_if_cancelled()
                self._outage.ends()
            except ResponseError as error:
                if not await self._is_healed(error):
                    await self._outage.wait(error)
                continue
            except AWAY as error:
                await self._outage.wait(error)
                continue
            for entry_id, fields in entries:
                self._held.add(entry_id)
                # what cannot be read is acknowledged by taskiq, like what is done
                data = (fields or {}).get(b"data", b"")
                yield AckableMessage(data=data, ack=self._ack_generator(entry_id, STREAM))

    def let_go(self) -> None:
        """Hold nothing any more, because what held it has ended; it is taken over in time."""
        self._held.clear()

    async def keep_held(self) -> None:
        """Say that this process still works on what it holds, which is taken over otherwise. Raises one of `AWAY`."""
        if self._held:
            await self.redis.xclaim(STREAM, GROUP, self.consumer_name, 0, list(self._held), justid=True)

    async def tidy(self) -> None:
        """Remove what nobody can get any more. Raises one of `AWAY`."""
        redis = self.redis
        seconds, _ = await redis.time()
        forgotten = int(FORGET_AFTER.total_seconds())
        await redis.xtrim(STREAM, minid=f"{(seconds - forgotten) * 1000}-0", approximate=False)
        for consumer in await redis.xinfo_consumers(STREAM, GROUP):
            if consumer["pending"] == 0 and consumer["idle"] > forgotten * 1000:
                await redis.xgroup_delconsumer(STREAM, GROUP, consumer["name"])

    async def unread(self) -> int:
        """Return how many ids no worker has taken yet. Raises one of `AWAY`."""
        redis = self.redis
        length = int(await redis.xlen(STREAM))
        try:
            taken = int((await redis.xpending(STREAM, GROUP))["pending"])
        except ResponseError as error:
            if not _says_no_group(error):
                raise
            taken = 0
        return max(0, length - taken)

    async def _reclaimed(self) -> list[tuple[Any, Any]]:
        now = asyncio.get_running_loop().time()
        if now - self._reclaimed_at < BLOCK_S:
            return []
        found = await self.redis.xautoclaim(STREAM, GROUP, self.consumer_name, self.idle_timeout, "0-0", count=1)
        entries: list[tuple[Any, Any]] = found[1]
        if not entries:  # else there may be more
            self._reclaimed_at = now
        return entries

    async def _fresh(self) -> list[tuple[Any, Any]]:
        found: Any = await self.redis.xreadgroup(GROUP, self.consumer_name, {STREAM: ">"}, count=1, block=self.block)
        entries: list[tuple[Any, Any]] = found[0][1] if found else []
        return entries

    async def _is_healed(self, error: ResponseError) -> bool:
        """Make the group where it is missing, after a wipe for one, and tell whether that helped."""
        if not _says_no_group(error):
            return False
        try:
            await self.redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as refused:
            return str(refused).startswith("BUSYGROUP")  # another worker was faster
        except AWAY:
            return False
        return True

    def _ack_generator(self, id: str, queue_name: str) -> Callable[[], Awaitable[None]]:
        async def acknowledge() -> None:
            self._held.discard(id)
            with contextlib.suppress(*AWAY):  # then it comes again, and is found done
                async with self.redis.pipeline(transaction=True) as pipe:
                    pipe.xack(queue_name, GROUP, id)
                    pipe.xdel(queue_name, id)
                    await pipe.execute()

        return acknowledge


class RedisDeliveryBroker:
    """Both ends of the stream in one worker process: `send` for its relay, `consume` for its deliveries."""

    def __init__(
        self,
        url: str,
        deliver: Callable[[UUID], Awaitable[None]],
        *,
        at_once: int = AT_ONCE,
        reclaim_after: timedelta = RECLAIM_AFTER,
    ) -> None:
        self._broker = StreamBroker(url, reclaim_after=reclaim_after)
        self._broker.is_worker_process = True

        async def run(message_id: str) -> None:  # taskiq renames what it registers, so it cannot be a method
            self._taken.set()
            await deliver(UUID(message_id))

        self._task = self._broker.register_task(run, task_name=DELIVER)
        self._at_once = at_once
        self._reclaim_after = reclaim_after
        self._room = 0
        self._taken = asyncio.Event()
        self._outage = _Outage()

    @property
    def room(self) -> int:
        return self._room

    async def send(self, message: Message) -> None:
        self._room -= 1
        try:
            await self._task.kiq(str(message.delivery.id))
        except SendTaskError as error:
            self._room = 0
            await self._outage.wait(error.__cause__ or error)
            raise BrokerAway from error
        self._outage.ends()

    async def wait_for_room(self) -> None:
        """Return once fewer ids wait than a worker begins at once, or after a second, with `room` 0, if that stays so.

        Ids that wait in the stream use up their leases, so there are never many.
        """
        give_up_at = asyncio.get_running_loop().time() + ROOM_WITHIN_S
        while True:
            self._taken.clear()
            try:
                self._room = max(0, 2 * self._at_once - await self._broker.unread())
            except AWAY as error:
                self._room = 0
                await self._outage.wait(error)
                return
            if self._room > 0 or asyncio.get_running_loop().time() > give_up_at:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._taken.wait()

    async def consume(self, stop: asyncio.Event) -> None:
        """Deliver what comes until stopped, and let what runs end."""
        receiver = Receiver(self._broker, max_async_tasks=self._at_once, run_startup=False)
        keeping = asyncio.create_task(self._keep())
        try:
            await receiver.listen(stop)
        finally:
            keeping.cancel()
            self._broker.let_go()

    async def close(self) -> None:
        """Close the connections."""
        await self._broker.shutdown()

    async def _keep(self) -> None:
        every_s = self._reclaim_after.total_seconds() / 4
        tidied_at = float("-inf")
        while True:
            await asyncio.sleep(every_s)
            with contextlib.suppress(*AWAY):  # `listen` tells of it
                await self._broker.keep_held()
                if asyncio.get_running_loop().time() - tidied_at > TIDY_EVERY.total_seconds():
                    tidied_at = asyncio.get_running_loop().time()
                    await self._broker.tidy()


class _Outage:
    """Waits longer after each failure, and writes one line when Redis goes and one when it is back."""

    def __init__(self) -> None:
        self._wait_s = WAIT_FIRST_S

    async def wait(self, error: BaseException) -> None:
        raise_if_cancelled()
        if self._wait_s == WAIT_FIRST_S:
            _log.warning("redis_away", reason=type(error).__name__)
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, WAIT_LONGEST_S)
        await asyncio.sleep(wait_s)

    def ends(self) -> None:
        if self._wait_s > WAIT_FIRST_S:
            self._wait_s = WAIT_FIRST_S
            _log.info("redis_back")


def _says_no_group(error: ResponseError) -> bool:
    return "NOGROUP" in str(error)
