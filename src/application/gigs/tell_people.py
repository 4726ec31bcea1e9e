"""Tell clients and workers what happens to their orders: one notice per event and person.

No notice names the address (gigs.address_is_private). What becomes of a payment, payments tell the payer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Final

from application.core.kernel.ports import Delivery
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries, ReminderKind
from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Notice
from domain.gigs.events import (
    ChangesRequested,
    OrderCanceled,
    OrderCompleted,
    OrderHappening,
    OrderOffered,
    OrderPaid,
    OrderPaymentFailed,
    OrderPlaced,
    OrderRefunded,
    OrderReminderDue,
    WorkDelivered,
    WorkerAssigned,
    WorkerLeft,
    WorkStarted,
)
from domain.gigs.offering import OfferingId

SERVICE_SHOWN_MAX: Final = 80
"""Characters of a service's name that a notice shows."""
REASON_SHOWN_MAX: Final = 500
SPECIALISTS_TOLD_MAX: Final = 200
"""As many workers hear of a new order: the available ones, the best rated first."""

CREATED, AVAILABLE, ASSIGNED, STATUS = "order_created", "new_order_available", "worker_assigned", "status_update"


@dataclass(frozen=True, slots=True, kw_only=True)
class TellPeople:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to any event of an order that somebody should hear of."""
        specialists: Sequence[AccountId] = ()
        if isinstance(event, OrderPaid):
            specialists = await self.queries.specialists(
                OfferingId(event.offering_id), client_id=event.client_id, limit=SPECIALISTS_TOLD_MAX
            )
        async with self.unit_of_work() as uow:
            uow.notices.add(delivery, *notices_of(event, specialists))
            uow.done(delivery)
            await uow.commit()


@singledispatch
def notices_of(event: Event, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    """Return what to tell whom about an event; `specialists` do the service of a paid order."""
    raise TypeError(f"nobody decided what to tell about {type(event).__name__}")


TOLD_EVENTS: Final[tuple[type[Event], ...]] = (
    OrderPlaced,
    OrderPaid,
    OrderPaymentFailed,
    OrderOffered,
    WorkerAssigned,
    WorkerLeft,
    WorkStarted,
    WorkDelivered,
    ChangesRequested,
    OrderCompleted,
    OrderCanceled,
    OrderRefunded,
    OrderReminderDue,
)
"""The events that have a text below; a test holds the two together."""


def _about(event: OrderHappening, recipient: AccountId, word: str, title: str, message: str) -> Notice:
    return Notice(
        recipient=recipient,
        category=Category.ORDER,
        title=title,
        message=message,
        link=f"/api/orders/{event.order_id}",
        metadata={"event": word, "order": str(event.order_id)},
    )


def _name(service: str) -> str:
    return f"“{service[:SERVICE_SHOWN_MAX]}”"


def _because(reason: str | None) -> str:
    return f" Reason: {reason[:REASON_SHOWN_MAX]}" if reason else ""


@notices_of.register
def _(event: OrderPlaced, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (
        _about(event, event.client_id, CREATED, "Order placed", f"Your order of {_name(event.service)} is placed."),
    )


@notices_of.register
def _(event: OrderPaid, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    message = f"{_name(event.service)} is ordered and paid; you can take the order."
    return tuple(_about(event, one, AVAILABLE, "New order available", message) for one in specialists)


@notices_of.register
def _(event: OrderPaymentFailed, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    left = f"You can try {event.attempts_left} more times." if event.attempts_left else "It cannot be tried again."
    return (
        _about(event, event.client_id, STATUS, "Order not paid", f"{_name(event.service)} is not paid yet. {left}"),
    )


@notices_of.register
def _(event: OrderOffered, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    assert event.worker_id is not None
    message = f"{_name(event.service)} is offered to you. Answer by {event.answer_by:%H:%M} UTC."
    return (_about(event, event.worker_id, ASSIGNED, "An order is offered to you", message),)


@notices_of.register
def _(event: WorkerAssigned, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    assert event.worker_id is not None
    told = [_about(event, event.client_id, ASSIGNED, "A worker is assigned", f"A worker does {_name(event.service)}.")]
    if event.by_admin:
        message = f"{_name(event.service)} is assigned to you."
        told.append(_about(event, event.worker_id, ASSIGNED, "An order is assigned to you", message))
    if event.former_worker_id is not None:
        message = f"{_name(event.service)} is assigned to another worker."
        told.append(_about(event, event.former_worker_id, STATUS, "Order given to another", message))
    return tuple(told)


@notices_of.register
def _(event: WorkerLeft, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    message = f"The worker left {_name(event.service)}; another one is looked for."
    told = [_about(event, event.client_id, STATUS, "A worker is looked for", message)]
    if not event.by_himself and event.worker_id is not None:
        off = f"You are no longer on {_name(event.service)}."
        told.append(_about(event, event.worker_id, STATUS, "Taken off an order", off))
    return tuple(told)


@notices_of.register
def _(event: WorkStarted, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (_about(event, event.client_id, STATUS, "Work started", f"{_name(event.service)} has begun."),)


@notices_of.register
def _(event: WorkDelivered, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    message = (
        f"{_name(event.service)} is done. Without an answer by {event.accept_by:%Y-%m-%d %H:%M} UTC it is accepted."
    )
    return (_about(event, event.client_id, STATUS, "Work delivered", message),)


@notices_of.register
def _(event: ChangesRequested, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    assert event.worker_id is not None
    message = f"The client asks for changes of {_name(event.service)}.{_because(event.reason)}"
    return (_about(event, event.worker_id, STATUS, "Changes requested", message),)


@notices_of.register
def _(event: OrderCompleted, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    assert event.worker_id is not None
    earned = f" You earned {event.earned}." if event.earned else ""
    told = [
        _about(event, event.worker_id, STATUS, "Order completed", f"{_name(event.service)} is completed.{earned}"),
    ]
    if event.by_silence:
        message = f"{_name(event.service)} is completed, since the delivery was not answered."
        told.append(_about(event, event.client_id, STATUS, "Order completed", message))
    return tuple(told)


@notices_of.register
def _(event: OrderCanceled, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    told: list[Notice] = []
    if event.by != "client":
        back = f" {event.returned} is back in your wallet." if event.returned else ""
        message = f"{_name(event.service)} is canceled.{_because(event.reason)}{back}"
        told.append(_about(event, event.client_id, STATUS, "Order canceled", message))
    if event.worker_id is not None:
        earned = f" You earned {event.earned}, since it came late." if event.earned else ""
        message = f"{_name(event.service)} is canceled.{_because(event.reason)}{earned}"
        told.append(_about(event, event.worker_id, STATUS, "Order canceled", message))
    return tuple(told)


@notices_of.register
def _(event: OrderRefunded, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    if event.worker_id is None:
        return ()
    message = f"{event.amount} of {_name(event.service)} was given back to the client."
    return (_about(event, event.worker_id, "payment_refunded", "Order refunded", message),)


_REMINDERS: Final = {
    ReminderKind.VISIT_IN_A_DAY: ("Tomorrow", "{name} is at {at} UTC."),
    ReminderKind.VISIT_IN_AN_HOUR: ("In an hour", "{name} is at {at} UTC."),
    ReminderKind.ACCEPTANCE_ENDS: (
        "Is it done well?",
        "{name} was delivered; without an answer by {at} UTC it is accepted.",
    ),
    ReminderKind.PAYMENT_ENDS: ("Pay your order", "{name} is canceled if it is not paid by {at} UTC."),
}


@notices_of.register
def _(event: OrderReminderDue, specialists: Sequence[AccountId]) -> tuple[Notice, ...]:
    title, text = _REMINDERS[ReminderKind(event.kind)]
    return (
        Notice(
            recipient=event.recipient,
            category=Category.REMINDER,
            title=title,
            message=text.format(name=_name(event.service), at=f"{event.due_at:%Y-%m-%d %H:%M}"),
            link=f"/api/orders/{event.order_id}",
            metadata={"event": event.kind, "order": str(event.order_id)},
        ),
    )
