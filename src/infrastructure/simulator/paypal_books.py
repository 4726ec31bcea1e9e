"""What the simulated PayPal remembers, in its own words: orders, captures, refunds, events; and how it can be told to
behave.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

DIGITS: Final = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0}
"""Decimals by currency, of the currencies it takes."""


class Call(StrEnum):
    """What can be asked of it."""

    TOKEN = "token"  # noqa: S105 - a word for a request, not a secret
    CREATE = "create"
    LOOKUP = "lookup"
    """An order, a capture or a refund by its id."""
    CAPTURE = "capture"
    REFUND = "refund"
    CERTIFICATE = "certificate"


class Fault(StrEnum):
    """How a request goes wrong."""

    ANSWER_LOST = "answer_lost"
    """Done, and the connection dropped before the answer."""
    WEB_PAGE = "web_page"
    """Done, and answered 200 with HTML."""
    CUT_SHORT = "cut_short"
    """Done, and answered with half an object."""
    WRONG_SHAPE = "wrong_shape"
    """Done, and answered 200 with an object of other fields."""
    SLOW = "slow"
    """Done, and answered after `delay_s`."""
    WEBHOOK_FIRST = "webhook_first"
    """Done, its webhook delivered, and answered then."""
    ISSUE = "issue"
    """Not done, answered 422 with the `issue` of the script."""
    SERVER_ERROR = "server_error"
    """Not done, answered 500."""
    OUT_OF_SERVICE = "out_of_service"
    """Not done, answered 503 with `Retry-After`."""
    TOO_OFTEN = "too_often"
    """Not done, answered 429 with `Retry-After`."""
    KEY_REFUSED = "key_refused"
    """Not done, answered 401."""
    FORBIDDEN = "forbidden"
    """Not done, answered 403."""


class Fate(StrEnum):
    """How the money of a capture or refund moves."""

    COMPLETES = "completes"
    PENDS = "pends"
    """Pending, and complete when it is settled."""
    PENDS_AND_FAILS = "pends_and_fails"
    """Pending, and declined or failed when it is settled."""
    DECLINED = "declined"
    AMOUNT_SHORT = "amount_short"
    """One unit less than the order says is captured."""
    AMOUNT_OVER = "amount_over"
    OTHER_CURRENCY = "other_currency"


class Tampering(StrEnum):
    """What is wrong with a delivered webhook."""

    NOTHING = "nothing"
    BYTE_CHANGED = "byte_changed"
    OTHER_CERTIFICATE = "other_certificate"
    """Rightly signed, under a certificate that nobody vouches for."""
    OTHER_KEY = "other_key"
    """Signed by another key than the certificate's."""
    OTHER_WEBHOOK = "other_webhook"
    """Signed for the subscription of another application."""
    SIGNED_LONG_AGO = "signed_long_ago"
    SIGNED_AHEAD = "signed_ahead"
    SIGNED_LATE = "signed_late"
    """An hour old: a delivery that was tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPalScript:
    """What happens to the next requests of a kind; the latest script that matches counts."""

    call: Call
    fault: Fault
    issue: str = "INTERNAL_SERVICE_ERROR"
    delay_s: int = 30
    """Of `slow` how long it takes; of `too_often` and `out_of_service` the wait they ask for."""
    times: int = 1


@dataclass(slots=True, kw_only=True)
class Refund:
    id: str
    capture_id: str
    status: str
    value: int
    """In minor units, of the capture's currency."""
    custom_id: str | None
    invoice_id: str | None
    fate: Fate
    at: datetime


@dataclass(slots=True, kw_only=True)
class Capture:
    id: str
    status: str
    value: int
    """In minor units."""
    currency: str
    fate: Fate
    at: datetime
    reason: str | None = None
    refunds: list[Refund] = field(default_factory=list)

    @property
    def given_back(self) -> int:
        """What was given back of it, in minor units; what failed was not."""
        return sum(one.value for one in self.refunds if one.status in {"COMPLETED", "PENDING"})


@dataclass(slots=True, kw_only=True)
class Order:
    id: str
    reference: str
    status: str
    value: int
    """In minor units."""
    currency: str
    return_url: str | None
    cancel_url: str | None
    at: datetime
    capture: Capture | None = None


@dataclass(slots=True, kw_only=True)
class Event:
    """One webhook, with its bytes as they are sent every time."""

    reference: str
    type: str
    body: bytes
    deliveries: int = 0
    is_done: bool = False


def written_amount(value: int, currency: str) -> dict[str, str]:
    """Write an amount as PayPal does."""
    digits = DIGITS[currency]
    whole, fraction = divmod(value, 10**digits)
    return {"currency_code": currency, "value": f"{whole}.{fraction:0{digits}d}" if digits else str(whole)}
