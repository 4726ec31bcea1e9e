"""Cancel orders that found no worker, and give all of the money back (gigs.unfilled_is_refunded).

Each order is a transaction of its own and is looked at again under its lock, so running twice or late changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries
from application.gigs.order_steps import OrderSteps
from domain.gigs.order import SYSTEM_ACTOR, OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelUnfilled:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    steps: OrderSteps
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Cancel a batch of orders that found no worker, and give all of the money back (gigs.unfilled_is_refunded)."""
        due = await self.queries.unfilled(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._cancel, failure="order_not_canceled", named=str)

    async def _cancel(self, order_id: OrderId) -> None:
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
            if order.is_unfilled(self.clock.now()):
                await self.steps.cancel(uow, order, SYSTEM_ACTOR, "no worker was found in time")
                await uow.commit()
