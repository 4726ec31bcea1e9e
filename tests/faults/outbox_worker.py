"""A worker whose effect is one audit entry per event; a process of its own, to be killed."""

import asyncio
import sys
from dataclasses import dataclass
from typing import ClassVar

from application.core.kernel.ports import AuditEntry, Delivery
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingCounted(Event):
    area: ClassVar[str] = "market"

    number: int


class Counting:
    """Units of work over one database, and the subscriber that hears what they record."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = UuidV7Source()
        self.subscriptions = SubscriptionList()
        self.subscriptions.fill([Subscription(ThingCounted, "market.count", self.hear)])

    def unit_of_work(self) -> PostgresUnitOfWork:
        return PostgresUnitOfWork(self._database, clock=SystemClock(), ids=self._ids, subscriptions=self.subscriptions)

    async def hear(self, event: Event, delivery: Delivery) -> None:
        assert isinstance(event, ThingCounted)
        async with self.unit_of_work() as uow:
            uow.audit(AuditEntry(action="COUNTED", target=str(event.number)))
            uow.done(delivery)
            await uow.commit()


async def main(url: str) -> None:
    database = Database(url, pool_size=6)
    counting = Counting(database)
    outbox = PostgresOutbox(database, SystemClock())
    broker = InProcessBroker(DeliverMessage(outbox, counting.subscriptions).taken)
    await broker.start()
    await OutboxRelay(outbox, broker, written=database.messages_written).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
