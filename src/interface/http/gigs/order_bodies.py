"""What orders say on the wire."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from application.core.kernel.ports import Policies
from application.gigs.order_queries import OrderView, PersonView, StepView
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.reputation.review import Review
from domain.gigs.order import QUANTITY_MAX
from domain.gigs.policies import PAYMENT_ATTEMPTS
from interface.http.core.files import FileBody, Sign, Uploads, file_bodies
from interface.http.wire import AmountInput, MoneyBody

OrderDescription = Annotated[str, Meta(max_length=5_000)]
Address = Annotated[str, Meta(min_length=1, max_length=500)]
Instant = Annotated[datetime, Meta(tz=True)]
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
Comment = Annotated[str, Meta(max_length=2_000)]
Reason = Annotated[str, Meta(min_length=1, max_length=2_000)]


class PlaceOrderBody(Struct, frozen=True, kw_only=True):
    """A service to order; `service` and `service_id` are one field. With `expected_total`, another price is refused."""

    address: Address
    scheduled_date: Instant
    service: UUID | None = None
    service_id: UUID | None = None
    description: OrderDescription = ""
    quantity: Quantity = 1
    expected_total: AmountInput | None = None

    @property
    def offering(self) -> UUID:
        """The service. Raises Invalid where none is named, or two."""
        named = {one for one in (self.service, self.service_id) if one is not None}
        if len(named) != 1:
            raise Invalid(errors=(FieldError("service", "names the service to order"),))
        return named.pop()


class EditOrderBody(Struct, frozen=True, kw_only=True):
    """What to change of an order; what is not sent stays."""

    description: OrderDescription | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    scheduled_date: Instant | UnsetType = UNSET
    quantity: Quantity | UnsetType = UNSET


class CommentBody(Struct, frozen=True):
    """A step of an order, with a word about it if you like."""

    comment: Comment = ""


class AssignBody(Struct, frozen=True):
    """Who is to do an order: an administrator names a worker, a worker takes it himself."""

    worker_id: UUID | None = None
    comment: Comment = ""


class DeliverWorkBody(Struct, frozen=True):
    """Work that is done; `note` and `comment` are one field."""

    comment: Comment = ""
    note: Comment = ""
    uploads: Uploads = []


class DeclineBody(Struct, frozen=True):
    """An offer that is not taken."""

    reason: Comment = ""


class StatusChangeBody(Struct, frozen=True):
    """The status that an order is to have; what that asks for depends on who asks, and when."""

    status: Annotated[str, Meta(min_length=1, max_length=20)]
    comment: Comment = ""


class ChangesBody(Struct, frozen=True):
    """What is to be done again."""

    reason: Reason


class CancelBody(Struct, frozen=True):
    """Why an order is to end; administrators have to say."""

    reason: Comment = ""


class ReviewOrderBody(Struct, frozen=True):
    """What the client thinks of the work: 1 is worst, 5 is best."""

    rating: Annotated[int, Meta(ge=1, le=5)]
    comment: Comment = ""


class OrderPersonBody(Struct, frozen=True):
    """Somebody on an order."""

    id: UUID
    username: str
    first_name: str
    last_name: str
    avatar: str

    @classmethod
    def of(cls, view: PersonView) -> "OrderPersonBody":
        """Write a person."""
        return cls(view.id, view.username, view.first_name, view.last_name, view.avatar)


class OrderedServiceBody(Struct, frozen=True):
    """The service as it was ordered."""

    id: UUID
    name: str


class StepBody(Struct, frozen=True):
    """One step of an order's history; without `created_by`, the clock or a payment took it."""

    status: str
    stage: str
    comment: str
    created_by: UUID | None
    created_at: datetime

    @classmethod
    def of(cls, view: StepView) -> "StepBody":
        """Write a step."""
        return cls(view.status, view.stage, view.comment, view.created_by, view.created_at)


class OrderBody(Struct, frozen=True, kw_only=True):
    """An order. `status` is the documented word, `stage` says it exactly; the address is for those who go there."""

    id: UUID
    client: OrderPersonBody
    worker: OrderPersonBody | None
    service: OrderedServiceBody
    description: str
    address: str | None
    scheduled_date: datetime
    quantity: int
    total_price: str
    currency: str
    status: str
    stage: str
    refunded_amount: str
    payment_id: UUID | None
    attempts_left: int
    conversation_id: UUID | None
    answer_by: datetime | None
    status_history: list[StepBody]
    files: list[FileBody]
    """What was delivered."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: OrderView, attempts_max: int, sign: Sign) -> "OrderBody":
        """Write an order."""
        return cls(
            id=view.id,
            client=OrderPersonBody.of(view.client),
            worker=None if view.worker is None else OrderPersonBody.of(view.worker),
            service=OrderedServiceBody(view.offering_id, view.service),
            description=view.description,
            address=view.address,
            scheduled_date=view.scheduled_at,
            quantity=view.quantity,
            total_price=view.total.text,
            currency=view.total.currency,
            status=view.status,
            stage=view.stage,
            refunded_amount=view.refunded.text,
            payment_id=view.payment_id,
            attempts_left=attempts_max if view.attempts_left is None else view.attempts_left,
            conversation_id=None,
            answer_by=view.answer_by,
            status_history=[StepBody.of(one) for one in view.steps],
            files=file_bodies(view.files, sign),
            created_at=view.created_at,
            updated_at=view.updated_at,
        )


class CanceledOrderBody(OrderBody, frozen=True, kw_only=True):
    """An order that was canceled, and what went back to the client's wallet."""

    refund: MoneyBody

    @classmethod
    def of(cls, view: OrderView, attempts_max: int, sign: Sign) -> "CanceledOrderBody":
        """Write the order; nothing was given back of it before."""
        order = OrderBody.of(view, attempts_max, sign)
        fields = {name: getattr(order, name) for name in OrderBody.__struct_fields__}
        return cls(**fields, refund=MoneyBody.of(view.refunded))


class OrderReviewBody(Struct, frozen=True):
    """A review."""

    id: UUID
    order: UUID
    worker: UUID
    rating: int
    comment: str
    created_at: datetime

    @classmethod
    def of(cls, review: Review) -> "OrderReviewBody":
        """Write a review."""
        return cls(review.id, review.deal_id, review.person_id, review.rating, review.comment, review.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOrder:
    """Writes orders: with how often each may still be tried to be paid, and links to what was delivered."""

    policies: Policies
    sign: Sign

    def __call__(self, view: OrderView) -> OrderBody:
        """Write an order."""
        return OrderBody.of(view, self.policies.value(PAYMENT_ATTEMPTS), self.sign)

    def canceled(self, view: OrderView) -> CanceledOrderBody:
        """Write an order that was canceled just now."""
        return CanceledOrderBody.of(view, self.policies.value(PAYMENT_ATTEMPTS), self.sign)
