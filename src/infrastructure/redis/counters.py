"""Refusals of attempts, remembered in Redis for a moment, so that a flood of guesses does not reach the database.

Redis can only refuse sooner. Who may go on is counted in PostgreSQL, so a Redis that is wiped, full or dead lets nobody
through.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from redis.asyncio import Redis

from application.core.identity.ports import AttemptCounter, TooManyAttempts
from infrastructure.redis.connection import AWAY, PREFIX, raise_if_cancelled

ANSWER_WITHIN_S = 0.2
LEFT_ALONE_S = 2.0
"""After a failure Redis is not asked for so long: a request must not wait for it several times."""

REMEMBERED = timedelta(seconds=5)
"""At most. An attempt that is given back while another is refused may leave a refusal behind for so long."""

_log = structlog.get_logger("soko.counters")
_T = TypeVar("_T")


class RedisAttemptCounter:
    """A counter in front of another, which all processes share and which decides."""

    def __init__(self, counter: AttemptCounter, redis: Redis, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._counter = counter
        self._redis = redis
        self._elapsed = elapsed
        self._asked_again_at = float("-inf")

    async def take(self, key: bytes, *, limit: int, window: timedelta, now: datetime) -> None:
        await self._refuse(key, limit, now)
        try:
            await self._counter.take(key, limit=limit, window=window, now=now)
        except TooManyAttempts as refused:
            await self._remember(key, limit, refused, now)
            raise

    async def check(self, key: bytes, *, limit: int, now: datetime) -> None:
        await self._refuse(key, limit, now)
        try:
            await self._counter.check(key, limit=limit, now=now)
        except TooManyAttempts as refused:
            await self._remember(key, limit, refused, now)
            raise

    async def count(self, key: bytes, *, window: timedelta, now: datetime) -> None:
        await self._counter.count(key, window=window, now=now)

    async def give_back(self, key: bytes, *, now: datetime) -> None:
        await self._counter.give_back(key, now=now)
        await self._ask(lambda: self._redis.delete(_name(key)))

    async def _refuse(self, key: bytes, limit: int, now: datetime) -> None:
        found = await self._ask(lambda: self._redis.get(_name(key)))
        if not found:
            return
        try:
            reached, ends_at = (int(part) for part in found.split())
            left_s = (datetime.fromtimestamp(ends_at, UTC) - now).total_seconds()
        except (ValueError, OverflowError, OSError):  # not ours: the counter behind decides
            return
        if limit <= reached and left_s > 0:
            raise TooManyAttempts(retry_after_s=max(1, int(left_s)))

    async def _remember(self, key: bytes, limit: int, refused: TooManyAttempts, now: datetime) -> None:
        left = timedelta(seconds=refused.retry_after_s)
        ends_at = int((now + left).timestamp())
        await self._ask(lambda: self._redis.set(_name(key), f"{limit} {ends_at}", px=min(left, REMEMBERED)))

    async def _ask(self, question: Callable[[], Awaitable[_T]]) -> _T | None:
        """Return the answer of Redis, or None where it has none in time."""
        if self._elapsed() < self._asked_again_at:
            return None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await question()
        except AWAY as error:
            raise_if_cancelled()
            if self._elapsed() >= self._asked_again_at:
                _log.warning("redis_away", reason=type(error).__name__)
            self._asked_again_at = self._elapsed() + LEFT_ALONE_S
            return None


def _name(key: bytes) -> bytes:
    return f"{PREFIX}refused:".encode() + key
