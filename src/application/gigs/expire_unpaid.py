"""End orders that nobody paid in time; an attempt under way is waited for (gigs.failure_keeps_payable).

Each order is a transaction of its own and is looked at again under its lock, so running twice or late changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries
from application.gigs.order_steps import OrderSteps
from domain.gigs.order import OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireUnpaid:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    steps: OrderSteps
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """End a batch of orders whose payment window is over; return how many were looked at."""
        due = await self.queries.unpaid_since(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._expire, failure="order_not_expired", named=str)

    async def _expire(self, order_id: OrderId) -> None:
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
            if order.is_unpaid_too_long(self.clock.now(), is_attempt_in_flight=False):
                await self.steps.expire(uow, order)
                await uow.commit()
