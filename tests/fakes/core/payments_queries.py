"""Reads of payments in memory, and the inbox of callbacks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar
from uuid import UUID

from application.core.kernel.ports import Listing, Page
from application.core.payments.queries import (
    CaseView,
    CollectedMovement,
    DailyFigures,
    DueAttempt,
    DueEvent,
    DueRefund,
    PaymentDetail,
    PaymentFilter,
    PaymentView,
    RetryTerms,
    UnservedPayment,
)
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import IntentId
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.intent import WAITING, AttemptStatus, IntentStatus, PaymentAttempt, PaymentIntent
from domain.core.payments.refund import Refund
from tests.fakes.core.payments import StoredCallback
from tests.fakes.core.store import InMemoryStore

Item = TypeVar("Item")
Pair = tuple[PaymentIntent, PaymentAttempt]


class InMemoryCallbackInbox:
    """Stores callbacks at once, as if each were committed by itself."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store
        self.is_down = False
        """True: nothing can be stored, as when the database is away."""

    async def store(
        self, *, id: UUID, gateway: str, digest: bytes, body: bytes, path: str, now: datetime, look_at: datetime
    ) -> bool:
        if self.is_down:
            raise Unavailable
        events = self._store.tables["gateway_events"]
        if any((one.gateway, one.digest) == (gateway, digest) for one in events.values()):
            return False
        events[id] = StoredCallback(
            id=id, gateway=gateway, digest=digest, body=body, path=path, received_at=now, look_at=look_at
        )
        return True


class InMemoryPaymentQueries:
    """What is committed, read as payers, staff and jobs read it."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def find(self, reference: str) -> PaymentView | None:
        for intent in self._intents():
            if intent.reference == reference:
                return PaymentView(
                    reference=intent.reference,
                    payer=intent.payer,
                    amount=intent.amount,
                    purpose=intent.purpose,
                    stage=intent.stage,
                    processed=intent.served_at is not None,
                    code=intent.latest.code,
                    message=intent.latest.message,
                    created_at=intent.created_at,
                )
        return None

    async def payment(self, intent_id: IntentId) -> PaymentDetail | None:
        return next((PaymentDetail.of(one) for one in self._intents() if one.id == intent_id), None)

    async def payments(self, page: Page, wanted: PaymentFilter) -> Listing[PaymentDetail]:
        assert page.cursor is None, "pages are the business of the database's own tests"
        found = [
            PaymentDetail.of(one)
            for one in self._intents()
            if wanted.payer in {None, one.payer}
            and wanted.purpose in {None, one.purpose}
            and wanted.subject in {None, one.subject}
            and (wanted.stages is None or one.stage in wanted.stages)
        ]
        return Listing(sorted(found, key=lambda view: view.id, reverse=True)[: page.limit])

    async def due_refunds(self, now: datetime, limit: int) -> Sequence[DueRefund]:
        due = [one for one in self._refunds() if one.next_check_at is not None and one.next_check_at <= now]
        return [self._due_refund(one) for one in sorted(due, key=lambda one: str(one.next_check_at))[:limit]]

    async def refund_named(self, gateway: str, refund_id: UUID | None, reference: str | None) -> DueRefund | None:
        for one in self._refunds():
            is_meant = one.id == refund_id if refund_id is not None else reference in {one.reference} - {None}
            if one.gateway == gateway and is_meant:
                return self._due_refund(one)
        return None

    def _refunds(self) -> Iterable[Refund]:
        return self._store.tables["payment_refunds"].values()

    def _due_refund(self, refund: Refund) -> DueRefund:
        intent = next(one for one in self._intents() if one.id == refund.intent_id)
        assert refund.gateway is not None
        return DueRefund(
            refund_id=refund.id,
            intent_id=intent.id,
            purpose=intent.purpose,
            subject=intent.subject,
            gateway=refund.gateway,
            reference=refund.reference,
            amount=refund.amount,
            reason=refund.reason,
            requested_at=refund.requested_at,
            payment=intent.attempt(refund.attempt_id).references,
        )

    async def cases(self, page: Page, *, kind: CaseKind | None, is_open: bool | None) -> Listing[CaseView]:
        assert page.cursor is None, "pages are the business of the database's own tests"
        found = [
            self._case_view(case)
            for case in self._cases()
            if kind in {None, case.kind} and is_open in {None, case.resolved_at is None}
        ]
        return Listing(sorted(found, key=lambda view: view.id, reverse=True)[: page.limit])

    async def case(self, case_id: UUID) -> CaseView | None:
        return next((self._case_view(case) for case in self._cases() if case.id == case_id), None)

    async def due_checks(self, now: datetime, limit: int) -> Sequence[DueAttempt]:
        return self._due(lambda _, one: one.next_check_at, now, limit)

    async def cut_off(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        return self._due(lambda _, one: one.sent_at if one.status is AttemptStatus.SENDING else None, before, limit)

    async def waiting_since(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        return self._due(lambda _, one: one.sent_at if one.status in WAITING else None, before, limit)

    async def overdue_intents(self, now: datetime, limit: int) -> Sequence[IntentId]:
        idle = [one for one in self._intents() if one.is_open and one.in_flight is None]
        return [one.id for one in _oldest(idle, lambda one: one.expires_at, now, limit)]

    async def due_events(self, now: datetime, limit: int) -> Sequence[DueEvent]:
        events: list[StoredCallback] = list(self._store.rows("gateway_events").values())
        return [
            DueEvent(id=one.id, gateway=one.gateway, body=one.body, path=one.path, received_at=one.received_at)
            for one in _oldest(events, lambda one: one.look_at, now, limit)
        ]

    async def soft_failures(self, terms: RetryTerms, limit: int) -> Sequence[DueAttempt]:
        def may_repeat(intent: PaymentIntent, one: PaymentAttempt) -> bool:
            retries = [each.created_at for each in intent.attempts if each.is_retry]
            if one.phone is not None:
                return terms.prompts and not retries
            if one.gateway not in terms.gateways or (one.method == "card" and one.card is None):
                return False
            return len(retries) < terms.retries_max and all(at <= terms.last_retry_before for at in retries)

        def failed_at(intent: PaymentIntent, one: PaymentAttempt) -> datetime | None:
            is_soft = one.status is AttemptStatus.FAILED and one.code in terms.codes and intent.attempts[-1] is one
            is_payable = intent.is_open and intent.expires_at > terms.now and intent.attempts_left not in {0, 1}
            is_young = one.finished_at is not None and one.finished_at > terms.failed_after
            return one.finished_at if is_soft and is_payable and is_young and may_repeat(intent, one) else None

        return self._due(failed_at, datetime.max.replace(tzinfo=terms.now.tzinfo), limit)

    async def unserved(self, before: datetime, limit: int) -> Sequence[UnservedPayment]:
        paid = [one for one in self._intents() if one.status is IntentStatus.SUCCEEDED and one.served_at is None]
        return [
            UnservedPayment(reference=one.reference, purpose=one.purpose, subject=one.subject, paid_at=one.closed_at)
            for one in _oldest(paid, lambda one: one.closed_at, before, limit)
            if one.closed_at is not None
        ]

    async def known_transactions(self, gateway: str, ids: Sequence[str]) -> Mapping[str, CollectedMovement]:
        return {
            one.transaction_id: _movement(intent, one)
            for intent, one in self._attempts()
            if one.gateway == gateway and one.transaction_id is not None and one.transaction_id in ids
        }

    async def collected(
        self, gateway: str, since: datetime, until: datetime, *, after: UUID | None, limit: int
    ) -> Sequence[CollectedMovement]:
        found = [
            _movement(intent, one)
            for intent, one in self._attempts()
            if one.gateway == gateway
            and one.status is AttemptStatus.SUCCEEDED
            and one.sent_at is not None
            and since <= one.sent_at < until
            and (after is None or one.id > after)
        ]
        return sorted(found, key=lambda movement: movement.attempt_id)[:limit]

    async def daily_figures(self, day: date) -> Sequence[DailyFigures]:
        figures: list[DailyFigures] = list(self._store.rows("payment_daily_figures").values())
        return sorted((one for one in figures if one.day == day), key=lambda figure: (figure.purpose, figure.currency))

    def _intents(self) -> list[PaymentIntent]:
        return list(self._store.rows("payment_intents").values())

    def _attempts(self) -> list[Pair]:
        return [(intent, attempt) for intent in self._intents() for attempt in intent.attempts]

    def _cases(self) -> list[PaymentCase]:
        return list(self._store.rows("payment_cases").values())

    def _due(
        self, when: Callable[[PaymentIntent, PaymentAttempt], datetime | None], before: datetime, limit: int
    ) -> list[DueAttempt]:
        return [
            DueAttempt(
                intent_id=intent.id,
                attempt_id=one.id,
                gateway=one.gateway,
                phone=one.phone,
                amount=intent.amount,
                status=one.status,
                references=one.references,
                sent_at=one.sent_at or one.created_at,
            )
            for intent, one in _oldest(self._attempts(), lambda pair: when(*pair), before, limit)
        ]

    def _case_view(self, case: PaymentCase) -> CaseView:
        return CaseView(
            id=case.id,
            kind=case.kind,
            status="open" if case.resolved_at is None else "closed",
            gateway=case.gateway,
            reference=next((one.reference for one in self._intents() if one.id == case.intent_id), None),
            attempt_id=case.attempt_id,
            booked=case.booked,
            facts=dict(case.facts),
            resolution=case.resolution,
            note=case.note,
            resolved_by=case.resolved_by,
            resolved_at=case.resolved_at,
            created_at=case.created_at,
        )


def _oldest(items: Iterable[Item], when: Callable[[Item], datetime | None], before: datetime, limit: int) -> list[Item]:
    """Return what is due by then, the longest due first."""
    dated = [(at, item) for item in items if (at := when(item)) is not None and at <= before]
    return [item for _, item in sorted(dated, key=lambda pair: pair[0])[:limit]]


def _movement(intent: PaymentIntent, attempt: PaymentAttempt) -> CollectedMovement:
    return CollectedMovement(
        intent_id=intent.id,
        attempt_id=attempt.id,
        reference=intent.reference,
        transaction_id=attempt.transaction_id,
        received=attempt.received,
        has_fee=attempt.fee is not None,
        status=attempt.status,
    )
