"""The steps of an order, inside the caller's unit of work: the entity's verb, the money that goes with it, the facts.

Every use case that moves an order, and the free status word, goes through these, so a step is done in one way only.
The order is locked before the payment, the payment before any balance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from application.gigs.order_ports import OrderLoad, OrdersUnitOfWork
from application.gigs.terms import order_terms
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import earnings_accounts
from domain.core.payments.intent import IntentStatus, PaymentIntent
from domain.gigs.order import Actor, Order
from domain.gigs.order_money import cancellation_transfer, completion_transfer, earnings_hold, escrow_of
from domain.gigs.policies import EARNINGS_HOLD, FEE
from domain.gigs.transitions import Action, Party


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSteps:
    policies: Policies
    clock: Clock
    ids: IdSource

    async def do(self, uow: OrdersUnitOfWork, load: OrderLoad, action: Action, by: Actor, comment: str) -> None:
        """Do what a person asks for. Raises what the order's verbs raise; TransitionNotAllowed for another's step."""
        order, now = load.order, self.clock.now()
        self.end_lapsed_offer(uow, order)
        match action:
            case Action.ACCEPT_OFFER:
                uow.record(order.accept_offer(_person(by), comment=comment, now=now))
            case Action.DECLINE_OFFER:
                uow.record(order.decline_offer(_person(by), reason=comment, now=now))
            case Action.TAKE:
                taken = order.take(_person(by), is_specialised=load.is_specialist, comment=comment, now=now)
                uow.record(taken)
            case Action.START:
                uow.record(order.start(by=by, comment=comment, now=now))
            case Action.DELIVER:
                self.deliver(uow, order, by, comment)
            case Action.WITHDRAW:
                uow.record(order.withdraw(_person(by), comment=comment, now=now))
            case Action.TAKE_OFF:
                uow.record(order.take_off(by=by, comment=comment, now=now))
            case Action.REQUEST_CHANGES:
                terms = order_terms(self.policies)
                uow.record(order.request_changes(by=by, reason=comment, terms=terms, now=now))
            case Action.ACCEPT:
                await self.complete(uow, order, by, comment)
            case Action.CANCEL:
                await self.cancel(uow, order, by, comment)
            case _:
                raise AssertionError(f"nobody asks for {action}")

    def end_lapsed_offer(self, uow: OrdersUnitOfWork, order: Order) -> None:
        """End an offer whose time is over, though the job has not run yet (gigs.offer_lapses)."""
        ended = order.lapse_offer(self.clock.now())
        if ended is not None:
            uow.record(ended)

    def deliver(self, uow: OrdersUnitOfWork, order: Order, by: Actor, comment: str) -> None:
        """Say that the work is done."""
        terms = order_terms(self.policies)
        uow.record(order.deliver(_person(by), comment=comment, terms=terms, now=self.clock.now()))

    async def complete(self, uow: OrdersUnitOfWork, order: Order, by: Actor, comment: str) -> None:
        """Accept the work and pay the worker; his earnings wait (gigs.earnings_wait_three_days)."""
        now = self.clock.now()
        completed = order.accept(by=by, comment=comment, fee_basis_points=self.policies.value(FEE), now=now)
        owed = await self._owed(uow, order, f"order:{order.id}:complete")
        transfer = completion_transfer(
            order,
            id=TransferId(self.ids.new()),
            owed=owed,
            waits=self._wait > timedelta(0),
            actor=by.account_id,
            now=now,
        )
        if transfer is not None:
            await uow.ledger.post(transfer)
            self._hold(uow, order, now)
        uow.record(completed)

    async def cancel(self, uow: OrdersUnitOfWork, order: Order, by: Actor, reason: str) -> None:
        """End the order, its payment, and what is in its escrow (payments.closing_locks_intent)."""
        now = self.clock.now()
        intent = await uow.intents.get(order.intent_id) if order.intent_id is not None else None
        if intent is not None and not order.was_paid:
            if is_paid(intent):  # the provider's word came first: it is paid, then canceled
                self.mark_paid(uow, order, intent)
            else:
                intent.cancel(now)
        before = order.stage
        returned = order.returned_on_cancel(by, now)
        canceled = order.cancel(by=by, reason=reason, fee_basis_points=self.policies.value(FEE), now=now)
        if order.was_paid and intent is not None:
            await self._empty_escrow(uow, order, intent, returned, by, reason)
        uow.record(canceled)
        if by.party is Party.ADMIN:
            uow.audit(
                AuditEntry(
                    action="CANCEL_ORDER",
                    target=f"order:{order.id}",
                    before={"stage": str(before)},
                    after={"stage": str(order.stage), "returned": str(returned)},
                    reason=reason,
                )
            )

    def mark_paid(self, uow: OrdersUnitOfWork, order: Order, intent: PaymentIntent) -> None:
        """Have the money of a payment make the order paid, once; the payment has then served its purpose."""
        if not order.was_paid:
            order.intent_id = intent.id
            uow.record(order.mark_paid(order_terms(self.policies), now=self.clock.now()))
        intent.mark_served(self.clock.now())

    async def expire(self, uow: OrdersUnitOfWork, order: Order) -> None:
        """End an order that nobody paid in time; an attempt under way is waited for (gigs.failure_keeps_payable)."""
        now = self.clock.now()
        intent = await uow.intents.get(order.intent_id) if order.intent_id is not None else None
        if intent is not None and is_paid(intent):
            self.mark_paid(uow, order, intent)
            return
        is_in_flight = intent is not None and intent.in_flight is not None
        if not order.is_unpaid_too_long(now, is_attempt_in_flight=is_in_flight):
            return
        if intent is not None:
            intent.cancel(now)
        uow.record(order.expire(now))

    async def _empty_escrow(
        self,
        uow: OrdersUnitOfWork,
        order: Order,
        intent: PaymentIntent,
        returned: Money,
        by: Actor,
        reason: str,
    ) -> None:
        now = self.clock.now()
        owed = await self._owed(uow, order, f"order:{order.id}:cancel")
        transfer = cancellation_transfer(
            order,
            returned,
            id=TransferId(self.ids.new()),
            owed=owed,
            waits=self._wait > timedelta(0),
            actor=by.account_id,
            now=now,
        )
        assert transfer is not None, "what was paid for is in its escrow"
        await uow.ledger.post(transfer)
        if returned.minor:
            refund, refunded = intent.refund_to_wallet(
                returned, id=self.ids.new(), by=by.account_id, reason=reason or None, now=now
            )
            uow.refunds.add(refund)
            uow.record(refunded)
        self._hold(uow, order, now)

    async def _owed(self, uow: OrdersUnitOfWork, order: Order, reference: str) -> Money:
        """Return what the worker owes; all that is posted to is locked at once. Earnings that wait are netted later."""
        if self._wait or order.earning is None or order.worker_id is None or not order.total.minor:
            return Money.zero(order.total.currency)
        accounts: Sequence[AccountRef] = earnings_accounts(escrow_of(order.id), order.worker_id)
        if order.earning != order.total:
            accounts = (*accounts, AccountRef.wallet(order.client_id))
        balances = await uow.ledger.balances(accounts, order.total.currency, references=(reference,))
        return balances[AccountRef.owed(order.worker_id)]

    def _hold(self, uow: OrdersUnitOfWork, order: Order, now: datetime) -> None:
        if self._wait > timedelta(0):
            hold = earnings_hold(order, id=self.ids.new(), wait=self._wait, now=now)
            if hold is not None:
                uow.earnings_holds.add(hold)

    @property
    def _wait(self) -> timedelta:
        return timedelta(days=self.policies.value(EARNINGS_HOLD))


def is_paid(intent: PaymentIntent) -> bool:
    """Tell whether the money of a payment is in its purpose's escrow."""
    return intent.status is IntentStatus.SUCCEEDED


def _person(by: Actor) -> AccountId:
    assert by.account_id is not None, "a person asks for this"
    return by.account_id
