"""A worker as deployed, whose one subscriber does nothing but mark its messages done: a process of its own."""

import asyncio
import sys
from dataclasses import dataclass
from typing import ClassVar

import uvloop

from application.core.kernel.ports import Delivery
from benchmarks.contenders import POOL_SIZE
from domain.core.kernel.events import Event
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.database import Database
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork
from infrastructure.queue.broker import InProcessBroker
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.queue.relay import OutboxRelay
from infrastructure.system.clock import SystemClock
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import Subscription, SubscriptionList
from interface.bootstrap.logs import configure_logs
from interface.bootstrap.settings import read_settings

SUBSCRIBER = "bench.note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    """Something happened, and nobody minds."""

    area: ClassVar[str] = "bench"

    number: int


async def main(url: str) -> None:
    """Relay and deliver until killed."""
    configure_logs(read_settings({"SOKO_LOG_FORMAT": "json"}))
    database = Database(url, pool_size=POOL_SIZE)
    clock, ids, subscriptions = SystemClock(), UuidV7Source(), SubscriptionList()

    async def note(event: Event, delivery: Delivery) -> None:
        async with PostgresUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions) as uow:
            uow.done(delivery)
            await uow.commit()

    subscriptions.fill([Subscription(Noted, SUBSCRIBER, note)])
    outbox = PostgresOutbox(database, clock)
    broker = InProcessBroker(DeliverMessage(outbox, subscriptions).taken)
    await broker.start()
    await OutboxRelay(outbox, broker, written=database.messages_written).run(asyncio.Event())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
