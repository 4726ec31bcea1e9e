"""What is read of payments: by payers, by staff, and by the jobs that look for work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, Self, runtime_checkable
from uuid import UUID

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import ProviderReferences
from domain.core.payments.intent import AttemptStatus, IntentStatus, PaymentAttempt, PaymentIntent, stage_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """A payment as its payer sees it."""

    reference: str
    payer: AccountId
    amount: Money
    purpose: str
    stage: str
    processed: bool
    code: str | None
    message: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One try to pay."""

    id: UUID
    method: str
    status: AttemptStatus
    code: str | None
    transaction_id: str | None
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, attempt: PaymentAttempt) -> Self:
        """Return an attempt as it stands."""
        return cls(
            id=attempt.id,
            method=attempt.method,
            status=attempt.status,
            code=attempt.code,
            transaction_id=attempt.transaction_id,
            created_at=attempt.created_at,
            sent_at=attempt.sent_at,
            finished_at=attempt.finished_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDetail:
    """A payment with its attempts, as its payer and administrators see it."""

    id: IntentId
    payer: AccountId
    purpose: str
    subject: UUID
    amount: Money
    refunded: Money
    status: IntentStatus
    attempts: Sequence[AttemptView]
    """The first to the last; never empty."""
    attempts_max: int | None
    created_at: datetime

    @classmethod
    def of(cls, intent: PaymentIntent) -> Self:
        """Return a payment as it stands."""
        return cls(
            id=intent.id,
            payer=intent.payer,
            purpose=intent.purpose,
            subject=intent.subject,
            amount=intent.amount,
            refunded=intent.refunded,
            status=intent.status,
            attempts=[AttemptView.of(one) for one in intent.attempts],
            attempts_max=intent.attempts_max,
            created_at=intent.created_at,
        )

    @property
    def telling(self) -> AttemptView:
        """The attempt that says how the payment stands: a paid one, else the last."""
        paid = [one for one in self.attempts if one.status is AttemptStatus.SUCCEEDED]
        return (paid or list(self.attempts))[-1]

    @property
    def stage(self) -> str:
        """The word for the whole payment."""
        return stage_of(self.status, self.telling.status, amount=self.amount, refunded=self.refunded)

    @property
    def attempts_left(self) -> int | None:
        """How often it may still be tried; what provably did not leave is no try. None: without a limit."""
        if self.attempts_max is None:
            return None
        return max(0, self.attempts_max - sum(one.sent_at is not None for one in self.attempts))

    @property
    def completed_at(self) -> datetime | None:
        """When the money arrived."""
        return self.telling.finished_at if self.telling.status is AttemptStatus.SUCCEEDED else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which payments a list shows; what is None shows all."""

    payer: AccountId | None = None
    purpose: str | None = None
    subject: UUID | None = None
    stages: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRefund:
    """A refund that is about to be settled: which it is, and what to lock first."""

    refund_id: UUID
    intent_id: IntentId
    purpose: str
    subject: UUID
    gateway: str
    reference: str | None
    amount: Money
    reason: str | None
    requested_at: datetime
    payment: ProviderReferences
    """The provider's names for the payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """A case as staff see it."""

    id: UUID
    kind: str
    status: str
    """`open` or `closed`."""
    gateway: str
    reference: str | None
    attempt_id: UUID | None
    booked: Money | None
    facts: Mapping[str, str]
    resolution: str | None
    note: str | None
    resolved_by: UUID | None
    resolved_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAttempt:
    """An attempt that a job has to look at."""

    intent_id: IntentId
    attempt_id: UUID
    gateway: str
    phone: str | None
    amount: Money
    status: AttemptStatus
    references: ProviderReferences
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTerms:
    """Which failed attempts may be tried once more without their payer: each the last of an open payment in its life,
    and never the last try that the payment allows (rule payments.retry_soft_only).
    """

    now: datetime
    failed_after: datetime
    codes: Sequence[str]
    prompts: bool
    """Whether phones may be prompted now; each payment has its phone prompted again once."""
    gateways: Sequence[str]
    """Those that charge again without the payer; a card only with its token."""
    retries_max: int
    """How often a payment is tried again without its payer."""
    last_retry_before: datetime
    """When the last such retry must have begun, if there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEvent:
    """A stored callback that has not been applied."""

    id: UUID
    gateway: str
    body: bytes
    path: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnservedPayment:
    """A payment whose purpose did not take effect."""

    reference: str
    purpose: str
    subject: UUID
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedMovement:
    """Money of one attempt as we booked it."""

    intent_id: IntentId
    attempt_id: UUID
    reference: str
    transaction_id: str | None
    received: Money | None
    has_fee: bool
    """Whether what the provider kept of it is booked."""
    status: AttemptStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyFigures:
    """What was paid for one purpose in one currency on one business day: the attempts that began on it, and the refunds
    that ended on it, whenever their payments were made.
    """

    day: date
    purpose: str
    currency: str
    started: int
    completed: int
    failed: int
    pending: int
    refunded: int
    amount_started: Money
    amount_completed: Money
    amount_refunded: Money


@runtime_checkable
class PaymentQueries(Protocol):
    """Reads of payments. Promises: one round trip each, always bounded, oldest first where a job asks."""

    async def find(self, reference: str) -> PaymentView | None: ...

    async def payment(self, intent_id: IntentId) -> PaymentDetail | None: ...

    async def payments(self, page: Page, wanted: PaymentFilter) -> Listing[PaymentDetail]:
        """Return a page of payments, the newest first."""
        ...

    async def due_refunds(self, now: datetime, limit: int) -> Sequence[DueRefund]:
        """Return the refunds whose next question is due."""
        ...

    async def refund_named(self, gateway: str, refund_id: UUID | None, reference: str | None) -> DueRefund | None:
        """Return the refund of a gateway that its provider names, by our id, else by its own name."""
        ...

    async def cases(self, page: Page, *, kind: CaseKind | None, is_open: bool | None) -> Listing[CaseView]: ...

    async def case(self, case_id: UUID) -> CaseView | None: ...

    async def due_checks(self, now: datetime, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts whose next question is due."""
        ...

    async def cut_off(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts that are still being sent since before then."""
        ...

    async def waiting_since(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts that were sent before then and still wait."""
        ...

    async def overdue_intents(self, now: datetime, limit: int) -> Sequence[IntentId]:
        """Return the open payments whose life is over and that wait for nothing."""
        ...

    async def due_events(self, now: datetime, limit: int) -> Sequence[DueEvent]: ...

    async def soft_failures(self, terms: RetryTerms, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts that may be tried once more on these terms, those that failed first before the others."""
        ...

    async def unserved(self, before: datetime, limit: int) -> Sequence[UnservedPayment]: ...

    async def known_transactions(self, gateway: str, ids: Sequence[str]) -> Mapping[str, CollectedMovement]:
        """Return our attempts by the provider's transaction ids."""
        ...

    async def collected(
        self, gateway: str, since: datetime, until: datetime, *, after: UUID | None, limit: int
    ) -> Sequence[CollectedMovement]:
        """Return what we booked as received of what was sent in a window, by rising attempt id."""
        ...

    async def daily_figures(self, day: date) -> Sequence[DailyFigures]: ...


class DailyFiguresWriter(Protocol):
    """Counts a business day once more and stores the figures."""

    async def last_day(self) -> date | None:
        """Return the latest day that has figures, if any has."""
        ...

    async def count(self, day: date, *, since: datetime, until: datetime, now: datetime) -> int:
        """Store the figures of the day in place of earlier ones; return how many rows there are."""
        ...
