"""Complete orders whose client did not answer the delivery (gigs.delivery_needs_acceptance).

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
class AcceptSilently:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    steps: OrderSteps
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Complete a batch of orders whose client did not answer the delivery (gigs.delivery_needs_acceptance)."""
        due = await self.queries.silently_accepted(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._accept, failure="order_not_accepted", named=str)

    async def _accept(self, order_id: OrderId) -> None:
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
            if order.is_silently_accepted(self.clock.now()):
                await self.steps.complete(uow, order, SYSTEM_ACTOR, "no answer in time")
                await uow.commit()
