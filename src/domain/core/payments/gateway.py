"""The words in which every payment gateway speaks to us: what was asked, what came back, and how sure it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from domain.core.kernel.money import Money

PROMPT_CHECKS_AFTER: Final = (
    timedelta(seconds=75),
    timedelta(minutes=3),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=72),
)
"""When an attempt that nobody told us about is asked about, counted from its sending, where a phone was prompted."""


class Outcome(StrEnum):
    """What a gateway says of one attempt to move money."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """The payer did not act in time. It ended, and is asked about further: such prompts were seen to be paid later."""
    UNKNOWN = "unknown"
    """No answer, or one that cannot be understood: the money may have moved."""


class Authority(StrEnum):
    """How much an answer is worth."""

    DEFINITIVE = "definitive"
    HINT = "hint"
    """Not proof: the provider could not be asked, or did not show the whole window that was searched."""


class EventKind(StrEnum):
    """What a gateway's notice is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    PAYOUT = "payout"
    TEST = "test"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProviderReferences:
    """The names a provider has for one attempt; any may be missing."""

    transaction_id: str | None = None
    checkout_id: str | None = None
    receipt: str | None = None
    own_id: UUID | None = None
    """Our id, for a payout whose provider can be asked by it when its answer was lost."""

    def contradicts(self, told: "ProviderReferences") -> bool:
        """Tell whether the provider had other names for this than it has now."""
        return any(
            known is not None and new is not None and known != new
            for known, new in ((self.transaction_id, told.transaction_id), (self.checkout_id, told.checkout_id))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a gateway can do; the core branches on these, never on a name."""

    currencies: frozenset[str]
    unit_minor: int
    """The smallest step an amount may have, in minor units: 100 where only whole shillings can be sent."""
    amount_min_minor: int
    amount_max_minor: int
    needs_phone: bool
    can_refund: bool
    can_pay_out: bool
    has_native_idempotency: bool
    can_search: bool
    """Whether an attempt without a provider id can be searched by phone, amount and time."""
    amount_in_callback_required: bool
    """Whether a success without an amount is queried before it counts."""
    search_is_exact: bool = False
    """Whether a search finds every attempt that arrived, by our own id: none found means that none arrived."""
    has_statement: bool = True
    """Whether it lists its movements, so that both books can be compared."""
    takes_cards: bool = False
    """Whether card fields may reach it (rule payments.no_card_data_kept)."""
    charges_again: bool = False
    """Whether it charges a second time without the payer: by the token of a card, or from an account he connected."""
    checks_after: tuple[timedelta, ...] = PROMPT_CHECKS_AFTER
    """When it is asked what became of an attempt, counted from its sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as its holder typed it; it lives as long as the request does, and is never stored or shown."""

    number: str = field(repr=False)
    expiry: str = field(repr=False)
    """MM/YY."""
    cvv: str = field(repr=False)
    holder: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKept:
    """What may be kept of a card: enough to recognise it and to charge it again, by the gateway that gave the token."""

    brand: str
    last4: str
    token: str = field(repr=False)


def key_of_attempt(attempt_id: UUID) -> str:
    """Return the key under which an attempt is sent, the same however often."""
    return f"attempt:{attempt_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A request to collect money from a payer, stored before it is sent."""

    attempt_id: UUID
    reference: str
    amount: Money
    description: str
    phone: str | None = None
    """E.164, such as `+254712345678`."""
    method: str = "mpesa"
    card: Card | None = None
    token: str | None = field(default=None, repr=False)
    """What the gateway gave for a card that was typed before."""
    return_url: str | None = None
    """Where the payer's browser goes when he has paid at the provider's."""
    cancel_url: str | None = None
    started_at: datetime | None = None
    """When the attempt was made; the same however often it is sent."""
    pay_until: datetime | None = None
    """When the payment closes, for a provider that can stop taking the money by then."""
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from collect, query, refund or payout."""

    outcome: Outcome
    references: ProviderReferences = ProviderReferences()
    authority: Authority = Authority.DEFINITIVE
    amount: Money | None = None
    """What really moved, where the provider says so."""
    next_action: str | None = None
    """What the payer has to do now: `wait_for_phone`, `redirect`."""
    next_url: str | None = None
    """Where `redirect` leads."""
    fee: Money | None = None
    """What the provider keeps of the amount, where it says so at once."""
    card: CardKept | None = None
    means_asked: bool = False
    """True only for a success that is always of the amount asked, because the payer cannot change it, and which the
    provider tells without an amount."""
    code: str | None = None
    """The provider's own code, normalised to upper case where it is a word."""
    message: str | None = None
    did_not_leave: bool = False
    """True only where the request provably never reached the provider (connect refused, name not found, our own
    circuit is open) or was turned away unread (our key is refused, we ask too often): nobody declined anything.
    A collection or payout is `FAILED` then, a query `UNKNOWN`."""
    retry_after_s: int | None = None
    """When to try again at the earliest, in seconds from now, where the provider or the open circuit says so."""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where to look for an attempt whose provider id we never learnt."""

    phone: str | None
    amount: Money
    sent_after: datetime
    sent_before: datetime
    attempt_id: UUID | None = None
    """Our attempt, for a provider that can be asked by the key it was sent under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repayment:
    """A request to give money of a payment back on its own rail, stored before it is sent."""

    refund_id: UUID
    payment: ProviderReferences
    amount: Money
    reason: str
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """A request to pay money out, stored before it is sent."""

    payout_id: UUID
    amount: Money
    phone: str
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayNotice:
    """One thing a provider tells us, in our words. Anything the provider left out is None."""

    kind: EventKind
    outcome: Outcome
    references: ProviderReferences = ProviderReferences()
    """Of the payment, or of the payout."""
    our_reference: str | None = None
    attempt_id: UUID | None = None
    """Our attempt, where the provider was given its id, or an address made for it."""
    refund_id: UUID | None = None
    """Our refund, where its id was echoed."""
    refund_reference: str | None = None
    """The provider's name for a refund."""
    payout_id: UUID | None = None
    amount: Money | None = None
    currency_code: str | None = None
    """The currency as sent, where it is not one we know; `amount` is None then."""
    phone: str | None = None
    code: str | None = None
    message: str | None = None
    is_hint: bool = False
    """Proves nothing: nobody signed it, or it only says that something can be done now. The provider is asked."""
    is_signed: bool = True
    """False for one that came unsigned, to an address that only the provider was told."""
    is_contradictory: bool = False
    """Event and status say different things: store and query, credit nothing."""
    is_understood: bool = True
    """False for a word or shape we do not know: stored and otherwise left alone."""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One movement in the provider's own books."""

    references: ProviderReferences
    our_reference: str | None
    amount: Money | None
    """None where the provider's figure cannot be read exactly: a difference for staff, never a guess."""
    outcome: Outcome
    occurred_at: datetime
    fee: Money | None = None
    """What the provider kept of it, where the line says so."""
    extra: Mapping[str, str] = field(default_factory=dict)
