"""Have the money of a payment make its order paid, and tell of what did not arrive.

- The order is paid once, whichever comes first: the reply of the gateway, its callback, a query (callback.effect_once).
- Money that came too late is in the client's wallet already (payments.destination_or_wallet); the order stays.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Delivery
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_steps import OrderSteps, is_paid
from domain.core.kernel.events import Event
from domain.core.kernel.ids import IntentId
from domain.core.payments.events import PaymentFailed, PaymentSucceeded
from domain.gigs.events import OrderPaymentFailed
from domain.gigs.order import OrderId
from domain.gigs.order_money import PURPOSE
from domain.gigs.transitions import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkOrderPaid:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    steps: OrderSteps

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to PaymentSucceeded."""
        assert isinstance(event, PaymentSucceeded)
        async with self.unit_of_work() as uow:
            if event.purpose == PURPOSE and not event.went_to_wallet:
                await self._mark(uow, OrderId(event.subject), event.intent_id)
            uow.done(delivery)
            await uow.commit()

    async def now(self, order_id: OrderId, intent_id: IntentId) -> None:
        """Do what the event will ask for, before the payer has his reply."""
        async with self.unit_of_work() as uow:
            await self._mark(uow, order_id, intent_id)
            await uow.commit()

    async def _mark(self, uow: OrdersUnitOfWork, order_id: OrderId, intent_id: IntentId) -> None:
        order = await uow.orders.get(order_id)
        intent = await uow.intents.get(intent_id)
        if is_paid(intent) and (order.stage is Stage.UNPAID or order.was_paid):
            self.steps.mark_paid(uow, order, intent)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotePaymentFailure:
    unit_of_work: Callable[[], OrdersUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to PaymentFailed: the order stays payable (gigs.failure_keeps_payable)."""
        assert isinstance(event, PaymentFailed)
        async with self.unit_of_work() as uow:
            if event.purpose == PURPOSE:
                await self._tell(uow, event)
            uow.done(delivery)
            await uow.commit()

    async def _tell(self, uow: OrdersUnitOfWork, event: PaymentFailed) -> None:
        order = await uow.orders.get(OrderId(event.subject))
        intent = await uow.intents.get(event.intent_id)
        if order.stage is Stage.UNPAID:
            uow.record(
                OrderPaymentFailed(
                    order_id=order.id,
                    client_id=order.client_id,
                    worker_id=None,
                    service=order.service,
                    attempts_left=intent.attempts_left or 0,
                    payment_code=event.code,
                )
            )
