"""Wake-ups between processes by Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infrastructure.local.wake_ups import TOPICS_WAITING_MAX
from infrastructure.redis.realtime import RedisRealtime
from interface.bootstrap.background import Background, Loop
from tests.contract.core.realtime import Heard, RealtimeContract, until
from tests.integration.redis.valkey import Valkey


@asynccontextmanager
async def running(realtime: RedisRealtime) -> AsyncIterator[RedisRealtime]:
    """Run it as a process does, from the moment at which it listens."""
    first = Heard(realtime, "anything")
    async with Background((Loop("realtime", realtime.run),)):
        await until("it listens", lambda: first.times == 1)
        first.leave()
        yield realtime


@pytest.fixture
async def here(valkey: Valkey) -> AsyncIterator[RedisRealtime]:
    async with running(RedisRealtime(valkey.url)) as one:
        yield one


@pytest.fixture
async def there(valkey: Valkey) -> AsyncIterator[RedisRealtime]:
    async with running(RedisRealtime(valkey.url)) as one:
        yield one


class TestRedisRealtime(RealtimeContract):
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

    async def test_what_a_process_says_itself_does_not_come_back_to_it(
        self, here: RedisRealtime, there: RedisRealtime
    ) -> None:
        ours, theirs, later = Heard(here, "a"), Heard(there, "a"), Heard(here, "b")
        here.publish(["a"])
        await until("the other has heard", lambda: theirs.times == 1)
        there.publish(["b"])
        await until("what was said later has come", lambda: later.times == 1)
        assert ours.times == 1

    async def test_a_process_that_is_cut_off_for_long_wakes_everybody_instead_of_remembering_all(
        self, there: RedisRealtime, valkey: Valkey
    ) -> None:
        cut_off, theirs = RedisRealtime(valkey.url), Heard(there, "never named")
        cut_off.publish([f"t{number}" for number in range(TOPICS_WAITING_MAX + 1)])
        async with Background((Loop("realtime", cut_off.run),)):
            await until("they were woken", lambda: theirs.times == 1)

    async def test_it_stops_at_once_and_says_what_is_left(self, there: RedisRealtime, valkey: Valkey) -> None:
        theirs, stop, realtime = Heard(there, "a"), asyncio.Event(), RedisRealtime(valkey.url)
        realtime.publish(["a"])
        stop.set()
        async with asyncio.timeout(2):
            await realtime.run(stop)
        await until("it was said", lambda: theirs.times == 1)
