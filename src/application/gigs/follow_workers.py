"""Follow what becomes of workers: the orders of a suspended one that he has not begun are open again; what he has begun
is for an administrator to decide.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Clock, Delivery
from application.gigs.order_ports import OrdersUnitOfWork
from domain.core.identity.events import AccountSuspended
from domain.core.kernel.events import Event
from domain.gigs.order import SYSTEM_ACTOR
from domain.gigs.transitions import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowWorkerSuspension:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    clock: Clock

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to AccountSuspended."""
        assert isinstance(event, AccountSuspended)
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            for order_id in await uow.orders.held_by(event.account_id):
                order = await uow.orders.get(order_id)
                if order.worker_id != event.account_id:
                    continue
                if order.stage is Stage.OFFERED:
                    uow.record(order.withdraw_offer(now))
                elif order.stage is Stage.ASSIGNED:
                    uow.record(order.take_off(by=SYSTEM_ACTOR, comment="the worker was suspended", now=now))
            uow.done(delivery)
            await uow.commit()
