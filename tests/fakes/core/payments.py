"""Payments in memory: what was asked for, every attempt, and the cases for staff."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import MethodUnavailable, Push
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.payments.case import PaymentCase
from domain.core.payments.gateway import ProviderReferences
from domain.core.payments.intent import (
    WAITING,
    PaymentAttempt,
    PaymentIntent,
    ProviderReferenceReused,
    PushInFlight,
)
from domain.core.payments.refund import Refund, RefundNotFound


class Tables(Protocol):
    """What an in-memory repository needs of its unit of work."""

    def table(self, name: str) -> MutableMapping[Any, Any]: ...

    def at_commit(self, check: Callable[[], None]) -> None: ...


class InMemoryIntents:
    """Payments by id, each with its attempts."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._intents = unit_of_work.table("payment_intents")
        unit_of_work.at_commit(self._refuse_seconds)

    def add(self, intent: PaymentIntent) -> None:
        assert intent.id not in self._intents
        self._intents[intent.id] = intent

    async def get(self, intent_id: IntentId) -> PaymentIntent:
        if intent_id not in self._intents:
            raise NotFound
        found: PaymentIntent = self._intents[intent_id]
        return found

    async def find_open(self, payer: AccountId, purpose: str, subject: UUID) -> PaymentIntent | None:
        return self._first(
            lambda one: one.is_open and (one.payer, one.purpose, one.subject) == (payer, purpose, subject)
        )

    async def find_named(
        self, gateway: str, references: ProviderReferences, our_reference: str | None
    ) -> PaymentIntent | None:
        def has(name: str, value: str | None) -> PaymentIntent | None:
            if value is None:
                return None
            return self._first(
                lambda one: any(each.gateway == gateway and getattr(each, name) == value for each in one.attempts)
            )

        return (
            has("transaction_id", references.transaction_id)
            or has("checkout_id", references.checkout_id)
            or self._first(lambda one: our_reference is not None and one.reference == our_reference)
        )

    async def find_of_attempt(self, attempt_id: UUID) -> PaymentIntent | None:
        return self._first(lambda one: any(each.id == attempt_id for each in one.attempts))

    async def save_now(self, intent: PaymentIntent) -> None:
        assert not intent.is_open, "only what is closed makes room"

    async def pushes(self, phone: str, *, since: datetime) -> Sequence[Push]:
        found = [
            Push(
                intent_id=intent.id,
                reference=intent.reference,
                payer=intent.payer,
                purpose=intent.purpose,
                subject=intent.subject,
                amount=intent.amount,
                status=attempt.status,
                sent_at=attempt.sent_at,
            )
            for intent, attempt in self._attempts()
            if attempt.phone == phone
            and attempt.sent_at is not None
            and (attempt.sent_at > since or attempt.status in WAITING)
        ]
        return sorted(found, key=lambda push: push.sent_at)

    def _first(self, wanted: Callable[[PaymentIntent], bool]) -> PaymentIntent | None:
        return next((one for one in self._intents.values() if wanted(one)), None)

    def _attempts(self) -> list[tuple[PaymentIntent, PaymentAttempt]]:
        return [(intent, attempt) for intent in self._intents.values() for attempt in intent.attempts]

    def _refuse_seconds(self) -> None:
        """Refuse what the unique indexes would."""
        subjects = [(one.payer, one.purpose, one.subject) for one in self._intents.values() if one.is_open]
        phones = [
            (attempt.phone, intent.purpose)
            for intent, attempt in self._attempts()
            if attempt.phone is not None and attempt.status in WAITING
        ]
        in_flight = [intent.id for intent, attempt in self._attempts() if attempt.is_in_flight]
        if any(len(each) != len(set(each)) for each in (subjects, phones, in_flight)):
            raise PushInFlight
        for name in ("transaction_id", "checkout_id", "receipt"):
            known = [(one.gateway, getattr(one, name)) for _, one in self._attempts() if getattr(one, name) is not None]
            if len(known) != len(set(known)):
                raise ProviderReferenceReused


@dataclass(slots=True, kw_only=True)
class StoredCallback:
    """A callback as it came, and what became of it."""

    id: UUID
    gateway: str
    digest: bytes
    body: bytes
    path: str
    received_at: datetime
    look_at: datetime | None
    tries: int = 0
    result: str | None = None
    attempt_id: UUID | None = None
    last_error: str | None = None


class InMemoryGatewayEvents:
    """Callbacks by id; what was never stored cannot be closed or parked."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._events = unit_of_work.table("gateway_events")

    def close(self, event_id: UUID, result: str, *, attempt_id: UUID | None) -> None:
        if event_id in self._events:
            event: StoredCallback = self._events[event_id]
            event.look_at, event.result, event.attempt_id = None, result, attempt_id

    def park(self, event_id: UUID, *, until: datetime, error: str | None = None) -> None:
        if event_id in self._events:
            event: StoredCallback = self._events[event_id]
            event.look_at, event.last_error, event.tries = until, error, event.tries + 1


class InMemoryCases:
    """Cases by id; a second one of the same key changes nothing."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._cases = unit_of_work.table("payment_cases")

    def add(self, case: PaymentCase) -> None:
        if all(one.key != case.key for one in self._cases.values()):
            self._cases[case.id] = case

    async def get(self, case_id: UUID) -> PaymentCase:
        if case_id not in self._cases:
            raise NotFound
        found: PaymentCase = self._cases[case_id]
        return found


class InMemoryRefunds:
    """Refunds by id; a provider's name for one belongs to it alone."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._refunds = unit_of_work.table("payment_refunds")
        unit_of_work.at_commit(self._refuse_seconds)

    def add(self, refund: Refund) -> None:
        assert refund.id not in self._refunds
        self._refunds[refund.id] = refund

    async def get(self, refund_id: UUID) -> Refund:
        if refund_id not in self._refunds:
            raise RefundNotFound
        found: Refund = self._refunds[refund_id]
        return found

    def _refuse_seconds(self) -> None:
        names = [(one.gateway, one.reference) for one in self._refunds.values() if one.reference is not None]
        if len(names) != len(set(names)):
            raise ProviderReferenceReused


class OneGateway:
    """One gateway, which serves one method of payment."""

    def __init__(self, gateway: PaymentGateway, method: str = "mpesa") -> None:
        self._gateway = gateway
        self._method = method

    def gateway_for(self, method: str) -> PaymentGateway:
        if method != self._method:
            raise MethodUnavailable
        return self._gateway

    def by_name(self, name: str) -> PaymentGateway:
        assert name == self._gateway.name
        return self._gateway

    @property
    def bound(self) -> Sequence[PaymentGateway]:
        return (self._gateway,)


class KnownPhones:
    """The phones in the profiles of payers."""

    def __init__(self) -> None:
        self.phones: dict[AccountId, str] = {}

    async def phone_of(self, payer: AccountId) -> str | None:
        return self.phones.get(payer)
