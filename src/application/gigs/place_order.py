"""Order a service.

- The price is frozen (gigs.price_is_frozen); who sent the total he expects is told when it is another one by now.
- The date lies ahead, at most 180 days (gigs.schedule_is_ahead); nobody orders his own service.
- What costs nothing is paid at once, without a payment and without postings (gigs.zero_is_paid_at_once).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from application.core.kernel.ports import Clock, IdSource, Policies
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderView
from application.gigs.terms import order_terms
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.gigs.offering import OfferingId
from domain.gigs.order import Order, OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrderCommand:
    client_id: AccountId
    offering_id: OfferingId
    description: str
    address: str
    scheduled_at: datetime
    quantity: int = 1
    expected_total: str | int | float | None = None
    """A decimal in the service's currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: PlaceOrderCommand) -> OrderView:
        """Return the order. Raises OfferingNotFound and what `Order.place` raises."""
        async with self.unit_of_work() as uow:
            load = await uow.orders.offering_for(command.offering_id, command.client_id)
            currency = load.offering.base_price.currency
            expected = None
            if command.expected_total is not None:
                expected = Money.parse(command.expected_total, currency, field="expected_total", minor_least=0)
            order, events = Order.place(
                id=OrderId(self.ids.new()),
                client_id=command.client_id,
                offering=load.offering,
                description=command.description,
                address=command.address,
                scheduled_at=command.scheduled_at,
                quantity=command.quantity,
                expected_total=expected,
                terms=order_terms(self.policies),
                now=self.clock.now(),
            )
            uow.orders.add(order)
            uow.record(*events)
            view = OrderView.placed(order, load.client)
            await uow.commit()
        return view
