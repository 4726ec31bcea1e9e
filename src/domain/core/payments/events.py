"""What payments tell the rest of the market."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId, IntentId


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent(Event):
    """What every fact about one attempt carries. Amounts are in minor units."""

    area: ClassVar[str] = "payments"
    intent_id: IntentId
    attempt_id: UUID
    reference: str
    payer: AccountId
    purpose: str
    subject: UUID
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceeded(PaymentEvent):
    """Money arrived and was booked; `went_to_wallet` where the purpose was closed, or served by another attempt."""

    went_to_wallet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(PaymentEvent):
    """An attempt ended without money. `outcome` is `failed`, `cancelled` or `expired`; it may still succeed late."""

    outcome: str
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRefunded(PaymentEvent):
    """Money of a payment went back; the amount is what this refund returned."""

    to_wallet: bool
