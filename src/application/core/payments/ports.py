"""What payments need from outside: rows, the inbox of callbacks, cases, gateways by method, and a payer's phone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.ledger.ports import LedgerUnitOfWork
from application.core.payments.gateway import PaymentGateway
from domain.core.kernel.errors import Invalid, Unavailable
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.payments.case import PaymentCase
from domain.core.payments.gateway import GatewayNotice, ProviderReferences
from domain.core.payments.intent import AttemptStatus, PaymentIntent


class MethodUnavailable(Invalid):
    """This way to pay is not available."""

    code = "payments.method_unavailable"


class GatewayNotBound(Unavailable):
    """The provider of this payment is not configured here any more."""

    code = "payments.gateway_not_bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A prompt that a phone got, or may have got."""

    intent_id: IntentId
    reference: str
    payer: AccountId
    purpose: str
    subject: UUID
    amount: Money
    status: AttemptStatus
    sent_at: datetime


class Intents(Protocol):
    """Payments with all their attempts. Promises (tests/contract/core/payments.py):

    - whatever returns a payment locks it and its attempts until the unit of work ends;
    - a payment loaded or added here is saved by commit, and by nothing else;
    - one open payment per payer, purpose and subject, one attempt in flight per payment, one waiting push per phone and
      purpose: the second commit raises PushInFlight;
    - a transaction id, checkout id or receipt of a gateway belongs to one attempt: the second commit raises
      ProviderReferenceReused.
    """

    def add(self, intent: PaymentIntent) -> None: ...

    async def get(self, intent_id: IntentId) -> PaymentIntent:
        """Return a payment. Raises NotFound."""
        ...

    async def find_open(self, payer: AccountId, purpose: str, subject: UUID) -> PaymentIntent | None:
        """Return the open payment for this, if any."""
        ...

    async def find_named(
        self, gateway: str, references: ProviderReferences, our_reference: str | None
    ) -> PaymentIntent | None:
        """Return the payment that a provider names, by transaction id, then checkout id, then our own reference."""
        ...

    async def find_of_attempt(self, attempt_id: UUID) -> PaymentIntent | None:
        """Return the payment that an attempt belongs to, if any."""
        ...

    async def save_now(self, intent: PaymentIntent) -> None:
        """Write a closed payment before the commit, so that a new one for the same purpose can take its place."""
        ...

    async def pushes(self, phone: str, *, since: datetime) -> Sequence[Push]:
        """Return the pushes to a phone that were sent since then or are still waiting, oldest first.

        Locks the phone until the unit of work ends, so that two cannot both count and both be the last allowed.
        """
        ...


class GatewayEvents(Protocol):
    """Callbacks that were received, inside a transaction that does something about one."""

    def close(self, event_id: UUID, result: str, *, attempt_id: UUID | None) -> None:
        """Say that nothing is left to do about an event."""
        ...

    def park(self, event_id: UUID, *, until: datetime, error: str | None = None) -> None:
        """Look at an event again later."""
        ...


class Cases(Protocol):
    """Cases. Promises: adding one whose key exists changes nothing; `get` locks."""

    def add(self, case: PaymentCase) -> None: ...

    async def get(self, case_id: UUID) -> PaymentCase:
        """Return a case. Raises NotFound."""
        ...


class PaymentsUnitOfWork(LedgerUnitOfWork, Protocol):
    """A unit of work that can collect money."""

    @property
    def intents(self) -> Intents: ...

    @property
    def gateway_events(self) -> GatewayEvents: ...

    @property
    def cases(self) -> Cases: ...


class CallbackInbox(Protocol):
    """Where verified callbacks are stored before anything is made of them (rule callback.store_first)."""

    async def store(
        self, *, id: UUID, gateway: str, digest: bytes, body: bytes, path: str, now: datetime, look_at: datetime
    ) -> bool:
        """Store a body, committed when this returns; False where the same bytes of this gateway were stored before."""
        ...


class CallbackReader(Protocol):
    """Checks and reads the callbacks of one sender; every PaymentGateway is one."""

    @property
    def name(self) -> str: ...

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Check that the sender sent these bytes; header names are lower case. Raises SignatureInvalid, Unavailable."""
        ...

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read a verified body. Raises CallbackMalformed when it is not a JSON object."""
        ...


class Gateways(Protocol):
    """The gateways that this server is configured for."""

    def gateway_for(self, method: str) -> PaymentGateway:
        """Return the gateway that a method of payment uses. Raises MethodUnavailable."""
        ...

    def by_name(self, name: str) -> PaymentGateway:
        """Return a gateway by its name, which our own rows have. Raises GatewayNotBound."""
        ...

    @property
    def bound(self) -> Sequence[PaymentGateway]:
        """Every gateway of this server, those that take no new payments included."""
        ...


class PayerPhones(Protocol):
    """The phone in a payer's profile."""

    async def phone_of(self, payer: AccountId) -> str | None: ...
