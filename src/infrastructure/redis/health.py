"""How Redis is."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from application.core.operations.health import NotHealthy
from infrastructure.redis.connection import PREFIX

ANSWER_WITHIN_S = 1.0


class RedisCheck:
    """Whether Redis takes writes. Requests are answered without it; events wait for their delivery."""

    name = "redis"
    is_needed = False

    def __init__(self, redis: Redis, *, within_s: float = ANSWER_WITHIN_S) -> None:
        self._redis = redis
        self._within_s = within_s

    async def check(self) -> str:
        try:
            async with asyncio.timeout(self._within_s):
                await self._redis.set(f"{PREFIX}probe", "1", px=1000)
        except OutOfMemoryError as error:
            raise NotHealthy("full") from error
        return "takes writes"
