"""Payments: what one payer owes for one purpose, and the tries to collect it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from domain.core.kernel.errors import Conflict, NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.events import PaymentFailed, PaymentRefunded
from domain.core.payments.fx import FxQuote
from domain.core.payments.gateway import PROMPT_CHECKS_AFTER, CardKept, Outcome, ProviderReferences
from domain.core.payments.refund import (
    NotRefundable,
    Refund,
    RefundDestination,
    RefundExceedsPayment,
    RefundStatus,
)

WALLET_PURPOSE: Final = "WALLET"
"""The purpose of a top-up; it is served by the credit itself."""

REFERENCE_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: no letter that a person could mistake for another."""

REFERENCE_DRAWN: Final = 10
_REFERENCE = re.compile(rf"SK[{REFERENCE_LETTERS}]{{{REFERENCE_DRAWN}}}", re.ASCII)

SENDING_MAX: Final = timedelta(seconds=60)
"""An attempt that is still being sent after this was cut off in the middle: nobody knows whether it left."""


class PaymentClosed(Conflict):
    """This payment is closed."""

    code = "payments.payment_closed"


class AttemptsExhausted(Conflict):
    """This payment was tried as often as it may be."""

    code = "payments.attempts_exhausted"


class PushInFlight(Conflict):
    """A prompt for another payment is waiting on this phone; answer it first."""

    code = "payments.push_in_flight"


class ProviderReferenceReused(Conflict):
    """This transaction of the provider belongs to another payment."""

    code = "payments.provider_reference_reused"


class IntentStatus(StrEnum):
    """Whether the purpose can still be paid for."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    EXPIRED = "expired"


class AttemptStatus(StrEnum):
    """Where one try stands."""

    CREATED = "created"
    SENDING = "sending"
    PENDING = "pending"
    UNKNOWN = "unknown"
    REVIEW = "review"
    """Money arrived, or may have, that does not fit: staff decide (a case)."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


WAITING: Final = frozenset({AttemptStatus.SENDING, AttemptStatus.PENDING, AttemptStatus.UNKNOWN})
"""The payer may still act, or already did."""

IN_FLIGHT: Final = WAITING | {AttemptStatus.CREATED, AttemptStatus.REVIEW}
"""A second pay answers such an attempt (rule payments.one_attempt_in_flight)."""


def is_reference(text: str) -> bool:
    """Tell whether a text has the form of our references."""
    return _REFERENCE.fullmatch(text) is not None


def new_reference(letters: Callable[[int, str], str]) -> str:
    """Return a new reference; `letters` draws them."""
    return f"SK{letters(REFERENCE_DRAWN, REFERENCE_LETTERS)}"


@dataclass(slots=True, kw_only=True)
class PaymentAttempt:
    """One try to collect. Its verbs keep the order of its states; they raise nothing, what cannot be is ignored."""

    id: UUID
    method: str
    gateway: str
    phone: str | None
    created_at: datetime
    status: AttemptStatus = AttemptStatus.CREATED
    transaction_id: str | None = None
    checkout_id: str | None = None
    receipt: str | None = None
    code: str | None = None
    message: str | None = None
    next_action: str | None = None
    next_url: str | None = None
    sent_at: datetime | None = None
    """None where the request provably did not leave."""
    finished_at: datetime | None = None
    received: Money | None = None
    went_to_wallet: bool = False
    next_check_at: datetime | None = None
    told_paid_at: datetime | None = None
    """When somebody who signs nothing first said that it was paid; the provider's answer has to agree."""
    is_retry: bool = False
    """Whether we started it by ourselves after a soft failure."""
    fee: Money | None = None
    """What the provider kept, where it said so."""
    card: CardKept | None = None

    @property
    def is_in_flight(self) -> bool:
        """Whether it may still end by itself or by staff."""
        return self.status in IN_FLIGHT

    def has_waited(self, expiry: timedelta, now: datetime) -> bool:
        """Tell whether the payer may still act, and has had his time."""
        return self.status in WAITING and self.sent_at is not None and self.sent_at + expiry <= now

    @property
    def references(self) -> ProviderReferences:
        """The provider's names for it."""
        return ProviderReferences(self.transaction_id, self.checkout_id, self.receipt)

    def send(self, now: datetime, checks_after: Sequence[timedelta] = PROMPT_CHECKS_AFTER) -> None:
        """Be about to be sent. Stored before the call, so that a crash in the middle is seen."""
        assert self.status is AttemptStatus.CREATED
        self.status, self.sent_at = AttemptStatus.SENDING, now
        self.next_check_at = now + checks_after[0]

    def learn(self, references: ProviderReferences) -> None:
        """Take the provider's names that were not known yet; a known one never changes."""
        self.transaction_id = self.transaction_id or references.transaction_id
        self.checkout_id = self.checkout_id or references.checkout_id
        self.receipt = self.receipt or references.receipt

    def wait(self, references: ProviderReferences, next_action: str | None = None, next_url: str | None = None) -> None:
        """Be with the payer: the provider has accepted the request."""
        self.learn(references)
        if self.status in WAITING:
            self.status = AttemptStatus.PENDING
            self.next_action = next_action or self.next_action
            self.next_url = next_url or self.next_url

    def lose_sight(self, code: str | None = None, message: str | None = None) -> None:
        """Have had no answer: it may have left (rule payments.timeout_is_unknown)."""
        if self.status is AttemptStatus.SENDING:
            self.status, self.code, self.message = AttemptStatus.UNKNOWN, code, message

    def stay_behind(self, code: str | None, message: str | None, now: datetime) -> None:
        """Have provably not left: the phone was not prompted."""
        self.finish(AttemptStatus.FAILED, code, message, now)
        self.sent_at = None

    def finish(self, status: AttemptStatus, code: str | None, message: str | None, now: datetime) -> None:
        """End without money, for now. An expired one is swept on."""
        self.status, self.finished_at, self.code, self.message = status, now, code, message
        if status is not AttemptStatus.EXPIRED:
            self.next_check_at = None

    def review(self, received: Money | None) -> None:
        """Wait for staff."""
        self.status, self.received, self.next_check_at = AttemptStatus.REVIEW, received, None

    def succeed(self, received: Money, now: datetime, *, went_to_wallet: bool) -> None:
        """Be paid; final (rule payments.success_is_final)."""
        self.status, self.finished_at, self.received = AttemptStatus.SUCCEEDED, now, received
        self.went_to_wallet, self.next_check_at = went_to_wallet, None
        self.code = self.message = self.next_action = self.next_url = None

    def ask_now(self, now: datetime) -> None:
        """Have the provider asked at the next sweep: something was said that proves nothing."""
        if self.status is not AttemptStatus.SUCCEEDED:
            self.next_check_at = now

    def climb(self, now: datetime, checks_after: Sequence[timedelta] = PROMPT_CHECKS_AFTER) -> None:
        """Go to the next step of its gateway's ladder that still lies ahead."""
        assert self.sent_at is not None
        ahead = [self.sent_at + after for after in checks_after if self.sent_at + after > now]
        self.next_check_at = ahead[0] if ahead else None


@dataclass(slots=True, kw_only=True)
class PaymentIntent:
    """What one payer owes for one purpose."""

    id: IntentId
    reference: str
    payer: AccountId
    purpose: str
    subject: UUID
    amount: Money
    destination: AccountRef
    kind: TransferKind
    """How the money's arrival is booked."""
    expires_at: datetime
    created_at: datetime
    quote: FxQuote | None = None
    status: IntentStatus = IntentStatus.OPEN
    closed_at: datetime | None = None
    served_at: datetime | None = None
    attempts_max: int | None = None
    """How many attempts the purpose allows, ours included; None: it sets no limit."""
    attempts: list[PaymentAttempt] = field(default_factory=list)
    refunded_minor: int = 0
    """What went back to the payer or is on its way, in minor units."""

    @property
    def refunded(self) -> Money:
        """What went back to the payer or is on its way."""
        return Money(self.refunded_minor, self.amount.currency)

    @property
    def left_to_refund(self) -> Money:
        """What was paid and not refunded."""
        paid = self.amount if self.status is IntentStatus.SUCCEEDED else Money.zero(self.amount.currency)
        return paid - self.refunded

    @property
    def is_open(self) -> bool:
        """Whether a success still serves the purpose."""
        return self.status is IntentStatus.OPEN

    @property
    def in_flight(self) -> PaymentAttempt | None:
        """The attempt that may still end, if any."""
        return next((one for one in self.attempts if one.is_in_flight), None)

    @property
    def attempts_left(self) -> int | None:
        """How often it may still be tried; what provably did not leave is no try. None: without a limit."""
        if self.attempts_max is None:
            return None
        return max(0, self.attempts_max - sum(one.sent_at is not None for one in self.attempts))

    def answers_a_repeat(self, now: datetime) -> bool:
        """Tell whether whoever asks for the same again gets this payment: it was paid, or may still be paid in time."""
        return self.status is IntentStatus.SUCCEEDED or (self.in_flight is not None and self.expires_at > now)

    @property
    def latest(self) -> PaymentAttempt:
        """The attempt that says how the payment stands: a paid one, else the last."""
        paid = [one for one in self.attempts if one.status is AttemptStatus.SUCCEEDED]
        return (paid or self.attempts)[-1]

    @property
    def stage(self) -> str:
        """The word for the whole payment."""
        return stage_of(self.status, self.latest.status, amount=self.amount, refunded=self.refunded)

    def start_attempt(
        self,
        *,
        id: UUID,
        method: str,
        gateway: str,
        phone: str | None,
        now: datetime,
        is_retry: bool = False,
        checks_after: Sequence[timedelta] = PROMPT_CHECKS_AFTER,
    ) -> PaymentAttempt:
        """Add an attempt that is about to be sent. Raises PaymentClosed, AttemptsExhausted."""
        if not self.is_open:
            raise PaymentClosed
        if self.attempts_left == 0:
            raise AttemptsExhausted
        assert self.in_flight is None, "the one in flight is answered instead"
        attempt = PaymentAttempt(id=id, method=method, gateway=gateway, phone=phone, created_at=now, is_retry=is_retry)
        attempt.send(now, checks_after)
        self.attempts.append(attempt)
        return attempt

    def attempt(self, attempt_id: UUID) -> PaymentAttempt:
        """Return one of its attempts. Raises NotFound."""
        found = next((one for one in self.attempts if one.id == attempt_id), None)
        if found is None:
            raise NotFound
        return found

    def attempt_meant(self, gateway: str | None, references: ProviderReferences) -> PaymentAttempt | None:
        """Return the attempt that a provider's words are about, if it can be told.

        Its transaction or checkout id decides; words that carry none, or one that no attempt has, are about the
        attempt in flight whose id is unknown, else about the last.
        """
        mine = [one for one in self.attempts if gateway is None or one.gateway == gateway]
        for one in mine:
            if references.transaction_id is not None and one.transaction_id == references.transaction_id:
                return one
        for one in mine:
            if references.checkout_id is not None and one.checkout_id == references.checkout_id:
                return one
        if references.transaction_id is not None:
            mine = [one for one in mine if one.transaction_id is None]
        waiting = [one for one in mine if one.is_in_flight]
        candidates = waiting or mine
        return candidates[-1] if candidates else None

    def end_attempt(
        self, attempt: PaymentAttempt, status: AttemptStatus, code: str | None, message: str | None, now: datetime
    ) -> PaymentFailed:
        """End an attempt without money and return the fact."""
        attempt.finish(status, code, message, now)
        return PaymentFailed(
            intent_id=self.id,
            attempt_id=attempt.id,
            reference=self.reference,
            payer=self.payer,
            purpose=self.purpose,
            subject=self.subject,
            amount_minor=self.amount.minor,
            currency=self.amount.currency,
            outcome=str(status),
            code=code,
        )

    def cancel(self, now: datetime) -> None:
        """Close because the subject was closed, in the subject's transaction (rule payments.closing_locks_intent).

        Raises PaymentClosed where the money came first.
        """
        if self.status is IntentStatus.SUCCEEDED:
            raise PaymentClosed
        if self.is_open:
            self.status, self.closed_at = IntentStatus.CANCELED, now

    def expire(self, now: datetime) -> None:
        """Close because its life is over; what still arrives goes to the payer's wallet."""
        if self.is_open:
            self.status, self.closed_at = IntentStatus.EXPIRED, now

    def expire_if_over(self, now: datetime) -> None:
        """Close when its life is over and no attempt may still end."""
        if self.expires_at <= now and self.in_flight is None:
            self.expire(now)

    @property
    def paid_attempt(self) -> PaymentAttempt:
        """The attempt whose money served the purpose. Raises NotRefundable where there is none."""
        paid = [one for one in self.attempts if one.status is AttemptStatus.SUCCEEDED and not one.went_to_wallet]
        if self.status is not IntentStatus.SUCCEEDED or not paid:
            raise NotRefundable
        return paid[0]

    def start_refund(
        self,
        amount: Money | None,
        *,
        id: UUID,
        gateway: str | None,
        by: AccountId | None,
        reason: str | None,
        now: datetime,
    ) -> Refund:
        """Give back a part of it, or all that is left, through a gateway or (None) to the payer's wallet.

        Raises NotRefundable where it was not paid, and RefundExceedsPayment (rule refunds.never_more_than_paid).
        """
        attempt, left = self.paid_attempt, self.left_to_refund
        amount = amount or left
        if amount.currency != left.currency or not 0 < amount.minor <= left.minor:
            raise RefundExceedsPayment(left=left.text, currency=left.currency)
        self.refunded_minor += amount.minor
        return Refund(
            id=id,
            intent_id=self.id,
            attempt_id=attempt.id,
            payer=self.payer,
            amount=amount,
            reason=reason,
            requested_by=by,
            requested_at=now,
            destination=RefundDestination.WALLET if gateway is None else RefundDestination.ORIGINAL,
            gateway=gateway,
            next_check_at=None if gateway is None else now + SENDING_MAX,
        )

    def refund_to_wallet(
        self, amount: Money | None, *, id: UUID, by: AccountId | None, reason: str | None, now: datetime
    ) -> tuple[Refund, PaymentRefunded]:
        """Have a part of it, or all that is left, back in the payer's wallet because its subject was closed.

        The subject's own transaction posts the money to the wallet, stores the refund and records the fact.
        Raises NotRefundable, RefundExceedsPayment.
        """
        refund = self.start_refund(amount, id=id, gateway=None, by=by, reason=reason, now=now)
        refund.status, refund.ended_at = RefundStatus.SUCCEEDED, now
        refund.take_effect(now)
        return refund, self.refunded_fact(refund)

    def forget_refund(self, refund: Refund) -> None:
        """Have a refund that was refused at once not count."""
        assert refund.status is RefundStatus.FAILED
        self.refunded_minor -= refund.amount.minor

    def refunded_fact(self, refund: Refund) -> PaymentRefunded:
        """Return the fact that money of a refund has gone back."""
        return PaymentRefunded(
            intent_id=self.id,
            attempt_id=refund.attempt_id,
            reference=self.reference,
            payer=self.payer,
            purpose=self.purpose,
            subject=self.subject,
            amount_minor=refund.amount.minor,
            currency=refund.amount.currency,
            to_wallet=refund.destination is RefundDestination.WALLET,
        )

    def mark_served(self, now: datetime) -> None:
        """Say that the purpose took effect (rule payments.processed_means_served)."""
        self.served_at = self.served_at or now


STATUS_BY_OUTCOME: Final = {
    Outcome.FAILED: AttemptStatus.FAILED,
    Outcome.CANCELLED: AttemptStatus.CANCELLED,
    Outcome.EXPIRED: AttemptStatus.EXPIRED,
}


def stage_of(
    intent: IntentStatus, attempt: AttemptStatus, *, amount: Money | None = None, refunded: Money | None = None
) -> str:
    """Return the public word for a payment from the states of the intent and of its telling attempt.

    Without what was refunded it is the word for the attempt alone.
    """
    if refunded is not None and refunded.minor > 0:
        return "refunded" if refunded == amount else "partially_refunded"
    if attempt in {AttemptStatus.SUCCEEDED, AttemptStatus.REVIEW}:
        return str(attempt)
    if intent is IntentStatus.CANCELED:
        return str(intent)
    if attempt is AttemptStatus.SENDING:
        return str(AttemptStatus.CREATED)
    return str(attempt)


def status_word(stage: str) -> str:
    """Return PENDING, SUCCESS or FAILED."""
    match stage:
        case "created" | "pending" | "unknown" | "review":
            return "PENDING"
        case "succeeded" | "partially_refunded" | "refunded":
            return "SUCCESS"
        case _:
            return "FAILED"


PAYMENT_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pending": ("created",),
    "processing": ("pending", "unknown", "review"),
    "completed": ("succeeded",),
    "failed": ("failed", "cancelled", "expired"),
    "canceled": ("canceled",),
    "partially_refunded": ("partially_refunded",),
    "refunded": ("refunded",),
}
"""The stages behind each word that the list of payments speaks (the dialect of orders)."""


def payment_word(stage: str) -> str:
    """Return the word of the list of payments for a stage."""
    return next(word for word, stages in PAYMENT_WORDS.items() if stage in stages)
