"""Change an order: all of it before it is paid, its words while nobody is on it.

While an attempt to pay is under way the terms stand, because the payer is about to pay exactly that. What was begun for
another total pays the order no more: money of it that still arrives is the client's (payments.destination_or_wallet).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from application.core.kernel.ports import Clock
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries, OrderView, Viewer
from application.gigs.order_steps import is_paid
from domain.core.kernel.errors import Forbidden
from domain.gigs.order import OrderId, OrderNotEditable
from domain.gigs.transitions import Party


class OnlyClientsEdit(Forbidden):
    """Only the client, or an administrator, changes an order."""

    code = "gigs.only_clients_edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOrderCommand:
    """What is not given stays."""

    order_id: OrderId
    viewer: Viewer
    description: str | None = None
    address: str | None = None
    scheduled_at: datetime | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOrder:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    clock: Clock

    async def __call__(self, command: EditOrderCommand) -> OrderView:
        """Return the order. Raises OrderNotFound, OnlyClientsEdit, OrderNotEditable and what `Order.edit` raises."""
        async with self.unit_of_work() as uow:
            load = await uow.orders.get_for(command.order_id, command.viewer.account_id)
            actor = load.actor(command.viewer.account_id, is_admin=command.viewer.is_admin)
            if actor.party not in {Party.CLIENT, Party.ADMIN}:
                raise OnlyClientsEdit
            order = load.order
            before = order.total
            order.edit(
                by=actor,
                now=self.clock.now(),
                description=command.description,
                address=command.address,
                scheduled_at=command.scheduled_at,
                quantity=command.quantity,
            )
            if order.total != before and order.intent_id is not None:
                intent = await uow.intents.get(order.intent_id)
                if intent.in_flight is not None or is_paid(intent):
                    raise OrderNotEditable
                intent.expire(self.clock.now())
            await uow.commit()
        return await self.queries.order(command.order_id, command.viewer)
