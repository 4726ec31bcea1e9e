"""One service for one client at one time: its stages, who is on it, and its whole history."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NewType, TypedDict
from uuid import UUID

from domain.core.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import AMOUNT_MINOR_MAX, Money
from domain.gigs.events import (
    ChangesRequested,
    OfferEnded,
    OrderCanceled,
    OrderCompleted,
    OrderOffered,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    WorkDelivered,
    WorkerAssigned,
    WorkerLeft,
    WorkStarted,
)
from domain.gigs.offering import Offering, OfferingId
from domain.gigs.transitions import (
    ENDED,
    OPEN_STAGES,
    RUNNING,
    STATUS_BY_STAGE,
    Action,
    OrderStatus,
    Party,
    Stage,
    not_allowed,
    transition_of,
)

OrderId = NewType("OrderId", UUID)


class _Facts(TypedDict):
    order_id: UUID
    client_id: AccountId
    worker_id: AccountId | None
    service: str


SCHEDULE_AHEAD_MAX: Final = timedelta(days=180)
QUANTITY_MAX: Final = 1_000
VISIT_MAX: Final = timedelta(days=366)
"""However many are ordered, a visit is looked at as no longer than this."""
FILL_AT_LEAST: Final = timedelta(hours=1)
"""How long an order waits for a worker at least, however soon the visit is (gigs.unfilled_is_refunded)."""
ATTEMPT_GRACE: Final = timedelta(minutes=15)
"""How long an attempt under way at the end of the payment window is waited for."""


class OrderNotFound(NotFound):
    """There is no such order."""

    code = "gigs.order_not_found"


class OwnService(Forbidden):
    """Nobody orders a service of his own."""

    code = "gigs.own_service"


class OwnOrder(Forbidden):
    """Nobody works on an order of his own."""

    code = "gigs.own_order"


class ServiceInactive(Conflict):
    """This service cannot be ordered any more."""

    code = "gigs.service_inactive"


class PriceChanged(Conflict):
    """The price is another one now; look at `total_price` and order again."""

    code = "gigs.price_changed"


class ScheduleInPast(Invalid):
    """The date lies in the past."""

    code = "gigs.schedule_in_past"


class ScheduleTooFar(Invalid):
    """The date is too far ahead."""

    code = "gigs.schedule_too_far"


class OrderNotEditable(Conflict):
    """This order cannot be changed any more."""

    code = "gigs.order_not_editable"


class AlreadyPaid(Conflict):
    """This order is paid."""

    code = "gigs.already_paid"


class OrderNotPayable(Conflict):
    """This order cannot be paid."""

    code = "gigs.order_not_payable"


class PaymentWindowClosed(Conflict):
    """The time to pay this order is over."""

    code = "gigs.payment_window_closed"


class OrderNotPaid(Conflict):
    """This order is not paid."""

    code = "gigs.order_not_paid"


class AlreadyAssigned(Conflict):
    """Another worker is on this order, or it is offered to another."""

    code = "gigs.already_assigned"


class NotSpecialised(Forbidden):
    """This service is not among what the worker does."""

    code = "gigs.not_specialised"


class OfferGone(Conflict):
    """The offer has ended."""

    code = "gigs.offer_gone"


class ChangeLimitReached(Conflict):
    """Changes were asked for often enough; accept the work, or ask an administrator."""

    code = "gigs.change_limit"


class CancelNeedsAdmin(Conflict):
    """The work has begun; only an administrator can cancel the order now."""

    code = "gigs.cancel_needs_admin"


class OrderNotCompleted(Conflict):
    """Only a completed order is reviewed."""

    code = "gigs.order_not_completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """The bounds in force for new steps."""

    payment_window: timedelta
    offer_answer: timedelta
    unfilled_after: timedelta
    fill_before: timedelta
    cancel_cutoff: timedelta
    late_refund_percent: int
    auto_accept: timedelta
    change_rounds: int


@dataclass(frozen=True, slots=True)
class CancelPolicy:
    """How much a client gets back by time; copied onto the order when it is paid (gigs.cancel_policy_is_frozen)."""

    cutoff: timedelta
    late_refund_percent: int

    def is_late(self, scheduled_at: datetime, now: datetime) -> bool:
        """Tell whether the cutoff has passed; exactly at it is in time."""
        return now > scheduled_at - self.cutoff

    def kept_of(self, total: Money) -> Money:
        """Return what a late cancellation costs the client: rounded down, so that he never pays a cent too much."""
        return Money(total.minor * (100 - self.late_refund_percent) // 100, total.currency)


class OfferEnd(StrEnum):
    """How an offer ended."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"
    """The order went to somebody else, or ended."""


@dataclass(slots=True, kw_only=True)
class JobOffer:
    """An order proposed to one worker, with the time by which he answers."""

    id: UUID
    worker_id: AccountId
    offered_at: datetime
    answer_by: datetime
    reasons: str
    """Why he was chosen, for administrators."""
    end: OfferEnd | None = None
    ended_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Tell whether the time to answer has passed, even before the job has run (gigs.offer_lapses)."""
        return now > self.answer_by


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One step of an order's history (gigs.history_is_complete)."""

    from_stage: Stage | None
    stage: Stage
    comment: str
    created_by: AccountId | None
    """None for the clock and providers."""
    created_at: datetime

    @property
    def status(self) -> OrderStatus:
        """The documented word of the stage."""
        return STATUS_BY_STAGE[self.stage]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and in which part."""

    party: Party
    account_id: AccountId | None = None


SYSTEM_ACTOR: Final = Actor(Party.SYSTEM)


def check_schedule(scheduled_at: datetime, now: datetime) -> None:
    """Let a date pass that lies ahead, but not too far (gigs.schedule_is_ahead).

    Raises ScheduleInPast, ScheduleTooFar.
    """
    if scheduled_at <= now:
        raise ScheduleInPast(errors=(FieldError("scheduled_date", "must lie ahead"),))
    if scheduled_at > now + SCHEDULE_AHEAD_MAX:
        raise ScheduleTooFar(errors=(FieldError("scheduled_date", f"is at most {SCHEDULE_AHEAD_MAX.days} days ahead"),))


def check_total(total: Money) -> None:
    """Let a total pass that one posting can hold (ledger.transfer_balances). Raises Invalid."""
    if total.minor > AMOUNT_MINOR_MAX:
        raise Invalid(errors=(FieldError("quantity", "makes the total larger than can be paid"),))


@dataclass(slots=True, kw_only=True)
class Order:
    """The aggregate; every verb checks the table, changes the order, adds to its history and returns the fact."""

    id: OrderId
    client_id: AccountId
    offering_id: OfferingId
    service: str
    """The name under which the service was ordered."""
    description: str
    address: str
    scheduled_at: datetime
    visit: timedelta
    """How long one of it takes."""
    quantity: int
    unit_price: Money
    """Frozen at creation (gigs.price_is_frozen)."""
    stage: Stage
    created_at: datetime
    updated_at: datetime
    pay_by: datetime
    intent_id: IntentId | None = None
    """The payment that was last begun."""
    paid_at: datetime | None = None
    fill_by: datetime | None = None
    cancel_policy: CancelPolicy | None = None
    worker_id: AccountId | None = None
    """Whom it is offered to, or who is on it."""
    offer: JobOffer | None = None
    started_at: datetime | None = None
    delivered_at: datetime | None = None
    accept_by: datetime | None = None
    change_rounds: int = 0
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    earning: Money | None = None
    """What the worker's share was taken from when the order ended: its total, or what a late cancellation kept."""
    fee_basis_points: int | None = None
    """The fee taken from it."""
    new_events: list[OrderEvent] = field(default_factory=list)
    """History of this unit of work, to be stored."""
    ended_offers: list[JobOffer] = field(default_factory=list)
    """Offers that ended in this unit of work, to be stored."""

    @classmethod
    def place(
        cls,
        *,
        id: OrderId,
        client_id: AccountId,
        offering: Offering,
        description: str,
        address: str,
        scheduled_at: datetime,
        quantity: int,
        expected_total: Money | None,
        terms: OrderTerms,
        now: datetime,
    ) -> "tuple[Order, tuple[OrderPlaced | OrderPaid, ...]]":
        """Order a service. One that costs nothing is paid at once (gigs.zero_is_paid_at_once).

        Raises OwnService, ServiceInactive, PriceChanged, ScheduleInPast, ScheduleTooFar.
        """
        if offering.owner_id == client_id:  # rule gigs.nobody_serves_himself
            raise OwnService
        if not offering.is_active:
            raise ServiceInactive
        check_schedule(scheduled_at, now)
        order = cls(
            id=id,
            client_id=client_id,
            offering_id=offering.id,
            service=offering.name,
            description=description,
            address=address,
            scheduled_at=scheduled_at.astimezone(UTC),  # the edge of time has no other zone: refused above
            visit=offering.duration,
            quantity=quantity,
            unit_price=offering.base_price,
            stage=Stage.UNPAID,
            created_at=now,
            updated_at=now,
            pay_by=now + terms.payment_window,
        )
        check_total(order.total)
        if expected_total is not None and expected_total != order.total:
            raise PriceChanged(total_price=order.total.text, currency=order.total.currency)
        order._note(None, "", client_id, now)
        placed = OrderPlaced(**order._facts())
        if order.total.minor:
            return order, (placed,)
        return order, (placed, order.mark_paid(terms, now=now))

    # -- what is known about it --

    @property
    def status(self) -> OrderStatus:
        """The documented word."""
        return STATUS_BY_STAGE[self.stage]

    @property
    def total(self) -> Money:
        """What the client pays."""
        return Money(self.unit_price.minor * self.quantity, self.unit_price.currency)

    @property
    def ends_at(self) -> datetime:
        """When the visit is over, for telling which orders of a worker overlap."""
        return self.scheduled_at + min(self.visit * self.quantity, VISIT_MAX)

    @property
    def was_paid(self) -> bool:
        """Whether its money was ever held."""
        return self.paid_at is not None

    def part_of(self, account_id: AccountId, *, is_admin: bool, is_specialist: bool) -> Actor:
        """Return in which part somebody acts on it. Raises OrderNotFound for whom it is no business of."""
        if account_id == self.client_id:
            return Actor(Party.CLIENT, account_id)
        if account_id == self.worker_id:
            return Actor(Party.OFFERED if self.stage is Stage.OFFERED else Party.WORKER, account_id)
        if is_admin:
            return Actor(Party.ADMIN, account_id)
        if is_specialist and self.stage in OPEN_STAGES:
            return Actor(Party.SPECIALIST, account_id)
        raise OrderNotFound

    # -- before it is paid --

    def edit(
        self,
        *,
        by: Actor,
        now: datetime,
        description: str | None = None,
        address: str | None = None,
        scheduled_at: datetime | None = None,
        quantity: int | None = None,
    ) -> None:
        """Change what may still be changed: all of it before it is paid, words while nobody is on it.

        Raises OrderNotEditable, ScheduleInPast, ScheduleTooFar.
        """
        changes_terms = scheduled_at not in {None, self.scheduled_at} or quantity not in {None, self.quantity}
        editable = {Stage.UNPAID} if changes_terms else {Stage.UNPAID, Stage.UNASSIGNED}
        if self.stage not in editable:
            raise OrderNotEditable
        assert by.party in {Party.CLIENT, Party.ADMIN}
        if changes_terms and scheduled_at is not None:
            check_schedule(scheduled_at, now)
        if quantity is not None:
            check_total(Money(self.unit_price.minor * quantity, self.unit_price.currency))
        self.description = self.description if description is None else description
        self.address = self.address if address is None else address
        self.scheduled_at = self.scheduled_at if scheduled_at is None else scheduled_at
        self.quantity = self.quantity if quantity is None else quantity
        self.updated_at = now

    def check_payable(self, now: datetime) -> None:
        """Let a payment begin. Raises AlreadyPaid, PaymentWindowClosed, OrderNotPayable."""
        if self.was_paid:
            raise AlreadyPaid
        if now >= self.pay_by:
            raise PaymentWindowClosed
        if self.stage is not Stage.UNPAID:
            raise OrderNotPayable

    def mark_paid(self, terms: OrderTerms, *, now: datetime) -> OrderPaid:
        """Be paid: the only way into `paid` (gigs.only_money_makes_paid)."""
        self._move(Action.PAY, SYSTEM_ACTOR, "", now)
        self.paid_at = now
        self.cancel_policy = CancelPolicy(terms.cancel_cutoff, terms.late_refund_percent)
        last_moment = max(self.scheduled_at - terms.fill_before, now + FILL_AT_LEAST)
        self.fill_by = min(now + terms.unfilled_after, last_moment)
        total = str(self.total) if self.total.minor else ""
        return OrderPaid(**self._facts(), offering_id=self.offering_id, total=total)

    def is_unpaid_too_long(self, now: datetime, *, is_attempt_in_flight: bool) -> bool:
        """Tell whether its payment window is over; an attempt under way is waited for, a while."""
        end = self.pay_by + ATTEMPT_GRACE if is_attempt_in_flight else self.pay_by
        return self.stage is Stage.UNPAID and now >= end

    def expire(self, now: datetime) -> OrderCanceled:
        """End because nobody paid."""
        self._move(Action.EXPIRE, SYSTEM_ACTOR, "not paid in time", now)
        return self._canceled(by=Party.SYSTEM, reason="not paid in time", returned=None)

    # -- who does it --

    def offer_to(
        self, worker_id: AccountId, *, id: UUID, reasons: str, terms: OrderTerms, now: datetime
    ) -> OrderOffered:
        """Propose it to one worker (gigs.one_offer_at_a_time)."""
        assert worker_id != self.client_id, "gigs.nobody_serves_himself"
        self._move(Action.OFFER, SYSTEM_ACTOR, "", now)
        self.worker_id = worker_id
        self.offer = JobOffer(
            id=id, worker_id=worker_id, offered_at=now, answer_by=now + terms.offer_answer, reasons=reasons
        )
        return OrderOffered(**self._facts(), answer_by=self.offer.answer_by)

    def accept_offer(self, worker_id: AccountId, *, comment: str, now: datetime) -> WorkerAssigned:
        """Have the worker it is offered to take it. Raises OfferGone."""
        offer = self._open_offer(worker_id, now)
        self._move(Action.ACCEPT_OFFER, Actor(Party.OFFERED, worker_id), comment, now)
        self._end_offer(offer, OfferEnd.ACCEPTED, now)
        return WorkerAssigned(**self._facts(), by_admin=False)

    def decline_offer(self, worker_id: AccountId, *, reason: str, now: datetime) -> OfferEnded:
        """Have the worker it is offered to refuse it. Raises OfferGone."""
        offer = self._open_offer(worker_id, now)
        self._move(Action.DECLINE_OFFER, Actor(Party.OFFERED, worker_id), reason, now)
        return self._offer_failed(offer, OfferEnd.DECLINED, now)

    def lapse_offer(self, now: datetime) -> OfferEnded | None:
        """End an offer whose time is over, and nothing else."""
        if self.stage is not Stage.OFFERED or self.offer is None or not self.offer.is_over(now):
            return None
        self._move(Action.LAPSE_OFFER, SYSTEM_ACTOR, "not answered in time", now)
        return self._offer_failed(self.offer, OfferEnd.LAPSED, now)

    def withdraw_offer(self, now: datetime) -> OfferEnded:
        """End the open offer because the worker cannot be asked any more."""
        assert self.offer is not None, "only an offered order has an offer"
        self._move(Action.LAPSE_OFFER, SYSTEM_ACTOR, "the worker cannot take it", now)
        return self._offer_failed(self.offer, OfferEnd.WITHDRAWN, now)

    def take(self, worker_id: AccountId, *, is_specialised: bool, comment: str, now: datetime) -> WorkerAssigned:
        """Have a worker take it himself; an offer of it to him is accepted so.

        Raises OwnOrder, NotSpecialised, OrderNotPaid, AlreadyAssigned, TransitionNotAllowed.
        """
        if worker_id == self.client_id:  # rule gigs.nobody_serves_himself
            raise OwnOrder
        if not is_specialised and worker_id != self.worker_id:
            raise NotSpecialised
        if self.stage is Stage.OFFERED and worker_id == self.worker_id:
            return self.accept_offer(worker_id, comment=comment, now=now)
        self._check_assignable()
        if self.stage is not Stage.UNASSIGNED:
            raise AlreadyAssigned
        self._move(Action.TAKE, Actor(Party.SPECIALIST, worker_id), comment, now)
        self.worker_id = worker_id
        return WorkerAssigned(**self._facts(), by_admin=False)

    def assign(
        self, worker_id: AccountId, *, is_specialised: bool, by: Actor, comment: str, now: datetime
    ) -> WorkerAssigned:
        """Have an administrator put a worker on it, or another one.

        Raises OwnOrder, NotSpecialised, OrderNotPaid, AlreadyAssigned (to the same worker), TransitionNotAllowed.
        """
        if worker_id == self.client_id:
            raise OwnOrder
        if not is_specialised:
            raise NotSpecialised
        self._check_assignable()
        former = self.worker_id
        if self.stage is Stage.ASSIGNED and worker_id == former:
            raise AlreadyAssigned
        self._move(Action.ASSIGN, by, comment, now)
        if self.offer is not None:
            self._end_offer(self.offer, OfferEnd.WITHDRAWN, now)
        self.worker_id = worker_id
        return WorkerAssigned(
            **self._facts(), by_admin=True, former_worker_id=former if former not in {None, worker_id} else None
        )

    def withdraw(self, worker_id: AccountId, *, comment: str, now: datetime) -> WorkerLeft:
        """Have the worker leave before he has begun."""
        return self._leave(Action.WITHDRAW, Actor(Party.WORKER, worker_id), comment, now)

    def take_off(self, *, by: Actor, comment: str, now: datetime) -> WorkerLeft:
        """Take the worker off before he has begun."""
        return self._leave(Action.TAKE_OFF, by, comment, now)

    # -- the work --

    def start(self, *, by: Actor, comment: str, now: datetime) -> WorkStarted:
        """Begin the work."""
        self._move(Action.START, by, comment, now)
        self.started_at = now
        return WorkStarted(**self._facts())

    def deliver(self, worker_id: AccountId, *, comment: str, terms: OrderTerms, now: datetime) -> WorkDelivered:
        """Say that the work is done; the client accepts, or silence does (gigs.delivery_needs_acceptance)."""
        self._move(Action.DELIVER, Actor(Party.WORKER, worker_id), comment, now)
        self.started_at = self.started_at or now
        self.delivered_at, self.accept_by = now, now + terms.auto_accept
        return WorkDelivered(**self._facts(), accept_by=self.accept_by)

    def request_changes(self, *, by: Actor, reason: str, terms: OrderTerms, now: datetime) -> ChangesRequested:
        """Ask for something to be done again (gigs.two_change_rounds). Raises ChangeLimitReached."""
        if transition_of(self.stage, Action.REQUEST_CHANGES, by.party) and self.change_rounds >= terms.change_rounds:
            raise ChangeLimitReached(limit=terms.change_rounds)
        self._move(Action.REQUEST_CHANGES, by, reason, now)
        self.change_rounds += 1
        self.accept_by = None
        return ChangesRequested(**self._facts(), reason=reason)

    def accept(self, *, by: Actor, comment: str, fee_basis_points: int, now: datetime) -> OrderCompleted:
        """Accept the work: the worker is paid."""
        self._move(Action.ACCEPT, by, comment, now)
        self.ended_at, self.accept_by = now, None
        self.earning, self.fee_basis_points = self.total, fee_basis_points
        return OrderCompleted(**self._facts(), earned=self._net(), by_silence=by.party is Party.SYSTEM)

    def is_silently_accepted(self, now: datetime) -> bool:
        """Tell whether the client's time to answer a delivery is over."""
        return self.stage is Stage.DELIVERED and self.accept_by is not None and self.accept_by <= now

    def check_review(self, reviewer_id: AccountId) -> AccountId:
        """Return whom the client may review (gigs.review_once_after_completion).

        Raises OrderNotFound, OrderNotCompleted.
        """
        if reviewer_id != self.client_id:
            raise OrderNotFound
        if self.stage is not Stage.COMPLETED or self.worker_id is None:
            raise OrderNotCompleted
        return self.worker_id

    # -- its end without result --

    def returned_on_cancel(self, by: Actor, now: datetime) -> Money:
        """Return what goes back to the client when it is canceled now: all, but for a late client's share."""
        if not self.was_paid:
            return Money.zero(self.total.currency)
        assert self.cancel_policy is not None, "frozen when it was paid"
        is_late = (
            by.party is Party.CLIENT
            and self.stage is Stage.ASSIGNED
            and self.cancel_policy.is_late(self.scheduled_at, now)
        )
        return self.total - self.cancel_policy.kept_of(self.total) if is_late else self.total

    def cancel(self, *, by: Actor, reason: str, fee_basis_points: int, now: datetime) -> OrderCanceled:
        """End it; the caller moves what `returned_on_cancel` says. Raises CancelNeedsAdmin, TransitionNotAllowed.

        An administrator has to give a reason. Raises Invalid.
        """
        if by.party is Party.ADMIN and not reason.strip():
            raise Invalid(errors=(FieldError("reason", "is needed"),))
        if by.party is Party.CLIENT and self.stage in RUNNING - {Stage.ASSIGNED}:  # rule gigs.started_needs_admin
            raise CancelNeedsAdmin
        returned = self.returned_on_cancel(by, now)
        kept = self.total - returned if self.was_paid else None
        self._move(Action.CANCEL, by, reason, now)
        if kept is not None and kept.minor:
            self.earning, self.fee_basis_points = kept, fee_basis_points
        return self._canceled(by=by.party, reason=reason or None, returned=returned if self.was_paid else None)

    def is_unfilled(self, now: datetime) -> bool:
        """Tell whether it waited long enough for a worker (gigs.unfilled_is_refunded)."""
        return self.stage in OPEN_STAGES and self.fill_by is not None and self.fill_by <= now

    def refund(self, amount: Money, *, is_all: bool, by: Actor, reason: str, now: datetime) -> OrderRefunded:
        """Take note that money went back; all of it before the end cancels the order
        (gigs.full_refund_before_completion_cancels).
        """
        refunded = OrderRefunded(**self._facts(), amount=str(amount))
        if self.stage not in ENDED:
            assert is_all, "gigs.partial_refund_only_after_completion"
            self._move(Action.REFUND, by, reason, now)
            self._ended(now)  # forgets to whom it was only offered: he is told all the same
        self.updated_at = now
        return refunded

    def archive(self, now: datetime) -> None:
        """Leave the lists (gigs.purge_is_archive)."""
        assert self.stage in ENDED, "only what has ended is archived"
        self.archived_at = now

    # -- how it does so --

    def _move(self, action: Action, by: Actor, comment: str, now: datetime) -> None:
        transition = transition_of(self.stage, action, by.party)
        if transition is None:
            raise not_allowed(self.stage, by.party)
        before, self.stage, self.updated_at = self.stage, transition.to, now
        self._note(before, comment, by.account_id, now)

    def _note(self, before: Stage | None, comment: str, by: AccountId | None, now: datetime) -> None:
        self.new_events.append(
            OrderEvent(from_stage=before, stage=self.stage, comment=comment, created_by=by, created_at=now)
        )

    def _check_assignable(self) -> None:
        if self.stage is Stage.UNPAID:
            raise OrderNotPaid
        if self.stage in ENDED:
            raise not_allowed(self.stage, Party.SPECIALIST)
        if self.stage in RUNNING - {Stage.ASSIGNED}:
            raise AlreadyAssigned

    def _open_offer(self, worker_id: AccountId, now: datetime) -> JobOffer:
        offer = self.offer
        if self.stage is not Stage.OFFERED or offer is None or offer.worker_id != worker_id or offer.is_over(now):
            raise OfferGone
        return offer

    def _offer_failed(self, offer: JobOffer, end: OfferEnd, now: datetime) -> OfferEnded:
        ended = OfferEnded(**self._facts())
        self._end_offer(offer, end, now)
        self.worker_id = None
        return ended

    def _end_offer(self, offer: JobOffer, end: OfferEnd, now: datetime) -> None:
        offer.end, offer.ended_at = end, now
        self.ended_offers.append(offer)
        self.offer = None

    def _leave(self, action: Action, by: Actor, comment: str, now: datetime) -> WorkerLeft:
        left = WorkerLeft(**self._facts(), by_himself=action is Action.WITHDRAW)
        self._move(action, by, comment, now)
        self.worker_id = None
        return left

    def _ended(self, now: datetime) -> None:
        if self.offer is not None:
            self._end_offer(self.offer, OfferEnd.WITHDRAWN, now)
            self.worker_id = None  # it was only offered to him
        self.ended_at, self.accept_by = now, None

    def _canceled(self, *, by: Party, reason: str | None, returned: Money | None) -> OrderCanceled:
        canceled = OrderCanceled(
            **self._facts(),
            reason=reason,
            by=str(by),
            returned=None if returned is None else str(returned),
            earned=self._net(),
        )
        self._ended(self.updated_at)
        return canceled

    def _net(self) -> str | None:
        if self.earning is None or self.fee_basis_points is None or not self.earning.minor:
            return None
        return str(self.earning.split_fee(self.fee_basis_points)[1])

    def _facts(self) -> _Facts:
        return {
            "order_id": self.id,
            "client_id": self.client_id,
            "worker_id": self.worker_id,
            "service": self.service,
        }
