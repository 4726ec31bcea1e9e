"""What happened to orders."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHappening(Event):
    """Something about one order. The service's name is kept as it was, so that a notice needs no look-up."""

    area: ClassVar[str] = "gigs"
    order_id: UUID
    client_id: AccountId
    worker_id: AccountId | None
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced(OrderHappening):
    """A client wants a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaid(OrderHappening):
    """The money of an order is held; whoever does the service may take it."""

    offering_id: UUID
    total: str
    """Empty for an order that costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaymentFailed(OrderHappening):
    """An attempt to pay failed; the order can still be paid (gigs.failure_keeps_payable)."""

    attempts_left: int
    payment_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOffered(OrderHappening):
    """An open order is proposed to one worker."""

    answer_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferEnded(OrderHappening):
    """The worker it was offered to did not take it; it is open again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAssigned(OrderHappening):
    """A worker is on the order; `former_worker_id` was before."""

    by_admin: bool
    former_worker_id: AccountId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLeft(OrderHappening):
    """The worker is off the order, which is open again: he withdrew, was taken off, or was suspended."""

    by_himself: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStarted(OrderHappening):
    """The worker has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDelivered(OrderHappening):
    """The worker says that it is done; silence until `accept_by` accepts."""

    accept_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesRequested(OrderHappening):
    """The client asks for something to be done again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCompleted(OrderHappening):
    """The work is accepted, by the client, an administrator, or silence; `earned` is what the worker gets."""

    earned: str | None
    by_silence: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCanceled(OrderHappening):
    """The order ended without result."""

    reason: str | None
    by: str
    """client, admin or system."""
    returned: str | None
    """What went back to the client's wallet; None where nothing was paid."""
    earned: str | None = None
    """What the worker gets of an order canceled late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefunded(OrderHappening):
    """An administrator gave money of the order back."""

    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReminderDue(Event):
    """Somebody is to be reminded of an order."""

    area: ClassVar[str] = "gigs"
    kind: str
    recipient: AccountId
    order_id: UUID
    service: str
    due_at: datetime
