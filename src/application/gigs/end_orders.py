"""What the clock ends: orders that nobody paid, nobody took, or nobody objected to; and what is old leaves the lists.

Each order is a transaction of its own and is looked at again under its lock, so running twice or late changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock, Policies
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries
from application.gigs.order_steps import OrderSteps
from domain.gigs.order import SYSTEM_ACTOR, OrderId
from domain.gigs.policies import ARCHIVE_AFTER
from domain.gigs.transitions import ENDED


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
