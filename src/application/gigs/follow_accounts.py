"""Follow what becomes of workers: the orders of one who is suspended, or is no worker any more, are open again where he
has not begun; what he has begun is for an administrator to decide.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Clock, Delivery
from application.gigs.order_ports import OrdersUnitOfWork
from domain.core.identity.events import AccountSuspended, RoleRevoked
from domain.core.identity.roles import Role
from domain.core.kernel.events import Event
from domain.gigs.order import SYSTEM_ACTOR
from domain.gigs.transitions import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowWorkers:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    clock: Clock

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to AccountSuspended and RoleRevoked."""
        assert isinstance(event, AccountSuspended | RoleRevoked)
        is_out, now = isinstance(event, AccountSuspended) or event.role is Role.WORKER, self.clock.now()
        why = "the worker was suspended" if isinstance(event, AccountSuspended) else "the worker is one no more"
        async with self.unit_of_work() as uow:
            for order_id in await uow.orders.held_by(event.account_id) if is_out else ():
                order = await uow.orders.get(order_id)
                if order.worker_id != event.account_id:
                    continue
                if order.stage is Stage.OFFERED:
                    uow.record(order.withdraw_offer(now))
                elif order.stage is Stage.ASSIGNED:
                    uow.record(order.take_off(by=SYSTEM_ACTOR, comment=why, now=now))
            uow.done(delivery)
            await uow.commit()
