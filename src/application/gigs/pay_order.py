"""Pay an order.

- Up to `gigs.payment_attempts` attempts within the payment window (gigs.failure_keeps_payable); one at a time: paying
  again while one is under way answers that one (payments.one_attempt_in_flight).
- One payment per order (gigs.one_payment_per_order); the order is locked while a payment begins.
- From the wallet, or where the gateway answers at once, the reply shows the order paid; else a callback does it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Clock, Policies
from application.core.payments.ports import Gateways, PayerPhones
from application.core.payments.start_payment import WALLET_METHOD, PaymentRequest, PaymentState, StartPayment
from application.gigs.mark_order_paid import MarkOrderPaid
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_steps import OrderSteps, is_paid
from domain.core.kernel.errors import Conflict
from domain.core.kernel.ids import AccountId
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.gateway import Card
from domain.core.payments.intent import PaymentIntent
from domain.gigs.order import AlreadyPaid, OrderId, OrderNotFound
from domain.gigs.order_money import PURPOSE, escrow_of
from domain.gigs.policies import PAYMENT_ATTEMPTS


class AttemptsExhausted(Conflict):
    """This order was tried to be paid as often as one may."""

    code = "gigs.attempts_exhausted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOrderCommand:
    order_id: OrderId
    client_id: AccountId
    method: str
    card: Card | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPayment:
    """The payment, and whether it is an attempt that was under way already."""

    state: PaymentState
    is_repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOrder:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    start_payment: StartPayment
    mark_order_paid: MarkOrderPaid
    steps: OrderSteps
    gateways: Gateways
    phones: PayerPhones
    policies: Policies
    clock: Clock
    front_end: str
    """Where the payer's browser goes after a provider's own page."""

    async def __call__(self, command: PayOrderCommand) -> OrderPayment:
        """Return the payment. Raises OrderNotFound, AlreadyPaid, PaymentWindowClosed, OrderNotPayable,
        AttemptsExhausted and what StartPayment raises.
        """
        phone = await self._phone(command)
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(command.order_id)
            if order.client_id != command.client_id:
                raise OrderNotFound
            now = self.clock.now()
            order.check_payable(now)
            begun = None if order.intent_id is None else await uow.intents.get(order.intent_id)
            if begun is not None and is_paid(begun):  # its money has arrived, and nobody was told yet
                self.steps.mark_paid(uow, order, begun)
                await uow.commit()
                raise AlreadyPaid
            if begun is not None and begun.in_flight is None and begun.attempts_left == 0:
                raise AttemptsExhausted(attempts_left=0)
            prepared = await self.start_payment.prepare(
                uow,
                PaymentRequest(
                    payer=command.client_id,
                    purpose=PURPOSE,
                    subject=order.id,
                    amount=order.total,
                    destination=escrow_of(order.id),
                    method=command.method,
                    phone=phone,
                    life=order.pay_by - now,
                    kind=TransferKind.ORDER_PAYMENT,
                    attempts_max=self._attempts_max(begun),
                    is_first=begun is None,
                    card=command.card,
                    return_url=self.front_end,
                    cancel_url=self.front_end,
                ),
            )
            order.intent_id = prepared.intent_id
            if command.method == WALLET_METHOD and not prepared.is_repeat:
                self.steps.mark_paid(uow, order, await uow.intents.get(prepared.intent_id))
            await uow.commit()
        state = await self.start_payment.send(prepared)
        if state.stage == "succeeded" and command.method != WALLET_METHOD:
            await self.mark_order_paid.now(order.id, prepared.intent_id)
        return OrderPayment(state=state, is_repeat=prepared.is_repeat)

    def _attempts_max(self, begun: PaymentIntent | None) -> int:
        """Return how often a new payment of the order may be tried: what a former one of another total left."""
        left = None if begun is None else begun.attempts_left
        return self.policies.value(PAYMENT_ATTEMPTS) if left is None else left

    async def _phone(self, command: PayOrderCommand) -> str | None:
        if command.phone is not None or command.method == WALLET_METHOD:
            return command.phone
        if not self.gateways.gateway_for(command.method).capabilities.needs_phone:
            return None
        return await self.phones.phone_of(command.client_id)
