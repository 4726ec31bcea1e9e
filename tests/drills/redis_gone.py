"""F3: Redis is killed, wiped, frozen and full under load. Nothing that matters may be kept there only."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from tests.drills.drill import Result
from tests.drills.installation import Installation, installed, until
from tests.drills.journal import percentile
from tests.drills.load import Load, Person
from tests.drills.verdict import judge
from tests.integration.redis.valkey import Valkey

AWAY_S: Final = 10.0
REBUILT_WITHIN_S: Final = 60.0
P99_S_MAX: Final = 1.0
GUESSES: Final = 24
GUESSES_EVALUATED_MAX: Final = 10
"""Wrong passwords for one account that are looked at within 15 minutes."""

_DELIVERED_LATE: Final = (
    "SELECT count(*) FROM outbox_messages WHERE done_at IS NULL AND dead_at IS NULL"
    " AND occurred_at < clock_timestamp() - interval '2 s'"
)


@asynccontextmanager
async def with_redis() -> AsyncIterator[tuple[Installation, Valkey]]:
    """Install with a Redis that carries messages, wake-ups and counters."""
    with Valkey() as redis:
        settings = {"REDIS_URL": redis.url, "SOKO_BROKER": "redis", "SOKO_REALTIME": "redis"}
        async with installed(settings=settings) as installation:
            yield installation, redis


async def run(seed: int, size: float) -> Result:
    """Kill, wipe, freeze and fill, in an order that the seed decides."""
    async with with_redis() as (installation, redis):
        load = Load(installation, seed, people=4)
        await load.assemble()
        result = await lose(installation, load, redis, seed, away_s=AWAY_S * size)
        result.broken = await judge(installation, load.journal)
        return result


async def lose(installation: Installation, load: Load, redis: Valkey, seed: int, *, away_s: float) -> Result:
    """Take Redis away in each way for a while, while the load goes on and somebody guesses a password."""
    chance = random.Random(seed)
    ways: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (redis.kill, redis.start),
        (redis.flush, _nothing),
        (redis.pause, redis.resume),
        (redis.fill, redis.empty),
    ]
    rebuilt_s, evaluated = [], 0
    async with load.running():
        for take_away, bring_back in chance.sample(ways, len(ways)):
            await asyncio.sleep(1)
            evaluated += await _guess(load, load.students[0], GUESSES // 8)
            await asyncio.to_thread(take_away)
            await asyncio.sleep(away_s)
            evaluated += await _guess(load, load.students[0], GUESSES // 8)
            await asyncio.to_thread(bring_back)
            rebuilt_s.append(await until("deliveries keep up", _keeps_up(installation), within_s=2 * REBUILT_WITHIN_S))
    p99_s = percentile((reply.took_s for reply in load.journal.replies), 0.99)
    result = Result(f"{len(ways)} ways, {len(load.journal.entries)} operations")
    result.measure("deliveries keep up again", max(rebuilt_s), REBUILT_WITHIN_S, "s")
    result.measure("p99 of all replies", p99_s, P99_S_MAX, "s")
    result.measure("guesses of one account that were looked at", evaluated, GUESSES_EVALUATED_MAX)
    result.measure("processes that ended", sum(not process.is_up for process in installation.servers), 0)
    result.measure_clients(load.journal, installation.logs())
    return result


def _nothing() -> None:
    """Bring nothing back: who was wiped is there."""


def _keeps_up(installation: Installation) -> Callable[[], Awaitable[bool]]:
    async def keeps_up() -> bool:
        async with installation.superuser() as connection:
            return not await connection.fetchval(_DELIVERED_LATE)

    return keeps_up


async def _guess(load: Load, person: Person, times: int) -> int:
    """Guess somebody's password some times and return how many guesses were looked at."""
    looked_at = 0
    for _ in range(times):
        body = {"username": person.name, "password": "Canary-Tall-trees-wrong"}
        with contextlib.suppress(TimeoutError):
            reply, _ = await load.ask(None, "POST", "/api/auth/login", json=body)
            looked_at += reply.status in {400, 401}
    return looked_at
