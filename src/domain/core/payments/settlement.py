"""What the words of a provider do to a payment: credit it, fail it, or hand it to staff."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import GATEWAY_COSTS, AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.events import PaymentEvent, PaymentSucceeded
from domain.core.payments.gateway import CardKept, Outcome, ProviderReferences
from domain.core.payments.intent import (
    STATUS_BY_OUTCOME,
    WAITING,
    WALLET_PURPOSE,
    AttemptStatus,
    IntentStatus,
    PaymentAttempt,
    PaymentIntent,
)
from domain.core.payments.phone import is_other_phone

NO_REFERENCES: Final = ProviderReferences()

CONTRADICTION_CHECKS_AFTER: Final = (timedelta(minutes=2), timedelta(minutes=10))
"""When a provider that denies what an unsigned notice said is asked again, counted from the notice; then staff act."""


class Trust(StrEnum):
    """Who says it; what a missing amount means depends on it."""

    SIGNED = "signed"
    """A signed notice of a provider that names amounts: one without an amount is checked first."""
    SIGNED_AS_ASKED = "signed_as_asked"
    """A signed notice of a sender that names none: it means the amount asked."""
    ANSWER = "answer"
    """A definitive answer to a question of ours; nothing surer can be had."""
    UNSIGNED = "unsigned"
    """A notice that nobody signed, at an address that only the provider was told: it moves no money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a provider says of one attempt."""

    outcome: Outcome
    trust: Trust
    references: ProviderReferences = NO_REFERENCES
    amount: Money | None = None
    fee: Money | None = None
    card: CardKept | None = None
    is_hint: bool = False
    currency_code: str | None = None
    """The currency as sent, where we do not know it."""
    phone: str | None = None
    code: str | None = None
    message: str | None = None
    is_contradictory: bool = False


class Verdict(StrEnum):
    """What became of a piece of evidence."""

    APPLIED = "applied"
    REPEATED = "repeated"
    HELD = "held"
    """Nothing was credited and nothing failed: it waits for a query or for staff, or there was nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What has to be recorded beside the changed payment, in one transaction (rule payments.one_transaction)."""

    verdict: Verdict
    transfers: tuple[Transfer, ...] = ()
    events: tuple[PaymentEvent, ...] = ()
    cases: tuple[PaymentCase, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Judge evidence about one attempt; the payment is locked. `new_id` makes ids for what is recorded."""

    intent: PaymentIntent
    attempt: PaymentAttempt
    new_id: Callable[[], UUID]
    now: datetime

    def by(self, evidence: Evidence) -> Settlement:
        """Apply the evidence to the payment and return what to record."""
        attempt = self.attempt
        if evidence.is_contradictory:  # rule callback.contradiction_credits_nothing
            attempt.ask_now(self.now)
            return Settlement(verdict=Verdict.HELD)
        if evidence.trust is Trust.UNSIGNED and attempt.references.contradicts(evidence.references):
            return self._misnamed(evidence)
        if evidence.is_hint:  # nobody signed it: the provider is asked before anything moves
            return self._hint(evidence)
        attempt.card = attempt.card or evidence.card
        match evidence.outcome:
            case Outcome.SUCCEEDED:
                return self._success(evidence)
            case Outcome.FAILED | Outcome.CANCELLED | Outcome.EXPIRED:
                return self._failure(evidence)
            case Outcome.PENDING:
                attempt.wait(evidence.references)
        return Settlement(verdict=Verdict.HELD)

    def _misnamed(self, evidence: Evidence) -> Settlement:
        """Believe nothing of a notice that came to this attempt's address and names another's ids."""
        named = evidence.references.checkout_id or evidence.references.transaction_id or ""
        case = self._case(CaseKind.CONTRADICTION, outcome=str(evidence.outcome), named=named)
        return Settlement(verdict=Verdict.HELD, cases=(case,))

    def _hint(self, evidence: Evidence) -> Settlement:
        """Have the provider asked. An unsigned success names its ids too; one of another amount goes to staff."""
        attempt, asked = self.attempt, self.intent.amount
        if attempt.status is AttemptStatus.REVIEW:
            return Settlement(verdict=Verdict.HELD)
        if evidence.trust is not Trust.UNSIGNED or evidence.outcome is not Outcome.SUCCEEDED:
            attempt.ask_now(self.now)
            return Settlement(verdict=Verdict.HELD)
        attempt.learn(evidence.references)
        if attempt.status is AttemptStatus.SUCCEEDED:
            return Settlement(verdict=Verdict.REPEATED)
        if evidence.amount is not None and evidence.amount != asked:
            case = self._case(
                CaseKind.AMOUNT_DIFFERS, asked=str(asked), received=str(evidence.amount)
            )  # nothing is booked on its word
            if attempt.status in WAITING:
                attempt.review(None)
            return Settlement(verdict=Verdict.HELD, cases=(case,))
        attempt.told_paid_at = attempt.told_paid_at or self.now
        attempt.ask_now(self.now)
        return Settlement(verdict=Verdict.HELD, cases=self._other_phone(evidence))

    def _contradicted(self, told_at: datetime, evidence: Evidence) -> Settlement:
        """Credit nothing and fail nothing while an unsigned notice and the provider's answer disagree; then staff."""
        ahead = [told_at + after for after in CONTRADICTION_CHECKS_AFTER if told_at + after > self.now]
        if ahead:
            self.attempt.next_check_at = ahead[0]
            return Settlement(verdict=Verdict.HELD)
        if self.attempt.status in WAITING:
            self.attempt.review(None)
        case = self._case(CaseKind.CONTRADICTION, outcome=str(evidence.outcome), code=evidence.code or "")
        return Settlement(verdict=Verdict.HELD, cases=(case,))

    def _failure(self, evidence: Evidence) -> Settlement:
        attempt = self.attempt
        told_at, is_paid = attempt.told_paid_at, attempt.status is AttemptStatus.SUCCEEDED
        if told_at is not None and not is_paid and attempt.status is not AttemptStatus.REVIEW:
            return self._contradicted(told_at, evidence)
        if attempt.status in WAITING:
            attempt.learn(evidence.references)
            status = STATUS_BY_OUTCOME[evidence.outcome]
            failed = self.intent.end_attempt(attempt, status, evidence.code, evidence.message, self.now)
            return Settlement(verdict=Verdict.APPLIED, events=(failed,))
        if attempt.status is AttemptStatus.SUCCEEDED and evidence.trust is not Trust.ANSWER:
            # rule payments.success_is_final: the success stays, and a person looks at it
            case = self._case(CaseKind.CONTRADICTION, outcome=str(evidence.outcome), code=evidence.code or "")
            return Settlement(verdict=Verdict.HELD, cases=(case,))
        if attempt.status in {AttemptStatus.SUCCEEDED, AttemptStatus.REVIEW}:
            return Settlement(verdict=Verdict.HELD)
        if attempt.status is AttemptStatus.EXPIRED and evidence.outcome is not Outcome.EXPIRED:
            # what it was not sure of before: there is nothing left to sweep
            attempt.finish(STATUS_BY_OUTCOME[evidence.outcome], evidence.code, evidence.message, self.now)
            return Settlement(verdict=Verdict.APPLIED)
        return Settlement(verdict=Verdict.REPEATED)

    def _success(self, evidence: Evidence) -> Settlement:
        attempt, asked = self.attempt, self.intent.amount
        if attempt.status in {AttemptStatus.SUCCEEDED, AttemptStatus.REVIEW}:  # rule callback.effect_once
            attempt.learn(evidence.references)
            return Settlement(verdict=Verdict.REPEATED)
        amount = evidence.amount
        if amount is None and evidence.trust is Trust.SIGNED_AS_ASKED:
            amount = asked
        if amount is None and evidence.currency_code is None and evidence.trust is Trust.SIGNED:
            attempt.learn(evidence.references)
            attempt.ask_now(self.now)  # rule callback.amount_must_match: a missing amount is queried first
            return Settlement(verdict=Verdict.HELD)
        attempt.learn(evidence.references)
        if amount is None:
            kind = CaseKind.CURRENCY_DIFFERS if evidence.currency_code else CaseKind.AMOUNT_MISSING
            attempt.review(None)
            case = self._case(kind, asked=str(asked), currency=evidence.currency_code or "")
            return Settlement(verdict=Verdict.HELD, cases=(case,))
        if amount != asked:
            return self._mismatch(amount)
        return self._credit(amount, evidence)

    def _mismatch(self, amount: Money) -> Settlement:
        asked = self.intent.amount
        kind = CaseKind.AMOUNT_DIFFERS if amount.currency == asked.currency else CaseKind.CURRENCY_DIFFERS
        self.attempt.review(amount)
        case = self._case(kind, booked=amount, asked=str(asked), received=str(amount))
        booking = self.transfer(
            f"suspense:{self.attempt.id}",
            Posting(AccountRef.clearing(self.attempt.gateway), AccountRef.suspense(self.attempt.gateway), amount),
            kind=TransferKind.ADJUSTMENT,
        )
        return Settlement(verdict=Verdict.HELD, transfers=(booking,), cases=(case,))

    def _credit(self, amount: Money, evidence: Evidence) -> Settlement:
        source = AccountRef.clearing(self.attempt.gateway)
        destination, paid = self.pay(amount)
        legs: tuple[Posting, ...] = (Posting(source, destination, amount),)
        if evidence.fee is not None and evidence.fee.minor > 0:
            self.attempt.fee = evidence.fee
            legs = (*legs, Posting(GATEWAY_COSTS, source, evidence.fee))
        transfer = self.transfer(f"payment:{self.attempt.id}", *legs)
        cases = self._other_phone(evidence)
        return Settlement(verdict=Verdict.APPLIED, transfers=(transfer,), events=(paid,), cases=cases)

    def _other_phone(self, evidence: Evidence) -> tuple[PaymentCase, ...]:
        """Flag another phone than the prompted one (rule callback.phone_differs_flags)."""
        if not is_other_phone(self.attempt.phone, evidence.phone):
            return ()
        return (self._case(CaseKind.PHONE_DIFFERS, phone=evidence.phone or ""),)

    def pay(self, amount: Money, *, to_wallet: bool = False) -> tuple[AccountRef, PaymentSucceeded]:
        """Mark the attempt paid; return where the money goes (rule payments.destination_or_wallet) and the fact."""
        intent, attempt = self.intent, self.attempt
        serves = intent.is_open and not to_wallet
        went_to_wallet = not serves
        attempt.succeed(amount, self.now, went_to_wallet=went_to_wallet)
        if serves:
            intent.status, intent.closed_at = IntentStatus.SUCCEEDED, self.now
        if went_to_wallet or intent.purpose == WALLET_PURPOSE:
            intent.mark_served(self.now)
        told = intent.amount if serves and intent.purpose != WALLET_PURPOSE else amount
        paid = PaymentSucceeded(
            intent_id=intent.id,
            attempt_id=attempt.id,
            reference=intent.reference,
            payer=intent.payer,
            purpose=intent.purpose,
            subject=intent.subject,
            amount_minor=told.minor,
            currency=told.currency,
            went_to_wallet=went_to_wallet,
        )
        return (intent.destination if serves else AccountRef.wallet(intent.payer)), paid

    def late_fee(self, fee: Money) -> Transfer | None:
        """Return the transfer that books a fee learnt after the credit; None where it is booked, or none of ours."""
        if self.attempt.fee is not None or fee.minor <= 0 or fee.currency != self.intent.amount.currency:
            return None
        self.attempt.fee = fee
        leg = Posting(GATEWAY_COSTS, AccountRef.clearing(self.attempt.gateway), fee)
        return self.transfer(f"fee:{self.attempt.id}", leg, kind=TransferKind.ADJUSTMENT)

    def transfer(self, reference: str, *legs: Posting, kind: TransferKind | None = None) -> Transfer:
        """Return a transfer about this payment; money that reaches the payer's wallet instead is a top-up."""
        if kind is None:
            kind = TransferKind.TOPUP if self.attempt.went_to_wallet else self.intent.kind
        return Transfer(
            id=TransferId(self.new_id()),
            reference=reference,
            kind=kind,
            area="payments",
            subject=f"payment:{self.intent.reference}",
            legs=legs,
            posted_at=self.now,
            holder=self.intent.payer,
        )

    def _case(self, kind: CaseKind, *, booked: Money | None = None, **facts: str) -> PaymentCase:
        return PaymentCase(
            id=self.new_id(),
            key=f"{kind}:{self.attempt.id}",
            kind=kind,
            gateway=self.attempt.gateway,
            created_at=self.now,
            intent_id=self.intent.id,
            attempt_id=self.attempt.id,
            booked=booked,
            facts={"reference": self.intent.reference, **{name: value for name, value in facts.items() if value}},
        )
