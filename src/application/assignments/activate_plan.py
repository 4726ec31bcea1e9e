"""Start a plan when its money has arrived, and forget it when it did not.

- Arrived in the plan's escrow: the plan runs from now, or is prolonged, and the money becomes income.
- Arrived too late, it is in the writer's wallet already (payments.destination_or_wallet); the plan stays as it was.
- Meanwhile a higher plan runs: the money goes to the writer's wallet, since a plan is never lowered.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.buy_plan import WRITER_PLAN
from application.assignments.ports import AssignmentsUnitOfWork
from application.core.kernel.ports import Clock, Delivery, IdSource
from domain.assignments.escrow import plan_transfer
from domain.assignments.plan import SubscriptionId, SubscriptionState
from domain.core.kernel.errors import NotFound
from domain.core.kernel.events import Event
from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import SUBSCRIPTIONS, AccountRef
from domain.core.payments.events import PaymentFailed, PaymentSucceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivatePlan:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    clock: Clock
    ids: IdSource

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to PaymentSucceeded."""
        assert isinstance(event, PaymentSucceeded)
        async with self.unit_of_work() as uow:
            if event.purpose == WRITER_PLAN:
                await self._take(uow, event)
            uow.done(delivery)
            await uow.commit()

    async def _take(self, uow: AssignmentsUnitOfWork, event: PaymentSucceeded) -> None:
        now = self.clock.now()
        writer = await uow.writers.get(event.payer)
        subscription = await uow.subscriptions.get(SubscriptionId(event.subject))
        if subscription.state is SubscriptionState.ACTIVE:  # paid from the wallet: it ran at once
            return
        if event.went_to_wallet:
            subscription.fail()
            return
        intent = await uow.intents.get(event.intent_id)
        amount = Money(event.amount_minor, event.currency)
        if writer.plan is not None and writer.plan.outranks(subscription.plan, now):
            subscription.fail()
            destination = AccountRef.wallet(writer.account_id)
        else:
            writer.plan, activated = subscription.activate(writer.plan, now=now)
            destination = SUBSCRIPTIONS
            uow.record(activated)
        await uow.ledger.post(
            plan_transfer(
                subscription.id, id=TransferId(self.ids.new()), destination=destination, amount=amount, now=now
            )
        )
        intent.mark_served(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetPlan:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to PaymentFailed: end the purchase."""
        assert isinstance(event, PaymentFailed)
        async with self.unit_of_work() as uow:
            if event.purpose == WRITER_PLAN:
                try:
                    await uow.writers.get(event.payer)
                    (await uow.subscriptions.get(SubscriptionId(event.subject))).fail()
                except NotFound:  # the purchase was refused after its attempt was stored
                    pass
            uow.done(delivery)
            await uow.commit()
