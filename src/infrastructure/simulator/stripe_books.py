"""What the simulated Stripe remembers, in the shapes of Stripe's own objects."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class StripeTrick(StrEnum):
    """What the next request, payment, delivery or refund does instead of the ordinary."""

    # the request
    ANSWER_LOST = "answer_lost"
    """Carried out, and the connection dropped before the answer."""
    WEB_PAGE = "web_page"
    CUT_SHORT = "cut_short"
    WRONG_SHAPE = "wrong_shape"
    SLOW = "slow"
    """Carried out, and answered after `delay_s`, 40 s by default."""
    SERVER_ERROR = "server_error"
    """Answered 500, kept under the key, and nothing done."""
    ERROR_AFTERWARDS = "error_afterwards"
    """Carried out, and answered 500, kept under the key."""
    CONFLICT = "conflict"
    """Answered 409: the key is in use."""
    TOO_OFTEN = "too_often"
    OUT_OF_SERVICE = "out_of_service"
    KEY_REFUSED = "key_refused"
    FORBIDDEN = "forbidden"
    CARD_DECLINED = "card_declined"
    """Answered 402."""

    # the payment
    DECLINED = "declined"
    """The first card is declined; the page stays open."""
    PAID_LATER = "paid_later"
    """The page is complete and unpaid until the payments that take their time are settled."""
    NEVER_PAID = "never_paid"
    """As before, and then the bank says no."""
    AMOUNT_SHORT = "amount_short"
    AMOUNT_OVER = "amount_over"
    OTHER_CURRENCY = "other_currency"
    DISPUTED = "disputed"

    # what is told of it
    EVENT_FIRST = "event_first"
    """Paid, and told, before the page was even answered for."""
    THREE_AT_ONCE = "three_at_once"
    NEVER_TOLD = "never_told"
    BYTE_CHANGED = "byte_changed"
    OLD_SECRET = "old_secret"  # noqa: S105 - a word for a trick, not a secret
    FUTURE_TIME = "future_time"
    REVERSED = "reversed"
    """The events come last first."""
    WRONG_MODE = "wrong_mode"
    """Told as of live money."""

    # the refund
    REFUND_PENDING = "refund_pending"
    """Pending until refunds are settled."""
    REFUND_NEEDS_ACTION = "refund_needs_action"
    REFUND_FAILS_LATER = "refund_fails_later"
    """Succeeds, and fails when refunds are settled: the money is back."""


REQUEST_TRICKS: Final = frozenset(
    {
        StripeTrick.ANSWER_LOST,
        StripeTrick.WEB_PAGE,
        StripeTrick.CUT_SHORT,
        StripeTrick.WRONG_SHAPE,
        StripeTrick.SLOW,
        StripeTrick.SERVER_ERROR,
        StripeTrick.ERROR_AFTERWARDS,
        StripeTrick.CONFLICT,
        StripeTrick.TOO_OFTEN,
        StripeTrick.OUT_OF_SERVICE,
        StripeTrick.KEY_REFUSED,
        StripeTrick.FORBIDDEN,
        StripeTrick.CARD_DECLINED,
    }
)
PAYMENT_TRICKS: Final = frozenset(
    {
        StripeTrick.DECLINED,
        StripeTrick.PAID_LATER,
        StripeTrick.NEVER_PAID,
        StripeTrick.AMOUNT_SHORT,
        StripeTrick.AMOUNT_OVER,
        StripeTrick.OTHER_CURRENCY,
        StripeTrick.DISPUTED,
    }
)
REFUND_TRICKS: Final = frozenset(
    {StripeTrick.REFUND_PENDING, StripeTrick.REFUND_NEEDS_ACTION, StripeTrick.REFUND_FAILS_LATER}
)
DELIVERY_TRICKS: Final = frozenset(StripeTrick) - REQUEST_TRICKS - PAYMENT_TRICKS - REFUND_TRICKS


@dataclass(slots=True, kw_only=True)
class SimulatedPayment:
    """A PaymentIntent and its one charge."""

    id: str
    charge_id: str
    amount: int
    received: int
    currency: str
    metadata: dict[str, str]
    status: str
    created_at: datetime
    paid_at: datetime | None = None
    error_code: str | None = None

    @property
    def fee(self) -> int:
        """What is kept of it: 3.4 %, rounded down."""
        return self.received * 34 // 1000


@dataclass(slots=True, kw_only=True)
class SimulatedPage:
    """A Checkout Session."""

    id: str
    amount: int
    currency: str
    name: str
    reference: str | None
    metadata: dict[str, str]
    payment_metadata: dict[str, str]
    success_url: str
    cancel_url: str | None
    created_at: datetime
    expires_at: datetime
    trick: StripeTrick | None = None
    delivery: StripeTrick | None = None
    payment: SimulatedPayment | None = None
    is_complete: bool = False

    def status(self, now: datetime) -> str:
        """Return `open`, `complete` or `expired`."""
        return "complete" if self.is_complete else "expired" if now >= self.expires_at else "open"

    @property
    def is_paid(self) -> bool:
        """Whether the money is there."""
        return self.payment is not None and self.payment.status == "succeeded"


@dataclass(slots=True, kw_only=True)
class SimulatedRefund:
    """Money that goes back."""

    id: str
    payment: SimulatedPayment
    amount: int
    metadata: dict[str, str]
    status: str
    created_at: datetime
    trick: StripeTrick | None = None
    failure_reason: str | None = None


@dataclass(slots=True, kw_only=True)
class OwedEvent:
    """One event, and how it is delivered."""

    about: frozenset[str]
    """Every name that the payment goes by."""
    body: bytes
    delivery: StripeTrick | None
    due_at: datetime
    tries: int = 0
    is_done: bool = False


@dataclass(slots=True, kw_only=True)
class KeptReply:
    """What was answered first under a key."""

    path: str
    form: dict[str, str]
    status: int
    fields: dict[str, Any]
    kept_at: datetime


@dataclass(slots=True)
class StripeBooks:
    """Everything, in the order it came."""

    next_number: int = 1
    pages: list[SimulatedPage] = field(default_factory=list)
    refunds: list[SimulatedRefund] = field(default_factory=list)
    events: list[OwedEvent] = field(default_factory=list)
    replies: dict[str, KeptReply] = field(default_factory=dict)

    @property
    def payments(self) -> list[SimulatedPayment]:
        """Every payment that was begun."""
        return [page.payment for page in self.pages if page.payment is not None]

    def given_back(self, payment: SimulatedPayment) -> int:
        """Return what went back of a payment, or is on its way."""
        gone = {"failed", "canceled"}
        return sum(one.amount for one in self.refunds if one.payment is payment and one.status not in gone)
