"""Refusals remembered in Redis, in front of the counter in PostgreSQL."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from application.core.identity.ports import TooManyAttempts
from infrastructure.postgres.core.identity import PostgresAttemptCounter
from infrastructure.postgres.database import Database
from infrastructure.redis.connection import open_redis
from infrastructure.redis.counters import ANSWER_WITHIN_S, RedisAttemptCounter
from tests.contract.core.identity_repositories import AttemptCounterContract
from tests.fakes.core.identity import InMemoryAttemptCounter
from tests.fakes.core.system import NOON
from tests.integration.redis.valkey import Valkey

QUARTER = timedelta(minutes=15)


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator[Redis]:
    async with open_redis(valkey.url, within_s=ANSWER_WITHIN_S) as redis:
        yield redis


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


class TestRedisAttemptCounter(AttemptCounterContract):
    @pytest.fixture
    def counter(self, database: Database, redis: Redis) -> RedisAttemptCounter:
        return RedisAttemptCounter(PostgresAttemptCounter(database), redis)


class CountedCounter(InMemoryAttemptCounter):
    """Counts how often it is asked."""

    asked = 0

    async def take(self, *arguments: object, **named: object) -> None:
        self.asked += 1
        await super().take(*arguments, **named)  # type: ignore[arg-type]


@pytest.fixture
def behind() -> CountedCounter:
    return CountedCounter()


async def refused(counter: RedisAttemptCounter) -> bool:
    try:
        await counter.take(b"key", limit=2, window=QUARTER, now=NOON)
    except TooManyAttempts:
        return True
    return False


async def test_a_flood_of_refused_attempts_reaches_the_counter_behind_once(
    behind: CountedCounter, redis: Redis, valkey: Valkey
) -> None:
    async with open_redis(valkey.url, within_s=ANSWER_WITHIN_S) as other_line:
        one, two = RedisAttemptCounter(behind, redis), RedisAttemptCounter(behind, other_line)
        assert [await refused(one) for _ in range(3)] == [False, False, True]
        assert [await refused(two) for _ in range(20)] == [True] * 20
    assert behind.asked == 3
    # a wider limit was not reached
    await one.take(b"key", limit=3, window=QUARTER, now=NOON)


async def test_what_is_given_back_may_be_taken_again_at_once(behind: CountedCounter, redis: Redis) -> None:
    counter = RedisAttemptCounter(behind, redis)
    assert [await refused(counter) for _ in range(3)] == [False, False, True]
    await counter.give_back(b"key", now=NOON)
    assert [await refused(counter) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("fault", ["flush", "fill", "kill", "pause"])
async def test_limits_hold_and_answers_are_soon_whatever_happens_to_redis(
    fault: str, behind: CountedCounter, redis: Redis, valkey: Valkey
) -> None:
    """Goals F3 and A3: the right number is evaluated, none waits."""
    counter = RedisAttemptCounter(behind, redis)
    assert await refused(counter) is False
    getattr(valkey, fault)()
    took = []
    for _ in range(50):
        began = time.monotonic()
        took.append((await refused(counter), time.monotonic() - began))
    assert [is_refused for is_refused, _ in took] == [False] + [True] * 49
    assert max(seconds for _, seconds in took) < 2 * ANSWER_WITHIN_S + 0.3
    assert sum(seconds for _, seconds in took) < 2.0, "it is left alone for a while"


async def test_redis_is_asked_again_once_it_is_back(behind: CountedCounter, redis: Redis, valkey: Valkey) -> None:
    seconds = [0.0]
    counter = RedisAttemptCounter(behind, redis, elapsed=lambda: seconds[0])
    assert await refused(counter) is False
    valkey.kill()
    assert [await refused(counter) for _ in range(2)] == [False, True]
    valkey.start()
    seconds[0] += 60
    before = behind.asked
    assert [await refused(counter) for _ in range(3)] == [True] * 3
    assert behind.asked == before + 1


async def test_what_somebody_else_wrote_into_redis_is_no_refusal(behind: CountedCounter, redis: Redis) -> None:
    counter = RedisAttemptCounter(behind, redis)
    for number, strange in enumerate((b"never", b"1", b"1 2 3", b"0 " + b"9" * 30, b"\xff \xff"), 1):
        await redis.set(b"soko:refused:amina", strange)
        await counter.take(b"amina", limit=5, window=QUARTER, now=NOON)
        assert behind.asked == number
