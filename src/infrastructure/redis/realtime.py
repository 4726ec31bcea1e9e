"""Wake-ups between processes by Redis' channels, on two connections of each process (ADR 0020, ADR 0025)."""

import asyncio
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from infrastructure.local.wake_ups import WakeUps, payloads
from infrastructure.redis.connection import AWAY, PREFIX, open_redis, raise_if_cancelled

CHANNEL = f"{PREFIX}wake"
PAYLOAD_BYTES_MAX = 64_000

BEAT_EVERY_S = 5.0
"""Each process says so often something to itself: what is not heard shows that the line is dead."""

ANSWER_WITHIN_S = 2.0
WAIT_FIRST_S, WAIT_LONGEST_S = 0.1, 2.0

_log = structlog.get_logger("soko.realtime")


class LineIsDead(ConnectionError):
    """What was said is not heard."""


class RedisRealtime:
    """Followers in this process are woken at once, those in other processes while `run` runs.

    Whenever it has been connected again, it wakes everybody here, as nothing was heard meanwhile.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = secrets.token_hex(8)
        self._wake_ups = WakeUps()
        self._beat_heard = asyncio.Event()
        self._is_connected = False

    def publish(self, topics: Collection[str]) -> None:
        self._wake_ups.publish(topics)

    def follow(self, topic: str, woken: Callable[[], None]) -> Callable[[], None]:
        return self._wake_ups.follow(topic, woken)

    async def run(self, stop: asyncio.Event) -> None:
        """Carry wake-ups until stopped; while Redis is away, try again, less and less often."""
        wait_s = WAIT_FIRST_S
        while True:
            self._is_connected = False
            try:
                await self._carry(stop)
            except AWAY as error:
                raise_if_cancelled()
                if self._is_connected or wait_s == WAIT_FIRST_S:
                    wait_s = WAIT_FIRST_S
                    _log.warning("redis_away", reason=type(error).__name__)
            if stop.is_set():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await stop.wait()
            wait_s = min(2 * wait_s, WAIT_LONGEST_S)

    async def _carry(self, stop: asyncio.Event) -> None:
        redis = open_redis(self._url, within_s=ANSWER_WITHIN_S)
        channel = redis.pubsub()
        stopping = asyncio.create_task(self._wake_ups.look_at(stop))
        try:
            await channel.subscribe(CHANNEL)
            await channel.get_message(timeout=ANSWER_WITHIN_S)  # the channel says that it is followed
            listening = asyncio.create_task(self._listen(channel))
            listening.add_done_callback(self._wake_ups.look)
            try:
                await self._beat(redis)
                self._is_connected = True
                self._wake_ups.wake_everybody()
                while not stop.is_set():
                    await self._send(redis)
                    if listening.done():
                        await listening  # raises why
                    if not await self._wake_ups.work_comes(BEAT_EVERY_S):
                        await self._beat(redis)
                await self._send(redis)
            finally:
                listening.cancel()
                await asyncio.wait({listening}, timeout=ANSWER_WITHIN_S)
                if listening.done() and not listening.cancelled():
                    listening.exception()  # is told already, or comes from hanging up
        finally:
            stopping.cancel()
            with suppress(*AWAY):
                await channel.aclose()  # type: ignore[no-untyped-call]  # it has no types
            await redis.aclose()

    async def _send(self, redis: Redis) -> None:
        topics = self._wake_ups.take()
        try:
            for payload in payloads(topics, PAYLOAD_BYTES_MAX):
                await redis.publish(CHANNEL, f"{self._name} {payload}")
        except BaseException:
            self._wake_ups.put_back(topics)
            raise

    async def _beat(self, redis: Redis) -> None:
        self._beat_heard.clear()
        await redis.publish(CHANNEL, self._name)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._beat_heard.wait()
        except TimeoutError as error:
            raise LineIsDead from error

    async def _listen(self, channel: PubSub) -> None:
        async for message in channel.listen():
            raise_if_cancelled()
            if message["type"] != "message":
                continue
            sender, _, payload = message["data"].decode().partition(" ")
            if sender == self._name:
                if not payload:
                    self._beat_heard.set()
                continue  # ours were woken at once
            if payload:
                self._wake_ups.heard(payload)
