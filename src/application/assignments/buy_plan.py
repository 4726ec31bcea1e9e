"""Buy a plan, by M-Pesa or from the wallet.

- The dollar price is charged in shillings at a quote that is frozen with the payment; an upgrade is charged less what
  is unused of the present plan, a lower plan waits until the present one ends.
- One plan payment in flight per writer: the same plan answers it, another plan is refused
  (assignments.one_plan_payment).
- Plan money never touches a wallet, unless it came too late (assignments.plan_money_never_touches_wallet).
- From the wallet the plan runs at once; by M-Pesa when the money has arrived.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.terms import plan_price
from application.core.kernel.ports import Clock, IdSource, Policies
from application.core.payments.ports import Gateways, PayerPhones
from application.core.payments.start_payment import (
    WALLET_METHOD,
    PaymentRequest,
    PaymentState,
    PreparedPayment,
    StartPayment,
)
from domain.assignments.escrow import plan_escrow_of, plan_reference
from domain.assignments.plan import (
    Plan,
    SubscriptionId,
    SubscriptionState,
    WriterSubscription,
    amount_due,
)
from domain.core.kernel.ids import AccountId
from domain.core.ledger.accounts import SUBSCRIPTIONS
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.fx import FxQuote, quote
from domain.core.payments.policies import ATTEMPT_EXPIRY, FX_QUOTE_LIFE, FX_USD_KES

WRITER_PLAN = "WRITER_PLAN"
"""Purpose of the payments of plans; their subject is the subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyPlanCommand:
    writer_id: AccountId
    plan: str
    method: str = "mpesa"
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPurchase:
    """The payment of a plan, its price in dollars, and whether it was open before."""

    plan: Plan
    payment: PaymentState
    quote: FxQuote
    is_repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyPlan:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    start_payment: StartPayment
    gateways: Gateways
    phones: PayerPhones
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: BuyPlanCommand) -> PlanPurchase:
        """Return the payment. Raises PlanUnknown, PlanLowerThanCurrent, PlanPaymentInFlight and what StartPayment
        raises.
        """
        plan = Plan.named(command.plan)
        phone = command.phone
        if (
            command.method != WALLET_METHOD
            and phone is None
            and self.gateways.gateway_for(command.method).capabilities.needs_phone
        ):
            phone = await self.phones.phone_of(command.writer_id)
        async with self.unit_of_work() as uow:
            writer = await uow.writers.get(command.writer_id)
            now = self.clock.now()
            pending = await uow.subscriptions.pending_of(writer.account_id)
            if pending is not None and pending.intent_id is not None:
                intent = await uow.intents.get(pending.intent_id)
                if intent.answers_a_repeat(now) and intent.quote is not None:
                    pending.is_repeated_by(plan)
                    return PlanPurchase(plan=plan, payment=PaymentState.of(intent), quote=intent.quote, is_repeat=True)
                pending.fail()
                intent.expire(now)  # what still arrives goes to the wallet (payments.destination_or_wallet)
                await uow.flush()  # its place as the one pending purchase is taken by the next row
            price = quote(
                plan_price(plan, self.policies),
                self.policies.value(FX_USD_KES),
                life=timedelta(minutes=self.policies.value(FX_QUOTE_LIFE)),
                now=now,
            )
            subscription = WriterSubscription(
                id=SubscriptionId(self.ids.new()),
                writer_id=writer.account_id,
                plan=plan,
                listed=price.shillings,
                amount=amount_due(plan, price.shillings, writer.plan, now),
                intent_id=None,
                state=SubscriptionState.PENDING,
                starts_at=None,
                ends_at=None,
                created_at=now,
            )
            from_wallet = command.method == WALLET_METHOD
            prepared: PreparedPayment = await self.start_payment.prepare(
                uow,
                PaymentRequest(
                    payer=writer.account_id,
                    purpose=WRITER_PLAN,
                    subject=subscription.id,
                    amount=subscription.amount,
                    destination=SUBSCRIPTIONS if from_wallet else plan_escrow_of(subscription.id),
                    method=command.method,
                    phone=phone,
                    life=timedelta(minutes=self.policies.value(ATTEMPT_EXPIRY)),
                    quote=price,
                    kind=TransferKind.SUBSCRIPTION,
                    wallet_reference=plan_reference(subscription.id),
                ),
            )
            subscription.intent_id = prepared.intent_id
            if from_wallet:
                writer.plan, activated = subscription.activate(writer.plan, now=now)
                (await uow.intents.get(prepared.intent_id)).mark_served(now)
                uow.record(activated)
            uow.subscriptions.add(subscription)
            await uow.commit()
        payment = await self.start_payment.send(prepared)
        return PlanPurchase(plan=plan, payment=payment, quote=price, is_repeat=False)
