"""The port to a simulated provider: say beforehand how its payments will end, and have its callbacks sent."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from domain.core.kernel.errors import Invalid, NotFound


class SimulatedOutcome(StrEnum):
    """How a simulated payment ends."""

    SUCCESS = "success"
    FAILED = "failed"
    """Refused with the code of the script."""
    INSUFFICIENT_FUNDS = "insufficient_funds"
    CANCELLED = "cancelled"
    NO_ANSWER = "no_answer"
    """The payer never touches the prompt: pending for ever, and no callback."""
    ANSWER_LOST = "answer_lost"
    """Taken, the connection dropped before the answer, then a success."""
    AMOUNT_SHORT = "amount_short"
    """One shilling less than asked arrives."""
    AMOUNT_OVER = "amount_over"
    """One shilling more than asked arrives."""
    THREE_DELIVERIES = "three_deliveries"
    CALLBACK_FIRST = "callback_first"
    """The callback comes before the reply to the request."""
    LATE_SUCCESS = "late_success"
    """Success after 20 minutes."""
    FAILURE_THEN_SUCCESS = "failure_then_success"
    """Failure after 1 minute, success after 20."""
    SUCCESS_THEN_FAILURE = "success_then_failure"
    NO_CALLBACK = "no_callback"
    """No callback, but a query says success."""
    WRONG_CURRENCY = "wrong_currency"
    BAD_SIGNATURE = "bad_signature"
    OLD_SECRET = "old_secret"  # noqa: S105 - a word for an outcome, not a secret
    CONTRADICTION = "contradiction"
    """The event says failed, the status success."""
    REVERSED_ORDER = "reversed_order"
    """The success comes first and the notice that it is pending after it."""
    AMOUNT_AS_TEXT = "amount_as_text"
    AMOUNT_MISSING = "amount_missing"
    UNKNOWN_FIELDS = "unknown_fields"
    UNKNOWN_EVENT = "unknown_event"

    HTML_PAGE = "html_page"
    """Taken, and answered with a web page."""
    TRUNCATED_JSON = "truncated_json"
    """Taken, and answered with half an object."""
    WRONG_SHAPE = "wrong_shape"
    """Taken, and answered with an object of other fields."""
    SLOW_ANSWER = "slow_answer"
    """Taken, and answered after `delay_s`, 40 s by default."""
    SERVER_ERROR = "server_error"
    TOO_MANY_REQUESTS = "too_many_requests"
    OUT_OF_SERVICE = "out_of_service"
    NOT_AUTHORISED = "not_authorised"

    REFUND_REFUSED = "refund_refused"
    REFUND_FAILS_LATER = "refund_fails_later"
    PAYOUT_FAILS = "payout_fails"
    PAYOUT_RETURNS = "payout_returns"


class OutcomeNotSimulated(Invalid):
    """This simulator cannot play that outcome."""

    code = "payments.outcome_not_simulated"


class NothingToDeliver(NotFound):
    """The simulator knows no payment of this reference."""

    code = "payments.simulated_payment_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptMatch:
    """Which payments a script is for; what is None matches all."""

    phone: str | None = None
    """In any usual form of a Kenyan number."""
    method: str | None = None
    """`mpesa` for prompts, `payout` for payouts; `lookup` and `list` for the questions asked about them."""
    purpose: str | None = None
    """How the description of the payment begins, in either case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How the next payments that match will end; the latest script that matches counts."""

    match: ScriptMatch = ScriptMatch()
    outcome: SimulatedOutcome
    code: str | None = None
    """The provider's code of a failure; the outcome's own where it is None."""
    delay_s: int | None = None
    """Seconds until the payment ends; of `slow_answer`, `too_many_requests`, `out_of_service` the wait they cause."""
    times: int | None = None
    """For how many payments; None for all from now on."""


@runtime_checkable
class PaymentSimulator(Protocol):
    """A provider that is ours. Promises: it exists outside production only, and moves no real money."""

    async def script(self, script: Script) -> None:
        """Say how the next payments end. Raises OutcomeNotSimulated, and Unavailable when it does not answer."""
        ...

    async def deliver(self, reference: str) -> int:
        """Send the callbacks of this payment that are due now and return how many were sent.

        `reference` is ours or the provider's. Raises NothingToDeliver, and Unavailable when it does not answer.
        """
        ...
