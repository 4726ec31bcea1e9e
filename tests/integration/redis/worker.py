"""A worker whose ids come through Redis; a process of its own, to be killed."""

import asyncio
import sys

from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.database import Database
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.system.clock import SystemClock
from interface.bootstrap.core.redis import relay_through_redis
from interface.bootstrap.settings import read_settings
from tests.faults.outbox_worker import Counting


async def main(url: str, redis_url: str) -> None:
    """Do for the outbox what a worker process does."""
    database = Database(url, pool_size=6)
    outbox = PostgresOutbox(database, SystemClock())
    deliver = DeliverMessage(outbox, Counting(database).subscriptions)
    settings = read_settings({"REDIS_URL": redis_url, "SOKO_BROKER": "redis"})
    await relay_through_redis(settings, outbox, deliver, written=database.messages_written, stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
