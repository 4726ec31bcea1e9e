"""What replies show of orders, and what the clock asks: read models, one round trip each, always bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from application.core.files.ports import ShownFile
from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.gigs.matching import Candidate
from domain.gigs.offering import OfferingId
from domain.gigs.order import Order, OrderEvent, OrderId
from domain.gigs.transitions import STATUS_BY_STAGE, OrderStatus, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks."""

    account_id: AccountId
    is_admin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """Somebody as the others on an order see him."""

    id: AccountId
    username: str
    first_name: str
    last_name: str
    avatar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step of an order's history."""

    status: OrderStatus
    stage: Stage
    comment: str
    """Empty for whom the order is not assigned to: who was on it may have written where it is."""
    created_by: AccountId | None
    created_at: datetime

    @classmethod
    def of(cls, event: OrderEvent) -> "StepView":
        """Show a step."""
        return cls(
            status=event.status,
            stage=event.stage,
            comment=event.comment,
            created_by=event.created_by,
            created_at=event.created_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order with everything that its reply shows to one viewer."""

    id: OrderId
    client: PersonView
    worker: PersonView | None
    offering_id: OfferingId
    service: str
    description: str
    address: str | None
    """None for whom it is not assigned to (gigs.address_is_private)."""
    scheduled_at: datetime
    quantity: int
    total: Money
    stage: Stage
    refunded: Money
    payment_id: IntentId | None
    attempts_left: int | None
    """How often its payment may still be tried; None before the first time."""
    answer_by: datetime | None
    steps: tuple[StepView, ...]
    created_at: datetime
    updated_at: datetime
    files: tuple[ShownFile, ...]
    """What was delivered; nothing for whom it is not assigned to."""

    @classmethod
    def placed(cls, order: Order, client: PersonView) -> "OrderView":
        """Show an order that was placed just now to its client; call it before the commit, which takes the steps."""
        return cls(
            id=order.id,
            client=client,
            worker=None,
            offering_id=order.offering_id,
            service=order.service,
            description=order.description,
            address=order.address,
            scheduled_at=order.scheduled_at,
            quantity=order.quantity,
            total=order.total,
            stage=order.stage,
            refunded=Money.zero(order.total.currency),
            payment_id=None,
            attempts_left=None,
            answer_by=None,
            steps=tuple(map(StepView.of, order.new_events)),
            created_at=order.created_at,
            updated_at=order.updated_at,
            files=(),
        )

    @property
    def shows_files(self) -> bool:
        """Whether the viewer is on the order, or ordered it: the same people see the address."""
        return self.address is not None

    @property
    def status(self) -> OrderStatus:
        """The documented word of the stage."""
        return STATUS_BY_STAGE[self.stage]


class OrderScope(StrEnum):
    """Which orders of those a viewer may see."""

    ALL = "all"
    """His own, and the open ones that he could take; for administrators all."""
    MINE = "mine"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are wanted; None is no condition."""

    status: OrderStatus | None = None
    scope: OrderScope = OrderScope.ALL
    with_archived: bool = False


class ReminderKind(StrEnum):
    """What somebody is reminded of."""

    VISIT_IN_A_DAY = "visit_in_a_day"
    VISIT_IN_AN_HOUR = "visit_in_an_hour"
    ACCEPTANCE_ENDS = "acceptance_ends"
    PAYMENT_ENDS = "payment_ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueOrderReminder:
    """A reminder that nobody got yet. `key` is unique to the reminder and the person."""

    key: str
    kind: ReminderKind
    recipient: AccountId
    order_id: OrderId
    service: str
    due_at: datetime


@dataclass(frozen=True, slots=True, order=True)
class OpenOrder:
    """An order that waits for a worker; ordered by how long."""

    paid_at: datetime
    id: UUID


class OrderQueries(Protocol):
    """Reads of orders. Who may see an order: its client, its worker or whom it is offered to, administrators, and while
    it is open the workers who do the service, unless there is a block.
    """

    async def order(self, order_id: OrderId, viewer: Viewer) -> OrderView:
        """Return an order. Raises OrderNotFound."""
        ...

    async def orders(self, wanted: OrderFilter, viewer: Viewer, page: Page) -> Listing[OrderView]:
        """Return the orders that fit, the newest first."""
        ...

    async def candidates(self, order_id: OrderId, *, load_max: int, limit: int) -> Sequence[Candidate]:
        """Return those who do the service of an order; those against whom nothing speaks, and the best rated, first."""
        ...

    async def specialists(self, offering_id: OfferingId, *, client_id: AccountId, limit: int) -> Sequence[AccountId]:
        """Return available workers with an open account who do a service and whom this client may be served by, the
        best rated first: neither himself nor who is blocked (identity.block_works_both_ways).
        """
        ...

    async def waiting_for_worker(self, *, now: datetime, after: OpenOrder | None, limit: int) -> Sequence[OpenOrder]:
        """Return open orders without an offer that can still be answered, those that wait longest first."""
        ...

    async def unpaid_since(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        """Return unpaid orders whose payment window is over."""
        ...

    async def unfilled(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        """Return open orders that have waited long enough."""
        ...

    async def silently_accepted(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        """Return delivered orders whose client's time to answer is over."""
        ...

    async def archivable(self, *, ended_before: datetime, limit: int) -> Sequence[OrderId]:
        """Return orders that ended before then and are not archived."""
        ...

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueOrderReminder]:
        """Return reminders that are due and were not sent: a visit in 24 h and in 1 h (client and worker of an assigned
        order), the end of silence in 24 h (client of a delivered order), the end of the payment window in 2 h (client).
        """
        ...
