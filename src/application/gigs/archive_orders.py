"""Take orders that ended long ago out of the lists; they stay readable (gigs.purge_is_archive).

Each order is a transaction of its own, and archiving twice changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock, Policies
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries
from domain.gigs.order import OrderId
from domain.gigs.policies import ARCHIVE_AFTER
from domain.gigs.transitions import ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOrders:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    policies: Policies
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Archive a batch of orders that ended long ago (gigs.purge_is_archive)."""
        now = self.clock.now()
        before = now - timedelta(days=self.policies.value(ARCHIVE_AFTER))
        due = await self.queries.archivable(ended_before=before, limit=batch_max)
        return await handle_each(due, self._archive, failure="order_not_archived", named=str)

    async def _archive(self, order_id: OrderId) -> None:
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
            if order.stage in ENDED and order.archived_at is None:
                order.archive(self.clock.now())
                await uow.commit()
