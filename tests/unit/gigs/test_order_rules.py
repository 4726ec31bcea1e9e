"""The rules of an order, one section each. Who may do what at which stage is in test_transitions.py."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.core.kernel.errors import DomainError, Invalid
from domain.core.kernel.money import AMOUNT_MINOR_MAX, Money
from domain.gigs.events import (
    ChangesRequested,
    OfferEnded,
    OrderCanceled,
    OrderCompleted,
    OrderOffered,
    OrderPaid,
    OrderPlaced,
    WorkDelivered,
    WorkerAssigned,
    WorkerLeft,
)
from domain.gigs.order import (
    SYSTEM_ACTOR,
    Actor,
    AlreadyAssigned,
    AlreadyPaid,
    CancelNeedsAdmin,
    CancelPolicy,
    ChangeLimitReached,
    NotSpecialised,
    OfferEnd,
    OfferGone,
    Order,
    OrderId,
    OrderNotCompleted,
    OrderNotEditable,
    OrderNotFound,
    OrderNotPaid,
    OrderNotPayable,
    OwnOrder,
    OwnService,
    PaymentWindowClosed,
    PriceChanged,
    ScheduleInPast,
    ScheduleTooFar,
    ServiceInactive,
)
from domain.gigs.transitions import OPEN_STAGES, Party, Stage
from tests.builders.orders import (
    ADMIN,
    AS_ADMIN,
    AS_CLIENT,
    AS_WORKER,
    CLIENT,
    FEE_BASIS_POINTS,
    IDS,
    OTHER_CLIENT,
    OTHER_WORKER,
    TERMS,
    VISIT_AT,
    WORKER,
    a_paid_order,
    an_offering,
    an_order,
    an_order_at,
    offer,
)
from tests.fakes.core.copies import copied
from tests.fakes.core.system import NOON

MICROSECOND, MINUTE, HOUR, DAY = (
    timedelta(microseconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
LATER = NOON + HOUR


def refused(order: Order, error: type[DomainError], do: Callable[[], object]) -> DomainError:
    """Return the refusal, and make sure that nothing changed."""
    before = copied(order)
    with pytest.raises(error) as found:
        do()
    assert order == before
    return found.value


def place(
    *, expected_total: Money | None = None, scheduled_at: datetime = VISIT_AT, quantity: int = 2, **changes: Any
) -> tuple[Order, tuple[OrderPlaced | OrderPaid, ...]]:
    return Order.place(
        id=OrderId(IDS.new()),
        client_id=CLIENT,
        offering=an_offering(**changes),
        description="2 flats",
        address="Market Street 1",
        scheduled_at=scheduled_at,
        quantity=quantity,
        expected_total=expected_total,
        terms=TERMS,
        now=NOON,
    )


# gigs.price_is_frozen


def test_an_order_costs_the_price_times_the_quantity() -> None:
    order, (placed,) = place(expected_total=Money(5000_00))
    assert (order.unit_price, order.total, order.stage) == (Money(2500_00), Money(5000_00), Stage.UNPAID)
    assert placed == OrderPlaced(order_id=order.id, client_id=CLIENT, worker_id=None, service="Deep clean 1")


def test_a_later_price_does_not_touch_the_order() -> None:
    offering = an_offering()
    order = an_order(offering=offering)
    offering.base_price = Money(9999_00)
    assert order.total == Money(5000_00)
    order.edit(by=AS_CLIENT, now=LATER, quantity=3)
    assert (order.total, order.updated_at) == (Money(7500_00), LATER)


def test_a_price_that_changed_meanwhile_is_told() -> None:
    with pytest.raises(PriceChanged) as found:
        place(expected_total=Money(4999_99))
    assert found.value.extra == {"total_price": "5000.00", "currency": "KES"}
    with pytest.raises(PriceChanged):
        place(expected_total=Money(5000_00, "USD"))


def test_a_total_is_no_more_than_one_posting_holds() -> None:
    assert place(price=Money(AMOUNT_MINOR_MAX), quantity=1)[0].total == Money(AMOUNT_MINOR_MAX)
    with pytest.raises(Invalid):
        place(price=Money(AMOUNT_MINOR_MAX), quantity=2)
    order = an_order(offering=an_offering(price=Money(AMOUNT_MINOR_MAX)), quantity=1)
    refused(order, Invalid, lambda: order.edit(by=AS_CLIENT, now=LATER, description="other words", quantity=2))


def test_what_is_not_listed_cannot_be_ordered() -> None:
    with pytest.raises(ServiceInactive):
        place(is_active=False)


# gigs.schedule_is_ahead


@pytest.mark.parametrize("scheduled_at", [NOON + MICROSECOND, NOON + 180 * DAY])
def test_a_visit_lies_ahead_up_to_half_a_year(scheduled_at: datetime) -> None:
    assert place(scheduled_at=scheduled_at)[0].scheduled_at == scheduled_at


@pytest.mark.parametrize(
    ("scheduled_at", "error"),
    [(NOON - MICROSECOND, ScheduleInPast), (NOON, ScheduleInPast), (NOON + 180 * DAY + MICROSECOND, ScheduleTooFar)],
)
def test_a_visit_at_another_time_is_refused(scheduled_at: datetime, error: type[DomainError]) -> None:
    with pytest.raises(error):
        place(scheduled_at=scheduled_at)
    order = an_order()
    refused(order, error, lambda: order.edit(by=AS_CLIENT, now=NOON, scheduled_at=scheduled_at, description="x"))


def test_before_it_is_paid_everything_may_be_edited() -> None:
    order = an_order()
    order.edit(
        by=AS_CLIENT, now=LATER, description="3 flats", address="Hill 2", scheduled_at=VISIT_AT + DAY, quantity=3
    )
    assert (order.description, order.address, order.scheduled_at, order.quantity) == (
        "3 flats",
        "Hill 2",
        VISIT_AT + DAY,
        3,
    )


@pytest.mark.parametrize("by", [AS_CLIENT, AS_ADMIN])
def test_paid_and_unassigned_its_words_may_be_edited(by: Actor) -> None:
    order = a_paid_order()
    order.edit(by=by, now=LATER, description="3 flats", address="Hill 2", scheduled_at=VISIT_AT, quantity=2)
    assert (order.description, order.address, order.updated_at) == ("3 flats", "Hill 2", LATER)
    refused(order, OrderNotEditable, lambda: order.edit(by=AS_CLIENT, now=LATER, quantity=3))
    refused(order, OrderNotEditable, lambda: order.edit(by=AS_CLIENT, now=LATER, scheduled_at=VISIT_AT + DAY))


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.UNPAID, Stage.UNASSIGNED}))
def test_later_nothing_is_edited(stage: Stage) -> None:
    order = an_order_at(stage)
    refused(order, OrderNotEditable, lambda: order.edit(by=AS_CLIENT, now=LATER, description="3 flats"))


# gigs.nobody_serves_himself


def test_nobody_orders_his_own_service() -> None:
    with pytest.raises(OwnService):
        place(owner_id=CLIENT)


def test_nobody_takes_his_own_order() -> None:
    order = a_paid_order()
    refused(order, OwnOrder, lambda: order.take(CLIENT, is_specialised=True, comment="", now=NOON))


def test_nobody_is_put_on_his_own_order() -> None:
    order = a_paid_order()
    refused(order, OwnOrder, lambda: order.assign(CLIENT, is_specialised=True, by=AS_ADMIN, comment="", now=NOON))


# gigs.failure_keeps_payable, gigs.one_payment_per_order


def test_an_order_can_be_paid_for_a_day() -> None:
    order = an_order()
    assert order.pay_by == NOON + DAY
    order.check_payable(NOON + DAY - MICROSECOND)
    refused(order, PaymentWindowClosed, lambda: order.check_payable(NOON + DAY))


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.UNPAID, Stage.CANCELED}))
def test_what_is_paid_is_not_paid_again(stage: Stage) -> None:
    order = an_order_at(stage)
    refused(order, AlreadyPaid, lambda: order.check_payable(NOON))


def test_what_was_paid_and_canceled_is_not_paid_again() -> None:
    order = a_paid_order()
    order.cancel(by=AS_CLIENT, reason="", fee_basis_points=FEE_BASIS_POINTS, now=NOON)
    refused(order, AlreadyPaid, lambda: order.check_payable(NOON))


def test_what_is_canceled_unpaid_cannot_be_paid() -> None:
    order = an_order_at(Stage.CANCELED)
    refused(order, OrderNotPayable, lambda: order.check_payable(NOON))


def test_an_attempt_under_way_at_the_end_is_waited_for_fifteen_minutes() -> None:
    order, end = an_order(), NOON + DAY
    assert not order.is_unpaid_too_long(end - MICROSECOND, is_attempt_in_flight=False)
    assert order.is_unpaid_too_long(end, is_attempt_in_flight=False)
    assert not order.is_unpaid_too_long(end + 15 * MINUTE - MICROSECOND, is_attempt_in_flight=True)
    assert order.is_unpaid_too_long(end + 15 * MINUTE, is_attempt_in_flight=True)
    assert not a_paid_order().is_unpaid_too_long(end + DAY, is_attempt_in_flight=False)


def test_what_nobody_paid_ends_without_money() -> None:
    order = an_order()
    fact = order.expire(NOON + DAY)
    assert (order.stage, order.ended_at, order.earning) == (Stage.CANCELED, NOON + DAY, None)
    assert (fact.by, fact.returned, fact.earned, fact.reason) == ("system", None, None, "not paid in time")


# gigs.zero_is_paid_at_once


def test_an_order_of_nothing_is_paid_at_once() -> None:
    order, facts = place(price=Money.zero())
    assert (order.stage, order.paid_at, order.was_paid, order.intent_id) == (Stage.UNASSIGNED, NOON, True, None)
    assert [type(fact) for fact in facts] == [OrderPlaced, OrderPaid]
    assert [step.stage for step in order.new_events] == [Stage.UNPAID, Stage.UNASSIGNED]
    paid = facts[1]
    assert isinstance(paid, OrderPaid)
    assert paid.total == ""


# gigs.only_money_makes_paid


def test_money_makes_an_order_paid() -> None:
    order = an_order()
    fact = order.mark_paid(TERMS, now=LATER)
    assert (order.stage, order.paid_at) == (Stage.UNASSIGNED, LATER)
    assert (fact.total, fact.offering_id) == ("5000.00 KES", an_offering().id)
    assert order.new_events[-1].created_by is None


# gigs.one_offer_at_a_time


def test_an_open_order_is_offered_to_one_worker() -> None:
    order = a_paid_order()
    fact = order.offer_to(WORKER, id=IDS.new(), reasons="best of 2", terms=TERMS, now=NOON)
    assert (order.stage, order.worker_id) == (Stage.OFFERED, WORKER)
    assert fact == OrderOffered(
        order_id=order.id,
        client_id=CLIENT,
        worker_id=WORKER,
        service="Deep clean 1",
        answer_by=NOON + 15 * MINUTE,
    )
    refused(order, DomainError, lambda: offer(order, OTHER_WORKER))


def test_what_is_offered_to_another_is_not_taken() -> None:
    order = an_order_at(Stage.OFFERED)
    refused(order, AlreadyAssigned, lambda: order.take(OTHER_WORKER, is_specialised=True, comment="", now=NOON))


def test_taking_what_is_offered_to_oneself_accepts_the_offer() -> None:
    order = an_order_at(Stage.OFFERED)
    fact = order.take(WORKER, is_specialised=True, comment="", now=NOON)
    (ended,) = order.ended_offers
    assert (order.stage, order.offer, ended.end) == (Stage.ASSIGNED, None, OfferEnd.ACCEPTED)
    assert (fact.worker_id, fact.by_admin) == (WORKER, False)


def test_an_administrator_ends_the_offer_when_he_assigns_another() -> None:
    order = an_order_at(Stage.OFFERED)
    fact = order.assign(OTHER_WORKER, is_specialised=True, by=AS_ADMIN, comment="", now=NOON)
    (ended,) = order.ended_offers
    assert (order.worker_id, order.offer, ended.worker_id, ended.end) == (
        OTHER_WORKER,
        None,
        WORKER,
        OfferEnd.WITHDRAWN,
    )
    assert fact == WorkerAssigned(
        order_id=order.id,
        client_id=CLIENT,
        worker_id=OTHER_WORKER,
        service="Deep clean 1",
        by_admin=True,
        former_worker_id=WORKER,
    )


def test_an_offer_ends_with_the_order() -> None:
    order = an_order_at(Stage.OFFERED)
    fact = order.cancel(by=AS_CLIENT, reason="", fee_basis_points=FEE_BASIS_POINTS, now=LATER)
    (ended,) = order.ended_offers
    assert (ended.end, ended.ended_at, order.offer, order.worker_id) == (OfferEnd.WITHDRAWN, LATER, None, None)
    assert fact.worker_id == WORKER  # who is told


# gigs.offer_lapses


def test_an_offer_can_be_answered_up_to_its_end() -> None:
    order = an_order_at(Stage.OFFERED)
    order.accept_offer(WORKER, comment="", now=NOON + 15 * MINUTE)
    assert (order.stage, order.worker_id) == (Stage.ASSIGNED, WORKER)


@pytest.mark.parametrize("answer", ["accept", "decline", "take"])
def test_after_its_end_an_offer_is_gone_before_the_job_has_run(answer: str) -> None:
    order, late = an_order_at(Stage.OFFERED), NOON + 15 * MINUTE + MICROSECOND
    answers: dict[str, Callable[[], object]] = {
        "accept": lambda: order.accept_offer(WORKER, comment="", now=late),
        "decline": lambda: order.decline_offer(WORKER, reason="", now=late),
        "take": lambda: order.take(WORKER, is_specialised=True, comment="", now=late),
    }
    refused(order, OfferGone, answers[answer])


def test_the_offer_of_another_is_not_answered() -> None:
    order = an_order_at(Stage.OFFERED)
    refused(order, OfferGone, lambda: order.accept_offer(OTHER_WORKER, comment="", now=NOON))
    refused(order, OfferGone, lambda: order.decline_offer(OTHER_WORKER, reason="", now=NOON))


def test_an_offer_lapses_after_its_end_and_not_before() -> None:
    order = an_order_at(Stage.OFFERED)
    assert order.lapse_offer(NOON + 15 * MINUTE) is None
    assert order.stage is Stage.OFFERED
    late = NOON + 15 * MINUTE + MICROSECOND
    assert order.lapse_offer(late) == OfferEnded(
        order_id=order.id, client_id=CLIENT, worker_id=WORKER, service="Deep clean 1"
    )
    (ended,) = order.ended_offers
    assert (order.stage, order.worker_id, ended.end, ended.ended_at) == (Stage.UNASSIGNED, None, OfferEnd.LAPSED, late)
    assert order.lapse_offer(late) is None


def test_a_declined_order_is_open_again() -> None:
    order = an_order_at(Stage.OFFERED)
    fact = order.decline_offer(WORKER, reason="too far", now=LATER - 50 * MINUTE)
    (ended,) = order.ended_offers
    assert (order.stage, order.worker_id, order.offer, ended.end) == (
        Stage.UNASSIGNED,
        None,
        None,
        OfferEnd.DECLINED,
    )
    assert (fact.worker_id, order.new_events[-1].comment) == (WORKER, "too far")


# gigs.unfilled_is_refunded


@pytest.mark.parametrize(
    ("visit_in", "fill_in"),
    [
        (timedelta(days=5), timedelta(hours=72)),
        (timedelta(hours=74), timedelta(hours=72)),
        (timedelta(hours=74) - MICROSECOND, timedelta(hours=72) - MICROSECOND),
        (timedelta(hours=10), timedelta(hours=8)),
        (timedelta(hours=3), timedelta(hours=1)),
        (timedelta(hours=2), timedelta(hours=1)),
        (timedelta(minutes=5), timedelta(hours=1)),
    ],
)
def test_an_order_waits_for_a_worker_until_its_bound(visit_in: timedelta, fill_in: timedelta) -> None:
    order = a_paid_order(scheduled_at=NOON + visit_in)
    assert order.fill_by == NOON + fill_in
    assert not order.is_unfilled(order.fill_by - MICROSECOND)
    assert order.is_unfilled(order.fill_by)


def test_the_bound_counts_from_the_payment() -> None:
    order = an_order(scheduled_at=NOON + 20 * DAY)
    order.mark_paid(TERMS, now=NOON + 10 * HOUR)
    assert order.fill_by == NOON + 82 * HOUR


@pytest.mark.parametrize("stage", sorted(Stage))
def test_only_an_open_order_is_unfilled(stage: Stage) -> None:
    assert an_order_at(stage).is_unfilled(NOON + 30 * DAY) is (stage in OPEN_STAGES)


@pytest.mark.parametrize("stage", sorted(OPEN_STAGES))
def test_an_unfilled_order_is_returned_in_full(stage: Stage) -> None:
    order = an_order_at(stage)
    fact = order.cancel(by=SYSTEM_ACTOR, reason="no worker", fee_basis_points=FEE_BASIS_POINTS, now=LATER)
    assert (order.stage, order.ended_at, order.earning) == (Stage.CANCELED, LATER, None)
    assert (fact.by, fact.returned, fact.earned) == ("system", "5000.00 KES", None)


# gigs.assignment_survives_profile


def test_who_is_not_specialised_takes_nothing() -> None:
    order = a_paid_order()
    refused(order, NotSpecialised, lambda: order.take(WORKER, is_specialised=False, comment="", now=NOON))
    refused(
        order, NotSpecialised, lambda: order.assign(WORKER, is_specialised=False, by=AS_ADMIN, comment="", now=NOON)
    )


def test_who_lost_the_specialization_keeps_what_was_offered_and_what_he_is_on() -> None:
    order = an_order_at(Stage.OFFERED)
    order.take(WORKER, is_specialised=False, comment="", now=NOON)
    assert order.part_of(WORKER, is_admin=False, is_specialist=False).party is Party.WORKER
    order.start(by=AS_WORKER, comment="", now=NOON)
    assert order.stage is Stage.STARTED


# gigs.transitions_are_a_table: who somebody is to an order, and taking what cannot be taken


@pytest.mark.parametrize("stage", sorted(Stage))
def test_in_which_part_somebody_acts(stage: Stage) -> None:
    order = an_order_at(stage)
    assert order.part_of(CLIENT, is_admin=True, is_specialist=True).party is Party.CLIENT
    assert order.part_of(ADMIN, is_admin=True, is_specialist=False).party is Party.ADMIN
    if order.worker_id is not None:
        expected = Party.OFFERED if stage is Stage.OFFERED else Party.WORKER
        assert order.part_of(WORKER, is_admin=False, is_specialist=True).party is expected
    if stage in OPEN_STAGES:
        assert order.part_of(OTHER_WORKER, is_admin=False, is_specialist=True).party is Party.SPECIALIST
    else:
        refused(order, OrderNotFound, lambda: order.part_of(OTHER_WORKER, is_admin=False, is_specialist=True))
    refused(order, OrderNotFound, lambda: order.part_of(OTHER_CLIENT, is_admin=False, is_specialist=False))


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        (Stage.UNPAID, OrderNotPaid),
        (Stage.ASSIGNED, AlreadyAssigned),
        (Stage.STARTED, AlreadyAssigned),
        (Stage.DELIVERED, AlreadyAssigned),
        (Stage.CHANGES, AlreadyAssigned),
    ],
)
def test_what_is_not_open_is_not_taken(stage: Stage, error: type[DomainError]) -> None:
    order = an_order_at(stage)
    refused(order, error, lambda: order.take(OTHER_WORKER, is_specialised=True, comment="", now=NOON))
    if stage is not Stage.ASSIGNED:
        refused(
            order,
            error,
            lambda: order.assign(OTHER_WORKER, is_specialised=True, by=AS_ADMIN, comment="", now=NOON),
        )


def test_an_administrator_replaces_the_worker_by_another_one_only() -> None:
    order = an_order_at(Stage.ASSIGNED)
    refused(
        order, AlreadyAssigned, lambda: order.assign(WORKER, is_specialised=True, by=AS_ADMIN, comment="", now=NOON)
    )
    fact = order.assign(OTHER_WORKER, is_specialised=True, by=AS_ADMIN, comment="ill", now=NOON)
    assert (order.worker_id, fact.worker_id, fact.former_worker_id) == (OTHER_WORKER, OTHER_WORKER, WORKER)


@pytest.mark.parametrize("by_himself", [True, False])
def test_who_leaves_before_the_start_leaves_the_order_open(by_himself: bool) -> None:
    order = an_order_at(Stage.ASSIGNED)
    if by_himself:
        fact = order.withdraw(WORKER, comment="ill", now=NOON)
    else:
        fact = order.take_off(by=AS_ADMIN, comment="ill", now=NOON)
    assert fact == WorkerLeft(
        order_id=order.id, client_id=CLIENT, worker_id=WORKER, service="Deep clean 1", by_himself=by_himself
    )
    assert (order.stage, order.worker_id, order.new_events[-1].comment) == (Stage.UNASSIGNED, None, "ill")


# gigs.delivery_needs_acceptance


@pytest.mark.parametrize("stage", [Stage.ASSIGNED, Stage.STARTED, Stage.CHANGES])
def test_delivered_is_not_completed(stage: Stage) -> None:
    order = an_order_at(stage)
    fact = order.deliver(WORKER, comment="done", terms=TERMS, now=LATER)
    assert (order.stage, order.delivered_at, order.ended_at, order.earning) == (Stage.DELIVERED, LATER, None, None)
    assert order.accept_by == LATER + 72 * HOUR
    assert order.started_at is not None
    assert fact == WorkDelivered(
        order_id=order.id,
        client_id=CLIENT,
        worker_id=WORKER,
        service="Deep clean 1",
        accept_by=LATER + 72 * HOUR,
    )


def test_silence_of_three_days_accepts() -> None:
    order = an_order_at(Stage.DELIVERED)
    assert not order.is_silently_accepted(NOON + 72 * HOUR - MICROSECOND)
    assert order.is_silently_accepted(NOON + 72 * HOUR)
    fact = order.accept(by=SYSTEM_ACTOR, comment="", fee_basis_points=1_500, now=NOON + 72 * HOUR)
    assert (order.stage, order.ended_at, order.accept_by) == (Stage.COMPLETED, NOON + 72 * HOUR, None)
    assert fact == OrderCompleted(
        order_id=order.id,
        client_id=CLIENT,
        worker_id=WORKER,
        service="Deep clean 1",
        earned="4250.00 KES",
        by_silence=True,
    )


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.DELIVERED}))
def test_silence_accepts_nothing_else(stage: Stage) -> None:
    assert not an_order_at(stage).is_silently_accepted(NOON + 30 * DAY)


# gigs.two_change_rounds


def test_a_third_request_for_changes_is_refused() -> None:
    order = an_order_at(Stage.DELIVERED)
    for rounds in (1, 2):
        fact = order.request_changes(by=AS_CLIENT, reason="the oven", terms=TERMS, now=NOON)
        assert isinstance(fact, ChangesRequested)
        assert (fact.reason, order.change_rounds, order.accept_by, order.stage) == (
            "the oven",
            rounds,
            None,
            Stage.CHANGES,
        )
        order.deliver(WORKER, comment="again", terms=TERMS, now=NOON)
    error = refused(
        order,
        ChangeLimitReached,
        lambda: order.request_changes(by=AS_CLIENT, reason="the oven", terms=TERMS, now=NOON),
    )
    assert error.extra == {"limit": 2}
    order.accept(by=AS_CLIENT, comment="", fee_basis_points=FEE_BASIS_POINTS, now=NOON)
    assert order.stage is Stage.COMPLETED


# gigs.cancel_policy_is_frozen


def test_the_policy_is_frozen_when_the_order_is_paid() -> None:
    order = an_order()
    assert order.cancel_policy is None
    order.mark_paid(TERMS, now=NOON)
    assert order.cancel_policy == CancelPolicy(timedelta(hours=24), 50)


@pytest.mark.parametrize(
    ("before", "returned", "kept"),
    [
        (timedelta(hours=24) + MICROSECOND, 5000_00, None),
        (timedelta(hours=24), 5000_00, None),
        (timedelta(hours=24) - MICROSECOND, 2500_00, 2500_00),
        (timedelta(0), 2500_00, 2500_00),
        (timedelta(hours=-1), 2500_00, 2500_00),
    ],
)
def test_a_day_before_the_visit_is_in_time(before: timedelta, returned: int, kept: int | None) -> None:
    order, now = an_order_at(Stage.ASSIGNED), VISIT_AT - before
    assert order.returned_on_cancel(AS_CLIENT, now) == Money(returned)
    fact = order.cancel(by=AS_CLIENT, reason="", fee_basis_points=1_500, now=now)
    assert order.earning == (None if kept is None else Money(kept))
    assert fact == OrderCanceled(
        order_id=order.id,
        client_id=CLIENT,
        worker_id=WORKER,
        service="Deep clean 1",
        reason=None,
        by="client",
        returned=str(Money(returned)),
        earned=None if kept is None else "2125.00 KES",
    )


@pytest.mark.parametrize("stage", sorted(OPEN_STAGES))
def test_who_has_no_worker_yet_gets_everything_back_even_late(stage: Stage) -> None:
    order = an_order_at(stage)
    assert order.returned_on_cancel(AS_CLIENT, VISIT_AT) == Money(5000_00)


@pytest.mark.parametrize("stage", [Stage.ASSIGNED, Stage.STARTED, Stage.DELIVERED, Stage.CHANGES])
def test_an_administrator_returns_everything_even_late(stage: Stage) -> None:
    order = an_order_at(stage)
    fact = order.cancel(by=AS_ADMIN, reason="fire", fee_basis_points=FEE_BASIS_POINTS, now=VISIT_AT)
    assert (fact.returned, fact.reason, fact.by, order.earning) == ("5000.00 KES", "fire", "admin", None)


def test_an_unpaid_order_returns_nothing() -> None:
    order = an_order()
    fact = order.cancel(by=AS_CLIENT, reason="", fee_basis_points=FEE_BASIS_POINTS, now=VISIT_AT)
    assert (fact.returned, order.earning, order.stage) == (None, None, Stage.CANCELED)


# gigs.started_needs_admin


@pytest.mark.parametrize("stage", [Stage.STARTED, Stage.DELIVERED, Stage.CHANGES])
def test_after_the_start_a_client_does_not_cancel_alone(stage: Stage) -> None:
    order = an_order_at(stage)
    refused(
        order,
        CancelNeedsAdmin,
        lambda: order.cancel(by=AS_CLIENT, reason="", fee_basis_points=FEE_BASIS_POINTS, now=NOON),
    )


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_administrator_says_why(reason: str) -> None:
    order = an_order_at(Stage.STARTED)
    refused(
        order, Invalid, lambda: order.cancel(by=AS_ADMIN, reason=reason, fee_basis_points=FEE_BASIS_POINTS, now=NOON)
    )


# gigs.review_once_after_completion, gigs.purge_is_archive


@pytest.mark.parametrize("stage", sorted(Stage))
def test_a_client_reviews_the_worker_of_a_completed_order(stage: Stage) -> None:
    order = an_order_at(stage)
    if stage is Stage.COMPLETED:
        assert order.check_review(CLIENT) == WORKER
    else:
        refused(order, OrderNotCompleted, lambda: order.check_review(CLIENT))
    refused(order, OrderNotFound, lambda: order.check_review(WORKER))


@pytest.mark.parametrize("stage", [Stage.COMPLETED, Stage.CANCELED])
def test_what_has_ended_is_archived(stage: Stage) -> None:
    order = an_order_at(stage)
    order.archive(LATER)
    assert (order.archived_at, order.stage) == (LATER, stage)


# gigs.history_is_complete


def test_each_step_says_who_when_from_where_to_where_and_why() -> None:
    order = an_order()
    order.mark_paid(TERMS, now=NOON + MINUTE)
    offer(order, now=NOON + 2 * MINUTE)
    order.lapse_offer(NOON + 20 * MINUTE)
    order.take(WORKER, is_specialised=True, comment="me", now=NOON + 21 * MINUTE)
    order.start(by=AS_WORKER, comment="arrived", now=NOON + 22 * MINUTE)
    order.deliver(WORKER, comment="done", terms=TERMS, now=NOON + 23 * MINUTE)
    order.request_changes(by=AS_CLIENT, reason="the oven", terms=TERMS, now=NOON + 24 * MINUTE)
    order.deliver(WORKER, comment="again", terms=TERMS, now=NOON + 25 * MINUTE)
    order.accept(by=AS_CLIENT, comment="", fee_basis_points=FEE_BASIS_POINTS, now=NOON + 26 * MINUTE)
    history = [
        (step.from_stage, step.stage, str(step.status), step.comment, step.created_by, step.created_at - NOON)
        for step in order.new_events
    ]
    assert history == [
        (None, Stage.UNPAID, "pending", "", CLIENT, 0 * MINUTE),
        (Stage.UNPAID, Stage.UNASSIGNED, "paid", "", None, MINUTE),
        (Stage.UNASSIGNED, Stage.OFFERED, "paid", "", None, 2 * MINUTE),
        (Stage.OFFERED, Stage.UNASSIGNED, "paid", "not answered in time", None, 20 * MINUTE),
        (Stage.UNASSIGNED, Stage.ASSIGNED, "in_progress", "me", WORKER, 21 * MINUTE),
        (Stage.ASSIGNED, Stage.STARTED, "in_progress", "arrived", WORKER, 22 * MINUTE),
        (Stage.STARTED, Stage.DELIVERED, "in_progress", "done", WORKER, 23 * MINUTE),
        (Stage.DELIVERED, Stage.CHANGES, "in_progress", "the oven", CLIENT, 24 * MINUTE),
        (Stage.CHANGES, Stage.DELIVERED, "in_progress", "again", WORKER, 25 * MINUTE),
        (Stage.DELIVERED, Stage.COMPLETED, "completed", "", CLIENT, 26 * MINUTE),
    ]


# gigs.full_refund_before_completion_cancels


@pytest.mark.parametrize("stage", [Stage.UNASSIGNED, Stage.OFFERED, Stage.STARTED, Stage.DELIVERED])
def test_a_full_refund_before_completion_cancels(stage: Stage) -> None:
    order = an_order_at(stage)
    fact = order.refund(order.total, is_all=True, by=AS_ADMIN, reason="fire", now=LATER)
    assert (order.stage, order.ended_at, order.offer, order.accept_by) == (Stage.CANCELED, LATER, None, None)
    assert fact.amount == "5000.00 KES"
    assert order.new_events[-1].comment == "fire"


def test_a_completed_order_stays_completed() -> None:
    order = an_order_at(Stage.COMPLETED)
    steps = len(order.new_events)
    order.refund(Money(1000_00), is_all=False, by=AS_ADMIN, reason="", now=LATER)
    assert (order.stage, len(order.new_events), order.updated_at) == (Stage.COMPLETED, steps, LATER)


def test_how_long_a_visit_takes_goes_by_the_quantity_up_to_a_year() -> None:
    assert an_order(quantity=3).ends_at == VISIT_AT + 6 * HOUR
    assert an_order(quantity=1_000, offering=an_offering(duration=timedelta(hours=240))).ends_at == VISIT_AT + 366 * DAY
