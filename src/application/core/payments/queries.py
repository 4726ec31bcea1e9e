"""What is read of payments: by payers, by staff, and by the jobs that look for work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable
from uuid import UUID

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import ProviderReferences
from domain.core.payments.intent import AttemptStatus


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
    status: AttemptStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyFigures:
    """What was paid for one purpose in one currency on one business day."""

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

    async def soft_failures(
        self, since: datetime, codes: Sequence[str], limit: int, *, now: datetime
    ) -> Sequence[DueAttempt]:
        """Return the failed prompts since then with one of the codes, whose payment is open, idle and never retried."""
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

    async def count(self, day: date, *, since: datetime, until: datetime, now: datetime) -> int:
        """Store the figures of the day in place of earlier ones; return how many rows there are."""
        ...
