"""Wake-ups between processes by Redis."""

from collections.abc import AsyncIterator

import pytest

from infrastructure.redis.realtime import RedisRealtime
from tests.contract.core.realtime import CarriedRealtimeContract, Heard, running, until
from tests.integration.redis.valkey import Valkey


@pytest.fixture
async def here(valkey: Valkey) -> AsyncIterator[RedisRealtime]:
    async with running(RedisRealtime(valkey.url)) as one:
        yield one


@pytest.fixture
async def there(valkey: Valkey) -> AsyncIterator[RedisRealtime]:
    async with running(RedisRealtime(valkey.url)) as one:
        yield one


@pytest.fixture
def idle(valkey: Valkey) -> RedisRealtime:
    return RedisRealtime(valkey.url)


class TestRedisRealtime(CarriedRealtimeContract):
    async def test_after_a_server_that_died_everybody_is_woken_once_and_nothing_stays_unsaid(
        self, here: RedisRealtime, there: RedisRealtime, valkey: Valkey
    ) -> None:
        ours, theirs = Heard(here, "a"), Heard(there, "b")
        valkey.kill()
        here.publish(["b"])  # while nobody carries it
        valkey.start()
        await until("both were woken, as they may have missed something", lambda: min(ours.times, theirs.times) >= 1)
        here.publish(["a"])
        assert ours.times == 2
        before = theirs.times
        here.publish(["b"])
        await until("wake-ups are carried again", lambda: theirs.times == before + 1)

    async def test_a_server_that_answers_nothing_is_noticed(
        self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("infrastructure.redis.realtime.ANSWER_WITHIN_S", 0.2)
        monkeypatch.setattr("infrastructure.redis.realtime.BEAT_EVERY_S", 0.1)
        async with running(RedisRealtime(valkey.url)) as here:
            ours = Heard(here, "a")
            valkey.pause()
            await until("the line is given up", lambda: not here._is_connected)
            valkey.resume()
            await until("it follows again", lambda: ours.times == 1)
